"""Optimizer, scheduler and random states as safetensors and JSON, so that a checkpoint contains no pickle."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from pydantic import JsonValue
from safetensors.torch import load_file, save_file
from torch import Tensor

from tif import files
from tif.console import warn
from tif.errors import WriteError
from tif.records import COMPLETE
from tif.seal import damage, manifest

_NAME = re.compile(r"checkpoint-(\d+)")


class OptimizerState(TypedDict):
    """`optimizer.state_dict()`."""

    state: dict[int, dict[str, Tensor | float]]
    """Of each parameter, by its number."""
    param_groups: list[dict[str, JsonValue]]


def save_optimizer(state: OptimizerState, folder: Path) -> None:
    """`optimizer.state_dict()` -> `optimizer.safetensors` and `optimizer.json`."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, float]] = {}
    for index, entry in state["state"].items():
        scalars[str(index)] = {}
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                scalars[str(index)][name] = value
    save_file(tensors, folder / "optimizer.safetensors")
    (folder / "optimizer.json").write_text(json.dumps({"scalars": scalars, "param_groups": state["param_groups"]}))


def load_optimizer(folder: Path) -> OptimizerState:
    """What `save_optimizer` wrote, for `optimizer.load_state_dict`."""
    rest = json.loads((folder / "optimizer.json").read_text())
    state: dict[int, dict[str, Tensor | float]] = {int(index): entry for index, entry in rest["scalars"].items()}
    for key, tensor in load_file(folder / "optimizer.safetensors").items():
        index, _, name = key.partition(".")
        state[int(index)][name] = tensor
    return {"state": state, "param_groups": rest["param_groups"]}


def save_random(folder: Path, rank: int) -> None:
    """The states of Python's, numpy's and torch's generators, for one process."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys, dtype=np.int64))}
    if torch.cuda.is_available():
        tensors |= {f"cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    save_file(tensors, folder / f"random-{rank}.safetensors")
    rest = {"python": [version, list(words), gauss], "numpy": [kind, position, has_gauss, cached]}
    (folder / f"random-{rank}.json").write_text(json.dumps(rest))


def load_random(folder: Path, rank: int) -> None:
    """Restore the states that `save_random` saved. A process without saved states keeps its own."""
    if not (folder / f"random-{rank}.json").is_file():
        return
    rest = json.loads((folder / f"random-{rank}.json").read_text())
    tensors = load_file(folder / f"random-{rank}.safetensors")
    version, words, gauss = rest["python"]
    random.setstate((version, tuple(words), gauss))
    kind, position, has_gauss, cached = rest["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["torch"])
    cuda = [tensors[f"cuda.{i}"] for i in range(sum(key.startswith("cuda.") for key in tensors))]
    if torch.cuda.is_available() and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(cuda)


@contextmanager
def writing(checkpoint: Path) -> Iterator[None]:
    """Turn system errors during a write of a checkpoint into `WriteError`, and then delete the checkpoint.

    On a full disk, an incomplete checkpoint would take the room that the next try needs.

    Raises:
        WriteError: naming the folder and the reason.
    """
    try:
        with files.writing(checkpoint):
            yield
    except WriteError:
        if not (checkpoint / COMPLETE).is_file():
            shutil.rmtree(checkpoint, ignore_errors=True)
        raise


def mark(folder: Path) -> None:
    """Mark a folder as complete, once its bytes are on the disk."""
    files.sync(folder)
    names = [path.name for path in folder.iterdir()]
    files.write(folder / COMPLETE, json.dumps(manifest(folder, names), indent=0))


def seal(checkpoint: Path, keep: int) -> None:
    """Mark a checkpoint as complete, once its bytes are on the disk, and delete all but the newest `keep`."""
    mark(checkpoint)
    for old in complete(checkpoint.parent)[:-keep]:
        # The mark goes first, so that a kill in between leaves no folder that looks complete.
        (old / COMPLETE).unlink()
        shutil.rmtree(old)


def complete(folder: Path) -> list[Path]:
    """The checkpoints that a run can continue from, oldest first."""
    sealed = [p for p in folder.glob("checkpoint-*") if _NAME.fullmatch(p.name) and (p / COMPLETE).is_file()]
    return sorted(sealed, key=lambda p: int(p.name.partition("-")[2]))


def latest(folder: Path) -> Path | None:
    """The newest checkpoint that is complete and undamaged, or None. Newer and incomplete ones are deleted."""
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path)
    for path in reversed(complete(folder)):
        if (damaged := damage(path, COMPLETE)) is None:
            return path
        warn(f"{damaged} is damaged, so this checkpoint is deleted and an older one is used")
        (path / COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(path)
    return None


__all__ = [
    "OptimizerState",
    "complete",
    "latest",
    "load_optimizer",
    "load_random",
    "mark",
    "save_optimizer",
    "save_random",
    "seal",
    "writing",
]
