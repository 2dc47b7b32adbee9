"""One training step of tif against the released TPO code's, an open-unlearning style step, and the limit.

    python benchmarks/train_step.py [--json] [--rounds 3] [--steps 8]

A random-weights Llama of about 60M parameters (32k vocabulary) takes AdamW steps on batches of four question-answer
pairs with the token lengths of TOFU's forget05:

    official          two policy forwards and one reference forward, full logits, padded to 200
    open_unlearning   that code's NPO: one policy and one reference forward, full logits, padded to the batch's longest
    tif               `tif.train.trainer.Unlearner.train()` itself: packed row, stored reference
    limit             one packed cross-entropy step with logits at answers only, in a bare loop

The first three are transformers Trainers, as they are for their users: what a Trainer costs counts for all three. Then
the same on one window of 2,048 tokens of plain text, all of them supervised, where there is no padding to save
(`text_official`, `text_tif`, `text_limit`: padded to 2,048, by pieces of the vocabulary, full logits).

Time is CPU seconds of one thread, all four on the same batches in turn: for each batch the median over rounds, and over
batches their mean. The official step is padded to a fixed length, so that two of its steps stand for all. Memory is
the peak of live tensors over two steps: weights, AdamW, reference, activations. Ratios alone are meant to be quoted.
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

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import SequentialSampler
from transformers import LlamaConfig, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.models.llama import LlamaForCausalLM

from tif.console import say
from tif.tokens.masks import Encoded, Kind
from tif.tokens.packing import pack
from tif.train.data import PairSampler, ScoredExample, TrainingSet
from tif.train.objectives import OBJECTIVES
from tif.train.reference import score
from tif.train.settings import ObjectiveSettings
from tif.train.trainer import LossPlan, Unlearner

VOCABULARY, BATCH, BETA, SEED, WINDOW, EPOCHS = 32000, 4, 0.25, 42, 2048, 5
UNWANTED = 0.33
# Tokens of question + answer of all 200 rows of forget05, in SmolLM2's tokenizer: "<s>[INST] q [/INST]" and " a</s>".
LENGTHS = """
36+12 20+13 20+21 22+44 20+24 19+14 19+17 23+61 30+28 26+35 22+23 24+44 21+36 21+19 22+41 26+26 27+30 23+30 28+36
26+44 37+11 32+27 25+32 26+26 32+29 23+34 24+25 24+32 28+30 30+24 26+33 22+29 26+29 21+25 21+27 24+29 22+26 25+29
25+26 28+21 35+28 18+16 21+26 20+37 26+17 21+37 26+45 27+22 28+24 25+33 20+21 21+30 26+28 24+15 23+26 20+26 24+32
22+23 22+29 20+32 36+33 20+14 22+17 20+40 21+49 24+39 21+19 38+41 21+31 26+42 33+42 27+27 22+25 34+38 27+47 23+36
19+31 20+35 24+35 24+52 35+51 21+34 23+36 27+44 22+52 22+38 30+38 23+39 23+44 33+50 26+50 24+43 24+35 26+43 21+39
25+40 28+48 29+38 28+35 24+45 36+34 20+15 27+36 19+36 27+59 26+47 25+39 21+55 19+54 20+47 23+44 26+45 36+55 25+54
29+47 24+53 25+53 24+37 25+44 22+45 35+36 29+21 22+30 25+39 26+26 25+46 26+32 24+48 28+34 26+36 30+46 27+41 22+33
25+40 27+45 28+41 26+34 22+31 24+52 26+51 39+28 20+16 21+21 19+17 22+38 48+55 20+39 26+56 22+50 23+29 26+31 19+28
26+50 30+49 25+55 25+43 25+38 18+24 25+35 30+58 35+41 24+16 27+20 30+26 30+24 29+32 30+28 30+47 34+69 32+40 28+33
29+42 41+45 40+53 33+41 29+61 29+51 34+41 40+51 30+50 33+33 22+40 24+38 23+26 24+30 21+29 23+36 30+44 22+38 30+44
29+46 29+34 27+38 26+39 26+39 26+45 29+42 23+33 27+39 24+46
"""

Batches = list[list[Encoded]]
Loss = Callable[..., torch.Tensor]


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


def sample(draw: random.Random, prompt: int, answer: int) -> Encoded:
    """Random tokens, of which the first of the answer is unwanted and the last is not."""
    n = prompt + answer
    kinds = [Kind.PROMPT] * prompt + [Kind.UW if draw.random() < UNWANTED else Kind.GW for _ in range(answer)]
    kinds[prompt], kinds[-1] = Kind.UW, Kind.GW
    ids = tuple(draw.randrange(5, VOCABULARY) for _ in range(n))
    return Encoded(f"sample/{draw.random()}", ids, tuple(kinds), ((-1, -1),) * n)


def questions(steps: int) -> Batches:
    """So many batches of TOFU's lengths, and one before them to warm up."""
    draw = random.Random(0)
    lengths = [tuple(map(int, pair.split("+"))) for pair in LENGTHS.split()]
    items = [sample(draw, *pair) for pair in draw.sample(lengths, BATCH * (steps + 1))]
    return [items[i : i + BATCH] for i in range(0, len(items), BATCH)]


def text() -> Batches:
    """A short window to warm up, and one of full length."""
    draw = random.Random(0)
    return [[sample(draw, 1, 31)], [sample(draw, 1, WINDOW - 1)]]


def arguments(folder: str, batch: int, **more: str) -> TrainingArguments:
    return TrainingArguments(
        folder, use_cpu=True, per_device_train_batch_size=batch, num_train_epochs=1, learning_rate=1e-5,
        logging_steps=1, save_strategy="no", report_to="none", remove_unused_columns=False, disable_tqdm=True,
        seed=SEED, **more,
    )  # fmt: skip


class Laps(TrainerCallback):  # type: ignore[misc]
    """Tells the end of each step."""

    def __init__(self, lap: Callable[[], None]) -> None:
        self.lap = lap

    def on_log(self, _arguments, _state, _control, logs, **_: object) -> None:
        """Once a step; the last record of all is about the whole run."""
        if "loss" in logs:
            self.lap()


def padded(items: list[Encoded], longest: int) -> tuple[torch.Tensor, ...]:
    """Ids, attention, and labels of all answers, of UW alone, of GW alone: [B, L] each, -100 where unlabelled."""
    rows: list[list[list[int]]] = [[], [], [], [], []]
    for item in items:
        fill = longest - len(item)
        rows[0].append([*item.input_ids, *[0] * fill])
        rows[1].append([1] * len(item) + [0] * fill)
        for k, wanted in enumerate(((Kind.UW, Kind.GW), (Kind.UW,), (Kind.GW,))):
            labels = [i if kind in wanted else -100 for i, kind in zip(item.input_ids, item.kinds, strict=True)]
            rows[2 + k].append(labels + [-100] * fill)
    return tuple(torch.tensor(row) for row in rows)


def lpl(z: torch.Tensor, z_ref: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The released arithmetic: batch mean inside the sigmoid."""
    target, mask = labels[:, 1:].clamp(min=0)[..., None], labels[:, 1:] != -100
    means = [(x[:, :-1].gather(2, target)[..., 0] * mask).sum(1) / mask.sum(1) for x in (z_ref, z)]
    return -(2 / BETA) * F.logsigmoid(BETA * (means[0].mean() - means[1].mean()))


def nll(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[B]: a sum over tokens. Both codes copy the shifted logits and put the vocabulary in the middle."""
    shifted = z[:, :-1].contiguous()
    losses = F.cross_entropy(shifted.transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
    return losses.sum(1)


class Rival(Trainer):  # type: ignore[misc]
    """Both rivals are transformers Trainers as well, with a loss of their own. One batch an item."""

    def __init__(self, loss: Loss, longest: int, batches: Batches, lap: Callable[[], None], folder: str) -> None:
        self.rival_loss, self.reference = loss, build().eval()
        names = ("input_ids", "attention_mask", "labels", "unwanted", "general")
        rows = [dict(zip(names, padded(items, max(longest, *map(len, items))), strict=True)) for items in batches]
        super().__init__(
            build(), arguments(folder, 1), data_collator=lambda some: some[0], train_dataset=rows, callbacks=[Laps(lap)]
        )
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, _: object = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, *_: object, **__: object) -> torch.Tensor:
        """The rival's own."""
        return self.rival_loss(model, self.reference, **inputs)


def rival(loss: Loss, longest: int = 0) -> Callable[[Batches, Callable[[], None]], None]:
    def run(batches: Batches, lap: Callable[[], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Rival(loss, longest, batches, lap, folder).train()

    return run


def official(model, reference, input_ids, attention_mask, unwanted, general, **_):
    # Each forward is given labels, so that the library's own loss is computed beside, and read by nobody.
    first = model(input_ids, attention_mask=attention_mask, labels=unwanted)
    second = model(input_ids, attention_mask=attention_mask, labels=general)
    with torch.no_grad():
        old = reference(input_ids, attention_mask=attention_mask, labels=unwanted).logits
        unread = old.clone()
        unread[unwanted == -100] = -1e4
    return lpl(first.logits, old, unwanted) + nll(second.logits, general).mean()


def open_unlearning(model, reference, input_ids, attention_mask, labels, **_):
    # NPO, the way every objective with a reference goes there: the answer's likelihood under both models.
    now = nll(model(input_ids, attention_mask=attention_mask, labels=labels).logits, labels)
    with torch.no_grad():
        old = nll(reference(input_ids, attention_mask=attention_mask, labels=labels).logits, labels)
    return -(2 / BETA) * F.logsigmoid(BETA * (now - old)).mean()


def limit(batches: Batches, lap: Callable[[], None]) -> None:
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    for items in batches:
        row = pack(items)
        z = model(row.input_ids, position_ids=row.position_ids, logits_to_keep=row.keep, use_cache=False).logits
        F.cross_entropy(z, row.target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        lap()


def tif(batches: Batches, lap: Callable[[], None]) -> None:
    model = build()
    flat = [item for batch in batches for item in batch]
    order = list(PairSampler(len(flat), 0, SEED))
    # Laid out so that the Trainer's own shuffling gives the batches that the others get.
    items = [item for _, item in sorted(zip([i for i, _ in order], flat, strict=True), key=lambda pair: pair[0])]
    forget = [
        ScoredExample(item=i, reference=s, floor=torch.full((len(s),), -torch.inf))
        for i, s in zip(items, score(model, items), strict=True)
    ]

    with tempfile.TemporaryDirectory() as folder:
        chosen = arguments(folder, len(batches[0]), include_num_input_tokens_seen="all")
        plan = LossPlan(objective=OBJECTIVES["tpo"], settings=ObjectiveSettings(beta=BETA))
        Unlearner(model, chosen, TrainingSet(forget), plan, callbacks=[Laps(lap)]).train()


STEPS = {"official": rival(official, 200), "open_unlearning": rival(open_unlearning), "tif": tif, "limit": limit}


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


def seconds(name: str, batches: Batches) -> list[float]:
    """CPU seconds of each batch but the first, whose step makes AdamW's state."""
    laps: list[float] = []
    STEPS[name](batches, lambda: laps.append(time.process_time()))
    return [b - a for a, b in pairwise(laps)]


def peak(name: str, batches: Batches) -> int:
    """Bytes of live tensors at most."""
    with Peak() as watch:
        STEPS[name](batches, lambda: None)
    return watch.most


def rounds(names: list[str], batches: Batches, count: int, what: str) -> dict[str, float]:
    """CPU seconds a step: per batch the median over rounds, over batches the mean."""
    taken: dict[str, list[list[float]]] = {name: [] for name in names}
    for turn in range(count):
        for name in names:
            some = [batches[0][:1], *batches[1:3]] if name == "official" else batches
            taken[name].append(seconds(name, some))
            say(f"{what}, round {turn + 1}: {name} {stats.mean(taken[name][-1]):.2f} s a step")
    return {name: stats.mean(map(stats.median, zip(*runs, strict=True))) for name, runs in taken.items()}


def reference_share(batches: Batches, step: float) -> float:
    """Cost of the reference pass over that of one epoch of steps on the same examples."""
    model, items = build(), [item for batch in batches for item in batch]
    score(model, items[:2])
    began = time.process_time()
    score(model, items)
    return (time.process_time() - began) / (step * len(batches))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--steps", type=int, default=8, help="timed batches; 8 are padded as random ones are")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the text case takes one fewer")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    batches, long = questions(chosen.steps), text()
    of_text = ["official", "tif", "limit"]
    cost = rounds(list(STEPS), batches, chosen.rounds, "questions")
    text_cost = rounds(of_text, long, max(1, chosen.rounds - 1), "text")
    share = reference_share(batches, cost["tif"])
    # Memory does not depend on the number of threads.
    torch.set_num_threads(2)
    memory = {name: peak(name, batches[:2]) for name in STEPS}
    text_memory = {name: peak(name, long) for name in of_text}
    timed = batches[1:]
    result = {
        "ratios": {
            "official_over_tif": cost["official"] / cost["tif"],
            "open_unlearning_over_tif": cost["open_unlearning"] / cost["tif"],
            "tif_over_limit": cost["tif"] / cost["limit"],
            "official_over_tif_memory": memory["official"] / memory["tif"],
            "text_official_over_tif": text_cost["official"] / text_cost["tif"],
            "text_tif_over_limit": text_cost["tif"] / text_cost["limit"],
            "text_official_over_tif_memory": text_memory["official"] / text_memory["tif"],
            "text_limit_over_tif_memory": text_memory["limit"] / text_memory["tif"],
            "reference_pass_over_epoch": share,
            f"reference_pass_over_{EPOCHS}_epochs": share / EPOCHS,
        },
        "cpu_seconds_per_step": cost | {f"text_{name}": value for name, value in text_cost.items()},
        "peak_tensor_mib": {
            name: round(value / 2**20)
            for name, value in (memory | {f"text_{k}": v for k, v in text_memory.items()}).items()
        },
        "tokens_per_step": sum(len(item) for batch in timed for item in batch) / len(timed),
        "padded_tokens_per_step": sum(len(batch) * max(map(len, batch)) for batch in timed) / len(timed),
        "parameters": sum(w.numel() for w in build().parameters()),
        "torch": torch.__version__,
    }
    if chosen.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result["ratios"].items():
            print(f"{name:32} {value:6.2f}")


if __name__ == "__main__":
    main()
