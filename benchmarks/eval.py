"""Compare the speed of tif's evaluation with open-unlearning's, on the same model, rows and numbers.

    python benchmarks/eval.py --data-dir DIR --model .cache/smollm2 --json

One process, TOFU forget05_perturbed. `open_unlearning` re-expresses what that project's code does for the numbers that
both compute (`src/evals/metrics/utils.py` and `memorization.py`): a pass for each kind of answer (right, paraphrased,
five wrong ones), another pass for extraction strength, batches of 32 in the order of the data, padded to the longest
row of the batch, logits at every position, the model's own loss in addition; then greedy answers of at most 200 tokens,
32 at a time, until the last of them ends. tif: `tif.eval.measure.score` and `tif.eval.measure.complete`.

Without `--model` the model is a random Llama of 58M parameters with a vocabulary of 32,000, which never ends an answer.
Times are CPU seconds, the two ways in turn. Losses must agree to 5e-4, extraction strengths and completions exactly, or
the script fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tif.eval.benchmarks import questions as benchmark_rows
from tif.eval.measure.complete import complete
from tif.eval.measure.memorization import extraction_strength
from tif.eval.measure.score import score
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.generate import ask
from tif.tokens.masks import Kind, Template, encode
from tif.tokens.models import load_model, load_tokenizer

BATCH = 32
LIMIT = 5e-4
"""Nats. `cross_entropy` over transposed float32 logits is off by 1.4e-4 with a vocabulary of 49,152."""


def make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # 2,000 pieces learnt from these very texts cut them about as finely as Llama's 32,000 of the whole web.
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def padded(rows: Sequence[Sequence[int]], fill: int, side: str = "right") -> torch.Tensor:
    """`[B, T]`, padded to the longest row."""
    width = max(map(len, rows))
    if side == "left":
        return torch.tensor([[fill] * (width - len(row)) + list(row) for row in rows])
    return torch.tensor([list(row) + [fill] * (width - len(row)) for row in rows])


def batches(texts: Sequence[Example], tokenizer: Any, template: Template) -> Iterator[tuple[list[Example], dict]]:
    """Texts of one kind in batches, as the collator makes them."""
    for at in range(0, len(texts), BATCH):
        chunk = list(texts[at : at + BATCH])
        items = [encode(text, tokenizer, template) for text in chunk]
        labels = [
            [token if kind != Kind.PROMPT else -100 for token, kind in zip(i.input_ids, i.kinds, strict=True)]
            for i in items
        ]
        ids = padded([i.input_ids for i in items], tokenizer.eos_token_id)
        mask = padded([[1] * len(i) for i in items], 0)
        yield chunk, {"input_ids": ids, "attention_mask": mask, "labels": padded(labels, -100)}


@torch.no_grad()
def their_losses(model: Any, tokenizer: Any, texts: Sequence[Example], template: Template) -> dict[str, float]:
    """`evaluate_probability`, for each kind of answer."""
    losses: dict[str, float] = {}
    for kind in sorted({text.id.partition("#")[2] for text in texts}):
        alike = [text for text in texts if text.id.partition("#")[2] == kind]
        for chunk, batch in batches(alike, tokenizer, template):
            logits = model(**batch).logits[..., :-1, :].contiguous()
            labels = batch["labels"][..., 1:].contiguous()
            each = torch.nn.functional.cross_entropy(
                logits.transpose(-1, -2), labels, ignore_index=-100, reduction="none"
            )
            means = each.sum(-1) / (batch["labels"] != -100).sum(-1)
            losses |= {text.id: float(mean) for text, mean in zip(chunk, means, strict=True)}
    return losses


@torch.no_grad()
def their_strengths(model: Any, tokenizer: Any, texts: Sequence[Example], template: Template) -> dict[str, float]:
    """`extraction_strength`, over the log-probabilities of the complete vocabulary. It drops the last label."""
    strengths: dict[str, float] = {}
    for chunk, batch in batches(texts, tokenizer, template):
        logprobs = model(**batch).logits.log_softmax(-1)[:, :-1, :]
        for row, text in enumerate(chunk):
            where = (batch["labels"][row] != -100).nonzero()[:-1, 0]
            hits = (logprobs[row, where - 1].argmax(-1) == batch["labels"][row, where]).tolist()
            k = next((k for k in range(len(hits)) if all(hits[k:])), len(hits) - 1)
            strengths[text.id] = 1 - k / len(hits)
    return strengths


@torch.no_grad()
def their_answers(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], tokens: int) -> list[str]:
    """`eval_text_similarity`, without ROUGE."""
    answers: list[str] = []
    for at in range(0, len(prompts), BATCH):
        batch = prompts[at : at + BATCH]
        ids = padded(batch, tokenizer.eos_token_id, "left")
        mask = padded([[1] * len(prompt) for prompt in batch], 0, "left")
        output = model.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, use_cache=True,
            pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        texts = tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)
        answers += [text.strip() for text in texts]
    return answers


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("TIF_DATA_DIR", "../shared/data"))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", help="folder of a real model, such as .cache/smollm2")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = benchmark_rows.read("tofu:forget05_perturbed", "forget", data_dir=options.data_dir, limit=options.rows)
    texts = [text for row in rows for text in row.texts()]
    answers = [row.texts()[0] for row in rows]
    if options.model:
        tokenizer, model = load_tokenizer(options.model), load_model(options.model, dtype="float32")
    else:
        tokenizer = make_tokenizer([part for text in texts for part in (text.prompt, text.text)])
        model = make_model()
    template = Template.of(tokenizer)
    asked = ask(answers, tokenizer, template)
    light = {text.id for text in texts if "#" in text.id}
    ways: dict[str, Callable[[], Any]] = {
        "their losses": lambda: their_losses(model, tokenizer, texts, template),
        "their strengths": lambda: their_strengths(model, tokenizer, answers, template),
        "our scores": lambda: score(model, Encoder(tokenizer, template), texts, light=light),
        "their answers": lambda: their_answers(model, tokenizer, asked.prompts, options.tokens),
        "our answers": lambda: complete(
            model, tokenizer, asked.prompts, max_new_tokens=options.tokens, ends=asked.ends
        ),
    }
    seconds: dict[str, float] = {}
    results: dict[str, Any] = {}
    for _ in range(options.repeats):
        for name, way in ways.items():
            spent, results[name] = timed(way)
            seconds[name] = min(spent, seconds.get(name, spent))
            print(f"{name}: {spent:.1f} s", file=sys.stderr, flush=True)
    scores = {scored.id: scored for scored in results["our scores"]}
    worst = max(abs(loss - scores[id_].loss) for id_, loss in results["their losses"].items())
    strengths = all(
        extraction_strength(scores[id_]) == strength for id_, strength in results["their strengths"].items()
    )
    same = results["their answers"] == results["our answers"]
    theirs = seconds["their losses"] + seconds["their strengths"]
    result = {
        "ratios": {
            "likelihood": theirs / seconds["our scores"],
            "answers": seconds["their answers"] / seconds["our answers"],
            "whole": (theirs + seconds["their answers"]) / (seconds["our scores"] + seconds["our answers"]),
        },
        "seconds": seconds,
        "largest_loss_difference": worst,
        "same_strengths": strengths,
        "same_completions": same,
        "rows": len(rows),
        "mean_tokens": float(np.mean([len(encode(t, tokenizer, template)) for t in texts])),
        "answer_tokens": [len(tokenizer(text)["input_ids"]) for text in results["our answers"]],
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, ratio in result["ratios"].items():
            print(f"{name}: {ratio:.2f}x")
    return 0 if worst < LIMIT and strengths and same else 1


if __name__ == "__main__":
    sys.exit(main())
