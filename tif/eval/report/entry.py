"""One evaluated model, as a report reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from tif.errors import InputError
from tif.eval.benchmarks.tofu import Evaluation, ExampleRow
from tif.eval.measure import measures
from tif.eval.measure.score import Scored, from_table
from tif.eval.record import EVAL_FILE, EXAMPLES_FILE, EvalRecord
from tif.eval.run import describe
from tif.eval.settings import Form, Scoring
from tif.eval.verify import verify_evaluation, verify_run
from tif.readers import Row, read_records
from tif.readers.parquet import read_table
from tif.records import RUN_FILE, RunRecord
from tif.seal import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One evaluated model."""

    label: str
    record: EvalRecord
    examples: Mapping[str, Sequence[ExampleRow]]
    """Rows by part."""
    scores: Mapping[str, Scored] = field(repr=False, default_factory=dict)
    """Per-token scores by text id."""
    history: Sequence[Mapping[str, float]] = ()
    """The training run's `log.jsonl`."""
    folder: Path | None = None
    """The evaluation's folder. None for an evaluation in memory."""
    checks: tuple[Check, ...] = ()
    """The result of `tif verify` for what is on disk. Empty for an evaluation in memory."""

    @property
    def plain(self) -> bool:
        """Whether the forget set is plain text alone, so that there is no question to ask."""
        rows = self.examples.get("forget", ())
        return bool(rows) and not any(row["question"] for row in rows)

    @property
    def form(self) -> Form:
        """The form of asking that the verdict and the main table show: plain text has only `cloze`."""
        return "cloze" if self.plain else "question"

    @property
    def retain_log(self) -> Path | None:
        """The folder of the retain model's evaluation, as the options named it."""
        named = self.record.retain_log or self.record.config.get("retain_log")
        return _folder(Path(named)) if isinstance(named, str) else None

    @property
    def run(self) -> RunRecord | None:
        """The training run that made the model."""
        return self.record.run

    @classmethod
    def of(
        cls,
        label: str,
        evaluation: Evaluation,
        settings: Scoring | None = None,
        *,
        forget_quality: float | None = None,
        run: RunRecord | None = None,
        history: Sequence[Mapping[str, float]] = (),
    ) -> Entry:
        """An evaluation that is in memory. `forget_quality` is against whatever retain model the caller has."""
        record = describe(evaluation, settings or Scoring()).but(run=run)
        if forget_quality is not None:
            record = record.but(forget_quality=forget_quality, forget_quality_reason=None)
        return cls(label=label, record=record, examples=evaluation.examples, scores=evaluation.scores, history=history)

    @classmethod
    def load_all(cls, paths: Sequence[str | Path], labels: Sequence[str] = ()) -> list[Entry]:
        """Several evaluations from disk, with labels of their own unless `labels` gives one for each."""
        named: Sequence[str | None] = labels or [None] * len(paths)
        return [cls.load(path, label) for path, label in zip(paths, named, strict=True)]

    @classmethod
    def load(cls, path: str | Path, label: str | None = None) -> Entry:
        """An evaluation from disk: a run folder, an evaluation's folder, or its `eval.json`.

        Raises:
            InputError: if there is no evaluation, or it is damaged.
        """
        path = Path(path)
        folder = _folder(path)
        try:
            if not (folder / EVAL_FILE).is_file():
                raise FileNotFoundError(2, "no such file", EVAL_FILE)
            record = EvalRecord.read(folder)
            rows = _table(folder / EXAMPLES_FILE).to_pylist()
            scores: dict[str, Scored] = {}
            for part in record.parts:
                scores |= from_table(_table(folder / "parts" / f"{part}.scores.parquet"))
            examples: dict[str, list[ExampleRow]] = {part: [] for part in record.parts}
            for row in rows:
                own = examples.setdefault(row["part"], [])
                # MUSE's questions have no ids.
                own.append(row if row.get("id") else row | {"id": f"{row['part']}/{len(own)}"})
        except FileNotFoundError as error:
            where = str(path)
            hint = "`tif eval RUN` makes it."
            why = f"there is no {error.filename}"
            raise InputError("no complete evaluation here", where=where, why=why, hint=hint) from None
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise InputError("the evaluation cannot be read", where=str(folder), why=str(error)[:160]) from None
        # The record says which run was evaluated; the folder around it may be another model's run.
        inside = (folder.parent / RUN_FILE).is_file()
        log = folder.parent / "log.jsonl"
        history = [_numbers(row) for _, row in read_records(log)] if record.run and log.is_file() else []
        # `RUN/eval` is called RUN, and `RUN/eval-nf4` RUN-nf4.
        name = label or (folder.parent.name + folder.name.removeprefix("eval") if inside else folder.name)
        checks = (*(verify_run(folder.parent) if inside and record.run else ()), *verify_evaluation(folder))
        return cls(
            label=name, record=record, examples=examples, scores=scores, history=history, folder=folder,
            checks=tuple(checks),
        )  # fmt: skip

    def values(self, part: str, column: str) -> list[float]:
        """A number of each example of a part, without the examples that do not have it."""
        return [row[column] for row in self.examples.get(part, ()) if row.get(column) is not None]

    def mean(self, part: str, column: str) -> tuple[float, float, float] | None:
        """Mean of a per-example number and its 95% bootstrap interval; None if no example has it."""
        values = self.values(part, column)
        if not values:
            return None
        low, high = measures.bootstrap(values)
        return sum(values) / len(values), low, high


def _folder(path: Path) -> Path:
    """The evaluation's folder for a run folder, an evaluation's folder or its `eval.json`."""
    folder = path.parent if path.name == EVAL_FILE else path
    return folder if (folder / EVAL_FILE).is_file() else folder / "eval"


def _table(path: Path) -> pa.Table:
    if not path.exists():  # pyarrow's own error has no name of the file
        raise FileNotFoundError(2, "no such file", path.name)
    return read_table(path)


def _numbers(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if isinstance(value, (int, float))}


__all__ = ["Entry"]
