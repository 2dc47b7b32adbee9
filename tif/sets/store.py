"""Annotation sets as versioned parquet: the head is a plain file, every version stays beside it.

    annotations/tofu10.parquet                          the newest version, always complete
    annotations/tofu10.parquet.meta.json                its provenance again, for tools that drop parquet metadata
    annotations/.versions/tofu10/0001-<digest12>.parquet  every version ever saved, immutable
    annotations/.versions/tofu10/.lock                  held while saving

A save writes the version first and then replaces the head, so that a crash at any point leaves the old head or the new
one. `FILE@3` and `FILE@<digest prefix>` name versions.
"""

from __future__ import annotations

import filecmp
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tif import files
from tif.console import warn
from tif.errors import StaleHeadError, StoreError, UsageError
from tif.sets import metadata, parquet
from tif.sets.rows import StoredRow
from tif.spans import AnnotationSet, SavedSet, Version

_LOCK_SECONDS = 60.0
_VERSION_FILE = re.compile(r"^(\d{4,})-([0-9a-f]{12})\.parquet$")
_UNSET: Final = "\0unset"


# --- reading -----------------------------------------------------------------------------------------------------


def load(ref: str | Path, *, dataset: str | None = None, data_dir: str | Path | None = None) -> SavedSet:
    """The set that `ref` names: `path`, `path@3` or `path@<digest prefix of 7 or more>`.

    Everything is checked: schema, offsets, the hash of each text, the digest of the content. A file without texts gets
    them from its data set.

    Args:
        ref: which set.
        dataset: for a file without texts: where these are. By default what the file says.
        data_dir: for a file without texts: folder with local copies of benchmark files, by default `TIF_DATA_DIR`.

    Raises:
        StoreError: for a missing, damaged or foreign file, naming the record where there is one.
        InputError, MissingError: for a file without texts, if its data set is not at hand, or not what it was.
    """
    path, file = _named(ref)
    with _mending(path):
        return parquet.read(file, dataset=dataset, data_dir=data_dir)


def read_rows(ref: str | Path, *, data_dir: str | Path | None = None) -> Iterator[StoredRow]:
    """The rows of a stored set, each with everything that is wrong with it.

    Raises:
        StoreError, InputError, MissingError: as `load`, for what concerns the file as such.
    """
    path, file = _named(ref)
    with _mending(path):
        yield from parquet.read_rows(file, data_dir=data_dir)


def resolve(ref: str | Path) -> tuple[Path, str | None]:
    """Head path and version part of `path[@version]`; a file whose name really contains an `@` wins."""
    text = str(ref)
    match = re.fullmatch(r"(.+)@([0-9]{1,6}|[0-9a-f]{7,64})", text)
    if match and not Path(text).exists():
        return Path(match[1]), match[2]
    return Path(text), None


def versions(ref: str | Path) -> list[Version]:
    """All versions of the set, oldest first; of `path@3` those up to the one that it names.

    Raises:
        StoreError: if there is no such set or version, or a version's metadata cannot be read.
    """
    path, named = resolve(ref)
    head = _version_of(path)
    by_number = {head.number: head}
    for number, file in _version_files(path):
        if number != head.number:
            version = _version_of(file)
            if not _unfinished(version, head):
                by_number[number] = version
    last = max(by_number) if named is None else _version_of(_version_file(path, named)).number
    return [by_number[number] for number in sorted(by_number) if number <= last]


def compared(a: str, b: str | None) -> tuple[str, str]:
    """The two references that a diff of A and B compares: without B, A's version before it and A.

    Raises:
        UsageError: without B, if A is the first version.
        StoreError: if there is no such set or version.
    """
    if b is not None:
        return a, b
    number = _version_of(_named(a)[1]).number
    if number == 1:
        raise UsageError(f"{a} has no version before it", hint="Name two sets: tif spans diff A B.")
    return f"{resolve(a)[0]}@{number - 1}", a


def head_version(path: str | Path) -> Version | None:
    """The version of the head, read from its metadata alone; None where there is no file.

    Raises:
        StoreError: if the file is there and is not one of tif's.
    """
    path = Path(path)
    return _version_of(path) if path.exists() else None


def editable_head(path: str | Path) -> Version | None:
    """As `head_version`, for a set that is about to get a new version. A file without texts cannot.

    Raises:
        StoreError: if the file lacks its texts, or is not one of tif's.
    """
    _refuse_without_texts(Path(path))
    return head_version(path)


def folder(path: str | Path) -> Path:
    """Where versions, journals and the lock of the set at `path` live."""
    path = Path(path)
    return path.parent / ".versions" / path.stem


# --- writing -----------------------------------------------------------------------------------------------------


def save(
    annotations: AnnotationSet, path: str | Path, *, message: str = "", author: str = "", base: str | None = _UNSET
) -> SavedSet:
    """Save a new version and make it the head. The same content as the head's makes no version.

    Args:
        annotations: what to save.
        path: the head, ending in `.parquet`.
        message: why, for `tif spans log`.
        author: who.
        base: digest of the head that `annotations` was made from, None where no head may exist yet; by default the
            digest of `annotations.base`.

    Returns:
        The set with the version it was saved as.

    Raises:
        StaleHeadError: if the head is not `base`, because somebody else saved in between.
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
        if head is not None and head.digest == digest:
            return _as_saved(annotations, head)
        if (head.digest if head else None) != base:
            raise StaleHeadError(
                "has changed since it was loaded" if head and base else "exists already" if head else "is gone",
                where=str(path),
                why=f"head is version {head.number}, {head.digest[:12]}" if head else None,
                hint=f"See `tif spans log {path}`; save under another name and `tif spans merge` the two.",
            )
        there = [_version_of(file) for _, file in _version_files(path)]
        parent = head or (there[-1] if there else None)
        # Newer version files may exist, after a killed save or with a head restored from a copy. One with the same
        # content is used again; otherwise the new number comes after them. Nothing is deleted.
        left = [v for v in there if head and v.digest == digest and _unfinished(v, head)]
        number = left[0].number if left else max([v.number for v in there] + [head.number if head else 0]) + 1
        version = Version(number, digest, parent.digest if parent else None, _now(), message, author)
        saved = _as_saved(annotations, version)
        _write(saved, path)
    return saved


def restore(ref: str, *, message: str = "", author: str = "") -> SavedSet:
    """Make an old version the newest one again, as a new version.

    Raises:
        UsageError: if `ref` names no version.
    """
    path, version = resolve(ref)
    if version is None:
        raise UsageError(f"{ref} names no version", hint=f"Name one: {path}@1. `tif spans log {path}` lists them.")
    _refuse_without_texts(path)
    old = load(ref)
    message = message or f"restore version {old.version.number}"
    head: Version | None = None
    if path.exists():
        try:
            head = load(path).version
        except StoreError as error:
            aside = path.with_name(f"{path.stem}.damaged-{_now().replace(':', '')}.parquet")
            with files.writing(path):
                path.rename(aside)
            warn(f"{error.what}: the damaged head is kept as {aside}, whose edits `tif spans import` can bring in")
    return save(old, path, message=message, author=author, base=head.digest if head else None)


# --- how ---------------------------------------------------------------------------------------------------------


def _refuse_without_texts(path: Path) -> None:
    """A version with texts must not take the place of a file that is meant to have none."""
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
    name = f"{annotations.version.number:04d}-{annotations.version.digest[:12]}.parquet"
    files.write(folder(path) / name, data)
    files.write(path, data)
    files.write(metadata.sidecar(path), json.dumps(metadata.of(annotations), ensure_ascii=False, indent=2))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    busy = StoreError("is being saved by another process", where=str(path), hint="Try again in a moment.")
    with files.locked(folder(path) / ".lock", seconds=_LOCK_SECONDS, busy=busy):
        # Whoever holds the lock is the only writer, so temporary files are a killed writer's.
        files.clear_temporaries(folder(path))
        files.clear_temporaries(path.parent, path.name)
        yield


def _checked_head(path: Path) -> Version | None:
    """The head's version, if the head is as tif saved it: a save must not bury what another tool wrote into it.

    Comparing bytes with the head's own version file is enough, and spares reading a large set once more.
    """
    head = editable_head(path)
    if head is None:
        return None
    twin = folder(path) / f"{head.number:04d}-{head.digest[:12]}.parquet"
    if not (twin.exists() and filecmp.cmp(twin, path, shallow=False)):
        load(path)
    return head


def _version_files(path: Path) -> list[tuple[int, Path]]:
    place = folder(path)
    if not place.is_dir():
        return []
    return sorted((int(m[1]), file) for file in place.iterdir() if (m := _VERSION_FILE.match(file.name)))


def _named(ref: str | Path) -> tuple[Path, Path]:
    """The head that `ref` names, and the file of the version that it names."""
    path, version = resolve(ref)
    return path, path if version is None else _version_file(path, version)


def _version_file(path: Path, version: str) -> Path:
    by_number = len(version) < 7
    for number, file in _version_files(path):
        if by_number and number == int(version):
            return file
        if not by_number and _version_of(file).digest.startswith(version):
            return file
    head = head_version(path)
    if head is None:
        raise StoreError("no such annotation set", where=str(path))
    if (by_number and head.number == int(version)) or (not by_number and head.digest.startswith(version)):
        return path
    raise StoreError(
        f"no version {version}",
        where=str(path),
        hint=f"`tif spans log {path}` lists the versions that are here; the head is version {head.number}.",
    )


def _unfinished(version: Version, head: Version) -> bool:
    """Whether a version file is what a killed save left: written on top of `head`, never made the head."""
    return version.number > head.number and version.parent == head.digest


def _version_of(file: Path) -> Version:
    with _mending(file):
        return parquet.version_of(file)


@contextmanager
def _mending(path: Path) -> Iterator[None]:
    """Add to an error, unless it has a hint of its own, how to get the set at `path` back."""
    try:
        yield
    except StoreError as error:
        if error.hint is None and error.what != "no such annotation set":
            error.hint = _mend(path)
        raise


def _mend(path: Path) -> str:
    saved = _version_files(path)
    if saved:
        return f"`tif spans restore {path}@{saved[-1][0]}` brings back the newest saved version."
    return "Annotation sets are made by `tif annotate` or `tif spans import`."


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


__all__ = [
    "compared",
    "editable_head",
    "folder",
    "head_version",
    "load",
    "read_rows",
    "resolve",
    "restore",
    "save",
    "versions",
]
