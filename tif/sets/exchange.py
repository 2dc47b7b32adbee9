"""Export sets to files and bring corrections back: `tif spans export`, `import`, `join` and `merge`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tif import files
from tif.errors import InputError, PartialError, StoreError, UsageError
from tif.readers import is_parquet
from tif.sets import compare, formats, spans_only, store, vote
from tif.sets.compare import Side
from tif.sets.formats import FormatName, UnwantedIn
from tif.sets.formats.records import Record
from tif.sets.formats.tpo import write_folder
from tif.spans import AnnotationSet, Dataset, Example, Provenance, SavedSet, tidy


def load(ref: str | Path, *, data_dir: str | Path | None = None) -> AnnotationSet:
    """Load a saved set, with or without its texts, or a file in one of the formats.

    In a file, overlapping spans of one label are united.

    Raises:
        StoreError, InputError, MissingError: as `store.load` and `formats.read` do.
    """
    path, version = store.resolve(ref)
    if version is not None or is_parquet(path) or path.suffix == ".parquet" or not path.exists():
        return store.load(ref, data_dir=data_dir)
    # A character in two overlapping spans is unwanted either way, so uniting them loses nothing.
    records = [replace(record, spans=tidy(record.text, record.spans)) for record in formats.read(path)]
    return AnnotationSet(tuple(formats.resolve(records, name=path.stem)))


def load_all(
    refs: Sequence[str], *, labels: Collection[str] | None = None, data_dir: str | Path | None = None
) -> list[AnnotationSet]:
    """Load several sets or files to compare, with the spans of these labels, or of all.

    Raises:
        UsageError: for a label that no span of any set has.
        StoreError, InputError, MissingError: as `load`.
    """
    sets = [load(ref, data_dir=data_dir) for ref in refs]
    known = sorted({label for one in sets for label in one.labels})
    for label in labels or ():
        if label not in known:
            hint = f"Labels here: {', '.join(known) or 'none'}."
            raise UsageError(f"no span has the label {label!r}", where="--labels", hint=hint)
    return [one.of_labels(labels) for one in sets]


def export(ref: str, format_: FormatName, out: Path | None, *, data_dir: str | Path | None = None) -> Iterator[str]:
    """Yield the set's lines in a format, or write them to `out`. A failed write leaves no file.

    A `tpo` export to a path without a suffix makes a folder that the release's training code can load.

    Raises:
        UsageError: for a file with the suffix `.parquet`.
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
    elif format_ == "tpo" and not out.suffix:
        write_folder(annotations, out)
    else:
        files.write(out, "".join(f"{line}\n" for line in lines))


def strip(ref: str, out: Path | None, *, data_dir: str | Path | None = None) -> Path:
    """Write the set that `ref` names to `out` without prompts and texts.

    Raises:
        UsageError: if `out` is missing, does not end in `.parquet`, or is the set itself.
    """
    path, _ = store.resolve(ref)
    if out is None or out.suffix != ".parquet":
        raise UsageError("a set without texts is a parquet file", hint="Give --out FILE.parquet.")
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out} is the set itself", why="its texts would be lost", hint="Give another --out.")
    spans_only.write(store.load(ref, data_dir=data_dir), out)
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
        }


def bring_in(
    file: Path,
    into: Path,
    format_: FormatName | None = None,
    *,
    from_version: str | None = None,
    prefer: Side | None = None,
    uw: UnwantedIn | None = None,
    message: str = "",
    author: str = "",
) -> Merged:
    """Merge an edited file into a set, and save the result as a new version.

    A record whose spans were edited becomes `corrected`, unless the file itself gives another status. If there
    is no set yet, the file becomes its first version.

    Args:
        file: the exported and edited file.
        into: the set.
        format_: the file's format; None recognises it.
        from_version: number or digest of the exported version; by default the one that the file names, else the head's.
        prefer: the side whose spans win where both changed the same words.
        uw: for the tpo format: which of its columns are the unwanted words.
        message: reason for the change, for the log.
        author: name of the person, for the log.

    Raises:
        InputError: for a file that is damaged or does not belong to the set.
        StoreError: if the version is missing, or the set lacks its texts.
    """
    head = store.editable_head(into)
    format_ = format_ or formats.recognise(file)
    records = formats.read(file, format_, uw=uw)
    message = message or f"import {file.name}"
    if head is None:
        if from_version is not None:
            raise StoreError("no such annotation set", where=str(into))
        saved = store.save(_first(file, into, format_, records), into, message=message, author=author, base=None)
        return Merged(saved=saved, changed=tuple(e.id for e in saved))
    exported = store.load(f"{into}@{from_version or _named_version(records) or head.number}")
    known = exported.by_id()
    corrected = []
    for record, example in zip(records, formats.resolve(records, exported), strict=True):
        old = known.get(example.id)
        if old is None:
            raise InputError(
                f"id {example.id!r} is not in the set", where=record.where, hint="Keep the ids of the exported file."
            )
        corrected.append(_as_corrected(old, example, author))
    return _merge(exported, into, AnnotationSet(tuple(corrected)), prefer, message, author)


def merge(
    others: Sequence[str],
    into: Path,
    *,
    from_version: str | None = None,
    need: int | None = None,
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
        saved = vote.merge_votes(others, need, into, message=message, author=author, data_dir=data_dir)
        return Merged(saved=saved, changed=())
    if from_version is None or need is not None:
        hint = "Give one of --vote N, --union, --intersect, or --from-version SET@N for two people's edits."
        raise UsageError("a merge needs exactly one method", hint=hint)
    if len(others) != 1:
        raise UsageError(
            f"--from-version merges one set, not {len(others)}", hint="Merge the sets one after the other."
        )
    store.editable_head(into)
    base, theirs = store.load(from_version, data_dir=data_dir), store.load(others[0], data_dir=data_dir)
    return _merge(base, into, theirs, prefer, message or f"merge {Path(others[0]).name}", author)


def _first(file: Path, into: Path, format_: FormatName, records: Sequence[Record]) -> AnnotationSet:
    new = AnnotationSet(tuple(formats.resolve(records, name=into.stem)))
    dataset = Dataset(id=file.name, fingerprint=new.fingerprint, examples=len(new))
    method = {"name": "manual", "parameters": {"format": format_, "file": file.name}}
    return AnnotationSet(new.examples, Provenance(dataset, method))


def _merge(
    base: AnnotationSet, into: Path, theirs: AnnotationSet, prefer: Side | None, message: str, author: str
) -> Merged:
    result = compare.merge(base, store.load(into), theirs, prefer=prefer)
    saved = store.save(result.merged, into, message=message, author=author)
    return Merged(saved=saved, changed=result.changed, disputed=result.disputed)


def _named_version(records: Sequence[Record]) -> str | None:
    """Return the exported version that the file names."""
    named = {record.base for record in records if record.base}
    if len(named) > 1:
        raise UsageError(
            f"the file mixes exports of {len(named)} versions",
            hint="Name the version to compare it with: --from-version N.",
        )
    return named.pop() if named else None


def _as_corrected(old: Example, new: Example, author: str) -> Example:
    before = old.keys
    added = [span for span in new.spans if span.key not in before]
    if not added and len(new.spans) == len(old.spans):
        return new
    named = tuple(replace(s, source=author, score=None) if author and s in added else s for s in new.spans)
    status = "corrected" if new.status in (old.status, "auto") else new.status
    return replace(new, spans=named, status=status, error=None)


__all__ = ["Merged", "bring_in", "export", "join", "load", "load_all", "merge", "strip"]
