"""Samples that are both to forget and to keep: training would push the same words down and up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from tif.console import warn
from tif.errors import UsageError, first_of
from tif.spans import Example

COINCIDENCE: Final = 30
"""Characters. Two questions can share a shorter answer by chance: in LUME's data they share up to 22 characters."""


def refuse_overlap(forget: Iterable[Example], retain: Sequence[Example], where: str) -> None:
    """Make sure that no retain sample has the text of a sample to forget.

    Texts are compared by hash, without regard to white space. A short answer to another question is allowed, with a
    warning.

    Args:
        forget: the samples to forget.
        retain: the samples to keep.
        where: the source of `retain`, for errors.

    Raises:
        UsageError: with the number of such retain samples and their ids.
    """
    prompts: dict[str, set[str]] = {}
    for example in forget:
        prompts.setdefault(_hash(example.text), set()).add(_plain(example.prompt))
    same: list[str] = []
    alike: list[str] = []
    for example in retain:
        known = prompts.get(_hash(example.text))
        if known is None:
            continue
        prompt = _plain(example.prompt)
        by_chance = prompt and prompt not in known and "" not in known and len(_plain(example.text)) < COINCIDENCE
        (alike if by_chance else same).append(example.id)
    if same:
        raise UsageError(
            f"{len(same)} of {len(retain)} retain samples have the text of a sample to forget: {first_of(same)}",
            where=("--retain", where),
            why="the same words cannot be forgotten and kept",
            hint="Remove them, or give other samples as --retain.",
        )
    if alike:
        warn(
            f"{len(alike)} of {len(retain)} retain samples have the short answer of a sample to forget, after another "
            f"question: {first_of(alike)}"
        )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _hash(text: str) -> str:
    return hashlib.sha256(_plain(text).encode()).hexdigest()


__all__ = ["COINCIDENCE", "refuse_overlap"]
