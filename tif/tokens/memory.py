"""A full memory, of a device or of the machine, as one line that names what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tif.errors import TifError

_CPU: Final = ("can't allocate memory", "not enough memory")
"""What torch writes when the machine's own memory is full: a plain `RuntimeError`."""


@contextmanager
def fits_in_memory(hint: str) -> Iterator[None]:
    """Turn a lack of memory into a known failure. Also a decorator.

    Args:
        hint: what to do about it.

    Raises:
        TifError: for a lack of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's own class is known by its name, so that a command which never needs torch does not import it.
        own = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        if not own and not any(words in str(error) for words in _CPU):
            raise
        why = " ".join(str(error).split()).split(". ")
        raise TifError("the memory is full", why=". ".join(why[:2])[:160] or None, hint=hint) from None


__all__ = ["fits_in_memory"]
