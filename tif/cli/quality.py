"""`tif spans score`, `agree` and `queue`: the quality of spans, agreement of annotators, and the review order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tif.cli.arguments import DataDir, Encoding, Json, Labels, SetOrFile, split_labels
from tif.console import emit, emit_json, say, warn

if TYPE_CHECKING:
    from tif.sets.score import Score


def register(spans: typer.Typer) -> None:
    """Put the commands into the `spans` group."""
    spans.command()(score)
    spans.command()(agree)
    spans.command()(queue)


def score(
    predicted: SetOrFile,
    gold: Annotated[str, typer.Option("--gold", metavar="SET", help="The gold spans: a set, or a file in any format.")],
    labels: Labels = None,
    data_dir: DataDir = None,
    json_: Json = False,
    worst: Annotated[int, typer.Option(min=0, help="Number of worst examples to show.")] = 5,
    subject: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Field of the gold file with the person. Default: subject, else documents."),
    ] = None,
    encoding: Encoding = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write the tables and the worst examples to this .html or .md file.")
    ] = None,
) -> None:
    """Measure spans against gold: characters, spans, recall by entity type, and people with something left.

    Example: tif spans score annotations/tofu05.parquet --gold gold.jsonl

    Example: tif spans score annotations/mail.parquet --gold gold.jsonl --report scores.html
    """
    from tif.sets import exchange
    from tif.sets.score import score as measure
    from tif.sets.score_page import check_suffix, write_page
    from tif.sets.subjects import subjects

    if report is not None:
        check_suffix(report)
    ours, theirs = exchange.load_all(
        [predicted, gold], labels=split_labels(labels), data_dir=data_dir, encoding=encoding
    )
    persons = subjects(gold, subject, encoding=encoding)
    result = measure(ours, theirs, persons)
    if report is not None:
        write_page(result, f"Spans of {Path(predicted).name} against {Path(gold).name}", report, worst)
        say(f"wrote {report}")
    if result.missing:
        warn(f"{len(result.missing)} gold examples are not in {predicted} and are not counted")
    if json_:
        emit_json(result.to_json())
        return
    emit(f"{'':<24}{'precision':>10}{'recall':>10}{'F1':>10}{'F2':>10}")
    rows = [("", result.total), *((label, measures) for label, measures in result.labels.items())]
    for label, measures in rows if result.typed and len(result.labels) > 1 else rows[:1]:
        for name, counts in measures.to_json().items():
            title = f"{label} {name}".strip()
            emit(f"{title:<24}" + "".join(f"{counts[key]:>10.3f}" for key in ("precision", "recall", "f1", "f2")))
    _show_types(result)
    for example in result.worst(worst):
        emit()
        emit(f"{example.id}  F1 {example.measures.char.f1:.2f}")
        for title, quotes in (
            ("missed", example.missed),
            ("missed in part", example.missed_in_part),
            ("spurious", example.spurious),
            ("too long", example.too_long),
        ):
            if quotes:
                emit(f"  {title}: {' | '.join(' '.join(quote.split()) for quote in quotes)}")
    say(f"{len(result.examples)} examples")


def _show_types(result: Score) -> None:
    """Print recall by gold type, and the people of whom something is left."""
    if not result.types:
        return
    typed = f"{'right type':>12}" if result.typed else ""
    emit()
    emit(f"{'type':<24}{'values':>10}{'recall':>10}{'found whole':>13}{typed}")
    for one in result.types:
        right = f"{one.typed_recall:>12.3f}" if result.typed else ""
        emit(f"{one.label:<24}{one.values:>10}{one.recall:>10.3f}{one.whole_share:>13.3f}{right}")
    emit(result.people.line)


def agree(
    sets: Annotated[list[str], typer.Argument(metavar="A B [C ...]", help="Annotation sets, or files in any format.")],
    labels: Labels = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Measure how far annotators agree: Cohen's kappa, pairwise F1, Krippendorff's alpha.

    Example: tif spans agree ann.parquet bea.parquet ner.parquet
    """
    from tif.sets import exchange
    from tif.sets.agreement import agreement

    result = agreement(exchange.load_all(sets, labels=split_labels(labels), data_dir=data_dir))
    if json_:
        emit_json(result.to_json(sets))
        return
    emit(f"{'kappa':>8}{'char F1':>10}{'exact F1':>10}{'partial F1':>12}  sets")
    for p in result.pairs:
        m = p.measures
        f1 = f"{m.char.f1:>10.3f}{m.span_exact.f1:>10.3f}{m.span_partial.f1:>12.3f}"
        emit(f"{_shown(p.kappa):>8}{f1}  {sets[p.a]} / {sets[p.b]}")
    emit(f"{_shown(result.alpha):>8}  Krippendorff's alpha over all {len(sets)} sets")
    say(f"{result.examples} examples, {result.tokens} tokens")


def queue(
    sets: Annotated[
        list[str], typer.Argument(metavar="SET [OTHER ...]", help="SET is listed; the others are compared with it.")
    ],
    labels: Labels = None,
    data_dir: DataDir = None,
    json_: Json = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of examples to list.")] = None,
) -> None:
    """List unreviewed examples, those with the most disagreement first, then those with the lowest score.

    Example: tif spans queue ner.parquet llm.parquet mlm.parquet --limit 50
    """
    from tif.sets import exchange
    from tif.sets.queue import queue as in_order

    waiting = in_order(exchange.load_all(sets, labels=split_labels(labels), data_dir=data_dir))
    chosen = waiting[:limit]
    if json_:
        emit_json([q.to_json() for q in chosen])
        return
    for q in chosen:
        emit(f"{q.disagreement:.3f}  {_shown(q.lowest)}  {q.example.status:<9} {q.example.id}")
    say(f"{len(chosen)} of {len(waiting)} unreviewed examples")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
