"""Long plain text -> windows of tokens, spans carried across."""

from __future__ import annotations

from tif.errors import UsageError
from tif.tokens.masks import Encoded, Kind


def windows(item: Encoded, size: int) -> list[Encoded]:
    """Cut an encoded text into pieces of at most `size` tokens, so that every supervised token is supervised once.

    Each piece but the first begins with the last token of the piece before. That token predicts the next one, and is
    not supervised again. A span across an edge is unwanted on both sides. Ids get a suffix, `novel#0`, `novel#1`. A
    text that fits is returned as it is.

    Raises:
        UsageError: for a size below 2, which leaves nothing to supervise.
    """
    if size < 2:
        raise UsageError(f"a window of {size} tokens supervises nothing")
    if len(item) <= size:
        return [item]
    pieces = []
    for number, start in enumerate(range(0, len(item) - 1, size - 1)):
        cut = slice(start, start + size)
        pieces.append(
            Encoded(
                f"{item.id}#{number}",
                item.input_ids[cut],
                (Kind.PROMPT, *item.kinds[cut][1:]),
                item.offsets[cut],
                item.lost_spans if number == 0 else (),
            )
        )
    return pieces


__all__ = ["windows"]
