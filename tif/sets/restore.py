"""Go back to an old version of an annotation set."""

from __future__ import annotations

from tif import files
from tif.console import warn
from tif.errors import StoreError, UsageError
from tif.sets import store
from tif.spans import SavedSet, Version


def restore(ref: str, *, message: str = "", author: str = "") -> SavedSet:
    """Make an old version the newest one again, as a new version.

    Raises:
        UsageError: if `ref` does not name a version.
    """
    path, version = store.resolve(ref)
    if version is None:
        raise UsageError(
            f"{ref} does not name a version", hint=f"Add one, e.g. {path}@1. `tif spans log {path}` lists them."
        )
    store.refuse_without_texts(path)
    old = store.load(ref)
    message = message or f"restore version {old.version.number}"
    head: Version | None = None
    if path.exists():
        try:
            head = store.load(path).version
        except StoreError as error:
            aside = files.aside(path)
            with files.writing(path):
                path.replace(aside)
            warn(f"{error.what}: the damaged head is kept as {aside}; `tif spans import` can read its edits")
    return store.save(old, path, message=message, author=author, base=head.digest if head else None)


__all__ = ["restore"]
