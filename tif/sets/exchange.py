"""Export sets to files and bring corrections back: `tif spans export`, `import`, `join` and `merge`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tif import files
from tif.errors import InputError, PartialError, StoreError, UsageError
from tif.readers import check_encoding, is_parquet
from tif.sets import compare, decisions, formats, overwrite, spans_only, store, vote
from tif.sets.compare import Side
from tif.sets.formats import FormatName, OffsetUnit, ReadFormat, UnwantedIn
from tif.sets.formats.records import Maker, Record
from tif.sets.formats.tpo import write_folder
from tif.sets.redact import redacted_lines
from tif.sets.vote_options import VoteScore
from tif.spans import AnnotationSet, Dataset, Example, Provenance, SavedSet, tidy


def load(ref: str | Path, *, data_dir: str | Path | None = None, encoding: str | None = None) -> AnnotationSet:
    """Load a saved set, with or without its texts, or a file in one of the formats, perhaps in an encoding of its own.

    In a file, overlapping spans of one label are united.

    Raises:
        StoreError, InputError, MissingError: as `store.load` and `formats.read` do.
    """
    path = store.resolve(ref)[0]
    if is_saved(ref):
        return store.load(ref, data_dir=data_dir)
    # A character in two overlapping spans is unwanted either way, so uniting them loses nothing.
    records = formats.read(path, encoding=encoding)
    records = [replace(record, spans=tidy(record.text, record.spans)) for record in records]
    return AnnotationSet(tuple(formats.resolve(records, name=path.stem)))


def is_saved(ref: str | Path) -> bool:
    """Return whether `ref` names a saved set, or nothing that exists, and not a file in one of the formats."""
    path, version = store.resolve(ref)
    return version is not None or is_parquet(path) or path.suffix == ".parquet" or not path.exists()


def load_all(
    refs: Sequence[str],
    *,
    labels: Collection[str] | None = None,
    data_dir: str | Path | None = None,
    encoding: str | None = None,
) -> list[AnnotationSet]:
    """Load several sets or files to compare, with the spans of these labels, or of all.

    Raises:
        UsageError: for a label that no span of any set has, or an encoding without a text file.
        StoreError, InputError, MissingError: as `load`.
    """
    if encoding is not None and all(map(is_saved, refs)):
        raise UsageError("is for text files", where="--encoding", why="these are saved sets", hint="Leave it out.")
    sets = [load(ref, data_dir=data_dir, encoding=encoding) for ref in refs]
    known = sorted({label for one in sets for label in one.labels})
    for label in labels or ():
        if label not in known:
            hint = f"Labels here: {', '.join(known) or 'none'}."
            raise UsageError(f"no span has the label {label!r}", where="--labels", hint=hint)
    return [one.of_labels(labels) for one in sets]


def export(
    ref: str, format_: FormatName, out: Path | None, *, force: bool = False, data_dir: str | Path | None = None
) -> Iterator[str]:
    """Yield the set's lines in a format, or write them to `out`. A failed write leaves no file.

    A `tpo` export to a path without a suffix makes a folder that the release's training code can load.

    Args:
        ref: the set.
        format_: the format.
        out: the file; None yields the lines. An earlier export of the set is replaced, if nobody has edited it.
        force: replace any file.
        data_dir: for a set without texts: folder with local copies of benchmark files.

    Raises:
        UsageError: for a file with the suffix `.parquet`, or one that exists and is no unedited export of the set.
        InputError: for a set that the format cannot represent.
    """
    if out is not None and out.suffix == ".parquet":
        raise UsageError(
            f"{out} is named like a set", why="no export format is parquet", hint="Give --out another suffix."
        )
    annotations = store.load(ref, data_dir=data_dir)
    lines = formats.write(annotations, format_)
    if out is None:
        yield from lines
        return
    if not force:
        overwrite.check_file(out, ref, annotations, format_)
    if format_ == "tpo" and not out.suffix:
        write_folder(annotations, out)
    else:
        files.write(out, "".join(f"{line}\n" for line in lines))


def redact(
    ref: str,
    out: Path | None,
    *,
    labels: Collection[str] | None = None,
    force: bool = False,
    data_dir: str | Path | None = None,
) -> Iterator[str]:
    """Yield the set's records with placeholders for the marked words, or write them to `out`.

    Args:
        ref: the set.
        out: the file; None yields the lines.
        labels: only the spans of these labels; None for all.
        force: replace an existing file.
        data_dir: for a set without texts: folder with local copies of benchmark files.

    Raises:
        UsageError: for a label that no span has, or a file that exists.
    """
    if out is not None and out.suffix == ".parquet":
        raise UsageError(f"{out} is named like a set", why="--redact writes JSONL", hint="Name it .jsonl.")
    if out is not None and out.exists() and not force:
        raise UsageError(f"{out} exists", where="--out", hint="Choose another file, or give --force to replace it.")
    (annotations,) = load_all([ref], labels=labels, data_dir=data_dir)
    lines = redacted_lines(annotations)
    if out is None:
        yield from lines
    else:
        files.write(out, "".join(f"{line}\n" for line in lines))


def strip(ref: str, out: Path | None, *, force: bool = False, data_dir: str | Path | None = None) -> Path:
    """Write the set that `ref` names to `out` without prompts and texts.

    Args:
        ref: the set.
        out: the file. An earlier export of the set is replaced, if nobody has edited it.
        force: replace any file.
        data_dir: for a set without texts: folder with local copies of benchmark files.

    Raises:
        UsageError: if `out` is missing, does not end in `.parquet`, is the set itself, or exists and is no unedited
            export of the set.
    """
    path, _ = store.resolve(ref)
    if out is None or out.suffix != ".parquet":
        raise UsageError("a set without texts is a parquet file", hint="Give --out FILE.parquet.")
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out} is the set itself", why="its texts would be lost", hint="Give another --out.")
    annotations = store.load(ref, data_dir=data_dir)
    if not force:
        overwrite.check_spans_only(out, ref, annotations)
    spans_only.write(annotations, out)
    return out


def join(ref: str | Path, out: Path, *, dataset: str | None = None, data_dir: str | Path | None = None) -> SavedSet:
    """Save a set without texts as a full set.

    Raises:
        StaleHeadError: if `out` already contains another set.
        StoreError, InputError, MissingError: as `store.load` does.
    """
    full = store.load(ref, dataset=dataset, data_dir=data_dir)
    return store.save(full, out, message=f"join {store.resolve(ref)[0].name}", base=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The result of merging corrections into a set."""

    saved: SavedSet
    changed: tuple[str, ...]
    """Ids of the records that changed."""
    disputed: tuple[tuple[Example, Example], ...] = ()
    """Records that both sides changed in contradictory ways: the set's and the other one."""
    kept: tuple[str, ...] = ()
    """Ids of records that a machine would have changed, but a person has decided."""
    emptied: tuple[str, ...] = ()
    """Ids of records that lost all their spans."""

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Ids of the disputed records."""
        return tuple(ours.id for ours, _ in self.disputed)

    def check(self, prefer: Side | None) -> None:
        """Raise a `PartialError` that names the first conflicts, unless `prefer` settled them."""
        if not self.disputed or prefer is not None:
            return
        raise PartialError(
            f"{len(self.disputed)} records conflict",
            why=", ".join(self.conflicts[:3]) + (" ..." if len(self.disputed) > 3 else ""),
            hint="They keep the head's spans with status `conflict`. Correct them, or use --ours or --theirs.",
        )

    def to_json(self, path: Path) -> dict[str, object]:
        """Return the result as plain JSON values."""
        return {
            "set": str(path),
            "version": self.saved.version.number,
            "digest": self.saved.version.digest,
            "changed": list(self.changed),
            "conflicts": list(self.conflicts),
            "kept": list(self.kept),
            "emptied": list(self.emptied),
        }


def bring_in(
    file: Path,
    into: Path,
    format_: ReadFormat | None = None,
    *,
    from_version: str | None = None,
    prefer: Side | None = None,
    uw: UnwantedIn | None = None,
    offset_unit: OffsetUnit | None = None,
    encoding: str | None = None,
    made_by: Maker | None = None,
    allow_empty: bool = False,
    message: str = "",
    author: str = "",
) -> Merged:
    """Merge an edited file into a set, and save the result as a new version.

    A record whose spans a person edited becomes `corrected`, unless the file itself gives another status. Spans of a
    machine become `auto`, and change no record that a person has decided. If there is no set yet, the file becomes its
    first version.

    Args:
        file: the exported and edited file.
        into: the set.
        format_: the file's format; None recognises it.
        from_version: number or digest of the exported version; by default the one that the file names, else the head's.
        prefer: the side whose spans win where both changed the same words.
        uw: for the tpo format: which of its columns are the unwanted words.
        offset_unit: unit of the file's offsets; by default the one that the file names, else its format's.
        encoding: of a text file that is neither UTF-8 nor UTF-16 with a byte-order mark.
        made_by: who made the file's spans; by default what the file shows.
        allow_empty: accept a file without a single span for records that have spans.
        message: reason for the change, for the log.
        author: name of the person, for the log.

    Raises:
        InputError: for a file that is damaged, does not belong to the set, or would remove every span of its records.
        StoreError: if the version is missing, or the set lacks its texts.
    """
    head = store.editable_head(into)
    if encoding is not None:
        check_encoding(encoding)
    format_ = format_ or formats.recognise(file, encoding)
    samples = store.load(f"{into}@{from_version}" if from_version else into) if head is not None else None
    records = formats.read(file, format_, samples=samples, uw=uw, offset_unit=offset_unit, encoding=encoding)
    message = message or f"import {file.name}"
    if head is None:
        if from_version is not None:
            raise StoreError("no such annotation set", where=str(into))
        saved = store.save(
            _first(file, into, format_, records, made_by), into, message=message, author=author, base=None
        )
        return Merged(saved=saved, changed=tuple(e.id for e in saved))
    exported = store.load(f"{into}@{from_version or _named_version(records) or head.number}")
    known = exported.by_id()
    examples = formats.resolve(records, exported)
    olds = []
    for record, example in zip(records, examples, strict=True):
        if example.id not in known:
            raise InputError(
                f"id {example.id!r} is not in the set", where=record.where, hint="Keep the ids of the exported file."
            )
        olds.append(known[example.id])
    maker = decisions.maker_of(records, olds)
    corrected = tuple(
        decisions.imported(record, old, example, maker=made_by or record.maker or maker, author=author)
        for record, old, example in zip(records, olds, examples, strict=True)
    )
    emptied = tuple(e.id for e, old in zip(corrected, olds, strict=True) if _is_emptied(old, e))
    if emptied and not allow_empty and not any(example.spans for example in corrected):
        raise InputError(
            f"would remove every span of the {len(emptied)} records that have any",
            where=str(file),
            why=f"read as {format_}, it marks nothing",
            hint="Check --format, or give --allow-empty if nothing is unwanted there.",
        )
    merged = _merge(exported, into, AnnotationSet(corrected), prefer, message, author)
    return replace(merged, emptied=tuple(id_ for id_ in emptied if id_ in merged.changed))


def merge(
    others: Sequence[str],
    into: Path,
    *,
    from_version: str | None = None,
    need: int | None = None,
    score: VoteScore | None = None,
    prefer: Side | None = None,
    message: str = "",
    author: str = "",
    data_dir: str | Path | None = None,
) -> Merged:
    """Merge into the set at `into` the changes of another set since `from_version`, or a vote of several sets.

    Args:
        others: the set with the changes, or the sets that vote.
        into: the set that gets a new version.
        from_version: for a three-way merge: `SET@N` that both sides started from.
        need: for a vote: number of sets that must mark a character.
        score: for a vote: the meaning of a span's score; by default `votes`.
        prefer: in a three-way merge, the side whose spans win where both changed the same words.
        message: reason for the change, for the log.
        author: name of the person, for the log.
        data_dir: for sets without texts: folder with local copies of benchmark files.

    Raises:
        UsageError: unless exactly one of `from_version` and `need` is given, with options that fit it.
        InputError: if the sets annotate different samples.
        StoreError: if a set is missing, or `into` lacks its texts.
    """
    if need is not None and from_version is None:
        if prefer is not None:
            hint = "Use them with --from-version."
            raise UsageError("--ours and --theirs do not work with a vote", hint=hint)
        saved = vote.merge_votes(
            others, need, into, score=score or "votes", message=message, author=author, data_dir=data_dir
        )
        return Merged(saved=saved, changed=())
    if from_version is None or need is not None:
        hint = "Give one of --vote N, --union, --intersect, or --from-version SET@N for two people's edits."
        raise UsageError("a merge needs exactly one method", hint=hint)
    if score is not None:
        raise UsageError("is for a vote", where="--score", hint="Leave it out.")
    if len(others) != 1:
        raise UsageError(
            f"--from-version merges one set, not {len(others)}", hint="Merge the sets one after the other."
        )
    store.editable_head(into)
    base, theirs = store.load(from_version, data_dir=data_dir), store.load(others[0], data_dir=data_dir)
    return _merge(base, into, theirs, prefer, message or f"merge {Path(others[0]).name}", author)


def _first(
    file: Path, into: Path, format_: ReadFormat, records: Sequence[Record], made_by: Maker | None
) -> AnnotationSet:
    if made_by == "person":
        records = [replace(record, status=record.status or "accepted") for record in records]
    new = AnnotationSet(tuple(formats.resolve(records, name=into.stem)))
    dataset = Dataset(id=file.name, fingerprint=new.fingerprint, examples=len(new))
    method = {"name": "manual", "parameters": {"format": format_, "file": file.name}}
    return AnnotationSet(new.examples, Provenance(dataset, method))


def _merge(
    base: AnnotationSet, into: Path, theirs: AnnotationSet, prefer: Side | None, message: str, author: str
) -> Merged:
    head = store.load(into)
    in_base, in_head = base.by_id(), head.by_id()
    kept = {
        one.id
        for one in theirs
        if one.id in in_base and one.id in in_head and decisions.overruled(in_base[one.id], in_head[one.id], one)
    }
    # A record that `theirs` lacks stays as it is.
    theirs = theirs.with_examples(one for one in theirs if one.id not in kept)
    result = compare.merge(base, head, theirs, prefer=prefer)
    saved = store.save(result.merged, into, message=message, author=author)
    return Merged(
        saved=saved, changed=result.changed, disputed=result.disputed, kept=tuple(e.id for e in head if e.id in kept)
    )


def _is_emptied(old: Example, new: Example) -> bool:
    return bool(old.spans) and not new.spans and new.status != "rejected"


def _named_version(records: Sequence[Record]) -> str | None:
    """Return the exported version that the file names."""
    named = {record.base for record in records if record.base}
    if len(named) > 1:
        raise UsageError(
            f"the file mixes exports of {len(named)} versions",
            hint="Name the version to compare it with: --from-version N.",
        )
    return named.pop() if named else None


__all__ = ["Merged", "bring_in", "export", "join", "load", "load_all", "merge", "redact", "strip"]
