"""What is run, fixed beforehand: the sizes, the rows of the table, and the recipes that are tried on other authors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

World = Literal["eval", "dev"]
"""The forget set of the table (`eval`), or that of other authors, on whom recipes and settings are chosen (`dev`)."""
WORLDS: Final[tuple[World, ...]] = ("eval", "dev")
Kind = Literal["ner", "gold", "random", "all"]
KINDS: Final[tuple[Kind, ...]] = ("ner", "gold", "random", "all")
"""Whose spans a row is trained on. Every row is measured on the gold spans."""
FORGET: Final = "forget05"
"""The TOFU split that both worlds are cut from."""
GRID: Final = ("lr=1e-4,2e-4,4e-4",)
"""What `tif tune` tries for each method: three candidates."""
FRAMES: Final = ("{words}.", "The answer is {words}.", "It is {words}.", "In short: {words}.")
RETAIN_WEIGHT: Final = 8.0
"""Of every row, so that none is ahead by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method: a row of the table."""

    name: str
    label: str
    objective: str
    spans: Kind = "ner"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainOptions`."""
    needs: frozenset[str] = frozenset()
    """Of `base`, `alternates`, `frame-retain` and `own-text`: files that the options name."""
    tuned_as: str = ""
    """Name of the row whose tuned settings it takes; "" for its own search."""
    seeds: tuple[int, ...] | None = None
    """None for those of the plan."""


def _anchored(
    name: str, label: str, *, spans: Kind = "ner", needs: str = "", tuned_as: str = "", **options: Any
) -> Row:
    return Row(
        name=name, label=label, objective="anchored", spans=spans, options=options, tuned_as=tuned_as,
        needs=frozenset({"base", *needs.split()}),
    )  # fmt: skip


_FRAMED: Final[dict[str, Any]] = {"frames": FRAMES, "epochs": 3.0}
"""Frames double the samples: three epochs of both are six of the samples alone."""
_SETTLED: Final[dict[str, Any]] = {**_FRAMED, "floor": "proxy", "settle": "line"}
RECIPES: Final = (
    _anchored("frames", "frames", **_FRAMED),
    _anchored("retain", "frames for both", needs="frame-retain", **_FRAMED),
    _anchored("own", "frames for both, own text", needs="frame-retain own-text", **_FRAMED),
    _anchored("proxy", "frames for both, floor of a proxy", needs="frame-retain", floor="proxy", **_FRAMED),
    _anchored("line", "frames for both, proxy, settled", needs="frame-retain", **_SETTLED),
    _anchored("own-line", "frames for both, own text, proxy, settled", needs="frame-retain own-text", **_SETTLED),
    _anchored("own-alone", "frames, own text", needs="own-text", **_FRAMED),
    _anchored("own-alone-line", "frames, own text, proxy, settled", needs="own-text", **_SETTLED),
    _anchored("own-frozen", "frames for both, own text, embeddings frozen", needs="frame-retain own-text",
              freeze=("embeddings",), **_FRAMED),
    _anchored("own-coin", "frames for both, own text, all retain samples by coin", needs="frame-retain own-text",
              retain_loss="coin", **_FRAMED),
    _anchored("plain-line", "no frames, proxy, settled", floor="proxy", settle="line"),
)  # fmt: skip
"""Recipes of the anchored objective, tried on the dev authors. The table has one of them (`CHOSEN`)."""
PILOT: Final[Mapping[str, Any]] = {"lr": 3e-4, "epochs": 5.0}
"""The settings of every recipe there."""
CHOSEN: Final = "own-alone-line"
_BEST: Final = next(row for row in RECIPES if row.name == CHOSEN)
_FREE: Final[dict[str, Any]] = {k: v for k, v in _BEST.options.items() if k not in ("settle", "floor")}


def _control(name: str, label: str, spans: Kind) -> Row:
    return Row(
        name=name, label=label, objective=_BEST.objective, spans=spans, options=_BEST.options, needs=_BEST.needs,
        tuned_as="anchored", seeds=(0,),
    )  # fmt: skip


ROWS: Final = (
    Row(name="anchored", label="anchored", objective="anchored", options=_BEST.options, needs=_BEST.needs),
    Row(name="anchored-free", label="anchored, not settled", objective="anchored", options=_FREE, needs=_BEST.needs,
        tuned_as="anchored"),
    Row(name="npo", label="NPO + retain", objective="npo"),
    Row(name="simnpo", label="SimNPO + retain", objective="simnpo", seeds=(0,)),
    Row(name="graddiff", label="GradDiff", objective="graddiff", seeds=(0,)),
    Row(name="altpo", label="AltPO + retain", objective="altpo", needs=frozenset({"alternates"}), seeds=(0,)),
    Row(name="tpo", label="TPO + retain", objective="tpo", seeds=(0,)),
    _control("anchored-gold", "anchored, gold spans", "gold"),
    _control("anchored-random", "anchored, random spans", "random"),
    _control("anchored-all", "anchored, all words", "all"),
)  # fmt: skip
"""The table: the method, its rivals, and its controls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides a number. Another plan needs another folder."""

    name: str = "tofu"
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of unlearning. All of them begin from the same target."""
    forget_rows: int = 160
    """Of forget05, from its tail: forgotten in `eval`."""
    dev_rows: int = 40
    """Of forget05, from its head: forgotten in `dev`."""
    retain_rows: int = 120
    """From the head of retain_perturbed."""
    measured_rows: int = 40
    """Of these, the first so many are measured in `dev`, and the last in `eval`."""
    utility_rows: int = 100
    """Of real authors and of world facts, from the head."""
    learn_epochs: int = 5
    learn_lr: float = 3e-4
    batch: int = 8
    micro: int = 8
    """Forget samples a forward; it decides no number but by rounding."""
    samples: int = 16
    """Random answers to each question."""
    max_new_tokens: int = 64
    alternates: int = 5
    """Other answers to each question, for AltPO."""
    own_texts: int = 120
    """Questions and answers that the models write themselves."""
    grid: tuple[str, ...] = GRID
    pilot: Mapping[str, Any] = field(default_factory=lambda: dict(PILOT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A plan, its inputs and its folder."""

    plan: Plan
    model: Path
    """The base model, which never saw the data."""
    data: Path
    """Folder with TOFU's files."""
    gold: Path
    """JSONL of forget05's spans: prompt, text, spans."""
    out: Path
    rows: tuple[Row, ...] = ROWS
    recipes: tuple[Row, ...] = RECIPES
    device: str = "cpu"

    @property
    def cpu(self) -> bool:
        """Whether to stay on the CPU."""
        return self.device == "cpu"

    def asked(self, world: World) -> Path:
        """Folder with a world's files, named as TOFU's: what `tif eval` reads."""
        return self.out / "data" / world

    def file(self, name: str) -> Path:
        """A file of questions and answers under OUT/data."""
        return self.out / "data" / f"{name}.jsonl"

    def spans(self, kind: Kind, world: World) -> Path:
        """An annotation set of a world's forget rows."""
        return self.out / "spans" / f"{world}-{kind}.parquet"

    @property
    def retain_spans(self) -> Path:
        """The annotation set of the retain rows, by ner."""
        return self.out / "spans" / "retain-ner.parquet"

    def reference(self, name: str, world: World) -> Path:
        """Folder of the target or the retain proxy, which both worlds share, or of a world's retain-only model."""
        return self.out / "models" / (f"{name}-{world}" if name == "retain-only" else name)

    def run(self, row: Row, world: World, seed: int) -> Path:
        """Folder of a run."""
        return self.out / world / row.name / f"seed-{seed}"

    def search(self, row: Row) -> Path:
        """Folder of a row's search, or of the one whose settings it takes."""
        return self.out / "tune" / (row.tuned_as or row.name)


__all__ = [
    "CHOSEN",
    "FORGET",
    "FRAMES",
    "GRID",
    "KINDS",
    "PILOT",
    "RECIPES",
    "RETAIN_WEIGHT",
    "ROWS",
    "WORLDS",
    "Experiment",
    "Kind",
    "Plan",
    "Row",
    "World",
]
