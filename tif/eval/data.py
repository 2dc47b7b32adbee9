"""The data of an evaluation: the rows of each part, and the annotation set that marks their unwanted words.

    options = resolve(options)                 the benchmark, and a run's own set and retain samples, named in full
    data = load(options, run, labels)
    data.splits["forget"][0].spans             marked rows

Without `--benchmark`, a run is evaluated on the annotation set that it was trained on, at the recorded digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tif.console import say, warn
from tif.errors import InputError, UsageError
from tif.eval.benchmarks import questions
from tif.eval.benchmarks.lume_files import LumeData, LumeFiles
from tif.eval.benchmarks.questions import Row
from tif.eval.options import EvaluateOptions
from tif.eval.record import MasksUsed
from tif.overlap import refuse_overlap
from tif.records import RunRecord
from tif.sets import store
from tif.sources import is_file
from tif.spans import UNTRAINED, AnnotationSet, SavedSet, of_labels

_READING: Final = ("prompt_field", "text_field", "encoding")
"""Options that say how a run read its retain samples."""

RETAIN: Final = 400
"""Retain samples that an evaluation of an annotation set uses without `--limit`: as many as TOFU's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationData:
    """What an evaluation asks."""

    splits: Mapping[str, Sequence[Row]]
    """Rows by part, with the spans of the annotation set."""
    forget: str
    """What the forget rows come from: a TOFU split, a file, or an annotation set at its digest."""
    annotations: AnnotationSet | None = None
    masks: MasksUsed | None = None
    """The annotation set's entry in the record."""
    lume: LumeData | None = None
    """With `--benchmark lume`: what each row is."""


def resolve(options: EvaluateOptions) -> EvaluateOptions:
    """Return the options with the benchmark named. `set` gets the run's own annotation set and retain samples.

    Raises:
        UsageError: if no option names a benchmark or an annotation set, and the model is not a run.
        InputError: if the run's own annotation set does not exist.
    """
    if options.import_log is not None or options.benchmark not in (None, "set"):
        return options
    if options.benchmark is None and "forget" in options.model_fields_set:
        return options.but(benchmark="tofu")
    run = RunRecord.of_model(options.model) if options.model is not None else None
    if run is None and options.masks is None:
        if options.model is None:  # --make-retain-log alone
            if options.benchmark is None:
                return options.but(benchmark="tofu")
            raise UsageError("--benchmark set needs an annotation set", hint="Give it as --masks SET.")
        raise UsageError(
            "is not a run folder, so it has no annotation set to evaluate",
            where=options.model,
            hint="Give --masks SET, or a benchmark: --benchmark tofu, muse, lume or local.",
        )
    named: dict[str, str] = {"benchmark": "set"}
    if run is not None:
        if options.masks is None:
            own = _own(run)
            if own is None:
                raise InputError(
                    "the run's annotation set does not exist",
                    where=run.masks.path,
                    hint="Give its path as --masks, or a benchmark: --benchmark tofu, muse, lume or local.",
                )
            named["masks"] = own
        if not options.retain and len(run.retain_sources) == 1:
            named["retain"] = run.retain_sources[0]
        for name in ("data_dir",) if options.retain else ("data_dir", *_READING):
            value = run.config.get(name)
            if getattr(options, name) is None and isinstance(value, str):
                named[name] = value
    return options.but(**named)


def load(options: EvaluateOptions, run: RunRecord | None, labels: tuple[str, ...] | None) -> EvaluationData:
    """Read the rows of all parts and mark them.

    Args:
        options: from `resolve`.
        run: the run that made the model.
        labels: labels of the spans that count; None for all.

    Raises:
        InputError: if the set in the options has no span in the forget rows.
        TifError: if the data or the set cannot be read.
    """
    if options.benchmark == "set":
        return _of_set(options, run, labels)
    data = _of_benchmark(options, run, labels)
    if options.question_key == "question":
        return data
    # Spans belong to a question as written, so the rows are marked before they are asked in other words.
    asked = {part: questions.paraphrase(rows) if part in ("forget", "retain") else rows
             for part, rows in data.splits.items()}  # fmt: skip
    return replace(data, splits=asked)


def _of_benchmark(options: EvaluateOptions, run: RunRecord | None, labels: tuple[str, ...] | None) -> EvaluationData:
    lume = LumeFiles(options.data_dir, options.limit).read() if options.benchmark == "lume" else None
    splits: dict[str, Sequence[Row]] = _questions(options) if lume is None else dict(lume.splits.items())
    ref = options.masks
    if ref is None and run is not None and (ref := _own(run)) is None:
        head = store.resolve(run.masks.path)[0]
        warn(f"{head}, the run's annotation set, does not exist: no UW and GW numbers. Give its path as --masks")
    unmarked = EvaluationData(splits=splits, forget="lume" if lume else options.forget, lume=lume)
    if ref is None:
        return unmarked
    annotations = store.load(ref, data_dir=options.data_dir)
    marked = {part: questions.annotate(rows, annotations) for part, rows in splits.items()}
    matched = questions.matched(splits["forget"], annotations)
    if not matched or not _has_spans(marked["forget"], labels):
        problem = f"no question of the forget split has a span{_labelled(labels)} in this set"
        hint = "Give a set of this split, or other --labels."
        if options.masks is not None:
            raise InputError(problem, where=ref, hint=hint)
        lost = "LUME's own answers count as unwanted words" if lume else "no UW and GW numbers"
        warn(f"{ref}, the run's annotation set: {problem}; {lost}. {hint}")
        return unmarked
    masks = _used(ref, annotations, splits["forget"])
    return replace(unmarked, splits=marked, annotations=annotations, masks=masks)


def forget_rows(annotations: SavedSet, run: RunRecord | None = None, limit: int | None = None) -> tuple[Row, ...]:
    """Return the samples of a set that training forgets, in order.

    Args:
        annotations: the set.
        run: a run. If it was trained on this set with `--limit`, later samples are left out.
        limit: use only the first `limit` rows.
    """
    own = run is not None and run.masks.digest == annotations.version.digest
    trained = run.config.get("limit") if run is not None and own else None
    examples = annotations.examples[: trained if isinstance(trained, int) else None]
    rows = [
        Row(id=f"forget/{each.id}", question=each.prompt, answer=each.text, spans=each.spans, annotated=True)
        for each in examples
        if each.status not in UNTRAINED
    ]
    return tuple(rows[:limit])


def retain_rows(options: EvaluateOptions, source: str, limit: int | None) -> tuple[Row, ...]:
    """Return the retain samples of a source. With an annotation set, they can be plain text.

    Raises:
        InputError, MissingError, UsageError: as `questions.read`.
    """
    return questions.read(
        source,
        "retain",
        data_dir=options.data_dir,
        prompt_field=options.prompt_field,
        text_field=options.text_field,
        encoding=options.encoding,
        limit=limit,
        plain=options.benchmark == "set",
    )


def _of_set(options: EvaluateOptions, run: RunRecord | None, labels: tuple[str, ...] | None) -> EvaluationData:
    assert options.masks is not None  # `resolve` names it
    annotations = store.load(options.masks, data_dir=options.data_dir)
    splits: dict[str, Sequence[Row]] = {"forget": forget_rows(annotations, run, options.limit)}
    if not _has_spans(splits["forget"], labels):
        raise InputError(
            f"no sample to forget has a span{_labelled(labels)}",
            where=options.masks,
            hint="Correct the set with `tif spans edit`, or give other --labels.",
        )
    sources = (options.retain,) if options.retain else run.retain_sources if run is not None else ()
    if sources:
        limit = options.limit or RETAIN
        rows = _mixture(options, sources, limit)
        _refuse_overlap(splits["forget"], rows, ", ".join(sources))
        if options.limit is None and len(rows) == limit:
            say(f"evaluating at most {limit} retain samples of {', '.join(sources)}; --limit changes the number")
        splits["retain"] = rows
    digest = annotations.version.digest[:12]
    path = store.resolve(options.masks)[0]
    masks = _used(options.masks, annotations, splits["forget"])
    return EvaluationData(splits=splits, forget=f"{path}@{digest}", annotations=annotations, masks=masks)


def _mixture(options: EvaluateOptions, sources: Sequence[str], limit: int) -> tuple[Row, ...]:
    """Return retain samples of all sources, the same number of each as far as it has so many."""
    if len(sources) == 1:
        return retain_rows(options, sources[0], limit)
    shares = [limit // len(sources) + (at < limit % len(sources)) for at in range(len(sources))]
    rows = [row for source, share in zip(sources, shares, strict=True) if share
            for row in retain_rows(options, source, share)]  # fmt: skip
    return tuple(replace(row, id=f"retain/{at:04d}") for at, row in enumerate(rows))


def _own(run: RunRecord) -> str | None:
    """Return the run's annotation set at the recorded digest; None if there is no such file."""
    head = store.resolve(run.masks.path)[0]
    return f"{head}@{run.masks.digest[:12]}" if head.exists() else None


def _used(ref: str, annotations: SavedSet, rows: Sequence[Row]) -> MasksUsed:
    version, method = annotations.version, annotations.provenance.method
    asked = {(row.question, row.answer) for row in rows}
    statuses = Counter(each.status for each in annotations if (each.prompt, each.text) in asked)
    return MasksUsed(
        ref=ref,
        version=version.number,
        digest=version.digest,
        author=version.author,
        message=version.message,
        method=", ".join(str(method[name]) for name in ("name", "model") if method.get(name)),
        statuses=dict(statuses),
    )


def _has_spans(rows: Sequence[Row], labels: tuple[str, ...] | None) -> bool:
    return any(of_labels(row.spans, labels) for row in rows)


def _labelled(labels: tuple[str, ...] | None) -> str:
    return f" labelled {' or '.join(labels)}" if labels else ""


def _questions(options: EvaluateOptions) -> dict[str, Sequence[Row]]:
    """Return the rows of a benchmark by part, without spans."""
    if options.benchmark == "tofu":
        return _tofu(options)
    return _local(options)


def _tofu(options: EvaluateOptions) -> dict[str, Sequence[Row]]:
    if is_file(options.forget):
        raise UsageError(
            "--benchmark tofu: --forget must be a split, not a file",
            where=options.forget,
            hint="Use --benchmark local for your own files.",
        )
    return dict(questions.tofu(options.forget, data_dir=options.data_dir, limit=options.limit))


def _local(options: EvaluateOptions) -> dict[str, Sequence[Row]]:
    splits: dict[str, Sequence[Row]] = {
        "forget": questions.read(
            options.forget,
            "forget",
            data_dir=options.data_dir,
            prompt_field=options.prompt_field,
            text_field=options.text_field,
            encoding=options.encoding,
            limit=options.limit,
        )
    }
    if options.retain:
        splits["retain"] = retain_rows(options, options.retain, options.limit)
        _refuse_overlap(splits["forget"], splits["retain"], options.retain)
    return splits


def _refuse_overlap(forget: Sequence[Row], retain: Sequence[Row], source: str) -> None:
    refuse_overlap([row.texts()[0] for row in forget], [row.texts()[0] for row in retain], source)


__all__ = ["RETAIN", "EvaluationData", "forget_rows", "load", "resolve", "retain_rows"]
