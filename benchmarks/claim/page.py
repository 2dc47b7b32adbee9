"""Write `results.json` and `results.md` from the finished stages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.claim.plan import Experiment
from benchmarks.claim.stages import shared, table
from benchmarks.claim.table import collect, verdicts
from tif import files

_WORDS: Final = {True: "yes", False: "no", None: "–"}
_GROUPS: Final = {"type": "By type"}


def write(e: Experiment, docs: Path, command: str) -> None:
    """Write both files into a folder."""
    record = {"command": command, **collect(e)}
    files.write(docs / "results.json", json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    files.write(docs / "results.md", "\n".join(text(e, record)) + "\n")


def text(e: Experiment, record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of `results.md`."""
    stages, demands = [*shared(e), *table(e)], e.study.demands
    done = sum(stage.done for stage in stages)
    yield from (
        f"# {e.study.title}",
        "",
        "This command writes the page from its finished stages. Nobody edits it by hand.",
        "",
        f"```console\n{record['command']}\n```",
        "",
        f"{done} of {len(stages)} stages are finished. The same command continues in its folder.",
        "",
        f"There are {len(demands)} demands, and a row must meet all of them in every seed:",
        "",
        *(f"{number}. {demand}" for number, demand in enumerate(demands, 1)),
        "",
        *(f"- {note}" for note in e.study.notes(e.plan)),
        "",
        *_table(record["runs"], [column.name for column in e.study.columns if not column.group]),
        "",
        "Means over seeds, with the lowest and the highest seed in brackets. For one seed, the brackets hold the 95% "
        "interval over questions. – is not measured.",
        "",
    )
    for group, heading in _GROUPS.items():
        if names := [column.name for column in e.study.columns if column.group == group]:
            yield from (f"## {heading}", "", *_table(record["runs"], names), "")
    yield from _spans(record["spans"])
    yield from (
        "## Which demands are met",
        "",
        f"| row | {' | '.join(str(n) for n in range(1, len(demands) + 1))} |",
        "|---" * (len(demands) + 1) + "|",
        *(f"| {label} | {' | '.join(_WORDS[met] for met in row)} |" for label, row in verdicts(e, record["runs"])),
        "",
        "## Searches",
        "",
        f"The mean probability of an unwanted {_unit(record['searches'])} (u), and what is kept of the retain samples "
        "(k). A model that never saw these samples has the aim. The candidate nearest to it is chosen among those with "
        "k of at least 0.98.",
        "",
        "| row | aim | candidates | chosen |",
        "|---|---|---|---|",
        *_searches(record["searches"]),
    )


def _table(runs: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    yield f"| row | seeds | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    for row in dict.fromkeys(run.get("row", run["label"]) for run in runs.values()):
        group = [run for run in runs.values() if run.get("row", run["label"]) == row]
        cells = [_cell([run["cells"][column] for run in group if column in run["cells"]]) for column in columns]
        yield f"| {group[0]['label']} | {len(group) if 'seed' in group[0] else ''} | {' | '.join(cells)} |"


def _cell(cells: list[tuple[float, float, float]]) -> str:
    if not cells:
        return "–"
    values = [value for value, _, _ in cells]
    mean = fmean(values)
    low, high = cells[0][1:] if len(cells) == 1 else (min(values), max(values))
    if low == high == mean:
        return f"{mean:.3f}"
    return f"{mean:{'.1e' if mean < 0.001 else '.3f'}} ({low:.2g}–{high:.2g})"


def _spans(counts: Mapping[str, Any]) -> Iterator[str]:
    """The spans that rows are trained on, beside the gold spans. Older results did not compare them."""
    own = {name.removeprefix("eval-"): each for name, each in counts.items() if name.startswith("eval-")}
    if not any("open" in each for each in own.values()):
        return
    yield from (
        "## Spans",
        "",
        "A method that trains on spans leaves a phrase alone that no span touches. Phrases that the question contains "
        "are not counted.",
        "",
        "| spans | number | samples with an untouched gold phrase | marked general characters |",
        "|---|---|---|---|",
        *(
            f"| {name} | {each['spans']} | {each['open']} of {each['samples']} | {each['general']:.0%} |"
            for name, each in own.items()
        ),
        "",
    )


def _unit(searches: Mapping[str, Any]) -> str:
    """What u is a mean over. Searches from before phrases were the aim do not say."""
    units = dict.fromkeys(str(found.get("of", "token")) for found in searches.values())
    return " or, in other searches, ".join(units) or "phrase"


def _searches(searches: Mapping[str, Any]) -> Iterator[str]:
    for row, found in searches.items():
        tried = [
            (", ".join(f"{name}={value}" for name, value in c["settings"].items()), c["uw"], c["kept"], c["chosen"])
            for c in found["candidates"]
        ]
        each = "; ".join(f"{settings}: u {uw:.3f}, k {kept:.3f}" for settings, uw, kept, _ in tried)
        chosen = next((settings for settings, _, _, chosen in tried if chosen), "–")
        yield f"| {row} | {found['aim']:.3f} | {each} | {chosen} |"


__all__ = ["text", "write"]
