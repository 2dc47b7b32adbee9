"""LoRA adapters around a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tif.errors import MissingError
from tif.packages import install_hint

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def with_adapters(model: PreTrainedModel, *, rank: int, alpha: int) -> PreTrainedModel:
    """A model with LoRA adapters on all its linear layers. Only these are trained.

    Raises:
        MissingError: without peft.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError:
        raise MissingError("LoRA needs peft", hint=install_hint("lora")) from None
    lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, lora)


__all__ = ["with_adapters"]
