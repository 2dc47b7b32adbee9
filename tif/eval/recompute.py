"""Compute the numbers of an evaluation again from its examples, and compare them with the record.

A seal does not notice a number that was edited and sealed again. The examples that give it do.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import pyarrow as pa
from pydantic import JsonValue

from tif import __version__
from tif.errors import InputError, short
from tif.eval.benchmarks.tofu import ExampleRow, aggregated
from tif.eval.compare import logs
from tif.eval.measure import measures
from tif.eval.record import EVAL_FILE, EXAMPLES_FILE, EvalRecord
from tif.eval.run import describe
from tif.readers.parquet import read_table
from tif.seal import Check

_FIELDS: Final = (
    "uw_probability",
    "gw_probability",
    "model_utility",
    "forget_quality",
    "model_utility_parts",
    "memorization",
    "leakage",
    "parts",
    "per_example",
)
"""Fields of the record that the examples give."""

_TOLERANCE: Final = 1e-9


def check_numbers(folder: Path, record: EvalRecord) -> Check:
    """Compare the record's numbers with those that its examples give.

    Args:
        folder: of the evaluation.
        record: its record.
    """
    name = f"the numbers in {folder / EVAL_FILE}"
    if record.settings is None or record.lume is not None or record.tif != __version__:
        return Check(name=name, state="skipped", detail="only their files are compared")
    try:
        rows = read_table(folder / EXAMPLES_FILE).to_pylist()
        examples: dict[str, list[ExampleRow]] = {part: [] for part in record.parts}
        for row in rows:
            if row["part"] in examples:
                examples[row["part"]].append(row)
        again = describe(aggregated(examples, {}, record.settings), record.settings)
        if record.forget_quality is not None and (own := logs.of_record(again, name)) is not None:
            again = again.but(forget_quality=measures.forget_quality(own.truth_ratios, record.retain_truth_ratio))
    except (pa.ArrowException, InputError, OSError, KeyError, TypeError, ValueError):
        return Check(name=name, state="skipped", detail=f"{EXAMPLES_FILE} does not give them")
    recorded, computed = record.to_json(), again.to_json()
    for field in _FIELDS:
        if (difference := _difference(recorded[field], computed[field], field)) is not None:
            return Check(name=name, state="differs", detail=f"{difference} by {EXAMPLES_FILE}")
    return Check(name=name, state="ok")


def _difference(recorded: JsonValue, computed: JsonValue, where: str) -> str | None:
    """Return the first value that differs; None if all are equal. Names that only `computed` has are left out."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        pairs = [(recorded[key], computed.get(key), f"{where}.{key}") for key in recorded]
    elif isinstance(recorded, list) and isinstance(computed, list) and len(recorded) == len(computed):
        pairs = [(a, b, f"{where}[{n}]") for n, (a, b) in enumerate(zip(recorded, computed, strict=True))]
    else:
        return None if _same(recorded, computed) else f"{where} is {short(recorded)}, but {short(computed)}"
    return next((text for a, b, place in pairs if (text := _difference(a, b, place)) is not None), None)


def _same(a: JsonValue, b: JsonValue) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return a == b


__all__ = ["check_numbers"]
