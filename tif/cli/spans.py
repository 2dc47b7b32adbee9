"""`tif spans`: look at annotation sets, compare their versions, take them out and bring corrections back in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tif.console import emit, emit_json, say, stdout
from tif.errors import PartialError, UsageError

if TYPE_CHECKING:
    from tif.sets.compare import Merge, Side
    from tif.spans import AnnotationSet

spans = typer.Typer(no_args_is_help=True, help="Look at, compare and correct annotation sets.")

SetArg = Annotated[str, typer.Argument(metavar="SET[@N]", help="An annotation set; @N or @DIGEST names a version.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Why, for the log.")]
Author = Annotated[str, typer.Option("--author", envvar="TIF_AUTHOR", help="Who, for the log. Default: login name.")]
Ours = Annotated[bool, typer.Option("--ours", help="Where both sides changed a record, keep the head's.")]
Theirs = Annotated[bool, typer.Option("--theirs", help="Where both sides changed a record, take the other's.")]


def register(app: typer.Typer) -> None:
    """Put the group on the command line."""
    from tif.cli import edit, quality

    edit.register(spans)
    quality.register(spans)
    app.add_typer(spans, name="spans")


@spans.command()
def show(
    ref: SetArg,
    limit: Annotated[int, typer.Option(min=1, help="At most so many examples.")] = 20,
    id_: Annotated[str | None, typer.Option("--id", help="Only the example of this id.")] = None,
    status: Annotated[str | None, typer.Option(help="Only examples of this status.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="[[words|UW]] in place of colours.")] = False,
    json_: Json = False,
) -> None:
    """Show examples with their spans.

    Example: tif spans show annotations/demo.parquet --limit 5
    """
    from rich.text import Text

    from tif.sets import show as drawing
    from tif.sets import store
    from tif.sets.formats import row_of
    from tif.spans import STATUSES

    if status is not None and status not in STATUSES:
        raise UsageError(f"no status {status!r}", hint=f"Known: {', '.join(STATUSES)}.")
    annotations = store.load(ref)
    chosen = [e for e in annotations if id_ in (None, e.id) and status in (None, e.status)]
    if id_ and not chosen:
        raise UsageError(f"no record {id_!r} in {ref}", hint=f"`tif spans export {ref}` lists all ids.")
    shown = chosen[:limit]
    if json_:
        emit_json([row_of(e) for e in shown])
        return
    console, style_of = stdout(), drawing.styles(annotations)
    for example in shown:
        if plain or not console.is_terminal:
            emit(f"{example.id}  {example.status}\n{example.prompt}\n{drawing.bracketed(example)}\n")
        else:
            console.print(drawing.coloured(example, style_of), Text(), sep="\n")
    counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in annotations.counts().items())
    say(f"{len(shown)} of {len(chosen)} shown; the set: {counts}")


@spans.command()
def check(
    ref: SetArg,
    json_: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
) -> None:
    """List everything that is wrong with a set, or worth a second look.

    Exit code 1 if anything is an error.
    """
    from tif.sets.check import check as check_set

    findings = check_set(ref)
    errors = sum(f.level == "error" for f in findings)
    if json_:
        rows = [{"level": f.level, "kind": f.kind, "where": f.where, "what": f.what} for f in findings]
        emit_json({"errors": errors, "warnings": len(findings) - errors, "findings": rows})
    else:
        for f in findings:
            emit(f"{f.level}: {f.kind}: {f.where}: {f.what}" if f.where else f"{f.level}: {f.kind}: {f.what}")
        say(f"{errors} errors, {len(findings) - errors} warnings")
    if errors or (strict and findings):
        raise typer.Exit(1)


@spans.command()
def log(ref: SetArg, json_: Json = False) -> None:
    """List the versions of a set, oldest first; of SET@N those up to N."""
    from dataclasses import asdict

    from tif.sets import store

    versions = store.versions(ref)
    if json_:
        emit_json([{"version": v.number, **{k: x for k, x in asdict(v).items() if k != "number"}} for v in versions])
        return
    for v in versions:
        emit(f"{v.number:>4}  {v.digest[:12]}  {v.created}  {v.author or '-'}  {v.message}".rstrip())


@spans.command()
def diff(
    a: SetArg,
    b: Annotated[str | None, typer.Argument(metavar="[SET[@N]]", help="Default: A's version before against A.")] = None,
    json_: Json = False,
    md: Annotated[bool, typer.Option("--md", help="A Markdown table.")] = False,
) -> None:
    """Show added, removed, moved and relabelled spans, record by record.

    Example: tif spans diff annotations/tofu10.parquet@1 annotations/tofu10.parquet@2
    """
    from tif.sets import compare, store

    if b is None:
        a, b = f"{store.resolve(a)[0]}@{_before(a)}", a
    changes = compare.diff(store.load(a), store.load(b))
    if json_:
        emit_json({"a": a, "b": b, "records": [c.to_json() for c in changes]})
        return
    lines = compare.markdown(changes) if md else compare.lines(changes)
    for line in lines:
        emit(line)
    say(f"{len(changes)} records differ")


def _before(ref: str) -> int:
    from tif.sets import store

    version = store.load(ref).version
    assert version is not None
    if version.number == 1:
        raise UsageError(f"{ref} has no version before it", hint="Name two sets: tif spans diff A B.")
    return version.number - 1


@spans.command()
def restore(ref: SetArg, message: Message = "", author: Author = "") -> None:
    """Make an old version the newest one again; nothing is deleted.

    Example: tif spans restore annotations/tofu10.parquet@1
    """
    from tif.sets import store

    _saved(str(store.resolve(ref)[0]), store.restore(ref, message=message, author=_author(author)))


@spans.command()
def export(
    ref: SetArg,
    format_: Annotated[str, typer.Option("--format", "-f", help="See docs/formats.md.")] = "tif",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: stdout.")] = None,
    spans_only: Annotated[
        bool, typer.Option("--spans-only", help="Parquet of ids, hashes and spans: no prompt, no text.")
    ] = False,
) -> None:
    """Write a set as JSONL (or another format), for an editor or another tool.

    Example: tif spans export annotations/tofu10.parquet --format tif --out fix.jsonl
    """
    from tif.sets import exchange, store

    if spans_only:
        from tif.sets import spans_only as joining

        if out is None:
            raise UsageError("--spans-only writes parquet", hint="Give --out FILE.parquet.")
        joining.strip(ref, out)
        say(f"wrote {out}, without prompts and texts")
        return

    for line in exchange.export(ref, format_, out):
        emit(line)
    if out is not None:
        how = "" if format_ == "tif" else f" --format {format_}"
        say(f"wrote {out}; when edited: tif spans import {out}{how} --into {store.resolve(ref)[0]}")


@spans.command()
def join(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `tif spans export --spans-only` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The full set.")],
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Default: what FILE says.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="TIF_DATA_DIR", help="Folder with local copies of benchmark files.")
    ] = None,
) -> None:
    """Bring the texts back to a set that was passed on without them; refused if a hash differs.

    Example: tif spans join tofu10.parquet --out annotations/tofu10-full.parquet
    """
    from tif.sets import spans_only as joining

    _saved(str(out), joining.save_joined(path, out, dataset, data_dir))


@spans.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `tif spans export` wrote, edited.")],
    into: Annotated[Path, typer.Option("--into", metavar="SET", help="The set to correct; a new one is made.")],
    format_: Annotated[str, typer.Option("--format", "-f", help="See docs/formats.md.")] = "tif",
    base: Annotated[str | None, typer.Option(help="Exported version. Default: what FILE says, else the head.")] = None,
    ours: Ours = False,
    theirs: Theirs = False,
    uw: Annotated[str | None, typer.Option(help="tpo format: unwanted are the `targets` or the `complement`.")] = None,
    message: Message = "",
    author: Author = "",
    json_: Json = False,
) -> None:
    """Bring corrected spans back: a three-way merge against the version that was exported.

    Records that both sides changed are left as `status=conflict` unless --ours or --theirs decides. Exit code 3 then.

    Example: tif spans import fix.jsonl --into annotations/tofu10.parquet -m "second look at dates"
    """
    from tif.sets import exchange

    outcome = exchange.bring_in(
        file, into, format_, base=base, prefer=_side(ours, theirs), uw=uw, message=message, author=_author(author)
    )
    version = outcome.merged.version
    assert version is not None
    if json_:
        emit_json(
            {
                "set": str(into),
                "version": version.number,
                "digest": version.digest,
                "changed": list(outcome.changed),
                "conflicts": list(outcome.conflicts),
            }
        )
    else:
        _merged(str(into), outcome)
    _complain_of(outcome.conflicts, decided=ours or theirs)


@spans.command()
def merge(
    sets: Annotated[list[str], typer.Argument(metavar="SET[@N]...", help="What to merge.")],
    into: Annotated[Path, typer.Option("--into", metavar="SET", help="The set that takes the changes, or the votes.")],
    base: Annotated[str | None, typer.Option(help="Three-way: SET@N that both grew from.")] = None,
    vote: Annotated[int | None, typer.Option(help="Keep characters that so many of the sets mark.")] = None,
    union: Annotated[bool, typer.Option("--union", help="The same as --vote 1.")] = False,
    intersect: Annotated[bool, typer.Option("--intersect", help="Keep what all of the sets mark.")] = False,
    ours: Ours = False,
    theirs: Theirs = False,
    message: Message = "",
    author: Author = "",
) -> None:
    """Merge annotators by vote, or bring into SET what another copy of it changed since BASE.

    Example: tif spans merge ner.parquet mlm.parquet llm.parquet --vote 2 --into voted.parquet

    Example: tif spans merge colleague.parquet --into tofu10.parquet --base tofu10.parquet@1
    """
    if [base is not None, vote is not None, union, intersect].count(True) != 1:
        hint = "Give one of --vote N, --union, --intersect, or --base SET@N for two people's edits."
        raise UsageError("say how to merge", hint=hint)
    if base is None:
        if ours or theirs:
            raise UsageError("--ours and --theirs decide between two people's edits", hint="They go with --base.")
        from tif.sets import vote as ensemble

        need = vote if vote is not None else 1 if union else len(sets)
        _saved(str(into), ensemble.merge_votes(sets, need, into, message=message, author=_author(author)))
        return
    if len(sets) != 1:
        raise UsageError(f"{len(sets)} sets for one base", hint="Bring in one after the other.")
    from tif.sets import exchange

    outcome = exchange.merge_sets(
        sets[0], into, base, prefer=_side(ours, theirs), message=message, author=_author(author)
    )
    _merged(str(into), outcome)
    _complain_of(outcome.conflicts, decided=ours or theirs)


def _side(ours: bool, theirs: bool) -> Side | None:
    if ours and theirs:
        raise UsageError("--ours and --theirs exclude each other")
    return "ours" if ours else "theirs" if theirs else None


def _author(given: str) -> str:
    return given or os.environ.get("USER") or os.environ.get("USERNAME") or ""


def _saved(path: str, annotations: AnnotationSet) -> None:
    version = annotations.version
    assert version is not None
    say(f"{path} is version {version.number}, {version.digest[:12]}")


def _merged(path: str, outcome: Merge) -> None:
    from tif.sets import compare

    for line in compare.conflict_lines(outcome):
        emit(line)
    _saved(path, outcome.merged)
    say(f"{len(outcome.changed)} records changed, {len(outcome.conflicts)} conflicts")


def _complain_of(conflicts: tuple[str, ...], *, decided: bool) -> None:
    if conflicts and not decided:
        raise PartialError(
            f"{len(conflicts)} records conflict",
            why=", ".join(conflicts[:3]) + (" ..." if len(conflicts) > 3 else ""),
            hint="They keep the head's spans and status `conflict`: correct them, or say --ours or --theirs.",
        )
