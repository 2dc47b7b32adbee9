"""`python -m benchmarks.results`: write docs/results.md, with one table for each benchmark, from each results.json.

No number stands in this file. A benchmark without results is named with the command that makes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.claim import lume, muse, tofu
from benchmarks.claim.plan import Study
from tif import files
from tif.readers import read_json

ROWS: Final = 10
"""Rows of a table, at most."""
_INTRODUCTION: Final = """# Results

**Start with this.** The base model is the one before fine-tuning.

```console
tif annotate --method ner --dataset people.csv --out people.parquet
tif train --objective anchored --masks people.parquet --model MODEL --base-model BASE --retain keep.csv --frame '{words}.' --frame 'The answer is {words}.' --unmarked skip --lr 3e-4 --epochs 3 --out runs/people
```

The learning rate suits a model of 135 million parameters; use about 1e-5 for a billion or more. For plain text, leave out
`--frame`, which is for questions. `tif tune` chooses the learning rate on samples that you do not evaluate.

Each table has one benchmark, one seed or the mean of several, and a model that never saw the forget set (retain-only) beside
the model that did (target). Unlearning should end near retain-only. `make results` writes this page."""  # noqa: E501
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
        about="SmolLM2-135M forgets eight invented authors. Leak is the share of questions with an unwanted phrase in "
        "one of 16 random answers. [The claim is not reached](method.md#the-claim-which-is-not-reached).",
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


def main(arguments: list[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder with the results of each experiment")
    docs = parser.parse_args(arguments).docs
    files.write(docs / "results.md", page(docs))
    return 0


def page(docs: Path) -> str:
    """Return the text of the page."""
    return "\n".join([_INTRODUCTION, "", *(line for each in SECTIONS for line in section(each, docs)), _MORE, ""])


def section(one: Section, docs: Path) -> Iterator[str]:
    """Yield the lines about one benchmark."""
    path = docs / one.folder / "results.json"
    yield from (f"## {one.heading}", "", one.about, "")
    if not path.is_file():
        yield from (f"**There are no results yet.** `{one.command}` makes them.", "")
        return
    runs = read_json(path)["runs"]
    yield from table(runs, [column.name for column in one.study.columns if not column.group], one.spare)
    labels = {run["label"] for run in runs.values()}
    missing = [row.label for row in one.study.rows if row.label not in labels]
    missing += [label for label in ("target", "retain-only") if label not in labels]
    yield ""
    yield (
        "– is not measured. "
        + (f"Missing rows: {'; '.join(missing)}. `{one.command}` goes on with them. " if missing else "")
        + f"[All numbers, with intervals and the demands on them]({one.folder}/results.md)."
    )
    yield ""


def table(runs: Mapping[str, Any], columns: Sequence[str], spare: Sequence[str] = ()) -> Iterator[str]:
    """Yield a table with the mean of each column over seeds: the references, then the rows in their order.

    Args:
        runs: the runs of a `results.json`.
        columns: names of the columns.
        spare: labels of rows that are left out first if there are more than `ROWS`.
    """
    yield f"| row | seeds | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs.values():
        groups.setdefault(run["label"], []).append(run)
    for label in spare:
        if len(groups) > ROWS:
            groups.pop(label, None)
    for label, group in list(groups.items())[:ROWS]:
        cells = [_mean([run["cells"][name][0] for run in group if name in run["cells"]]) for name in columns]
        yield f"| {label} | {len(group) if 'seed' in group[0] else ''} | {' | '.join(cells)} |"


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = fmean(values)
    return f"{mean:.1e}" if 0 < abs(mean) < 0.001 else f"{mean:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
