"""How much faster is the evaluation than the field's, on the same model, rows and numbers?

    python benchmarks/eval.py --data-dir DIR --json

One process, a random Llama of about 60M parameters with a vocabulary of 32,000, TOFU forget05_perturbed. The field's
way, re-expressed: one pass a kind of answer (right, paraphrased, and each of the five wrong ones), rows padded to 200
tokens, logits at every position, batches of 32; then greedy answers of at most 200 tokens, padded to the batch's
longest. Ours: `tif.eval.measure.score` and `tif.eval.measure.complete`. Times are CPU seconds, ways taken in turn; the
losses must agree to 1e-4 and the completions exactly, or the script fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tif.eval.benchmarks import questions as benchmark_rows
from tif.eval.measure.complete import complete
from tif.eval.measure.score import score
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.generate import ask
from tif.tokens.masks import Kind, Template, encode

WIDTH, BATCH = 200, 32


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


@torch.no_grad()
def field_likelihood(model: Any, tokenizer: Any, texts: Sequence[Example], template: Template) -> dict[str, float]:
    found: dict[str, float] = {}
    kinds = sorted({text.id.partition("#")[2] for text in texts})
    for kind in kinds:
        some = [text for text in texts if text.id.partition("#")[2] == kind]
        for at in range(0, len(some), BATCH):
            batch = [encode(text, tokenizer, template) for text in some[at : at + BATCH]]
            ids = torch.full((len(batch), WIDTH), tokenizer.pad_token_id)
            mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
            for row, item in enumerate(batch):
                n = len(item.input_ids)
                ids[row, :n], mask[row, :n] = torch.tensor(item.input_ids), 1
                where = torch.tensor([k != Kind.PROMPT for k in item.kinds])
                labels[row, :n][where] = torch.tensor(item.input_ids)[where]
            logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none")
            means = losses.sum(1) / (labels[:, 1:] != -100).sum(1)
            found |= {text.id: float(mean) for text, mean in zip(some[at : at + BATCH], means, strict=True)}
    return found


@torch.no_grad()
def field_completions(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], tokens: int) -> list[str]:
    found: list[str] = []
    for at in range(0, len(prompts), BATCH):
        batch = prompts[at : at + BATCH]
        width = max(map(len, batch))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + list(p) for p in batch])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in batch])
        said = model.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, pad_token_id=tokenizer.pad_token_id
        )
        found += [text.strip() for text in tokenizer.batch_decode(said[:, width:], skip_special_tokens=True)]
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("TIF_DATA_DIR", "../shared/data"))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = benchmark_rows.read("tofu:forget05_perturbed", "forget", data_dir=options.data_dir, limit=options.rows)
    texts = [text for row in rows for text in row.texts()]
    tokenizer = make_tokenizer([part for text in texts for part in (text.prompt, text.text)])
    model, template = make_model(), Template.of(tokenizer, "qa")
    prompts = ask([row.texts()[0] for row in rows], tokenizer, template).prompts
    light = {text.id for text in texts if "#" in text.id}
    seconds: dict[str, list[float]] = {name: [] for name in ("field_score", "ours_score", "field_say", "ours_say")}
    for _ in range(options.repeats):
        spent, theirs = timed(lambda: field_likelihood(model, tokenizer, texts, template))
        seconds["field_score"].append(spent)
        spent, scored = timed(lambda: score(model, Encoder(tokenizer, template), texts, light=light))
        seconds["ours_score"].append(spent)
        spent, they_say = timed(lambda: field_completions(model, tokenizer, prompts, options.tokens))
        seconds["field_say"].append(spent)
        spent, we_say = timed(lambda: complete(model, tokenizer, prompts, max_new_tokens=options.tokens))
        seconds["ours_say"].append(spent)
    worst = max(abs(theirs[s.id] - s.loss) for s in scored)
    best = {name: min(values) for name, values in seconds.items()}
    result = {
        "ratios": {
            "likelihood": best["field_score"] / best["ours_score"],
            "whole": (best["field_score"] + best["field_say"]) / (best["ours_score"] + best["ours_say"]),
        },
        "seconds": best,
        "largest_loss_difference": worst,
        "same_completions": they_say == we_say,
        "rows": len(rows),
        "mean_tokens": float(np.mean([len(encode(t, tokenizer, template)) for t in texts])),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, ratio in result["ratios"].items():
            print(f"{name}: {ratio:.2f}x")
    return 0 if worst < 1e-4 and they_say == we_say else 1


if __name__ == "__main__":
    sys.exit(main())
