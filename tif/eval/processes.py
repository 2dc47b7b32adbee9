"""One evaluation in several processes: each computes its share, and all receive every result.

    accelerate launch --num_processes 4 -m tif eval RUN

Shares have no padding, so no example counts twice. Results return in the original order, so means cover exactly the
examples of a single process. Only the main process writes files, shows progress and prints.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from tif.console import Advance, progress
from tif.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


def count() -> int:
    """Return the number of processes that `accelerate launch` or `torchrun` started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def main() -> bool:
    """Return whether this is the main process, the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def device(given: str | None = None) -> str:
    """Return the given device, else this process's own: with several processes its accelerator, else the best there is.

    Raises:
        UsageError: if torch cannot use the given device.
    """
    import torch

    if given is not None:
        try:
            torch.empty(0, device=given)
        except (RuntimeError, AssertionError, ValueError) as error:
            why = str(error).split("\n")[0][:120]
            raise UsageError(
                f"--device: torch cannot use {given!r}", why=why, hint="Omit --device to use the best available device."
            ) from None
        return given
    if count() > 1:
        from accelerate import PartialState

        return str(PartialState().device)
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def split(items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
    """Return `work(items)`, in order. Each of n processes computes every n-th item, and all receive every result."""
    if count() == 1:
        return list(work(items))
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state = PartialState()
    mine = range(state.process_index, len(items), state.num_processes)
    done = work([items[i] for i in mine])
    gathered = dict(gather_object(list(zip(mine, done, strict=True))))
    return [gathered[i] for i in range(len(items))]


def agree(value: Item) -> Item:
    """Return the main process's value in every process."""
    if count() == 1:
        return value
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState()
    values = [value]
    broadcast_object_list(values)
    return values[0]


@contextmanager
def shown(title: str, total: int) -> Iterator[Advance]:
    """Show a progress bar in the main process, for its own share."""
    if main():
        with progress(title, total) as advance:
            yield advance
    else:
        yield _silent


def _silent(by: int = 1, *, note: str | None = None) -> None:
    """Show nothing: this is not the main process."""


__all__ = ["agree", "count", "device", "main", "shown", "split"]
