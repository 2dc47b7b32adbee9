"""The gaps to the retain model, from the per-example rows of both evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from tif import seal
from tif.errors import InputError
from tif.eval.benchmarks.tofu import ExampleRow
from tif.eval.measure.gaps import RetainGaps, WordLosses
from tif.eval.record import EXAMPLES_FILE, EvalRecord
from tif.readers.parquet import read_table

_COLUMNS = ("part", "question", "answer", "uw_tokens", "gw_tokens", "uw_loss", "gw_loss")


def to_retain(
    rows: Sequence[ExampleRow], path: str | None, retain: EvalRecord | None
) -> tuple[RetainGaps | None, str | None]:
    """Return the gaps on the forget set; if there are none, None and the reason.

    Args:
        rows: the evaluated model's forget rows.
        path: the retain log, `eval.json` or its folder.
        retain: its record; None if it is not tif's.
    """
    if not any(row["uw_tokens"] for row in rows):
        return None, "no row has unwanted words marked"
    if path is None or retain is None:
        return None, "no retain log of tif was given"
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    try:
        table = read_table(folder / EXAMPLES_FILE, _COLUMNS)
        if EXAMPLES_FILE in retain.files and seal.file_digest(folder / EXAMPLES_FILE) != retain.files[EXAMPLES_FILE]:
            return None, f"{folder / EXAMPLES_FILE} is not the file that tif wrote with the retain log"
    except (InputError, OSError, pa.ArrowException):
        return None, f"the retain log has no readable {EXAMPLES_FILE} in its folder"
    others = {
        (row["question"], row["answer"]): row for row in table.to_pylist() if row["part"] == "forget"
    }  # fmt: skip
    pairs = [(row, others.get((row["question"], row["answer"]))) for row in rows]
    matched = [(row, other) for row, other in pairs if other is not None and _alike(row, other)]
    if len(matched) < len(rows) or len(others) != len({(row["question"], row["answer"]) for row in rows}):
        return (
            None,
            "the retain log has other questions, spans or tokens; evaluate it with the same options",
        )
    return RetainGaps.of([_losses(row) for row, _ in matched], [_losses(other) for _, other in matched]), None


def _alike(row: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return all(row[name] == other[name] for name in ("uw_tokens", "gw_tokens"))


def _losses(row: Mapping[str, object]) -> WordLosses:
    uw, gw = row["uw_loss"], row["gw_loss"]
    return WordLosses(
        uw_loss=uw if isinstance(uw, float) else None, gw_loss=gw if isinstance(gw, float) else None
    )  # fmt: skip


__all__ = ["to_retain"]
