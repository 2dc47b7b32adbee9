"""Optimizer, scheduler and random states as safetensors and JSON: a checkpoint that nothing has to unpickle."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tif import files
from tif.errors import InputError

COMPLETE: Final = "complete"
"""A file that is written last. A checkpoint without it was cut short, and is never read."""

_NAME = re.compile(r"checkpoint-(\d+)")


def save_optimizer(state: dict[str, Any], folder: Path) -> None:
    """`optimizer.state_dict()` -> `optimizer.safetensors` and `optimizer.json`."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for index, entry in state["state"].items():
        scalars[str(index)] = {}
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                scalars[str(index)][name] = value
    save_file(tensors, folder / "optimizer.safetensors")
    (folder / "optimizer.json").write_text(json.dumps({"scalars": scalars, "param_groups": state["param_groups"]}))


def load_optimizer(folder: Path) -> dict[str, Any]:
    """What `save_optimizer` wrote, for `optimizer.load_state_dict`."""
    rest = json.loads((folder / "optimizer.json").read_text())
    state: dict[int, dict[str, Any]] = {int(index): entry for index, entry in rest["scalars"].items()}
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
    """Put every generator where `save_random` found it. A process that was not there then starts as it is."""
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


def seal(checkpoint: Path, keep: int) -> None:
    """Mark a checkpoint as whole, once its bytes are on the disk, and delete all but the newest `keep` whole ones."""
    files.sync(checkpoint)
    files.write(checkpoint / COMPLETE, "")
    for old in whole(checkpoint.parent)[:-keep]:
        # The mark goes first, so that a kill in the middle leaves no folder that looks whole.
        (old / COMPLETE).unlink()
        shutil.rmtree(old)


def whole(folder: Path) -> list[Path]:
    """The checkpoints in a folder that can be resumed from, oldest first."""
    found = [p for p in folder.glob("checkpoint-*") if _NAME.fullmatch(p.name) and (p / COMPLETE).is_file()]
    return sorted(found, key=lambda p: int(p.name.partition("-")[2]))


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint. What was cut short is deleted.

    Raises:
        InputError: for a checkpoint that says it is whole and cannot be read.
    """
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path)
    known = whole(folder)
    if not known:
        return None
    try:
        json.loads((known[-1] / "trainer_state.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            "the last checkpoint is damaged", where=str(known[-1]), why=str(error), hint="Delete it to go further back."
        ) from None
    return known[-1]


__all__ = ["latest", "load_optimizer", "load_random", "save_optimizer", "save_random", "seal", "whole"]
