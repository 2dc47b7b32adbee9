"""`run.json`: enough for an auditor to say what was forgotten, how, from which model, with which code, at what cost."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
from dataclasses import MISSING, asdict, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import tif
from tif import files
from tif.errors import InputError, UsageError
from tif.sources import read_json
from tif.train.config import TrainConfig
from tif.train.prepare import Prepared

SCHEMA: Final = 1
LIBRARIES: Final = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "peft", "numpy")

_FREE: Final = (
    "out",
    "save_steps",
    "keep_checkpoints",
    "log_steps",
    "report_to",
    "data_dir",
    "masks",
    "model",
    "floor_model",
    "validation",
)
"""Settings that may change when a run is taken up again: they do not change its outcome, or stand in digests."""

_DEFAULTS: Final = {
    setting.name: list(setting.default) if isinstance(setting.default, tuple) else setting.default
    for setting in fields(TrainConfig)
    if setting.default is not MISSING
}


def identity(
    config: TrainConfig, prepared: Prepared, model: str, objective: dict[str, Any], floor_model: str | None
) -> dict[str, Any]:
    """What makes two runs the same. `objective` has the numbers that were used, where the config leaves them open;
    `model` and `floor_model` are digests."""
    masks = prepared.annotations
    retained, trained = hashlib.sha256(), hashlib.sha256()
    for item in prepared.retain:
        retained.update(json.dumps(item.input_ids).encode())
    for item in (*prepared.forget, *prepared.idk):
        trained.update(json.dumps([item.input_ids, list(map(int, item.kinds))]).encode())
    return {
        "config": config.to_json(),
        "objective": objective,
        "masks": {
            "path": config.masks,
            "version": masks.version.number if masks.version else None,
            "digest": masks.digest,
            "fingerprint": masks.fingerprint,
        },
        "model": {"path": config.model, "digest": model},
        "floor_model": {"path": config.floor_model, "digest": floor_model} if floor_model else None,
        "template": prepared.template.spec,
        "validation_digest": prepared.validation_digest,
        "forget_tokens_sha256": trained.hexdigest(),
        "retain_tokens_sha256": retained.hexdigest() if prepared.retain else None,
    }


def read(folder: Path) -> dict[str, Any] | None:
    """The record of a run folder, or None where there is none.

    Raises:
        InputError: for a folder that holds something else, or a record that cannot be read.
    """
    path = folder / "run.json"
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError("not empty, and no run of tif", where=str(folder), hint="Give another --out.")
        return None
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise InputError("not the record of a run", where=str(path))
    for name, kind in (("status", str), ("config", dict), ("masks", dict), ("model", dict), ("sessions", list)):
        if not isinstance(found.get(name), kind):
            raise InputError(f"the record of a run has no whole {name!r}", where=str(path))
    if found["status"] == "finished" and type(found.get("steps")) is not int:
        raise InputError("the record of a finished run does not say its steps", where=str(path))
    return found


def same_run(known: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with another run.

    Raises:
        UsageError: naming the first setting that differs.
    """
    old, new = _comparable(known), _comparable(now)
    for name in new:
        # What a record is too old to say cannot differ from it.
        if name in old and old[name] != new[name]:
            raise UsageError(
                f"holds another run: {name} was {old.get(name)}, and is {new[name]}",
                where=str(folder),
                hint="Give another --out, or delete this folder.",
            )


def begin(
    folder: Path, known: dict[str, Any] | None, who: dict[str, Any], prepared: Prepared, seconds: float, reused: bool
) -> dict[str, Any]:
    """Write that a run has begun, or goes on."""
    session = {"started": _now(), "code_sha256": code_digest(), "finished": None, "device": None, "seconds": None}
    if known is None:
        known = {
            "schema": SCHEMA,
            "status": "running",
            "tif": tif.__version__,
            **who,
            "counts": prepared.counts,
            "provenance": _provenance(prepared),
            "libraries": _libraries(),
            "python": platform.python_version(),
            "reference": {"seconds": round(seconds, 3), "from_cache": reused},
            "sessions": [],
        }
    known["sessions"].append(session)
    _write(folder, known)
    return known


def finish(
    folder: Path, known: dict[str, Any], trainer: Any, seconds: float, start: int, stopped: dict[str, Any] | None
) -> None:
    """Write that a run is done, why if before its time, and what it cost. Sessions that were killed have no `seconds`.

    The reference pass is spread over the epochs: `share` is its part of reference pass and training together, as far
    as both were timed.
    """
    device = trainer.args.device
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
    cost: dict[str, Any] = {"peak_host_bytes": peak}
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        import torch

        cost["peak_device_bytes"] = torch.cuda.max_memory_allocated(device)
        name = torch.cuda.get_device_name(device)
    known["sessions"][-1] |= {
        "finished": _now(),
        "device": f"{device.type} ({name})",
        "processes": trainer.accelerator.num_processes,
        "seconds": round(seconds, 3),
        "from_step": start,
    }
    known |= {
        "status": "finished",
        "steps": trainer.state.global_step,
        "early_stop": stopped,
        "cost": cost
        | {
            "tokens": int(trainer.state.num_input_tokens_seen),
            "flos": trainer.state.total_flos,
            "seconds": round(sum(s["seconds"] or 0.0 for s in known["sessions"]), 3),
        },
    }
    epochs, pass_seconds = trainer.state.epoch or 0.0, known["reference"]["seconds"]
    known["reference"] |= {
        "epochs": epochs,
        "seconds_per_epoch": round(pass_seconds / epochs, 3) if epochs else None,
        "share": round(pass_seconds / (pass_seconds + known["cost"]["seconds"]), 4),
    }
    _write(folder, known)


def code_digest() -> str:
    """SHA-256 over tif's own source files."""
    root = Path(tif.__file__).parent
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def _comparable(run: dict[str, Any]) -> dict[str, Any]:
    # A record older than a setting was made as by its default.
    config = {name: value for name, value in {**_DEFAULTS, **run["config"]}.items() if name not in _FREE}
    found = {
        **config,
        "mask set": run["masks"].get("digest"),
        "model": run["model"].get("digest"),
        "template": run.get("template"),
        "validation set": run.get("validation_digest"),
        "retain samples": run.get("retain_tokens_sha256"),
    }
    if "forget_tokens_sha256" in run:
        found["tokens of the forget set (tokenizer, template)"] = run["forget_tokens_sha256"]
    if "floor_model" in run:
        found["floor model"] = (run["floor_model"] or {}).get("digest")
    # Where the config leaves a number open, the objective's own counts, which another tif may have changed.
    return found | {f"the objective's {k}": v for k, v in run.get("objective", {}).items() if k != "paper"}


def _provenance(prepared: Prepared) -> dict[str, Any]:
    return asdict(prepared.annotations.provenance)


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _write(folder: Path, run: dict[str, Any]) -> None:
    files.write(folder / "run.json", json.dumps(run, indent=2, ensure_ascii=False, default=str))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


__all__ = ["begin", "code_digest", "finish", "identity", "read", "same_run"]
