"""Verify runs, evaluations and sets: recompute every digest that tif recorded, and name what differs.

set          content, metadata, sidecar and parents of every version
run          the record's seal, each file that the run wrote, the annotation set and the starting model
evaluation   the record's seal, its numbers, its other files, the evaluated model and tokenizer, the annotation set,
             the run
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tif import seal
from tif.errors import InputError, TifError, reason
from tif.eval.recompute import check_numbers
from tif.eval.record import EVAL_FILE, EvalRecord
from tif.readers import read_json
from tif.records import CHECKPOINTS, RUN_FILE, TRAJECTORY, ModelIdentity, RunRecord, run_around
from tif.seal import Check
from tif.sets import store
from tif.sets.verify import verify_set


def verify(path: str | Path, *, data_dir: str | Path | None = None) -> list[Check]:
    """Verify a run folder, the folder or file of an evaluation, or an annotation set.

    A run folder stands for the run and for all evaluations in it.

    Args:
        path: what to verify.
        data_dir: for a set without texts: folder with local copies of benchmark files.

    Raises:
        InputError: if there is none of them at this path.
        TifError: as `tif.sets.verify.verify_set`.
    """
    place = Path(path)
    if (place / RUN_FILE).is_file():
        checks = verify_run(place)
        for record in sorted([*place.glob(f"*/{EVAL_FILE}"), *place.glob(f"{TRAJECTORY}/*/{EVAL_FILE}")]):
            checks += verify_evaluation(record.parent)
        return checks
    if place.name == EVAL_FILE or (place / EVAL_FILE).is_file():
        return verify_evaluation(place.parent if place.name == EVAL_FILE else place)
    if place.is_dir():
        raise InputError("contains no run and no evaluation", where=str(path), hint="Give RUN, EVALUATION or SET.")
    return verify_set(path, data_dir=data_dir)


def verify_run(folder: Path) -> list[Check]:
    """Compare a run folder with its record.

    Args:
        folder: with `run.json`.
    """
    name = str(folder / RUN_FILE)
    try:
        record = RunRecord.read(folder / RUN_FILE)
    except InputError as error:
        return [Check(name=name, state="differs", detail=f"{error.what} ({error.why})")]
    checks = [_sealed(folder / RUN_FILE)]
    if record.status == "finished" and not record.outputs:
        checks.append(Check(name=str(folder / "model"), state="unsealed", detail="an older tif recorded no files"))
    checks += seal.compare(folder, record.outputs)
    checks += _set(record.masks.path, record.masks.digest)
    checks += _model("the starting model", record.model, prompting=record.prompting)
    if record.base_model is not None:
        checks += _model("the base model", record.base_model)
    return checks


def verify_evaluation(folder: Path) -> list[Check]:
    """Compare the folder of an evaluation with its record.

    Args:
        folder: with `eval.json`.
    """
    name = str(folder / EVAL_FILE)
    try:
        record = EvalRecord.read(folder)
    except InputError as error:
        return [Check(name=name, state="differs", detail=f"{error.what} ({error.why})")]
    checks = [_sealed(folder / EVAL_FILE)]
    if not record.files:
        checks.append(Check(name=str(folder), state="unsealed", detail="an older tif recorded no files"))
    checks += seal.compare(folder, record.files)
    checks.append(check_numbers(folder, record))
    if record.model is not None:
        here = _inside(folder, record)
        checks += _model("the evaluated model", record.model, here=here, prompting=record.prompting)
    if record.masks is not None:
        checks += _set(record.masks.ref, record.masks.digest)
    if record.run is not None:
        checks += _same_run(record.run, folder, record.model)
    return checks


def _inside(folder: Path, record: EvalRecord) -> Path | None:
    """Return the evaluated model inside the run folder that the evaluation is in.

    The evaluation goes with the run when the folder is moved.
    """
    run = next((place for place in folder.parents[:2] if (place / RUN_FILE).is_file()), None)
    if run is None or record.run is None or record.model is None:
        return None
    path = Path(str(record.model.path))
    return run / CHECKPOINTS / path.name if path.parent.name == CHECKPOINTS else run


def _sealed(file: Path) -> Check:
    content = read_json(file)
    if isinstance(content, dict) and seal.SEAL in content:
        return Check(name=str(file), state="ok")
    return Check(name=str(file), state="unsealed", detail="an older tif wrote it")


def _set(ref: str, digest: str) -> Iterator[Check]:
    """Check that the version of a set that was used can still be read. Later versions make no difference."""
    head = store.resolve(ref)[0]
    name = f"{head}@{digest[:12]}"
    if not head.exists():
        yield Check(name=name, state="skipped", detail="the annotation set is not here")
        return
    try:
        own = store.load(name).digest
    except TifError as error:
        yield Check(name=name, state="missing", detail=f"{error.what}")
        return
    yield Check(name=name, state="ok" if own == digest else "differs")


def _model(role: str, model: ModelIdentity, *, here: Path | None = None, prompting: str | None = None) -> list[Check]:
    from tif.tokens.models import load_tokenizer, model_digest, prompting_digest

    path = here or (Path(model.path) if model.path else None)
    name = f"{role} {path or ''}".strip()
    if path is None or not path.is_dir() or model.digest is None:
        return [Check(name=name, state="skipped", detail="is not here")]
    try:
        own = model_digest(path)
        asked = prompting_digest(path, load_tokenizer(path)) if prompting is not None else None
    except (TifError, OSError) as error:
        return [Check(name=name, state="differs", detail=error.what if isinstance(error, TifError) else reason(error))]
    if own != model.digest:
        return [Check(name=name, state="differs", detail=f"its digest was {model.digest[:12]}, and is {own[:12]}")]
    if asked != prompting:
        return [Check(name=name, state="differs", detail="its tokenizer, chat template or generation config changed")]
    return [Check(name=name, state="ok")]


def _same_run(run: RunRecord, folder: Path, model: ModelIdentity | None) -> Iterator[Check]:
    """Check that the run in the evaluation is the run on disk."""
    own = Path(model.path) if model and model.path else folder
    places = [*folder.parents[:2], run_around(own) or own]
    file = next((place / RUN_FILE for place in places if (place / RUN_FILE).is_file()), None)
    name = f"the run of {folder / EVAL_FILE}"
    if file is None:
        yield Check(name=name, state="skipped", detail="is not here")
        return
    try:
        same = RunRecord.read(file).continues(run)
    except InputError as error:
        yield Check(name=name, state="differs", detail=f"{file} {error.what}")
        return
    detail = "" if same else f"is not the run in {file}"
    yield Check(name=name, state="ok" if same else "differs", detail=detail)


__all__ = ["verify", "verify_evaluation", "verify_run"]
