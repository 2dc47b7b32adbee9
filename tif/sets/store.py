"""Annotation sets as versioned parquet: the head is a plain file, and every version is kept.

    annotations/tofu10.parquet                          the newest version, always complete
    annotations/tofu10.parquet.meta.json                a copy of its provenance, for tools that drop parquet metadata
    annotations/.versions/tofu10/0001-<digest12>.parquet  every version ever saved, immutable
    annotations/.versions/tofu10/.lock                  locked while saving

A save writes the version first and then replaces the head, so that a crash at any point leaves the old head or the new
one. `FILE@3` and `FILE@<digest prefix>` name versions.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tif import files
from tif.errors import StaleHeadError, StoreError, UsageError, WriteError
from tif.sets import companions, layout, metadata, parquet
from tif.sets.history import History
from tif.sets.layout import folder, version_name
from tif.sets.rows import StoredRow
from tif.spans import AnnotationSet, Provenance, SavedSet, Version, now

_LOCK_SECONDS = 60.0
_UNSET: Final = "\0unset"


# --- reading -----------------------------------------------------------------------------------------------------


def load(ref: str | Path, *, dataset: str | None = None, data_dir: str | Path | None = None) -> SavedSet:
    """Load the set that `ref` names: `path`, `path@3` or `path@<digest prefix of 7 or more>`.

    This checks schema, offsets, the hash of each text, and the digest of the content. A file without texts gets them
    from its data set.

    Args:
        ref: the set, with or without a version.
        dataset: for a file without texts: the data set with the texts. By default the one that the file names.
        data_dir: for a file without texts: folder with local copies of benchmark files, by default `TIF_DATA_DIR`.

    Raises:
        StoreError: for a file that is missing, damaged or not an annotation set, naming the record if there is one.
        InputError, MissingError: for a file without texts, if its data set is missing or has changed.
    """
    path, file = _named(ref)
    with _with_hint(path):
        saved = parquet.read(file, dataset=dataset, data_dir=data_dir)
    if file == path:
        _renew_sidecar(path)
    return saved


def read_rows(ref: str | Path, *, data_dir: str | Path | None = None) -> Iterator[StoredRow]:
    """Yield the rows of a stored set, each with all of its errors.

    Raises:
        StoreError, InputError, MissingError: as `load`, for errors of the file itself.
    """
    path, file = _named(ref)
    with _with_hint(path):
        yield from parquet.read_rows(file, data_dir=data_dir)


def resolve(ref: str | Path) -> tuple[Path, str | None]:
    """Split `path[@version]` into head path and version. An existing file with an `@` in its name comes first."""
    text = str(ref)
    match = re.fullmatch(r"(.+)@([0-9]{1,6}|[0-9a-f]{7,64})", text)
    if match and not Path(text).exists():
        return Path(match[1]), match[2]
    return Path(text), None


def versions(ref: str | Path) -> list[Version]:
    """Return all versions of the set, oldest first; for `path@3` those up to version 3.

    Raises:
        StoreError: if there is no such set or version, or a version's metadata cannot be read.
    """
    read = history(ref)
    if read.damage:
        raise read.damage[0]
    return [version for version, _ in read.entries]


def history(ref: str | Path) -> History:
    """Return the versions of the set, oldest first; for `path@3` those up to version 3.

    Raises:
        StoreError: if there is no such set or version.
    """
    path, name = resolve(ref)
    damage: list[StoreError] = []
    by_number: dict[int, tuple[Version, Provenance]] = {}
    head: Version | None = None
    try:
        with _with_hint(path):
            newest = parquet.version_and_provenance(path)
        head = newest[0]
        by_number[head.number] = newest
    except StoreError as error:
        if not path.exists():
            raise
        damage.append(error)
    for number, file in layout.version_files(path):
        try:
            entry = parquet.version_and_provenance(file)
        except StoreError as error:
            damage.append(error)
            continue
        if number not in by_number and (head is None or not _unfinished(entry[0], head)):
            by_number[number] = entry
    last = max(by_number, default=0) if name is None else _version_of(_version_file(path, name)).number
    return History(tuple(by_number[number] for number in sorted(by_number) if number <= last), tuple(damage))


def compared(a: str, b: str | None) -> tuple[str, str]:
    """Return the two references that a diff compares: A and B, or without B A's previous version and A.

    Raises:
        UsageError: without B, if A is the first version.
        StoreError: if there is no such set or version.
    """
    if b is not None:
        return a, b
    number = _version_of(_named(a)[1]).number
    if number == 1:
        raise UsageError(f"{a} has no previous version", hint="Name two sets: tif spans diff A B.")
    return f"{resolve(a)[0]}@{number - 1}", a


def head_version(path: str | Path) -> Version | None:
    """Read the version of the head from its metadata only; None if there is no file.

    Raises:
        StoreError: if the file exists and is not an annotation set.
    """
    path = Path(path)
    return _version_of(path) if path.exists() else None


def editable_head(path: str | Path) -> Version | None:
    """Return `head_version` of a set that is about to change. A file without texts cannot change.

    Raises:
        StoreError: if the file lacks its texts, or is not an annotation set.
    """
    refuse_without_texts(Path(path))
    return head_version(path)


# --- writing -----------------------------------------------------------------------------------------------------


def save(
    annotations: AnnotationSet,
    path: str | Path,
    *,
    message: str = "",
    author: str = "",
    base: str | None = _UNSET,
    provenance_counts: bool = False,
) -> SavedSet:
    """Save a new version and make it the head. Content equal to the head's makes no version.

    Args:
        annotations: the set to save.
        path: the head, ending in `.parquet`.
        message: reason for the change, for `tif spans log`.
        author: name of the person or program.
        base: digest of the head that `annotations` was made from; None if no head may exist yet. By default the
            digest of `annotations.base`.
        provenance_counts: make a version also if only the provenance differs from the head's.

    Returns:
        The saved set with its version.

    Raises:
        StaleHeadError: if the head is not `base`, because another save came in between.
        StoreError: if the head is damaged, or lacks its texts.
        UsageError: for a path that does not end in `.parquet`.
        WriteError: if the files cannot be written.
    """
    path = Path(path)
    if path.suffix != ".parquet" or not path.stem:
        raise UsageError(f"{path} does not end in .parquet", hint="Name the set annotations/NAME.parquet.")
    if base == _UNSET:
        base = annotations.base.digest if annotations.base else None
    digest = annotations.digest
    with _locked(path):
        head = _checked_head(path)
        if head is not None and head.digest == digest and not provenance_counts:
            companions.renew_sidecar(path)
            return _as_saved(annotations, head)
        if (head.digest if head else None) != base:
            raise StaleHeadError(
                "has changed since it was loaded"
                if head and base
                else "exists already"
                if head
                else "no longer exists",
                where=str(path),
                why=f"head is version {head.number}, {head.digest[:12]}" if head else None,
                hint=f"See `tif spans log {path}`. Save under another name, then run `tif spans merge`.",
            )
        existing = _readable_versions(path)
        parent = head or (existing[-1] if existing else None)
        # Newer version files may exist, after a killed save or with a head restored from a copy. One with the same
        # content is used again; otherwise the new number comes after them. Nothing is deleted.
        unfinished = [v for v in existing if head and v.digest == digest and _unfinished(v, head)]
        taken = [head.number if head else 0, *(number for number, _ in layout.version_files(path))]
        number = unfinished[0].number if unfinished else max(taken) + 1
        version = Version(
            number=number,
            digest=digest,
            parent=parent.digest if parent else None,
            created=now(),
            message=message,
            author=author,
        )
        saved = _as_saved(annotations, version)
        _write(saved, path)
    return saved


# --- helpers -----------------------------------------------------------------------------------------------------


def refuse_without_texts(path: Path) -> None:
    """Refuse a file without texts: a version with texts must not replace it.

    Raises:
        StoreError: if the file lacks its texts.
    """
    if parquet.lacks_texts(path):
        raise StoreError(
            "contains spans without their texts, and cannot be changed",
            where=str(path),
            hint=f"Make a full set first: `tif spans join {path} --out FULL.parquet`.",
        )


def _as_saved(annotations: AnnotationSet, version: Version) -> SavedSet:
    return SavedSet(annotations.examples, annotations.provenance, version=version)


def _write(annotations: SavedSet, path: Path) -> None:
    data = parquet.content(annotations)
    files.write(folder(path) / version_name(annotations.version), data)
    files.write(path, data)
    try:
        companions.write_sidecar(path, metadata.of(annotations))
    except WriteError as error:
        # The head is saved, so this is no failure of the save.
        companions.tell_unwritten_sidecar(path, annotations.version, error)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    busy = StoreError("is being saved by another process", where=str(path), hint="Try again in a moment.")
    with files.locked(folder(path) / ".lock", seconds=_LOCK_SECONDS, busy=busy):
        # The lock holder is the only writer, so all temporary files are a killed writer's.
        files.clear_temporaries(folder(path))
        for head in (path, Path(os.path.realpath(path))):
            files.clear_temporaries(head.parent, head.name)
        yield


def _checked_head(path: Path) -> Version | None:
    """Return the head's version, and refuse a head that another tool changed: a save would hide its edits.

    Comparing bytes with the head's own version file is enough, and avoids reading a large set again.
    """
    head = editable_head(path)
    if head is None:
        return None
    twin = folder(path) / version_name(head)
    if not (twin.exists() and filecmp.cmp(twin, path, shallow=False)):
        with _with_hint(path):
            parquet.read(path)
        companions.renew_version_file(path, head)
    return head


def _readable_versions(path: Path) -> list[Version]:
    """Return the versions of all files that can be read. A damaged old version must not keep people from saving."""
    versions = []
    for _, file in layout.version_files(path):
        with suppress(StoreError):
            versions.append(parquet.version_of(file))
    return versions


def _renew_sidecar(path: Path) -> None:
    """Write a stale sidecar again, unless another process is saving, or the folder is read-only."""
    if companions.is_stale(path):
        busy = StoreError("is being saved by another process", where=str(path))
        with suppress(StoreError, WriteError), files.locked(folder(path) / ".lock", seconds=0, busy=busy):
            companions.renew_sidecar(path)


def _named(ref: str | Path) -> tuple[Path, Path]:
    """Return the head path that `ref` names, and the file of its version."""
    path, version = resolve(ref)
    return path, path if version is None else _version_file(path, version)


def file_of(ref: str | Path) -> Path:
    """Return the file of the set or version that `ref` names.

    Raises:
        StoreError: if there is no such version.
    """
    return _named(ref)[1]


def version_files(path: str | Path) -> list[Path]:
    """Return the files of all versions, oldest first, also of those that a killed save left."""
    return [file for _, file in layout.version_files(Path(path))]


def _version_file(path: Path, version: str) -> Path:
    by_number = len(version) < 7
    for number, file in layout.version_files(path):
        if by_number and number == int(version):
            return file
        # The name is enough for short digests, so a damaged version does not hide the ones after it.
        named = not by_number and layout.named(file)[1].startswith(version[:12])
        if named and (len(version) <= 12 or _version_of(file).digest.startswith(version)):
            return file
    head = head_version(path)
    if head is None:
        raise StoreError("no such annotation set", where=str(path))
    if (by_number and head.number == int(version)) or (not by_number and head.digest.startswith(version)):
        return path
    raise StoreError(
        f"no version {version}",
        where=str(path),
        hint=f"`tif spans log {path}` lists the versions; the head is version {head.number}.",
    )


def _unfinished(version: Version, head: Version) -> bool:
    """Whether a killed save left this version file: written after `head`, but never made the head."""
    return version.number > head.number and version.parent == head.digest


def _version_of(file: Path) -> Version:
    with _with_hint(file):
        return parquet.version_of(file)


@contextmanager
def _with_hint(path: Path) -> Iterator[None]:
    """Add to an error without a hint how to get the set at `path` back."""
    try:
        yield
    except StoreError as error:
        if error.hint is None and error.what != "no such annotation set":
            error.hint = _recovery_hint(path)
        raise


def _recovery_hint(path: Path) -> str:
    saved = layout.version_files(path)
    if saved:
        return f"Run `tif spans restore {path}@{saved[-1][0]}` to get the newest saved version back."
    return "Make a set with `tif annotate` or `tif spans import`."


__all__ = [
    "compared",
    "editable_head",
    "file_of",
    "folder",
    "head_version",
    "history",
    "load",
    "read_rows",
    "refuse_without_texts",
    "resolve",
    "save",
    "version_files",
    "version_name",
    "versions",
]
