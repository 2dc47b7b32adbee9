"""Sets out to files and corrections back in: `tif spans export`, `import` and `merge`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tif import files
from tif.errors import InputError, StoreError, UsageError
from tif.sets import compare, formats, store
from tif.sets.compare import Merge, Side
from tif.sets.formats.records import Record
from tif.sets.formats.tpo import write_folder
from tif.spans import AnnotationSet, Example, Provenance


def export(ref: str, format_: str, out: Path | None) -> Iterator[str]:
    """The set's lines in a format: yielded, or written to `out`, of which nothing is left if it goes wrong.

    A `tpo` export to a path without a suffix makes a folder, as the release's own training code loads it.

    Raises:
        UsageError: for an unknown format, or a file that is named like a set.
        InputError: for a set that the format cannot hold.
    """
    if out is not None and out.suffix == ".parquet":
        raise UsageError(f"{out} is named like a set", why="no format here is parquet", hint="Give another --out.")
    annotations = store.load(ref)
    lines = formats.write(annotations, format_)
    if out is None:
        yield from lines
        return
    if format_ == "tpo" and not out.suffix:
        write_folder(annotations, out)
    else:
        files.write(out, "".join(f"{line}\n" for line in lines))


def bring_in(
    file: Path,
    into: Path,
    format_: str,
    *,
    base: str | None = None,
    prefer: Side | None = None,
    uw: str | None = None,
    message: str = "",
    author: str = "",
) -> Merge:
    """Merge an edited file into a set, and save the result as a new version.

    A record whose spans were edited becomes `corrected`, unless the file itself says another status. Where there is no
    set yet, the file becomes its first version.

    Args:
        file: what was exported and edited.
        into: the set.
        format_: the file's format.
        base: number or digest of the version that was exported; by default what the file says, else the head's.
        prefer: whose spans stand where both sides changed the same words.
        uw: `targets` or `complement`, for the tpo format.
        message: why, for the log.
        author: who corrected.

    Raises:
        InputError: for a file that is damaged or does not belong to the set.
        StoreError: if the base version is not here.
    """
    records = formats.read(file, format_, uw=uw)
    message = message or f"import {file.name}"
    head = store.head_version(into)
    if head is None:
        if base is not None:
            raise StoreError("no such annotation set", where=str(into))
        examples = formats.resolve(records, name=into.stem)
        method = {"name": "manual", "parameters": {"format": format_, "file": file.name}}
        new = AnnotationSet(tuple(examples))
        dataset = {"id": file.name, "split": "", "fingerprint": new.fingerprint, "examples": len(new)}
        new = replace(new, provenance=Provenance(dataset, method))
        saved = store.save(new, into, message=message, author=author, base=None)
        return Merge(saved, tuple(e.id for e in saved), ())
    at_base = store.load(f"{into}@{base or _said_base(records) or head.number}")
    corrected = []
    known = at_base.by_id()
    for record, example in zip(records, formats.resolve(records, at_base), strict=True):
        old = known.get(example.id)
        if old is None:
            raise InputError(f"id {example.id!r} is not in the set", where=record.where, hint="Ids must be kept.")
        corrected.append(_as_corrected(old, example, author))
    return _merged(at_base, into, AnnotationSet(tuple(corrected)), prefer, message, author)


def merge_sets(
    other: str, into: Path, base: str, *, prefer: Side | None = None, message: str = "", author: str = ""
) -> Merge:
    """Bring into the set at `into` what `other` changed since `base`, and save a new version.

    Raises:
        InputError: if the sets are not over the same samples.
        StoreError: if one of them is not here.
    """
    return _merged(store.load(base), into, store.load(other), prefer, message or f"merge {Path(other).name}", author)


def _merged(
    base: AnnotationSet, into: Path, theirs: AnnotationSet, prefer: Side | None, message: str, author: str
) -> Merge:
    outcome = compare.merge(base, store.load(into), theirs, prefer=prefer)
    return replace(outcome, merged=store.save(outcome.merged, into, message=message, author=author))


def _said_base(records: Sequence[Record]) -> str | None:
    said = {record.base for record in records if record.base}
    if len(said) > 1:
        raise UsageError(
            f"the file mixes exports of {len(said)} versions", hint="Say which it is to be compared with: --base N."
        )
    return said.pop() if said else None


def _as_corrected(old: Example, new: Example, author: str) -> Example:
    before = {(s.start, s.end, s.label) for s in old.spans}
    added = [s for s in new.spans if (s.start, s.end, s.label) not in before]
    if not added and len(new.spans) == len(old.spans):
        return new
    named = tuple(replace(s, source=author, score=None) if author and s in added else s for s in new.spans)
    status = "corrected" if new.status in (old.status, "auto") else new.status
    return replace(new, spans=named, status=status, error=None)


__all__ = ["bring_in", "export", "merge_sets"]
