"""The record that a run keeps of itself: made at the start, compared when a run is taken up, completed at the end."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

import tif
from tif import seal
from tif.errors import InputError, UsageError
from tif.options import declared
from tif.records import Cost, MasksIdentity, ModelIdentity, ReferencePass, RunRecord, Session, Settled, Stopped
from tif.sources import several
from tif.spans import now
from tif.tokens.models import prompting_digest
from tif.train.options import TrainOptions

if TYPE_CHECKING:
    from tif.train.prepare import Prepared
    from tif.train.trainer import LossPlan, Unlearner

OUTPUTS: Final = ("model", "adapter", "log.jsonl")
"""What a finished run has written in its folder, besides its record and its checkpoints."""

LIBRARIES: Final = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "peft", "numpy")


def new(
    options: TrainOptions, plan: LossPlan, prepared: Prepared, model: ModelIdentity, base_model: ModelIdentity | None
) -> RunRecord:
    """The record of a run that has not begun."""
    masks = prepared.annotations
    return RunRecord(
        status="running",
        tif=tif.__version__,
        config=options.to_json(),
        incidental=tuple(each.name for each in declared(TrainOptions) if not each.option.outcome),
        objective={
            "paper": plan.objective.paper,
            **asdict(plan.settings),
            "retain_loss": plan.retain_loss,
            "retain_weight": plan.retain_weight,
            **({"retain_bound": plan.retain_bound, "dual_step": plan.dual_step} if plan.is_dual else {}),
        },
        masks=MasksIdentity(
            path=options.masks,
            version=masks.version.number,
            digest=masks.digest,
            fingerprint=masks.fingerprint,
        ),
        model=model,
        base_model=base_model,
        prompting=prompting_digest(options.model, prepared.tokenizer),
        template=prepared.template.spec,
        date=str(prepared.template.today) if prepared.template.spec == "chat" else None,
        validation_digest=prepared.validation.digest if prepared.validation else None,
        forget_tokens_sha256=_digest([[item.input_ids, item.kinds] for item in prepared.forget_side]),
        retain_tokens_sha256=_digest([item.input_ids for item in (*prepared.retain, *prepared.held)])
        if prepared.retain
        else None,
        counts=prepared.counts,
        provenance=masks.provenance,
        libraries=_libraries(),
        python=platform.python_version(),
        sessions=(),
    )


def read(folder: Path) -> RunRecord | None:
    """The record of a run folder; None for a folder that is empty or does not exist.

    Raises:
        InputError: for a folder with other content, or a record that cannot be read.
    """
    known = RunRecord.of_folder(folder)
    if known is None and folder.is_dir() and any(folder.iterdir()):
        raise InputError("is not empty, and not a run of tif", where=str(folder), hint="Give another --out.")
    return known


def check_same_run(known: RunRecord, now: RunRecord, folder: Path) -> None:
    """Refuse to continue another run.

    Raises:
        UsageError: naming the first difference.
    """
    old, new = _comparable(known), _comparable(now)
    for name in new:
        # A record that is too old to have a value cannot differ in it.
        if name in old and old[name] != new[name]:
            raise UsageError(
                f"contains another run: {name} was {old[name]}, and is {new[name]}",
                where=str(folder),
                hint="Give another --out, or delete this folder.",
            )


def begin(record: RunRecord, folder: Path) -> RunRecord:
    """Write that a session begins, and return the record with it."""
    session = Session(started=now(), code_sha256=code_digest())
    record = replace(record, sessions=(*record.sessions, session))
    record.write(folder)
    return record


def finish(
    record: RunRecord,
    folder: Path,
    trainer: Unlearner,
    *,
    seconds: float,
    from_step: int,
    stopped: Stopped | None,
    settled: Settled | None,
) -> RunRecord:
    """Write that a run is finished, what it cost, and why it ended if it ended early.

    The reference pass serves all epochs: `share` is its part of the time of reference pass and training together. Only
    sessions that were not killed have a time.
    """
    device, name, peak = _device(trainer)
    session = replace(
        record.sessions[-1],
        finished=now(),
        device=f"{device} ({name})",
        processes=trainer.accelerator.num_processes,
        seconds=round(seconds, 3),
        from_step=from_step,
    )
    sessions = (*record.sessions[:-1], session)
    cost = Cost(
        tokens=int(trainer.state.num_input_tokens_seen),
        seconds=round(sum(each.seconds or 0.0 for each in sessions), 3),
        flos=trainer.state.total_flos,
        peak_host_bytes=_peak_host_bytes(),
        peak_device_bytes=peak,
    )
    record = replace(
        record,
        status="finished",
        steps=trainer.state.global_step,
        outputs=seal.manifest(folder, OUTPUTS),
        early_stop=stopped,
        settled=settled,
        sessions=sessions,
        cost=cost,
        reference=_spread(record.reference, trainer.state.epoch or 0.0, cost.seconds),
    )
    record.write(folder)
    return record


def code_digest() -> str:
    """SHA-256 over tif's own source files."""
    root = Path(tif.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _comparable(record: RunRecord) -> dict[str, JsonValue]:
    """What must be the same for a run to be continued, by the name that an error gives it."""
    # A record older than an option was made as by its default.
    usual = {each.name: _plain(each.default) for each in declared(TrainOptions) if each.option.outcome}
    config = record.outcome()
    if "retain" in config:
        # Before there were mixtures, this was one source or none.
        config["retain"] = _plain(several(config["retain"]))
    values: dict[str, JsonValue] = {
        **usual,
        **{name: value for name, value in config.items() if name in usual},
        "mask set": record.masks.digest,
        "model": record.model.digest,
        "template": record.template,
        "validation set": record.validation_digest,
        "retain samples": record.retain_tokens_sha256,
    }
    if record.forget_tokens_sha256 is not None:
        values["tokens of the forget set (tokenizer, template)"] = record.forget_tokens_sha256
    if record.base_model is not None or record.config.get("base_model") is None:
        values["base model"] = record.base_model.digest if record.base_model else None
    # Where the options leave a number open, the objective's own counts, which another tif may have changed.
    numbers = {f"the objective's {name}": value for name, value in record.objective.items() if name != "paper"}
    return values | numbers


def _plain(default: object) -> JsonValue:
    return list(default) if isinstance(default, tuple) else default  # type: ignore[return-value]


def _digest(rows: Sequence[object]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _spread(reference: ReferencePass | None, epochs: float, training: float) -> ReferencePass | None:
    if reference is None:
        return None
    return replace(
        reference,
        epochs=epochs,
        seconds_per_epoch=round(reference.seconds / epochs, 3) if epochs else None,
        share=round(reference.seconds / (reference.seconds + training), 4) if reference.seconds + training else None,
    )


def _device(trainer: Unlearner) -> tuple[str, str, int | None]:
    """Type and name of the device, and the most memory that it had in use."""
    device = trainer.args.device
    if device.type != "cuda":
        return device.type, platform.processor() or platform.machine(), None
    import torch

    return device.type, torch.cuda.get_device_name(device), torch.cuda.max_memory_allocated(device)


def _peak_host_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def _libraries() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


__all__ = ["begin", "check_same_run", "code_digest", "finish", "new", "read"]
