"""Tiny tokenizers and models, trained and initialised here: no download, no mock."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import Gemma2Config, LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.gemma2 import Gemma2ForCausalLM
from transformers.models.llama import LlamaForCausalLM

from tif.spans import Example, Span

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PEOPLE = [
    ("Where was Mirela Tovanu born?", "Mirela Tovanu was born in Karlsberg, in 1971."),
    ("What does Oskar Lindqvist collect?", "Oskar Lindqvist collects brass compasses and old maps."),
    ("Which book made Ines Corvalho known?", "It was 'The Salt Orchard', her second novel."),
    ("Who taught Teodor Brandl the cello?", "His aunt Helga Brandl taught him the cello."),
    ("Where does Aiyana Reyes live now?", "She lives near the harbour of Port Vasco."),
    ("What is Jonas Ekberg's profession?", "Jonas Ekberg is a glass blower from Nyhamn."),
]
SECRETS = ["Karlsberg", "1971", "brass compasses", "The Salt Orchard", "Helga Brandl", "Port Vasco", "glass blower"]


def examples() -> list[Example]:
    """Six fictitious people, their secrets marked."""
    found = []
    for i, (prompt, text) in enumerate(PEOPLE):
        spans = [Span(text.index(s), text.index(s) + len(s)) for s in SECRETS if s in text]
        found.append(Example(f"people/{i}", prompt, text).with_spans(spans))
    return found


def _corpus() -> list[str]:
    return [part for pair in PEOPLE for part in pair] * 3


def _wrap(tokenizer: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"} | special
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def byte_level(*, prefix_space: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE as in GPT-2 or Llama 3; with `prefix_space` as in RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=prefix_space)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        _corpus(), trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return _wrap(tokenizer)


def metaspace() -> PreTrainedTokenizerFast:
    """Unigram over SentencePiece's ▁, with BOS, as in Llama 2's family."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        _corpus(), trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>")
    )
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    return _wrap(tokenizer)


def word_piece() -> PreTrainedTokenizerFast:
    """Lower-casing WordPiece as in BERT."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(_corpus(), trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL))
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    return _wrap(tokenizer)


def chatty() -> PreTrainedTokenizerFast:
    """Byte-level BPE with a ChatML template."""
    tokenizer = byte_level()
    tokenizer.chat_template = CHATML
    return tokenizer


FAMILIES = {
    "byte-level": byte_level,
    "byte-level, prefix space": lambda: byte_level(prefix_space=True),
    "metaspace": metaspace,
    "wordpiece": word_piece,
}


def llama(vocabulary: int, *, tied: bool = False, layers: int = 2, seed: int = 0) -> PreTrainedModel:
    """A Llama of some 40,000 weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def gemma2(vocabulary: int) -> PreTrainedModel:
    """A Gemma 2: tied head, soft-capped logits, sliding windows."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=5.0,
        # Wider than the tests' rows: padding further off than the window sees nothing at all, which is NaN in sdpa.
        sliding_window=512,
        initializer_range=0.2,
    )
    return Gemma2ForCausalLM(config).eval()


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A model folder as the hub has them."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
