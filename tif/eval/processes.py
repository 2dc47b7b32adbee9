"""Several processes, one evaluation: each works on its share, and every one holds all results.

    accelerate launch --num_processes 4 -m tif eval RUN

Shares are cut without padding, so no example counts twice, and results come back in the order of the whole: means are
taken over exactly what one process would have seen. Only the main process writes, shows and prints.
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
    """Processes of this run, as `accelerate launch` and `torchrun` tell them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def main() -> bool:
    """Whether this is the process that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def named(device: str) -> str:
    """A device that somebody asked for by name.

    Raises:
        UsageError: if torch knows none of that name here.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        why = str(error).split("\n")[0][:120]
        raise UsageError(
            f"no device {device!r} here", why=why, hint="Leave --device out for the best there is."
        ) from None
    return device


def device() -> str:
    """Where this process works: the accelerator that is its own when there are several processes, else the best."""
    if count() > 1:
        from accelerate import PartialState

        return str(PartialState().device)
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def split(items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
    """`work(items)`, each process doing every n-th item; every process gets all results, in the order of `items`."""
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
    """The main process's value, in every process."""
    if count() == 1:
        return value
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState()
    held = [value]
    broadcast_object_list(held)
    return held[0]


@contextmanager
def shown(what: str, total: int) -> Iterator[Advance]:
    """A progress bar in the main process, for its share."""
    if main():
        with progress(what, total) as advance:
            yield advance
    else:
        yield _quietly


def _quietly(by: int = 1, *, note: str | None = None) -> None:
    """Another process shows its share."""


__all__ = ["agree", "count", "device", "main", "shown", "split"]
