"""Tiny language models that learn about invented people by heart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif import files
from tif.spans import Example, canonical

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

END: Final = "<|end|>"
PAD: Final = "<|pad|>"
_KEY: Final = "made-from.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights of a tiny model, beside its texts."""

    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    epochs: int = 24
    batch: int = 16
    lr: float = 3e-3
    warmup: int = 20
    """Steps over which the learning rate rises. It then falls along a cosine."""
    seed: int = 0

    def key(self, examples: Sequence[Example], vocabulary: Sequence[Example], start: str | None = None) -> str:
        """SHA-256 over the recipe, the texts, and the key of the model that training starts from."""
        texts = [[canonical(e).decode() for e in group] for group in (examples, vocabulary)]
        made_from = [asdict(self), texts] + ([start] if start else [])
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def pretrain(
    examples: Sequence[Example],
    vocabulary: Sequence[Example],
    folder: Path,
    recipe: Recipe,
    what: str,
    *,
    start: Path | None = None,
) -> bool:
    """Train a Llama of under a million weights on the answers, and save it as a model folder.

    The same call on a finished folder returns at once. A call that is killed leaves no folder.

    Args:
        examples: questions and answers that the model learns.
        vocabulary: texts that the tokenizer is made from. All models of a demo share them, so that their tokens can be
            compared.
        folder: the model's folder.
        recipe: sizes and schedule.
        what: label of the progress.
        start: folder of a model that this function made, to train further. None starts from random weights.

    Returns:
        False if the folder already held this model.
    """
    key = recipe.key(examples, vocabulary, _made(start) if start else None)
    if _made(folder) == key:
        return False
    tokenizer = train_tokenizer(vocabulary, recipe.vocabulary)
    model = _train(examples, tokenizer, recipe, what, start)
    with files.replacing_folder(folder) as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        made_from = {"key": key, "recipe": asdict(recipe), "examples": len(examples)}
        files.write(new / _KEY, json.dumps(made_from, indent=1))
    return True


def _made(folder: Path) -> str | None:
    """The key of the model in a folder; None if there is none."""
    made = folder / _KEY
    return str(json.loads(made.read_text())["key"]) if made.is_file() else None


def train_tokenizer(examples: Sequence[Example], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of at most `size` tokens, made from prompts and texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((text for e in examples for text in (e.prompt, e.text)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=PAD, model_max_length=256)


def _train(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, recipe: Recipe, what: str, start: Path | None
) -> PreTrainedModel:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tif.tokens.encoding import Encoder
    from tif.tokens.finetune import FineTuning, fine_tune

    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=3 * recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM.from_pretrained(start) if start else LlamaForCausalLM(config)
    how = FineTuning(
        epochs=recipe.epochs,
        lr=recipe.lr,
        batch_size=recipe.batch,
        packed=True,
        betas=(0.9, 0.98),
        schedule="cosine",
        warmup_steps=recipe.warmup,
        max_grad_norm=1.0,
        seed=recipe.seed,
    )
    fine_tune(model, Encoder.of(tokenizer), examples, how, title=what)
    return model


__all__ = ["Recipe", "pretrain", "train_tokenizer"]
