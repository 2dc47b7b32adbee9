"""Leakage beside that of the retain model and the base model, from their evaluations.

baselines = Baselines.read("retain/eval.json", "base/eval.json")
record = add(record, measured, baselines)
write(measured, out)                       OUT/leaks.parquet
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files
from tif.console import warn
from tif.errors import InputError
from tif.eval.benchmarks.leak import Leaks
from tif.eval.measure.leak_at_k import FormLeaks
from tif.eval.record import EvalRecord

LEAKS_FILE: Final = "leaks.parquet"


@dataclass(frozen=True, slots=True)
class Baselines:
    """Evaluations of models that never saw the forget set."""

    retain: EvalRecord | None = None
    base: EvalRecord | None = None
    base_log: str | None = None
    """Path of the base model's evaluation."""

    @classmethod
    def read(cls, retain: str | None, base: str | None) -> Baselines:
        """Read the evaluations of tif.

        Raises:
            InputError: for a base log that cannot be read, or that has no leakage.
        """
        record = EvalRecord.read(base) if base else None
        if base and record is not None and not record.leak_counts:
            raise InputError(
                "has no leakage to compare with",
                where=f"--base-log {base}",
                hint="Evaluate the base model with the same --leak and --masks.",
            )
        return cls(EvalRecord.read(retain) if retain else None, record, base)


def add(record: EvalRecord, measured: Leaks, baselines: Baselines) -> EvalRecord:
    """Return the record with leakage in every form, and with the baselines' where they have the same prompts."""
    numbers: dict[str, FormLeaks] = {}
    retain: dict[str, FormLeaks] = {}
    base: dict[str, FormLeaks] = {}
    for form, counts in measured.counts.items():
        own = counts.summary()
        if baselines.retain is not None and (gaps := counts.minus(baselines.retain.leak_counts.get(form))):
            own, retain[form] = replace(own, minus_retain=gaps), baselines.retain.leaks[form]
        if baselines.base is not None and (gaps := counts.minus(baselines.base.leak_counts.get(form))):
            own, base[form] = replace(own, minus_base=gaps), baselines.base.leaks[form]
        numbers[form] = own
    for name, log, known in (("retain", baselines.retain, retain), ("base", baselines.base, base)):
        other = [form for form in numbers if form not in known]
        if log is not None and other:
            warn(
                f"the {name} log has no leakage of the same prompts for {', '.join(other)}. Evaluate the {name} model "
                "with the same --leak, --leak-forms, --masks and --limit"
            )
    return record.but(
        leaks=numbers,
        leak_counts={form: counts.compact() for form, counts in measured.counts.items()},
        leak_reasons=dict(measured.reasons),
        retain_leaks=retain,
        base_leaks=base,
        base_log=baselines.base_log,
    )


def write(measured: Leaks, out: Path) -> None:
    """Write all prompts, completions and samples as one table.

    Raises:
        WriteError: if the folder cannot be written to.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(measured.rows)), sink, compression="zstd")
    files.write(out / LEAKS_FILE, sink.getvalue())


__all__ = ["LEAKS_FILE", "Baselines", "add", "write"]
