"""The choices of a vote over annotation sets."""

from __future__ import annotations

from typing import Literal

VoteScore = Literal["votes", "confidence"]
"""The score of a voted span: the share of sets that mark it, or the highest score that one of them gives it."""


def votes_needed(sets: int, *, vote: int | None, union: bool, intersect: bool) -> int | None:
    """Return how many sets must mark a character; None if none of the three options is given."""
    if vote is not None:
        return vote
    return 1 if union else sets if intersect else None


__all__ = ["VoteScore", "votes_needed"]
