"""One evaluated model, as a report reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tif.errors import InputError
from tif.eval.benchmarks.tofu import Evaluation, Settings
from tif.eval.measure import measures
from tif.eval.measure.score import Scored, from_table
from tif.eval.run import describe, read_run
from tif.sources import read_json, read_records


@dataclass(frozen=True, slots=True)
class Entry:
    """One evaluated model."""

    label: str
    record: Mapping[str, Any]
    """What `eval.json` says."""
    examples: Mapping[str, Sequence[Mapping[str, Any]]]
    """Per part, the per-example numbers."""
    scores: Mapping[str, Scored] = field(repr=False, default_factory=dict)
    """Per-token scores by text id."""
    run: Mapping[str, Any] | None = None
    """The training run's `run.json`."""
    history: Sequence[Mapping[str, float]] = ()
    """The training run's `log.jsonl`."""

    @classmethod
    def of(
        cls,
        label: str,
        found: Evaluation,
        settings: Settings | None = None,
        *,
        forget_quality: float | None = None,
        run: Mapping[str, Any] | None = None,
        history: Sequence[Mapping[str, float]] = (),
    ) -> Entry:
        """An evaluation that is in memory. `forget_quality` is against whatever retain model the caller has."""
        record = describe(found, settings or Settings())
        if forget_quality is not None:
            record |= {"forget_quality": forget_quality, "forget_quality_reason": None}
        return cls(label, record, found.examples, found.scores, run, history)

    @classmethod
    def load(cls, path: str | Path, label: str | None = None) -> Entry:
        """An evaluation from disk: a run folder, an evaluation's folder, or its `eval.json`.

        Raises:
            InputError: if there is no evaluation, or it is damaged.
        """
        path = Path(path)
        folder = path.parent if path.name == "eval.json" else path
        if not (folder / "eval.json").is_file():
            folder = folder / "eval"
        try:
            if not (folder / "eval.json").is_file():
                raise FileNotFoundError(2, "no such file", "eval.json")
            record = read_json(folder / "eval.json")
            if isinstance(record, dict) and "muse" in record:
                hint = "`tif eval` prints its numbers, and eval.json has them."
                raise InputError("a MUSE evaluation, and a report shows TOFU's numbers", where=str(folder), hint=hint)
            frame = pq.read_table(folder / "examples.parquet").to_pylist()
            scores: dict[str, Scored] = {}
            for part in record["parts"]:
                scores |= from_table(pq.read_table(folder / "parts" / f"{part}.scores.parquet"))
        except FileNotFoundError as error:
            where = str(path)
            hint = "`tif eval RUN` makes it."
            raise InputError("no whole evaluation here", where=where, why=f"no {error.filename}", hint=hint) from None
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise InputError("the evaluation cannot be read", where=str(folder), why=str(error)[:160]) from None
        examples: dict[str, list[Mapping[str, Any]]] = {part: [] for part in record["parts"]}
        for row in frame:
            examples[row["part"]].append(row)
        run_folder = folder.parent
        # What was evaluated the record knows; the folder around it may be another model's run.
        run = record["run"] if "run" in record else read_run(str(run_folder))
        log = run_folder / "log.jsonl"
        history = [row for _, row in read_records(log)] if run and log.is_file() else []
        # `RUN/eval` is called RUN, and `RUN/eval-nf4` RUN-nf4.
        inside = (run_folder / "run.json").is_file()
        name = label or (run_folder.name + folder.name.removeprefix("eval") if inside else folder.name)
        return cls(name, record, examples, scores, run, history)

    def mean(self, part: str, column: str) -> tuple[float, float, float] | None:
        """Mean of a per-example number and its 95% bootstrap interval; None if no example has it."""
        values = [row[column] for row in self.examples.get(part, ()) if row[column] is not None]
        if not values:
            return None
        low, high = measures.bootstrap(values)
        return sum(values) / len(values), low, high


__all__ = ["Entry"]
