"""The composites of an evaluation, from its record and the starting model's.

fluent = answers_fluency(options, rows, cache)
composites = of_record(record, fluent, starting)
"""

from __future__ import annotations

from collections.abc import Sequence

from tif.errors import InputError
from tif.eval import processes
from tif.eval.benchmarks.tofu import ExampleRow
from tif.eval.measure.composites import Composites
from tif.eval.measure.fluency import TOKENS, fluency
from tif.eval.options import EvaluateOptions
from tif.eval.parts import PartsCache
from tif.eval.record import EvalRecord
from tif.tokens.models import load_classifier, load_tokenizer, model_digest


def answers_fluency(options: EvaluateOptions, rows: Sequence[ExampleRow], cache: PartsCache) -> list[float | None]:
    """Return the fluency of each completion, by the classifier in the options; None for a row without a completion.

    Args:
        options: they name the classifier and the device.
        rows: the forget set's rows.
        cache: the evaluation's parts cache.

    Raises:
        InputError, MissingError: if the classifier cannot be loaded.
    """
    spec = options.fluency_classifier
    texts = [str(row["completion"]) for row in rows if row["completion"] is not None]
    if spec is None or not texts:
        return [None] * len(rows)

    def work(share: Sequence[str]) -> list[float]:
        device = processes.device(options.device)
        classifier, tokenizer = load_classifier(spec).to(device), load_tokenizer(spec)
        with processes.shown("fluency of forget", len(share)) as advance:
            return fluency(classifier, tokenizer, share, advance=advance)

    key = [model_digest(spec), TOKENS, texts]
    values = iter(cache.values("forget.fluency", key, lambda: {"fluency": processes.split(texts, work)})["fluency"])
    return [None if row["completion"] is None else next(values) for row in rows]


def starting_record(path: str | None) -> EvalRecord | None:
    """Read the starting model's evaluation; None if there is none.

    Raises:
        InputError: if it cannot be read, or has no utility.
    """
    if path is None:
        return None
    record = EvalRecord.read(path)
    if record.composites is None or record.composites.utility is None:
        raise InputError(
            "has no utility to compare with",
            where=f"--starting-log {path}",
            hint="Evaluate the starting model with the same --benchmark tofu and --fluency-classifier.",
        )
    return record


def of_record(record: EvalRecord, fluent: Sequence[float | None], starting: EvalRecord | None) -> Composites | None:
    """Return the composites of a record; None if it has no term that is not elsewhere in the record.

    Args:
        record: the evaluation.
        fluent: fluency of the forget answers.
        starting: the starting model's evaluation.
    """
    known = [value for value in fluent if value is not None]
    attacks = record.membership.attacks if record.membership else {}
    why = {
        "memorization": "the data lacks paraphrased or perturbed answers",
        "closeness": "needs membership inference, and a --retain-log with it on the same texts",
        "depth": "no --depth",
        "fluency": "no --fluency-classifier",
        "starting_utility": "no --starting-log",
    }
    composites = Composites.of(
        memorization=record.memorization.score if record.memorization else None,
        closeness={name: area.closeness for name, area in attacks.items()},
        depth=record.depth.patching.score if record.depth else None,
        model_utility=record.model_utility,
        fluency=sum(known) / len(known) if known else None,
        starting_utility=starting.composites.utility if starting and starting.composites else None,
        why=why,
    )
    return composites if composites.known else None


def add(
    record: EvalRecord,
    rows: Sequence[ExampleRow],
    options: EvaluateOptions,
    cache: PartsCache,
    starting: EvalRecord | None,
) -> tuple[EvalRecord, list[ExampleRow]]:
    """Return the record with its composites, and the forget rows with their fluency.

    Args:
        record: the evaluation, with all terms but fluency.
        rows: the forget set's rows.
        options: they name the classifier.
        cache: the evaluation's parts cache.
        starting: the starting model's evaluation.

    Raises:
        InputError, MissingError: if the classifier cannot be loaded.
    """
    fluent = answers_fluency(options, rows, cache)
    numbers = of_record(record, fluent, starting)
    added = record.but(composites=numbers, starting_log=options.starting_log)
    return added, [row | {"fluency": one} for row, one in zip(rows, fluent, strict=True)]


__all__ = ["add", "answers_fluency", "of_record", "starting_record"]
