"""`python -m benchmarks.results`: write docs/results.md, with one table for each benchmark, from each results.json.

No number stands in this file. A benchmark without results is named with the command that makes them. The figure,
docs/results.png, has the rows of the first benchmark with enough of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks import figure
from benchmarks.claim import lume, muse, tofu
from benchmarks.claim.columns import Demand
from benchmarks.claim.plan import Study
from benchmarks.figure import Kind, Mark
from tif import files
from tif.readers import read_json

ROWS: Final = 10
"""Rows of a table and marks of the figure, at most."""
FEWEST: Final = 3
"""Marks of the figure. With fewer there is none."""
AXES: Final = ("leak", "GW")
"""Columns of the figure: across, and up."""
FIGURE: Final = "results.png"
_INTRODUCTION: Final = """# Results

**Start with this.** The base model is the one before fine-tuning.

```console
tif annotate --method ner --dataset people.csv --out people.parquet
tif train --objective anchored --masks people.parquet --model MODEL --base-model BASE --retain keep.csv --frame '{words}.' --frame 'The answer is {words}.' --unmarked skip --lr 3e-4 --epochs 3 --out runs/people
```

The learning rate suits a model of 135 million parameters; use about 1e-5 for a billion or more. For plain text, leave out
`--frame`, which is for questions. `tif tune` chooses the learning rate on samples that you do not evaluate.

Each table is one benchmark; a number is of one seed, or a mean over seeds. **Target** is the model before unlearning.
**Retain-only** never saw the forget set. All other rows begin at target and unlearn. `make results` writes this page.

- **leak**: the share of prompts for which at least one of 16 random answers contains an unwanted phrase. In **leak, other
  words** the questions are paraphrased. **leak relearned** is the same after a short training on the forget set. Lower is
  better, down to the retain-only model's.
- **UW** and **GW**: mean probability of unwanted and of general words in the true answers. UW should be as low as the
  retain-only model's. GW is better high: unlike that model, the unlearned one should keep ordinary wording.
- **retain**: mean probability of the answers or texts to keep. **utility**: what is left on questions about other facts. Higher is
  better.
- **FQ**: forget quality, a p-value. Below 0.05, the model can be told from the retain-only model.
- **Spans**: rows are trained on the spans of `--method ner`, unless their name says otherwise. UW, GW and leak follow the gold
  spans, where there are any.

Each benchmark's own page explains its other columns, and the names of its rows."""  # noqa: E501
_MORE: Final = """## More

- [Three seeds](seeds/results.md): the main methods on 40 questions of TOFU, with the spread over seeds. README has its
  table.
- [All methods, one seed](small/results.md): every objective on 40 questions of TOFU.
- [Eight authors](wide/results.md): two methods on 160 questions of TOFU, with one learning rate.
- [The method page](method.md) says what these numbers show, and what they do not.
- [How the experiments are run](experiments.md): data, sizes, time, and the plan for a model of a billion parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One benchmark of the page."""

    heading: str
    folder: str
    command: str
    """What makes its results."""
    study: Study
    about: str
    spare: tuple[str, ...] = ()
    """Labels of rows that are left out first if there are too many."""


SECTIONS: Final = (
    Section(
        heading="TOFU, 160 questions", folder="claim", command="make claim", study=tofu.study(),
        about="SmolLM2-135M forgets eight invented authors. [The claim is not "
        "reached](method.md#the-claim-which-is-not-reached).",
        spare=("anchored, not settled", "anchored, gold spans"),
    ),
    Section(
        heading="LUME, 40 people", folder="lume", command="make lume", study=lume.study(),
        about="SmolLM2-135M forgets biographies with dates of birth, numbers and addresses.",
    ),
    Section(
        heading="MUSE News, 40 articles", folder="muse", command="make muse", study=muse.study(),
        about="SmolLM2-135M forgets news articles as plain text.",
    ),
    Section(
        heading="TOFU, forget10, Llama-3.2-1B-Instruct", folder="claim-1b",
        command="make claim-1b LLAMA_1B=FOLDER", study=tofu.study_1b(),
        about="The field's own setting. [The experiments](experiments.md) have the published rows.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The rows of one benchmark by how much they leak and how many of the general words they keep."""

    section: Section
    marks: tuple[Mark, ...]
    unplaced: tuple[str, ...]
    """Labels of rows that lack one of the two numbers."""
    goal: tuple[float, float] | None
    """The demands on both numbers; None while the model that one of them refers to is not measured."""

    @property
    def alt(self) -> str:
        """The figure in words."""
        places = "; ".join(f"{mark.label} {mark.x:.2f}, {mark.y:.2f}" for mark in self.marks)
        return f"Leak and GW of each row. {places}"


def main(arguments: list[str] | None = None) -> int:
    """Write the page and its figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder with the results of each experiment")
    docs = parser.parse_args(arguments).docs
    files.write(docs / "results.md", page(docs))
    if (drawn := picture(docs)) is None:
        (docs / FIGURE).unlink(missing_ok=True)
    else:
        across, up = "leak (less is better)", "GW, general words (more is better)"
        plot = figure.plot(drawn.marks, xlabel=across, ylabel=up, goal=drawn.goal)
        figure.save(plot, docs / FIGURE, description=drawn.alt)
    return 0


def page(docs: Path) -> str:
    """Return the text of the page."""
    lines = [_INTRODUCTION, "", *(line for each in SECTIONS for line in section(each, docs))]
    if (drawn := picture(docs)) is not None:
        lines += caption(drawn)
    return "\n".join([*lines, _MORE, ""])


def picture(docs: Path) -> Picture | None:
    """Return the figure of the first benchmark that has enough rows with both numbers; None if there is none."""
    for one in SECTIONS:
        runs = _record(one, docs).get("runs", {})
        groups = rows(runs, one.spare)
        marks = [mark for label, group in groups.items() if (mark := _mark(one.study, label, group))]
        if len(marks) >= FEWEST:
            drawn = {mark.label for mark in marks}
            unplaced = tuple(label for label in groups if label not in drawn)
            return Picture(section=one, marks=tuple(marks), unplaced=unplaced, goal=_goal(one.study, runs))
    return None


def _mark(study: Study, label: str, group: Sequence[Mapping[str, Any]]) -> Mark | None:
    x, y = (_mean(group, name) for name in AXES)
    if x is None or y is None:
        return None
    objective = next((row.objective for row in study.rows if row.label == label), "")
    kind: Kind = "reference" if "row" not in group[0] else "own" if objective == "anchored" else "rival"
    return Mark(label=label, kind=kind, x=x, y=y)


def _goal(study: Study, runs: Mapping[str, Any]) -> tuple[float, float] | None:
    target, never = (runs.get(name, {}).get("cells", {}) for name in ("target", "retain-only"))
    x, y = (demand.bound(target, never) for demand in _demands(study))
    return None if x is None or y is None else (x, y)


def _demands(study: Study) -> list[Demand]:
    """Return the demands on the two numbers of the figure."""
    return [next(demand for demand in study.demands if demand.column == name) for name in AXES]


def caption(drawn: Picture) -> Iterator[str]:
    """Yield the lines about the figure."""
    most, least = _demands(drawn.section.study)
    yield from ("## Leak against general words", "", f"![{drawn.alt}]({FIGURE})", "")
    yield (
        f"The figure shows the table {drawn.section.heading}. A model further to the left leaks less. A model further "
        "up keeps more of the general words in the forget set (GW). The good corner is at the top left. Blue circles "
        "are the anchored objective, orange squares are others, and white diamonds are models that unlearned nothing. "
        + (f"In the green area, the demands on these two numbers are met: {most}, and {least}. " if drawn.goal else "")
        + (f"Rows without both numbers are left out: {'; '.join(drawn.unplaced)}." if drawn.unplaced else "")
    ).rstrip()
    yield ""


def section(one: Section, docs: Path) -> Iterator[str]:
    """Yield the lines about one benchmark."""
    yield from (f"## {one.heading}", "", one.about, "")
    record = _record(one, docs)
    if not (runs := record.get("runs", {})):
        yield from (f"**There are no results yet.** `{one.command}` makes them.", "")
        return
    yield from table(runs, [column.name for column in one.study.columns if not column.group], one.spare)
    labels = {run["label"] for run in runs.values()}
    missing = [row.label for row in one.study.rows if row.label not in labels]
    missing += [label for label in ("target", "retain-only") if label not in labels]
    yield ""
    yield (
        "– is not measured. "
        + (f"Missing rows: {'; '.join(missing)}. " if missing else "")
        + _what_next(one, record, missing=bool(missing))
        + f"[All numbers, with intervals and the demands on them]({one.folder}/results.md)."
    )
    yield ""


def _what_next(one: Section, record: Mapping[str, Any], *, missing: bool) -> str:
    """Say what the command does with these results. Another recipe is another plan, which begins anew."""
    if record.get("chosen", one.study.chosen) != one.study.chosen:
        return f"These rows are of an earlier plan. `{one.command}` starts the present one. "
    return f"`{one.command}` goes on with them. " if missing else ""


def table(runs: Mapping[str, Any], columns: Sequence[str], spare: Sequence[str] = ()) -> Iterator[str]:
    """Yield a table with the mean of each column over seeds: the references, then the rows in their order.

    Args:
        runs: the runs of a `results.json`.
        columns: names of the columns.
        spare: labels of rows that are left out first if there are more than `ROWS`.
    """
    yield f"| row | seeds | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    for label, group in rows(runs, spare).items():
        cells = [_cell(_mean(group, name)) for name in columns]
        yield f"| {label} | {len(group) if 'seed' in group[0] else ''} | {' | '.join(cells)} |"


def rows(runs: Mapping[str, Any], spare: Sequence[str] = ()) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs of each row by its label: `ROWS` rows at most. Those of `spare` are left out first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs.values():
        groups.setdefault(run["label"], []).append(run)
    for label in spare:
        if len(groups) > ROWS:
            groups.pop(label, None)
    return dict(list(groups.items())[:ROWS])


def _record(one: Section, docs: Path) -> Mapping[str, Any]:
    """Return the results of a benchmark; empty if it has none."""
    path = docs / one.folder / "results.json"
    record: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return record


def _mean(group: Sequence[Mapping[str, Any]], column: str) -> float | None:
    """Return the mean of a column over the seeds that have it."""
    values = [run["cells"][column][0] for run in group if column in run["cells"]]
    return fmean(values) if values else None


def _cell(mean: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.1e}" if 0 < abs(mean) < 0.001 else f"{mean:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
