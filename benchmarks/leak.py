"""How much faster are the samples for leak@k than `model.generate`, prompt by prompt?

    python benchmarks/leak.py --json

One process, one thread, a random Llama (`--hidden`, `--layers`, `--vocabulary`), prompts of 15 to 45 random tokens,
16 samples of 63 tokens each, which is 1.5 times the longest answer of TOFU's usual length. The field's way:
`model.generate(do_sample=True, temperature=1, top_k=0, top_p=1, num_return_sequences=16)` for each prompt. Ours:
`tif.eval.measure.sample`. Times are CPU seconds, ways taken in turn, best of `--repeats`. Both draw the same number of
tokens. The mean log-probability that the model gives to both sets of samples must agree within four standard errors,
or the script fails.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tif.eval.measure.sample import Sampling, sample


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One word for each token, so that a text gives back its tokens."""
    tokenizer = Tokenizer(models.WordLevel({f"w{i}": i for i in range(vocabulary)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # no special tokens: none would be decoded


def make_model(vocabulary: int, hidden: int, layers: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=layers,
        num_attention_heads=4, bos_token_id=None, eos_token_id=None, pad_token_id=1, initializer_range=0.1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def field_samples(model: Any, prompts: Sequence[Sequence[int]], samples: int, tokens: int) -> list[list[int]]:
    drawn = []
    for prompt in prompts:
        ids = torch.tensor([list(prompt)])
        rows = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            num_return_sequences=samples, max_new_tokens=tokens, pad_token_id=1,
        )  # fmt: skip
        drawn += [row[len(prompt) :] for row in rows.tolist()]
    return drawn


@torch.no_grad()
def logprobs(model: Any, prompts: Sequence[Sequence[int]], drawn: Sequence[Sequence[int]], samples: int) -> list[float]:
    """The log-probability of every drawn token."""
    values: list[float] = []
    for number, prompt in enumerate(prompts):
        ids = torch.tensor([[*prompt, *row] for row in drawn[number * samples : (number + 1) * samples]])
        steps = model(ids).logits[:, len(prompt) - 1 : -1].log_softmax(-1)
        values += steps.gather(2, ids[:, len(prompt) :, None]).flatten().tolist()
    return values


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=63)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(15, 46, (options.prompts,), generator=generator).tolist()
    prompts = [torch.randint(2, options.vocabulary, (n,), generator=generator).tolist() for n in lengths]
    tokenizer = make_tokenizer(options.vocabulary)
    model = make_model(options.vocabulary, options.hidden, options.layers)
    how = Sampling(samples=options.samples, max_new_tokens=options.tokens)
    seconds: dict[str, list[float]] = {"field": [], "ours": []}
    for _ in range(options.repeats):
        spent, theirs = timed(lambda: field_samples(model, prompts, options.samples, options.tokens))
        seconds["field"].append(spent)
        spent, texts = timed(lambda: sample(model, tokenizer, prompts, how))
        seconds["ours"].append(spent)
    ours = [[int(word) for word in text.split("w")[1:]] for drawn in texts for text in drawn]
    values = [logprobs(model, prompts, drawn, options.samples) for drawn in (theirs, ours)]
    means = [sum(each) / len(each) for each in values]
    errors = [math.sqrt(sum((v - m) ** 2 for v in each)) / len(each) for each, m in zip(values, means, strict=True)]
    best = {name: min(each) for name, each in seconds.items()}
    result = {
        "ratio": best["field"] / best["ours"],
        "seconds": best,
        "mean_logprob": dict(zip(("field", "ours"), means, strict=True)),
        "standard_errors_apart": abs(means[0] - means[1]) / math.hypot(*errors),
        "tokens": {"field": sum(map(len, theirs)), "ours": sum(map(len, ours))},
        "prompts": len(prompts),
        "samples": options.samples,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    print(json.dumps(result, indent=2) if options.json else f"{result['ratio']:.2f}x")
    same = result["standard_errors_apart"] < 4 and len(values[0]) == len(values[1])
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
