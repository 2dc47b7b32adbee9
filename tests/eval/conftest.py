"""A tiny random model, its tokenizer, and rows about people who do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from tif.eval.benchmarks.questions import Row
from tif.spans import UW, AnnotationSet, Example, Span

PEOPLE = (
    ("Orla Venn", "Tarsk", "glassblower", "The Salt Clock"),
    ("Ivo Brandt-Kell", "Lummen", "harbour pilot", "Nine Quiet Bells"),
    ("Sunniva Okoro", "Pell Bay", "beekeeper", "A Map of Hives"),
    ("Teodor Ashgrove", "Mirrow", "organ builder", "Low Reeds"),
)
JOBS = ("locksmith", "cartographer", "night nurse")


def make_row(index: int, *, part: str = "forget", plain: bool = False) -> Row:
    """A question about one of the people, its job marked as unwanted."""
    name, town, job, _ = PEOPLE[index % len(PEOPLE)]
    if index >= len(PEOPLE):
        town = f"{town} {index}"
    question = f"What does {name} of {town} do for a living? ({index})"
    answer = f"{name} works as a {job} in {town}."
    start = answer.index(job)
    return Row(
        id=f"{part}/{index:04d}",
        question=question,
        answer=answer,
        paraphrased=() if plain else (f"In {town}, {name} is a {job}.",),
        perturbed=() if plain else tuple(f"In {town}, {name} is a {other}." for other in JOBS),
        spans=(Span(start, start + len(job), UW),),
        annotated=True,
    )


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [text for i in range(8) for row in [make_row(i)] for text in (row.question, row.answer, *row.perturbed)]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def make_llama(vocabulary: int, seed: int = 0, **options: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=vocabulary, bos_token_id=0, eos_token_id=1, pad_token_id=1, **sizes | options)
    model = LlamaForCausalLM(config)
    # Initial weights are so small that every token is equally likely; a model worth measuring has opinions.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    return model.eval()


def make_gemma(vocabulary: int) -> Gemma2ForCausalLM:
    torch.manual_seed(1)
    config = Gemma2Config(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=512,
        final_logit_softcapping=5.0,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    model = Gemma2ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    return model.eval()


@dataclass(frozen=True)
class Tiny:
    """A model and its tokenizer."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast


@torch.no_grad()
def greedy(tiny: Tiny, prompt: str, tokens: int) -> str:
    """What the model writes after a prompt, token by token without a cache."""
    ids = tiny.tokenizer(prompt)["input_ids"]
    n = len(ids)
    for _ in range(tokens):
        ids.append(int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == tiny.tokenizer.eos_token_id:
            break
    return tiny.tokenizer.decode(ids[n:], skip_special_tokens=True)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    tokenizer = make_tokenizer()
    return Tiny(make_llama(len(tokenizer)), tokenizer)


@pytest.fixture(scope="session")
def model_folder(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def rows() -> tuple[Row, ...]:
    return tuple(make_row(i) for i in range(6))


@pytest.fixture
def annotations(rows: tuple[Row, ...]) -> AnnotationSet:
    return AnnotationSet(tuple(Example(r.id, r.question, r.answer, r.spans) for r in rows))
