"""Write `results.json` and `results.md` from the finished stages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.claim.plan import CHOSEN, FRAMES, RETAIN_WEIGHT, Experiment
from benchmarks.claim.stages import shared, table
from benchmarks.claim.table import COLUMNS, DEMANDS, collect, verdicts
from tif import files

_WORDS: Final = {True: "yes", False: "no", None: "–"}


def write(e: Experiment, docs: Path, command: str) -> None:
    """Write both files into a folder."""
    record = {"command": command, **collect(e)}
    files.write(docs / "results.json", json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    files.write(docs / "results.md", "\n".join(text(e, record)) + "\n")


def text(e: Experiment, record: Mapping[str, Any]) -> Iterator[str]:
    """The lines of `results.md`."""
    plan, stages = e.plan, [*shared(e), *table(e)]
    done = sum(stage.done for stage in stages)
    yield from (
        "# The claim on 160 questions",
        "",
        "This command writes the page from its finished stages. Nobody edits it by hand.",
        "",
        f"```console\n{record['command']}\n```",
        "",
        f"{done} of {len(stages)} stages are finished. The same command continues in its folder.",
        "",
        "The claim has seven demands, and a row must meet all of them in every seed:",
        "",
        *(f"{number}. {demand}" for number, demand in enumerate(DEMANDS, 1)),
        "",
        f"- **Target**: the base model, fine-tuned on {plan.forget_rows} rows of forget05, on its other "
        f"{plan.dev_rows} rows, and on {plan.retain_rows} retain rows. **Retain-only** never saw the first of these.",
        f"- **Leak**: the share of questions whose {plan.samples} random answers contain an unwanted phrase. "
        "Questions are asked as written, in other words, and after one epoch of relearning on the forget rows.",
        "- **Spans**: rows are trained on the spans of `--method ner`, unless their name says otherwise. Leak, UW and "
        "GW follow the gold spans. GW by ner follows the spans of `--method ner`.",
        "- **Utility**: the harmonic mean of model utility's parts without ROUGE-L on real authors, which is near 0 "
        "for so small a model.",
        f"- **Tuning**: `tif tune` tries {', '.join(plan.grid)} for each method, on authors who are not evaluated. "
        f"Every row has retain samples of weight {RETAIN_WEIGHT:g}. Rows with frames have three epochs, others five.",
        f"- **anchored** is the recipe `{CHOSEN}` of `benchmarks/claim/plan.py`, with {len(FRAMES)} frames.",
        "",
        *_table(record["runs"]),
        "",
        "Means over seeds, with the lowest and the highest seed in brackets. For one seed, the brackets hold the 95% "
        "interval over questions. – is not measured.",
        "",
        "## Which demands are met",
        "",
        f"| row | {' | '.join(str(n) for n in range(1, len(DEMANDS) + 1))} |",
        "|---" * (len(DEMANDS) + 1) + "|",
        *(f"| {label} | {' | '.join(_WORDS[met] for met in row)} |" for label, row in verdicts(record["runs"])),
        "",
        "## Searches",
        "",
        "The mean probability of an unwanted token (u), and what is kept of the retain samples (k). A model that never "
        "saw these authors has the aim. The candidate nearest to it is chosen among those with k of at least 0.98.",
        "",
        "| row | aim | candidates | chosen |",
        "|---|---|---|---|",
        *_searches(record["searches"]),
    )


def _table(runs: Mapping[str, Any]) -> Iterator[str]:
    yield f"| row | seeds | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for row in dict.fromkeys(run.get("row", run["label"]) for run in runs.values()):
        group = [run for run in runs.values() if run.get("row", run["label"]) == row]
        cells = [_cell([run["cells"][column] for run in group if column in run["cells"]]) for column in COLUMNS]
        yield f"| {group[0]['label']} | {len(group) if 'seed' in group[0] else ''} | {' | '.join(cells)} |"


def _cell(cells: list[tuple[float, float, float]]) -> str:
    if not cells:
        return "–"
    values = [value for value, _, _ in cells]
    mean = fmean(values)
    low, high = cells[0][1:] if len(cells) == 1 else (min(values), max(values))
    return f"{mean:{'.1e' if mean < 0.001 else '.3f'}} ({low:.2g}–{high:.2g})"


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
