"""`tif spans`: show, compare, export and correct annotation sets."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tif.cli.arguments import (
    Author,
    DataDir,
    Encoding,
    Json,
    Labels,
    Message,
    Ours,
    SetArg,
    SetOrFile,
    Theirs,
    TrainedLabels,
    split_labels,
)
from tif.console import emit, emit_data, emit_json, emit_styled, emit_text, say, stdout, warn
from tif.errors import UsageError
from tif.sets.formats.offsets import OffsetUnit
from tif.sets.formats.recognise import FormatName, ReadFormat, UnwantedIn
from tif.sets.formats.records import Maker
from tif.sets.vote_options import VoteScore
from tif.spans import Status

if TYPE_CHECKING:
    from tif.sets.exchange import Merged
    from tif.spans import SavedSet

spans = typer.Typer(no_args_is_help=True, help="Look at, compare and correct annotation sets.")


def register(app: typer.Typer) -> None:
    """Put the group on the command line."""
    from tif.cli import edit, quality

    edit.register(spans)
    quality.register(spans)
    app.add_typer(spans, name="spans")


@spans.command()
def show(
    ref: SetOrFile,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of examples to show.")] = 20,
    id_: Annotated[str | None, typer.Option("--id", help="Only the example with this id.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only examples with this status.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Show spans as [[words|UW]] instead of colours.")] = False,
    labels: TrainedLabels = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Show examples with all of their spans, and count the spans that training will leave out.

    Example: tif spans show annotations/demo.parquet --limit 5
    """
    from tif.sets import exchange
    from tif.sets import show as drawing
    from tif.sets.formats import row_of
    from tif.sets.untrained import span_counts, untrained

    trained = split_labels(labels)
    annotations = exchange.load(ref, data_dir=data_dir)
    chosen = drawing.choose(annotations, id_=id_, status=status)
    shown = chosen[:limit]
    if json_:
        emit_json([row_of(e) for e in shown])
        return
    terminal, style_of = stdout().is_terminal, drawing.styles(annotations, trained)
    for example in shown:
        if plain or not terminal:
            emit(f"{example.id}  {example.status}")
            emit_text(f"{example.prompt}\n{drawing.bracketed(example)}\n")
        else:
            emit_styled(*drawing.coloured(example, style_of), ("\n", ""))
    say(f"{len(shown)} of {len(chosen)} shown; the set: {drawing.counts_line(annotations)}")
    if left_out := untrained(span_counts(annotations), trained).line:
        say(left_out)


@spans.command()
def check(
    ref: SetArg,
    labels: TrainedLabels = None,
    data_dir: DataDir = None,
    json_: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 for warnings too.")] = False,
) -> None:
    """List the errors of a set, and what deserves a second look.

    Exit code 1 means that there is at least one error.
    """
    from tif.sets import check as checking

    findings = checking.check(ref, labels=split_labels(labels), data_dir=data_dir)
    errors, warnings = checking.count(findings)
    if json_:
        emit_json(checking.to_json(findings))
    else:
        for finding in findings:
            emit(finding.line)
        say(f"{errors} errors, {warnings} warnings")
    if errors or (strict and warnings):
        raise typer.Exit(1)


@spans.command()
def log(ref: SetArg, json_: Json = False) -> None:
    """List the versions of a set with author, method and message, oldest first. SET@N lists those up to N.

    A version that cannot be read is reported, and the exit code is 1.
    """
    from tif.sets import store
    from tif.sets.metadata import version_entry, version_line

    history = store.history(ref)
    if json_:
        emit_json([version_entry(*each) for each in history.entries])
    else:
        for each in history.entries:
            emit(version_line(*each))
    for error in history.damage:
        warn(str(error))
    history.check(ref)


@spans.command()
def diff(
    a: SetOrFile,
    b: Annotated[
        str | None, typer.Argument(metavar="[SET[@N]]", help="Default: compare A's previous version with A.")
    ] = None,
    labels: Labels = None,
    data_dir: DataDir = None,
    json_: Json = False,
    md: Annotated[bool, typer.Option("--md", help="Write a Markdown table.")] = False,
) -> None:
    """Show added, removed, moved and relabelled spans, record by record.

    Example: tif spans diff annotations/tofu10.parquet@1 annotations/tofu10.parquet@2
    """
    from tif.sets import compare, exchange, store

    a, b = store.compared(a, b)
    changes = compare.diff(*exchange.load_all([a, b], labels=split_labels(labels), data_dir=data_dir))
    if json_:
        emit_json({"a": a, "b": b, "records": [c.to_json() for c in changes]})
        return
    for line in compare.markdown(changes) if md else compare.lines(changes):
        emit(line)
    say(f"{len(changes)} records differ")


@spans.command()
def restore(ref: SetArg, message: Message = "", author: Author = "") -> None:
    """Make an old version the newest one again; nothing is deleted.

    Example: tif spans restore annotations/tofu10.parquet@1
    """
    from tif.sets import restore as back
    from tif.sets import store

    _saved(str(store.resolve(ref)[0]), back.restore(ref, message=message, author=author))


@spans.command()
def export(
    ref: SetArg,
    format_: Annotated[FormatName, typer.Option("--format", "-f", help="See docs/formats.md.")] = "tif",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file. Default: stdout.")] = None,
    spans_only: Annotated[
        bool, typer.Option("--spans-only", help="Write parquet with ids, hashes and spans, without prompts and texts.")
    ] = False,
    redact: Annotated[
        bool, typer.Option("--redact", help="Write the texts with placeholders such as [PERSON_1], as JSONL, to read.")
    ] = False,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", help="With --redact: only spans with these labels. Default: every label of the set."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite --out even if it was edited, or is no export of SET.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Write a set as JSONL (or another format), for an editor or another tool.

    An earlier export of SET at --out is replaced if its content is still that of a version of SET. Anything else is
    refused without --force.

    Example: tif spans export annotations/tofu10.parquet --format tif --out fix.jsonl

    Example: tif spans export annotations/mail.parquet --redact --out redacted.jsonl
    """
    from tif.sets import exchange, store

    if redact:
        if format_ != "tif" or spans_only:
            other = "--spans-only" if spans_only else f"--format {format_}"
            raise UsageError("--redact writes JSONL", where=other, hint=f"Leave {other} out.")
        for line in exchange.redact(ref, out, labels=split_labels(labels), force=force, data_dir=data_dir):
            emit_data(line)
        if out is not None:
            say(f"wrote {out}, to read: it contains no spans to import")
        return
    if labels is not None:
        raise UsageError("chooses spans to redact", where="--labels", hint="Use it with --redact.")
    if spans_only:
        say(f"wrote {exchange.strip(ref, out, force=force, data_dir=data_dir)}, without prompts and texts")
        return
    for line in exchange.export(ref, format_, out, force=force, data_dir=data_dir):
        emit_data(line)
    if out is not None:
        how = "" if format_ == "tif" else f" --format {format_}"
        into = shlex.quote(str(store.resolve(ref)[0]))
        say(f"wrote {out}; to bring edits back: tif spans import {shlex.quote(str(out))}{how} --into {into}")


@spans.command()
def join(
    ref: Annotated[str, typer.Argument(metavar="FILE", help="File that `tif spans export --spans-only` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the full set.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Data set with the texts. Default: the one that FILE names.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add the texts to a set that was shared without them. Refused if a hash differs.

    Example: tif spans join tofu10.parquet --out annotations/tofu10-full.parquet
    """
    from tif.sets import exchange

    _saved(str(out), exchange.join(ref, out, dataset=dataset, data_dir=data_dir))


@spans.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Edited file that `tif spans export` wrote.")],
    into: Annotated[Path, typer.Option("--into", metavar="SET", help="The set to correct; made if it does not exist.")],
    format_: Annotated[
        ReadFormat | None, typer.Option("--format", "-f", help="Default: recognised from FILE's content.")
    ] = None,
    from_version: Annotated[
        str | None, typer.Option(metavar="N", help="Exported version. Default: the one that FILE names, else the head.")
    ] = None,
    ours: Ours = False,
    theirs: Theirs = False,
    uw: Annotated[UnwantedIn | None, typer.Option(help="For the tpo format: which words are unwanted.")] = None,
    offset_unit: Annotated[
        OffsetUnit | None,
        typer.Option(help="Unit of FILE's offsets. Default: the one that FILE names, else its format's."),
    ] = None,
    encoding: Encoding = None,
    made_by: Annotated[
        Maker | None, typer.Option(help="Who made FILE's spans. A machine's become `auto`. Default: what FILE shows.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a FILE that removes every span of its records.")
    ] = False,
    message: Message = "",
    author: Author = "",
    json_: Json = False,
) -> None:
    """Merge corrected spans into a set: a three-way merge against the exported version.

    Records that both sides changed get `status=conflict` and exit code 3, unless --ours or --theirs decides.

    Example: tif spans import fix.jsonl --into annotations/tofu10.parquet -m "second look at dates"
    """
    from tif.sets import compare, exchange

    prefer = compare.side(ours=ours, theirs=theirs)
    merged = exchange.bring_in(
        file,
        into,
        format_,
        from_version=from_version,
        prefer=prefer,
        uw=uw,
        offset_unit=offset_unit,
        encoding=encoding,
        made_by=made_by,
        allow_empty=allow_empty,
        message=message,
        author=author,
    )
    if json_:
        emit_json(merged.to_json(into))
    else:
        _merged(into, merged)
    merged.check(prefer)


@spans.command("apply-policy")
def apply_policy(
    ref: Annotated[str, typer.Argument(metavar="SET", help="The annotation set to change.")],
    entities_policy: Annotated[
        Path,
        typer.Option(help="TOML file: which entity types to unlearn, keep or review."),
    ],
    message: Message = "",
    author: Author = "",
    json_: Json = False,
) -> None:
    """Apply an entities policy to a set, without annotating anew. It sees all spans that the annotator found.

    Records that people have reviewed stay as they are.

    Example: tif spans apply-policy annotations/tickets.parquet --entities-policy policy.toml
    """
    from tif.sets import entities

    saved, applied = entities.apply_policy(ref, entities_policy, message=message, author=author)
    if json_:
        version = {"set": ref, "version": saved.version.number, "digest": saved.version.digest}
        emit_json({**version, **applied.to_json()})
        return
    say(applied.line)
    _saved(ref, saved)


@spans.command()
def merge(
    sets: Annotated[list[str], typer.Argument(metavar="SET[@N]...", help="Sets to merge.")],
    into: Annotated[Path, typer.Option("--into", metavar="SET", help="The set that takes the changes, or the votes.")],
    from_version: Annotated[
        str | None, typer.Option(metavar="SET@N", help="Three-way merge: the version that both sides started from.")
    ] = None,
    vote: Annotated[int | None, typer.Option(help="Keep characters that at least this many sets mark.")] = None,
    union: Annotated[bool, typer.Option("--union", help="The same as --vote 1.")] = False,
    intersect: Annotated[bool, typer.Option("--intersect", help="Keep characters that all sets mark.")] = False,
    score: Annotated[
        VoteScore | None,
        typer.Option(
            help="Vote: a span's score is its share of votes, or the highest confidence of a set. Default: votes."
        ),
    ] = None,
    ours: Ours = False,
    theirs: Theirs = False,
    data_dir: DataDir = None,
    message: Message = "",
    author: Author = "",
) -> None:
    """Merge annotators by vote, or merge the changes of another copy since an older version into SET.

    Example: tif spans merge ner.parquet mlm.parquet llm.parquet --vote 2 --into voted.parquet

    Example: tif spans merge colleague.parquet --into tofu10.parquet --from-version tofu10.parquet@1
    """
    from tif.sets import compare, exchange
    from tif.sets.vote_options import votes_needed

    prefer = compare.side(ours=ours, theirs=theirs)
    merged = exchange.merge(
        sets,
        into,
        from_version=from_version,
        need=votes_needed(len(sets), vote=vote, union=union, intersect=intersect),
        score=score,
        prefer=prefer,
        message=message,
        author=author,
        data_dir=data_dir,
    )
    _merged(into, merged)
    merged.check(prefer)


def _saved(path: str, annotations: SavedSet) -> None:
    say(f"{path} is version {annotations.version.number}, {annotations.version.digest[:12]}")


def _merged(path: Path, merged: Merged) -> None:
    from tif.sets import compare

    for line in compare.conflict_lines(merged.disputed):
        emit(line)
    _saved(str(path), merged.saved)
    say(f"{len(merged.changed)} records changed, {len(merged.conflicts)} conflicts")
    if merged.emptied:
        warn(f"{len(merged.emptied)} records lost all their spans, first {merged.emptied[0]!r}")
    if merged.kept:
        warn(
            f"{len(merged.kept)} records keep what people decided, first {merged.kept[0]!r}: "
            "the other spans are a machine's (if a person made them: --made-by person)"
        )
