"""MUSE's files: `verbmem`, `knowmem` and `privleak`, each a folder of JSON files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tif.errors import InputError, MissingError
from tif.eval.settings import Corpus
from tif.readers import read_records
from tif.sources import find_local

_NAMED: Final = re.compile(r"(?:^|[^a-z])(news|books)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MuseFiles:
    """Where MUSE's files are, and how much of them to use."""

    data_dir: str | Path | None
    """Folder that contains the three folders, or `muse_news` or `muse_books` with them."""
    limit: int | None = None
    """Use only the first rows of each file."""
    wanted: Corpus | None = None
    """The corpus, if the user names it."""

    @property
    def corpus(self) -> Corpus | None:
        """The corpus that the user or the folder names; None if neither does."""
        folder = self._path("forget", "privleak").absolute().parent.parent
        match = _NAMED.search(folder.name)
        named: Corpus | None = None if match is None else "news" if match[1].lower() == "news" else "books"
        return self.wanted or named

    def rows(self, name: str, folder: str, *fields: str, complete: bool = False) -> list[dict[str, str]]:
        """Return the text fields of each record.

        Args:
            name: the file, without suffix.
            folder: `verbmem`, `knowmem` or `privleak`.
            fields: fields that every record needs.
            complete: return all rows, whatever the limit is.

        Raises:
            MissingError: if the file does not exist.
            InputError: if a record lacks a field.
        """
        rows = []
        for place, record in read_records(self._path(name, folder)):
            texts = {field: value for field in fields if isinstance(value := record.get(field), str)}
            if missing := [field for field in fields if field not in texts]:
                raise InputError(f"no text in field {missing[0]!r}", where=place)
            rows.append(texts)
        return rows if complete else rows[: self.limit]

    def _path(self, name: str, folder: str) -> Path:
        corpora = [self.wanted] if self.wanted else ["news", "books"]
        nested = [f"{prefix}{corpus}" for corpus in corpora for prefix in ("muse_", "")]
        path = find_local(f"{folder}/{name}", self.data_dir, *nested)
        if path is None:
            raise MissingError(
                f"{folder}/{name}.json is not in the data folder", hint="Give MUSE's folder as --data-dir."
            )
        return path


__all__ = ["MuseFiles"]
