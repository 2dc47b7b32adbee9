"""Seals and manifests: checksums that tell what tif wrote from what changed afterwards.

A record has the SHA-256 of its own content under the key `seal`. A manifest has the SHA-256 of files by name. They find
damage and edits by hand. Someone who computes them again can hide a change, so a signature is needed against that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tif import files
from tif.errors import InputError, kind_of, reason

SEAL: Final = "seal"
"""Key of a record's seal."""

_CHUNK: Final = 1 << 22
_DIGESTS: Final[ContextVar[dict[tuple[object, ...], str] | None]] = ContextVar("_DIGESTS", default=None)
"""Digests of this command, by path and state of the file; None to remember none."""

State = Literal["ok", "differs", "missing", "unsealed", "skipped"]
"""`unsealed`: nothing was recorded to compare with. `skipped`: what was recorded is not on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was compared with what tif recorded about it."""

    name: str
    """The file, and the part of it."""
    state: State
    detail: str = ""

    @property
    def passed(self) -> bool:
        """False if the thing differs, is missing, or has no recorded value to compare with."""
        return self.state in ("ok", "skipped")

    def to_json(self) -> dict[str, str]:
        """Return the check as plain JSON values."""
        return asdict(self)

    def line(self) -> str:
        """Return the check as one line."""
        return f"{self.state:<9} {self.name}" + (f": {self.detail}" if self.detail else "")


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its seal."""
    return {**record, SEAL: seal_of(record)}


def seal_of(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 over a JSON object without its seal. The order of the keys does not count."""
    content = {name: value for name, value in record.items() if name != SEAL}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def unsealed(record: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """Return a JSON object without its seal, after comparing the two.

    Args:
        record: the object as it was read.
        required: whether an object without a seal is refused. Records of an older tif have none.

    Raises:
        InputError: if the content is not what was sealed.
    """
    content = dict(record)
    seal = content.pop(SEAL, None)
    if (seal is not None or required) and seal != seal_of(content):
        raise InputError(
            "was changed or damaged after tif wrote it",
            why="its content does not match its seal" if seal else "it has no seal",
            hint="Restore it from a copy, or make it again.",
        )
    return content


def sealed_line(record: Mapping[str, Any]) -> bytes:
    """Return a JSON object with its seal as one line of a journal."""
    line = json.dumps(sealed(record), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return line.encode() + b"\n"


def unsealed_line(line: bytes) -> dict[str, Any]:
    """Return the object in a line of `sealed_line`.

    Raises:
        InputError: if the line is cut off or damaged.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", why=str(error)) from None
    if not isinstance(record, dict):
        raise InputError(f"is {kind_of(record)}, not an object")
    return unsealed(record, required=True)


def _digest(path: Path) -> str:
    files.check_regular(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        OSError: if it cannot be read.
    """
    known = _DIGESTS.get()
    if known is None:
        return _digest(path)
    stat = path.stat()
    key = (path.resolve(), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if key not in known:
        known[key] = _digest(path)
    return known[key]


@contextmanager
def read_once() -> Iterator[None]:
    """Compute each file's digest once while this is open. A file that changes meanwhile is read again.

    Several checks of one command need the digest of the same weights, which can have many gigabytes. Afterwards
    nothing is remembered: a file's size and times alone do not tell whether it is the same.
    """
    token = _DIGESTS.set({} if (known := _DIGESTS.get()) is None else known)
    try:
        yield
    finally:
        _DIGESTS.reset(token)


def damage(folder: Path, mark: str) -> str | None:
    """Return the file of a folder that is not as its manifest says; None if all are.

    Args:
        folder: a folder that was sealed by a file with the manifest of the others.
        mark: name of this file.
    """
    try:
        recorded = json.loads(files.read(folder / mark))
    except (OSError, ValueError, RecursionError):
        return str(folder / mark)
    if not isinstance(recorded, dict) or not recorded:
        return str(folder / mark)
    return next((check.name for check in compare(folder, recorded) if not check.passed), None)


def manifest(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files by their path in `folder`. A name may be a folder, which stands for all files in it.

    Hidden files are left out. A name that does not exist has no entry.
    """
    entries: dict[str, str] = {}
    for name in names:
        path = folder / name
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in inside:
            relative = each.relative_to(folder)
            if each.is_file() and not any(part.startswith(".") for part in relative.parts):
                entries[relative.as_posix()] = file_digest(each)
    return entries


def compare(folder: Path, recorded: Mapping[str, str]) -> list[Check]:
    """Compare files with their manifest. A file beside them that no manifest names also differs.

    Args:
        folder: the folder of the files.
        recorded: from `manifest`.
    """
    checks = []
    for name, digest in sorted(recorded.items()):
        path = folder / name
        where = str(path)
        try:
            own = file_digest(path)
        except FileNotFoundError:
            checks.append(Check(name=where, state="missing"))
        except OSError as error:
            checks.append(Check(name=where, state="differs", detail=reason(error)))
        else:
            detail = "" if own == digest else f"SHA-256 was {digest[:12]}, and is {own[:12]}"
            checks.append(Check(name=where, state="differs" if detail else "ok", detail=detail))
    tops = {name.partition("/")[0] for name in recorded if "/" in name}
    for name in sorted(set(_names(folder, tops)) - set(recorded)):
        checks.append(Check(name=str(folder / name), state="differs", detail="was added later"))
    return checks


def _names(folder: Path, tops: Iterable[str]) -> Iterable[str]:
    for top in tops:
        for path in (folder / top).rglob("*"):
            relative = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                yield relative.as_posix()


__all__ = [
    "SEAL",
    "Check",
    "State",
    "compare",
    "file_digest",
    "manifest",
    "read_once",
    "seal_of",
    "sealed",
    "sealed_line",
    "unsealed",
    "unsealed_line",
]
