"""Tiny random models of many architectures, for what must hold of each: no download."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

_SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_MAMBA: dict[str, Any] = {
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8,
}  # fmt: skip
_EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2}
_OWN: dict[str, dict[str, Any]] = {
    # Attention alone.
    "llama": {},
    "gpt2": {},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 32},
    "gptj": {"rotary_dim": 8},
    "bloom": {},
    "gemma3_text": {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "gpt_neo": {"num_layers": 4, "attention_types": [[["global", "local"], 2]], "window_size": 16},
    "mixtral": _EXPERTS,
    "qwen2_moe": {**_EXPERTS, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
    # With a state.
    "recurrent_gemma": {"head_dim": 8, "attention_window_size": 16, "lru_width": 32},
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 8, "num_heads": 4, "head_dim": 16, "expand": 2, "n_groups": 1, "chunk_size": 8},
    "rwkv": {"attention_hidden_size": 32},
    "jamba": {**_EXPERTS, "mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False, "attn_layer_period": 2,
              "attn_layer_offset": 1},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64, "head_dim": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8},
    "minimax": {**_EXPERTS, "layer_types": ["linear_attention", "full_attention"] * 2, "block_size": 8, "head_dim": 8},
}  # fmt: skip
STATEFUL = ("recurrent_gemma", "mamba", "mamba2", "rwkv", "jamba", "falcon_h1", "lfm2", "minimax")


def build(kind: str, vocabulary: int = 400, **changes: Any) -> PreTrainedModel:
    """A model of an architecture, with weights large enough that it prefers some tokens to others."""
    torch.manual_seed(0)
    given = {**_SIZES, "vocab_size": vocabulary, "initializer_range": 0.2, **_OWN[kind], **changes}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **given)).eval()
