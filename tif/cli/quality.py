"""`tif spans score`, `agree` and `queue`: how good spans are, how far annotators agree, what to review first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tif.console import emit, emit_json, say, warn

if TYPE_CHECKING:
    from tif.spans import AnnotationSet

SetOrFile = Annotated[str, typer.Argument(metavar="SET", help="An annotation set (SET@N) or a JSONL file of ours.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(spans: typer.Typer) -> None:
    """Put the commands into the `spans` group."""
    spans.command()(score)
    spans.command()(agree)
    spans.command()(queue)


def score(
    predicted: SetOrFile,
    gold: Annotated[str, typer.Option("--gold", metavar="SET", help="What is right: a set or a JSONL file.")],
    json_: Json = False,
    worst: Annotated[int, typer.Option(min=0, help="Show so many of the worst examples.")] = 5,
) -> None:
    """Measure spans against gold: characters, exact spans, overlapping spans.

    Example: tif spans score annotations/tofu05.parquet --gold gold.jsonl
    """
    from tif.sets import agreement

    result = agreement.score(_read(predicted), _read(gold))
    if result.missing:
        warn(f"{len(result.missing)} gold examples are not in {predicted} and do not count")
    if json_:
        emit_json(agreement.to_json(result))
        return
    emit(f"{'':<24}{'precision':>10}{'recall':>10}{'F1':>10}")
    rows = [("", result.total), *((label, measures) for label, measures in result.labels.items())]
    for label, measures in rows if len(result.labels) > 1 else rows[:1]:
        for name, counts in measures.to_json().items():
            title = f"{label} {name}".strip()
            emit(f"{title:<24}{counts['precision']:>10.3f}{counts['recall']:>10.3f}{counts['f1']:>10.3f}")
    for example in result.worst(worst):
        emit(f"\n{example.id}  F1 {example.measures.char.f1:.2f}")
        for title, quotes in (("missed", example.missed), ("spurious", example.spurious)):
            if quotes:
                emit(f"  {title}: {' | '.join(' '.join(quote.split()) for quote in quotes)}")
    say(f"{len(result.examples)} examples")


def agree(
    sets: Annotated[list[str], typer.Argument(metavar="A B [C ...]", help="Annotation sets or JSONL files of ours.")],
    json_: Json = False,
) -> None:
    """Measure how far annotators agree: Cohen's kappa, pairwise F1, Krippendorff's alpha.

    Example: tif spans agree ann.parquet bea.parquet ner.parquet
    """
    from tif.errors import UsageError
    from tif.sets import agreement

    if len(sets) < 2:
        raise UsageError("agreement needs two sets at least", hint="tif spans agree A B")
    result = agreement.agreement([_read(ref) for ref in sets])
    if json_:
        pairs = [{"a": sets[p.a], "b": sets[p.b], "kappa": p.kappa, **p.measures.to_json()} for p in result.pairs]
        emit_json({"examples": result.examples, "tokens": result.tokens, "alpha": result.alpha, "pairs": pairs})
        return
    emit(f"{'kappa':>8}{'char F1':>10}{'exact F1':>10}{'partial F1':>12}  sets")
    for p in result.pairs:
        m = p.measures
        f1 = f"{m.char.f1:>10.3f}{m.span_exact.f1:>10.3f}{m.span_partial.f1:>12.3f}"
        emit(f"{_shown(p.kappa):>8}{f1}  {sets[p.a]} / {sets[p.b]}")
    emit(f"{_shown(result.alpha):>8}  Krippendorff's alpha over all {len(sets)} sets")
    say(f"{result.examples} examples, {result.tokens} tokens")


def queue(
    sets: Annotated[list[str], typer.Argument(metavar="SET [OTHER ...]", help="SET is listed; others are compared.")],
    json_: Json = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> None:
    """List unreviewed examples in the order in which review pays: most disagreement first, then lowest score.

    Example: tif spans queue ner.parquet llm.parquet mlm.parquet --limit 50
    """
    from tif.sets import agreement

    waiting = agreement.queue([_read(ref) for ref in sets])
    chosen = waiting[:limit]
    if json_:
        emit_json(
            [
                {
                    "id": q.example.id,
                    "disagreement": q.disagreement,
                    "score": q.lowest,
                    "status": q.example.status,
                    "spans": len(q.example.spans),
                }
                for q in chosen
            ]
        )
        return
    for q in chosen:
        emit(f"{q.disagreement:.3f}  {_shown(q.lowest)}  {q.example.status:<9} {q.example.id}")
    say(f"{len(chosen)} of {len(waiting)} unreviewed examples")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _read(ref: str) -> AnnotationSet:
    """A set by reference, or a file in tif's own JSONL, in which overlapping spans of one label are united."""
    from tif.sets import store

    if not ref.endswith((".jsonl", ".json")):
        return store.load(ref)
    from dataclasses import replace

    from tif.sets import formats
    from tif.spans import AnnotationSet, tidy

    # Which of two overlapping spans a character is in makes no difference to whether it is unwanted.
    records = [replace(record, spans=tidy(record.text, record.spans)) for record in formats.read(ref)]
    return AnnotationSet(tuple(formats.resolve(records)))
