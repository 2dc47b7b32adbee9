"""What an experiment is: its sizes, its rows, what measures each model, and where its inputs and its folder are.

Each benchmark has a `Study`: `tofu.py`, `lume.py` and `muse.py`. All have the same stages, work and page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.claim.columns import Column, Demand
from tif.eval.options import Benchmark

World = Literal["eval", "dev"]
"""The forget set of the table (`eval`), or that of other authors, on whom recipes and settings are chosen (`dev`)."""
WORLDS: Final[tuple[World, ...]] = ("eval", "dev")
Kind = Literal["ner", "gold", "random", "all"]
KINDS: Final[tuple[Kind, ...]] = ("ner", "gold", "random", "all")
"""Whose spans a row is trained on."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One evaluation that every model of the table gets from `tif eval`."""

    name: str
    """Of its stages."""
    folder: str
    """Its folder in that of a model; `{world}` is the world."""
    benchmark: Benchmark
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `EvaluateOptions`."""
    marks: Literal[Kind, "asked"] | None = "gold"
    """Whose spans are the unwanted words: one of the kinds, or the marks of the benchmark's own rows (`asked`)."""
    worlds: tuple[World, ...] = ("eval",)
    against: bool = False
    """Whether it compares with the retain-only model's evaluation."""
    keeps: bool = False
    """Whether the retain samples that both worlds keep are measured, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides a number. Another plan needs another folder."""

    name: str = "tofu"
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of unlearning. All of them begin from the same target."""
    forget: str = "forget05"
    """TOFU: the split that both worlds are cut from."""
    forget_rows: int = 160
    """People or documents of `eval`. TOFU: rows of the split, from its tail."""
    dev_rows: int = 40
    """The same of `dev`, from its head."""
    retain_rows: int = 120
    """To keep. TOFU: from the head of retain_perturbed."""
    measured_rows: int = 40
    """Of these, the first so many are measured in `dev`, and the last in `eval`."""
    utility_rows: int = 100
    """TOFU: of real authors and of world facts, from the head."""
    longest: int = 2_000
    """MUSE: characters of a document, at most."""
    template: str = "auto"
    """How question and answer become one text."""
    gold: bool = True
    """Whether there are gold spans, which then measure every row. Otherwise those of `ner` do."""
    aim: Literal["retain-only", "proxy"] = "retain-only"
    """What a search is to reach: a model that learned all but the rows of `dev`, or one that learned what both worlds
    keep."""
    learn_epochs: int = 5
    learn_lr: float = 3e-4
    learn_batch: int = 0
    """0 for `batch`."""
    batch: int = 8
    micro: int = 8
    """Forget samples a forward; it decides no number but by rounding."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainOptions` for every row that does not set them itself."""
    samples: int = 16
    """Random answers to each question."""
    max_new_tokens: int = 64
    alternates: int = 5
    """Other answers to each question, for AltPO."""
    own_texts: int = 120
    """Questions and answers that the models write themselves."""
    grid: tuple[str, ...] = ("lr=1e-4,2e-4,4e-4",)
    """What `tif tune` tries for each method."""
    pilot: Mapping[str, Any] = field(default_factory=lambda: {"lr": 3e-4})
    """The settings of every recipe in `dev`, beside its own."""

    def __post_init__(self) -> None:
        if self.batch % min(self.micro, self.batch):
            raise ValueError(f"a batch of {self.batch} is not made of forwards of {self.micro}")

    @property
    def marks(self) -> Kind:
        """The spans that measure every row."""
        return "gold" if self.gold else "ner"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The spans that there are."""
        return tuple(kind for kind in KINDS if self.gold or kind != "gold")


def decisive(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a plan in JSON that differ from the defaults. A new field leaves old plans as they are."""
    defaults = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(Plan)}
    return {name: value for name, value in plan.items() if value != _listed(defaults.get(name))}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One table: what is cut out of a benchmark's files, its rows, its measurements, and what is demanded."""

    title: str
    plan: Plan
    cut: Callable[[Experiment], dict[str, int]]
    """Write the files under OUT/data, and count their rows."""
    rows: tuple[Row, ...]
    measurements: tuple[Measurement, ...]
    columns: tuple[Column, ...]
    demands: tuple[Demand, ...]
    notes: Callable[[Plan], Iterator[str]]
    """What the page says about the setting, one point each."""
    recipes: tuple[Row, ...] = ()
    """Tried in `dev` by the part `pilots`; no row of the table."""
    chosen: str = ""
    """The recipe that the row `anchored` follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A study, its inputs and its folder."""

    study: Study
    model: Path
    """The base model, which never saw the data."""
    data: Path
    """Folder with the benchmark's files."""
    out: Path
    gold: Path | None = None
    """TOFU: JSONL of gold spans with prompt, text and spans."""
    device: str = "cpu"
    given: Mapping[str, Path] = field(default_factory=dict)
    """Folders of models that somebody else made: `target` and `retain-only-eval`."""
    autocast: bool = False
    """Whether to train in bfloat16 on a CPU, too. A GPU always does."""
    classifier: Path | None = None
    """Classifier of fluency, for OpenUnlearning's composites."""

    @property
    def plan(self) -> Plan:
        """The sizes."""
        return self.study.plan

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the table."""
        return self.study.rows

    @property
    def recipes(self) -> tuple[Row, ...]:
        """The recipes of the pilots."""
        return self.study.recipes

    @property
    def cpu(self) -> bool:
        """Whether to stay on the CPU."""
        return self.device == "cpu"

    @property
    def bfloat16(self) -> bool:
        """Whether models are fine-tuned and unlearn in bfloat16. They are measured in float32."""
        return self.autocast or not self.cpu

    def asked(self, world: World) -> Path:
        """Folder with a world's files, named as the benchmark's: what `tif eval` reads."""
        return self.out / "data" / world

    def file(self, name: str) -> Path:
        """A file of samples under OUT/data."""
        return self.out / "data" / f"{name}.jsonl"

    def spans(self, kind: Literal[Kind, "asked"], world: World) -> Path:
        """An annotation set of a world's forget samples, or of the benchmark's own forget rows."""
        return self.out / "spans" / f"{world}-{kind}.parquet"

    @property
    def retain_spans(self) -> Path:
        """The annotation set of the retain samples, by ner."""
        return self.out / "spans" / "retain-ner.parquet"

    def reference(self, name: str, world: World) -> Path:
        """Folder of the target or the retain proxy, which both worlds share, or of a world's retain-only model."""
        if name == "retain-only" and world == "dev" and self.plan.aim == "proxy":
            name = "proxy"
        return self.out / "models" / (f"{name}-{world}" if name == "retain-only" else name)

    def weights(self, folder: Path) -> Path:
        """The model of a run, or of a reference."""
        if (folder / "run.json").is_file():
            return folder
        return self.given.get(folder.name, folder / "model")

    def run(self, row: Row, world: World, seed: int) -> Path:
        """Folder of a run."""
        return self.out / world / row.name / f"seed-{seed}"

    def search(self, row: Row) -> Path:
        """Folder of a row's search, or of the one whose settings it takes."""
        return self.out / "tune" / (row.tuned_as or row.name)

    def measured(self, measurement: Measurement, folder: Path, world: World) -> Path:
        """Folder of an evaluation of a run or a reference."""
        return folder / measurement.folder.format(world=world)


__all__ = ["KINDS", "WORLDS", "Experiment", "Kind", "Measurement", "Plan", "Row", "Study", "World", "decisive"]
