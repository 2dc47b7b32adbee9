"""What is run, fixed beforehand: sizes, schedules, and the rows of the table in the order of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

World = Literal["eval", "dev"]
"""`eval` gives the results; `dev` forgets and measures other authors, and there learning rates are chosen."""
WORLDS: Final[tuple[World, ...]] = ("eval", "dev")
SPANS: Final = ("gold", "ner", "surprisal", "random", "all")


@dataclass(frozen=True, slots=True)
class Row:
    """One method: a row of the table."""

    name: str
    label: str
    objective: str
    spans: str = "gold"
    """Whose spans it is trained on, of `SPANS`."""
    retain: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainOptions` beside those of the plan."""
    floor: bool = False
    """Bounded at the base model's level."""
    rate_of: str = ""
    """Name of the row whose learning rate it takes; "" for one of its own."""
    rates: tuple[float, ...] = ()
    """Learning rates tried in `dev`; the plan's where empty."""


_LOGPROB: Final = {"space": "logprob"}
RETAIN_WEIGHT: Final = 8.0
"""Of every row with a retain term, so that none is ahead by it."""
_KEEP: Final = {"retain_weight": RETAIN_WEIGHT}
_LONG: Final = {**_KEEP, "epochs": 10.0}
"""Twice the plan's: whether the last step is as good where training goes on."""
FRAMES: Final = ("{words}.", "The answer is {words}.", "It is {words}.", "In short: {words}.")
_FRAMED: Final = {**_KEEP, "frames": FRAMES, "epochs": 3.0}
"""Twice the examples and three epochs: 30 steps where five epochs of the examples alone have 25."""
_DRAWN: Final[dict[str, Any]] = {"rate_of": "anchored-base", "gamma": 0.0}
_GENTLE: Final = (3e-5, 1e-4)
"""Rates for what has no retain term to hold against."""


def _anchored(name: str, label: str, spans: str = "gold", rate_of: str = "anchored", **options: Any) -> Row:
    return Row(name, label, "anchored", spans, retain=True, floor=True, options={**_KEEP, **options}, rate_of=rate_of)


ROWS: Final = (
    _anchored("anchored", "anchored", rate_of=""),
    _anchored("anchored-random", "anchored, random spans", "random"),
    _anchored("anchored-ner", "anchored, spans by ner", "ner"),
    _anchored("anchored-long", "anchored, 10 epochs", **_LONG),
    _anchored("anchored-all", "anchored, all words", "all"),
    Row("tpo", "TPO as published", "tpo", rates=_GENTLE),
    Row("tpo-random", "TPO, random spans", "tpo", "random", rate_of="tpo"),
    Row("npo-retain", "NPO + retain", "npo", retain=True, options=_KEEP),
    Row("tpo-retain", "TPO + retain", "tpo", retain=True, options=_KEEP),
    Row("npo", "NPO", "npo", rates=_GENTLE),
    Row("tpo-all", "TPO, all words", "tpo", "all", rate_of="tpo"),
    Row("logprob", "TPO, log-prob", "tpo", options=_LOGPROB, rate_of="tpo"),
    Row(
        "bounded-retain", "TPO, log-prob, bounded + retain", "tpo", retain=True, options={**_LOGPROB, **_KEEP},
        floor=True, rate_of="tpo-retain",
    ),
    Row("ga", "GA", "ga", rate_of="npo"),
    Row("graddiff", "GradDiff", "graddiff", retain=True, options=_KEEP, rate_of="npo-retain"),
    Row("simnpo", "SimNPO", "simnpo", rate_of="npo"),
    Row("simnpo-retain", "SimNPO + retain", "simnpo", retain=True, options=_KEEP, rate_of="npo-retain"),
    Row("tpo-ner", "TPO, spans by ner", "tpo", "ner", rate_of="tpo"),
    Row("bounded", "TPO, log-prob, bounded", "tpo", options=_LOGPROB, floor=True, rate_of="tpo"),
    Row("tpo-surprisal", "TPO, spans by surprisal", "tpo", "surprisal", rate_of="tpo"),
    _anchored("anchored-surprisal", "anchored, spans by surprisal", "surprisal"),
    Row("tpo-none", "TPO without spans", "tpo", options={"scope": "all"}, rate_of="tpo"),
    _anchored("anchored-base", "anchored, general words drawn to the base model", rate_of="", gamma=0.0),
    _anchored("anchored-base-random", "anchored, drawn to the base model, random spans", "random", **_DRAWN),
    _anchored("anchored-base-ner", "anchored, drawn to the base model, spans by ner", "ner", **_DRAWN),
    _anchored("anchored-base-all", "anchored, drawn to the base model, all words", "all", **_DRAWN),
    _anchored("anchored-free", "anchored, general words left free", pl_weight=0.0),
    Row("anchored-no-retain", "anchored without retain term", "anchored", floor=True, rate_of="anchored"),
    _anchored("anchored-retain-1", "anchored, retain weight 1", retain_weight=1.0),
    _anchored("anchored-frames", "anchored in frames", rate_of="", **_FRAMED),
    _anchored("anchored-frames-random", "anchored in frames, random spans", "random", "anchored-frames", **_FRAMED),
    _anchored("anchored-frames-ner", "anchored in frames, spans by ner", "ner", "anchored-frames", **_FRAMED),
    _anchored("anchored-frames-all", "anchored in frames, all words", "all", "anchored-frames", **_FRAMED),
    Row("npo-frames", "NPO + retain in frames", "npo", retain=True, options=_FRAMED, rate_of="npo-retain"),
    _anchored(
        "anchored-frames-long", "anchored in frames, 5 epochs", rate_of="anchored-frames", **{**_FRAMED, "epochs": 5.0},
    ),
)  # fmt: skip
"""The most telling first: a table can be written from whatever is finished."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides a number. A folder made by one plan is refused by another."""

    name: str
    seeds: tuple[int, ...] = (0,)
    """Of unlearning. All of them begin from the same target."""
    rows: tuple[str, ...] = ()
    """Names of the rows that are run, in the order of work; all of `ROWS` where empty."""
    forget: str = "forget01"
    """Split that is forgotten in `eval`."""
    forget_rows: int = 40
    """So many from its tail."""
    dev_rows: int = 40
    """Forgotten in `dev`: so many from the head of forget05."""
    retain_rows: int = 120
    """From the head of retain_perturbed."""
    measured_rows: int = 40
    """Of these, so many from the head are measured in `dev`, and so many from the tail in `eval`."""
    rest: str = ""
    """Split whose other rows the target learns and the retain term holds too; nothing of it is measured."""
    utility_rows: int = 20
    """Of real authors and of world facts, from the head."""
    learn_epochs: float = 5.0
    learn_lr: float = 3e-4
    learn_batch: int = 8
    epochs: float = 5.0
    batch: int = 8
    rates: tuple[float, ...] = (1e-4, 3e-4)
    """Learning rates tried in `dev`; a single one is taken as it is."""
    max_new_tokens: int = 64
    micro: int = 4
    """Forget examples a forward, of `batch` a step: attention over a packed row costs its length squared on a CPU.
    Neither it nor `save_steps` decides a number, but for rounding."""
    save_steps: int = 50

    def __post_init__(self) -> None:
        if self.batch % min(self.micro, self.batch):
            raise ValueError(f"a batch of {self.batch} is not made of forwards of {self.micro}")


def decisive(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What is special in a plan, as it stands in JSON: not its rows, so that one can be added to a finished table, and
    not what a field has by default, so that a plan stays the same when it gets another field."""
    free = ("rows", "micro", "save_steps")
    usual = {f.name: f.default for f in fields(Plan)}
    special = {k: v for k, v in plan.items() if k not in free and _listed(v) != _listed(usual.get(k))}
    return {name: _listed(value) for name, value in special.items()}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


PLANS: Final = {
    plan.name: plan
    for plan in (
        # All but those in frames, which came later: `seeds` has them.
        Plan("small", rows=tuple(row.name for row in ROWS if "frames" not in row.options)),
        Plan(
            "seeds",
            seeds=(0, 1, 2),
            rows=(
                "anchored-frames",
                "anchored",
                "anchored-frames-random",
                "anchored-frames-ner",
                "npo-retain",
                "anchored-frames-all",
                "tpo",
                "npo-frames",
                "anchored-frames-long",
                "anchored-random",
                "anchored-ner",
            ),
            utility_rows=100,
        ),
        Plan(
            "wide",
            rows=(
                "anchored-frames",
                "npo-retain",
                "anchored",
                "anchored-frames-random",
                "anchored-frames-all",
                "anchored-frames-ner",
                "npo-frames",
            ),
            forget="forget05",
            forget_rows=160,
            utility_rows=100,
            # As `seeds` chose it, for each of these rows, on the two authors that are left out here.
            rates=(3e-4,),
        ),
        Plan(
            "full",
            seeds=(0, 1, 2),
            retain_rows=400,
            measured_rows=200,
            rest="retain99",
            utility_rows=100,
            learn_batch=32,
        ),
    )
}
"""`small` is for two CPU cores; `seeds`, the same with the most telling rows and three seeds, and with more rows for
utility; `wide`, eight authors forgotten instead of two, for forget quality is a p-value that 40 rows hardly resolve;
`full`, all of TOFU and three seeds, for a GPU."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A plan, and where its inputs and its folder are."""

    plan: Plan
    model: Path
    """The base model, which never saw the data."""
    data: Path
    """Folder with TOFU's files."""
    gold: Path
    """JSONL of forget05's spans: prompt, text, spans."""
    out: Path
    rows: tuple[Row, ...] = ROWS
    device: str = "cpu"
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """Results of the same plan on the same models, perhaps from another machine (`results.earlier`)."""

    @property
    def cpu(self) -> bool:
        """Whether to stay on the CPU."""
        return self.device == "cpu"

    def file(self, name: str) -> Path:
        """A file of rows under OUT/data."""
        return self.out / "data" / f"{name}.jsonl"

    def reference(self, name: str, world: World) -> Path:
        """Folder of the target, which both worlds share, or of a world's retain-only model."""
        return self.out / "models" / (name if name == "target" else f"{name}-{world}")

    def spans(self, kind: str, world: World) -> Path:
        """An annotation set."""
        return self.out / "spans" / f"{world}-{kind}.parquet"

    def trial(self, row: Row, rate: float) -> Path:
        """Folder of a row's run in `dev`."""
        return self.out / "dev" / row.name / f"lr-{rate:g}"

    def run(self, row: Row, seed: int) -> Path:
        """Folder of a row's run in `eval`."""
        return self.out / "eval" / row.name / f"seed-{seed}"

    def run_name(self, row: Row, seed: int) -> str:
        """Name of a run in the results."""
        return row.name if len(self.plan.seeds) == 1 else f"{row.name}/{seed}"

    @staticmethod
    def row_name(run: str) -> str:
        """Name of the row of a run, by what `run_name` calls it."""
        return run.partition("/")[0]

    def rates(self, row: Row) -> tuple[float, ...]:
        """Learning rates that are tried for a row."""
        return row.rates or self.plan.rates

    def tried(self, row: Row) -> bool:
        """Whether there is more than one, so that `dev` must choose."""
        return not row.rate_of and len(self.rates(row)) > 1

    def score_before(self, row: Row, rate: float) -> float | None:
        """The score of a trial that was made elsewhere; None if there is none, or a folder for it here."""
        choice = self.earlier.get("choices", {}).get(row.name)
        return None if choice is None or self.trial(row, rate).exists() else choice["scores"].get(f"{rate:g}")

    def run_before(self, row: Row, seed: int) -> dict[str, Any] | None:
        """The results of a run that was finished elsewhere; None if there are none, or a folder for it here."""
        found = self.earlier.get("runs", {}).get(self.run_name(row, seed))
        finished = found is not None and found["cells"]["FQ relearned"] is not None
        return found if finished and not self.run(row, seed).exists() else None

    def row(self, name: str) -> Row:
        """A row by name."""
        return next(row for row in self.rows if row.name == name)


__all__ = ["PLANS", "RETAIN_WEIGHT", "ROWS", "SPANS", "WORLDS", "Experiment", "Plan", "Row", "World", "decisive"]
