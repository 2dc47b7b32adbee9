"""One training step of tif against the released TPO code's, an open-unlearning style step, and the limit.

    python benchmarks/train_step.py [--json] [--steps 3] [--repeats 3] [--data forget05.json]

A random-weights Llama of about 60M parameters (32k vocabulary) takes AdamW steps on batches of four question-answer
pairs of TOFU's lengths:

    official          two policy forwards and one reference forward, full logits, padded to 200
    open_unlearning   one policy and one reference forward, full logits, padded to the batch's longest
    tif               `tif.train.trainer.Unlearner.train()` itself: packed row, stored reference, Trainer overhead
    limit             one packed cross-entropy step with logits at answers only

Each runs in a process of its own for memory (peak of live tensors: weights, AdamW, reference, activations) and in turn
in one process for time. Ratios alone are meant to be quoted.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics as stats
import tempfile
import time
import weakref
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, TrainingArguments
from transformers.models.llama import LlamaForCausalLM

from tif.tokens.masks import Encoded, Kind
from tif.tokens.packing import pack
from tif.train.data import Pairs, Sample
from tif.train.objectives import OBJECTIVES, Settings
from tif.train.reference import score
from tif.train.trainer import Recipe, Unlearner

VOCABULARY, BATCH, BETA = 32000, 4, 0.25
# Tokens a TOFU sample: 27 of prompt and 42 of answer on average, a third of the answer unwanted.
PROMPT, ANSWER, SPREAD, UNWANTED = 27, 42, 0.35, 0.33


def build() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=512,
            intermediate_size=1536,
            num_hidden_layers=8,
            num_attention_heads=8,
            tie_word_embeddings=False,
        )
    )


def samples(count: int, data: Path | None) -> list[Encoded]:
    """Random tokens of real lengths (about 1.35 tokens a word), or of lengths like them."""
    draw = random.Random(0)
    if data is not None:
        rows = [json.loads(line) for line in data.read_text().splitlines()]
        lengths = [tuple(int(1.35 * len(row[k].split())) + 4 for k in ("question", "answer")) for row in rows]
    else:
        lengths = [
            tuple(max(6, int(draw.lognormvariate(0.0, SPREAD) * mean)) for mean in (PROMPT, ANSWER))
            for _ in range(count)
        ]
    found = []
    for i, (prompt, answer) in enumerate(draw.sample(lengths, count)):
        n = prompt + answer
        kinds = [Kind.PROMPT] * prompt + [Kind.UW if draw.random() < UNWANTED else Kind.GW for _ in range(answer)]
        kinds[prompt], kinds[-1] = Kind.UW, Kind.GW
        ids = tuple(draw.randrange(5, VOCABULARY) for _ in range(n))
        found.append(Encoded(f"sample/{i}", ids, tuple(kinds), ((-1, -1),) * n))
    return found


def optimizer_of(model: LlamaForCausalLM) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)


def padded(items: list[Encoded], length: int | None) -> tuple[torch.Tensor, ...]:
    """Ids, attention, and labels of all answers, of UW alone, of GW alone: [B, L] each, -100 where unlabelled."""
    longest = length or max(map(len, items))
    rows: list[list[list[int]]] = [[], [], [], [], []]
    for item in items:
        ids, kinds = list(item.input_ids)[:longest], list(item.kinds)[:longest]
        fill = longest - len(ids)
        rows[0].append(ids + [0] * fill)
        rows[1].append([1] * len(ids) + [0] * fill)
        for k, wanted in enumerate(((Kind.UW, Kind.GW), (Kind.UW,), (Kind.GW,))):
            labels = [i if kind in wanted else -100 for i, kind in zip(ids, kinds, strict=True)]
            rows[2 + k].append(labels + [-100] * fill)
    return tuple(torch.tensor(row) for row in rows)


def lpl(z: torch.Tensor, z_ref: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The released arithmetic: batch mean inside the sigmoid."""
    target, mask = labels[:, 1:].clamp(min=0)[..., None], labels[:, 1:] != -100
    means = [(x[:, :-1].gather(2, target)[..., 0] * mask).sum(1) / mask.sum(1) for x in (z_ref, z)]
    return -(2 / BETA) * F.logsigmoid(BETA * (means[0].mean() - means[1].mean()))


def pl(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    losses = F.cross_entropy(z[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
    return losses.sum(1).mean()


def official(batches: list[list[Encoded]], lap: Callable[[], None]) -> None:
    model, reference = build(), build().eval()
    optimizer = optimizer_of(model)
    for items in batches:
        ids, attention, _, uw, gw = padded(items, 200)
        # Each forward is given labels, so that the library's own loss is computed beside, and read by nobody.
        first = model(ids, attention_mask=attention, labels=uw)
        second = model(ids, attention_mask=attention, labels=gw)
        with torch.no_grad():
            old = reference(ids, attention_mask=attention, labels=uw).logits
            unread = old.clone()
            unread[uw == -100] = -1e4
        (lpl(first.logits, old, uw) + pl(second.logits, gw)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lap()


def open_unlearning(batches: list[list[Encoded]], lap: Callable[[], None]) -> None:
    model, reference = build(), build().eval()
    optimizer = optimizer_of(model)
    for items in batches:
        ids, attention, labels, uw, gw = padded(items, None)
        now = model(ids, attention_mask=attention, labels=labels)
        with torch.no_grad():
            old = reference(ids, attention_mask=attention, labels=labels).logits
        (lpl(now.logits, old, uw) + pl(now.logits, gw)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lap()


def limit(batches: list[list[Encoded]], lap: Callable[[], None]) -> None:
    model = build()
    optimizer = optimizer_of(model)
    for items in batches:
        row = pack(items)
        z = model(row.input_ids, position_ids=row.position_ids, logits_to_keep=row.keep, use_cache=False).logits
        F.cross_entropy(z, row.target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lap()


def ours(batches: list[list[Encoded]], lap: Callable[[], None]) -> None:
    model = build()
    items = [item for batch in batches for item in batch]
    scores = score(model, items)
    forget = [Sample(i, s, torch.full((len(s),), -torch.inf)) for i, s in zip(items, scores, strict=True)]

    class Ticking(Unlearner):
        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            super().log(logs, start_time)
            if "loss" in logs:
                lap()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, use_cpu=True, per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=1e-5,
            logging_steps=1, save_strategy="no", report_to="none", remove_unused_columns=False, disable_tqdm=True,
            include_num_input_tokens_seen="all",
        )  # fmt: skip
        lap()
        Ticking(model, arguments, Pairs(forget), Recipe(OBJECTIVES["tpo"], Settings(beta=BETA))).train()


STEPS = {"official": official, "open_unlearning": open_unlearning, "tif": ours, "limit": limit}


class Peak(TorchDispatchMode):
    """The most bytes of tensors alive at once, by watching storages come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.see(tensor.untyped_storage())
        return result

    def see(self, storage: torch.UntypedStorage) -> None:
        """Count a storage that was not known, until it is freed."""
        key = storage._cdata
        if key in self.known:
            return
        self.known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.gone, key)

    def gone(self, key: int) -> None:
        """Take a freed storage off."""
        self.now -= self.known.pop(key, 0)


def seconds(name: str, batches: list[list[Encoded]]) -> float:
    """Median CPU seconds a step; the first step, which makes AdamW's state, is not counted."""
    laps: list[float] = []
    STEPS[name](batches, lambda: laps.append(time.process_time()))
    steps = [b - a for a, b in pairwise(laps)]
    return stats.median(steps[-(len(batches) - 1) :])


def peak(name: str, batches: list[list[Encoded]]) -> int:
    """Bytes of live tensors at most, over two steps."""
    with Peak() as watch:
        STEPS[name](batches, lambda: None)
    return watch.most


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--steps", type=int, default=3, help="timed steps a run")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved runs of each")
    parser.add_argument("--data", type=Path, help="TOFU's forget05.json, for its lengths")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    items = samples(BATCH * (chosen.steps + 1), chosen.data)
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    times: dict[str, list[float]] = {name: [] for name in STEPS}
    for _ in range(chosen.repeats):
        for name in STEPS:
            times[name].append(seconds(name, batches))
    cost = {name: stats.median(values) for name, values in times.items()}
    memory = {name: peak(name, batches[:2]) for name in STEPS}
    result = {
        "ratios": {
            "official_over_tif": cost["official"] / cost["tif"],
            "open_unlearning_over_tif": cost["open_unlearning"] / cost["tif"],
            "tif_over_limit": cost["tif"] / cost["limit"],
            "official_over_tif_memory": memory["official"] / memory["tif"],
        },
        "cpu_seconds_per_step": cost,
        "peak_tensor_mib": {name: value / 2**20 for name, value in memory.items()},
        "parameters": sum(w.numel() for w in build().parameters()),
        "tokens_per_example": sum(map(len, items)) / len(items),
        "torch": torch.__version__,
    }
    if chosen.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result["ratios"].items():
            print(f"{name:28} {value:6.2f}")


if __name__ == "__main__":
    main()
