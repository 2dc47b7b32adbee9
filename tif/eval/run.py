"""`tif eval`: a model or run folder -> `eval.json`, per-example parquet, and what is needed to compute them again.

OUT/eval.json             every number, and the truth ratios with their questions (so it serves as a retain log)
OUT/examples.parquet      one row an example
OUT/parts/*.parquet       per-token scores and completions of finished parts: a killed run goes on from there
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tif import __version__, files
from tif.console import say, warn
from tif.errors import InputError, UsageError
from tif.eval import processes
from tif.eval.benchmarks import questions as rows
from tif.eval.benchmarks.tofu import Evaluation, Settings, evaluate_lazily
from tif.eval.compare import attack, logs
from tif.eval.parts import Shelf
from tif.sets import spans_only as join
from tif.sets import store
from tif.sources import is_file, read_json
from tif.spans import AnnotationSet, of_labels
from tif.tokens.masks import Template
from tif.tokens.models import load_model, load_tokenizer, manner_digest, model_digest

SCHEMA: Final = 1
HEADLINE: Final = ("model_utility", "forget_quality", "uw_probability", "gw_probability")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be evaluated.

    Raises:
        UsageError: for a limit below 1, or a benchmark that tif does not have.
    """

    model: str
    """Model folder, run folder of `tif train`, or hub id."""
    benchmark: str = "tofu"
    """`tofu`, `muse`, or `local` for JSONL files of TOFU's fields."""
    forget: str = "forget10"
    """TOFU split, or a local file."""
    retain: str | None = None
    """With `local`: the file of what is to be kept."""
    data_dir: str | None = None
    retain_log: str | None = None
    masks: str | None = None
    """Annotation set, `FILE` or `FILE@N`; by default the one that the run was trained on."""
    limit: int | None = None
    out: str | None = None
    force: bool = False
    dtype: str | None = None
    device: str | None = None
    attack: str | None = None
    """`relearn` or `nf4`: evaluate the model after it."""
    reference_model: str | None = None
    """With `muse`: a model that never saw the texts, for membership inference by reference."""
    gradnorm: bool = False
    """With `muse`: membership inference by gradient norm, one backward pass a text."""
    lm_eval: tuple[str, ...] = ()
    """Tasks of lm-evaluation-harness to measure besides."""
    lm_eval_tasks: str | None = None
    """Folder of further tasks, as YAML files."""

    def __post_init__(self) -> None:
        if self.benchmark not in ("tofu", "muse", "local"):
            raise UsageError(f"no benchmark {self.benchmark!r}", hint="Known: tofu, muse, local.")
        if self.attack not in (None, "relearn", "nf4"):
            raise UsageError(f"no attack {self.attack!r}", hint="Known: relearn, nf4.")
        if self.attack == "relearn" and self.benchmark == "muse":
            raise UsageError("--attack relearn needs questions and answers", hint="Use it with tofu or local.")
        if self.benchmark != "muse" and (self.reference_model is not None or self.gradnorm):
            raise UsageError("membership inference needs holdout texts", hint="Use it with --benchmark muse.")
        if self.lm_eval_tasks is not None and not self.lm_eval:
            raise UsageError("a folder of tasks, and none named", hint="Name them: --lm-eval TASK[,TASK ...].")
        if self.device is not None:
            processes.named(self.device)
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit} leaves nothing to evaluate", hint="Give 1 or more.")


def run(request: Request, settings: Settings) -> dict[str, Any]:
    """Evaluate, write everything under the output folder, and return what `eval.json` says.

    Raises:
        TifError: for a model, data, annotations or a retain log that cannot be used; for a retain log of other
            questions unless forced.
    """
    if request.benchmark == "muse":
        return _run_muse(request)
    log = logs.read(request.retain_log) if request.retain_log else None
    run_info = read_run(request.model)
    splits = _splits(request)
    annotations, masks = _annotations(request, run_info, splits["forget"], settings.labels)
    tokenizer = load_tokenizer(request.model)
    digest = model_digest(request.model)
    out = Path(request.out) if request.out else default_out(request.model, digest, request.attack)
    template = Template.of(tokenizer, settings.template)
    # What relearning does depends on the rows it sees, and on how they are asked.
    seen = [[row.question, row.answer] for row in splits["forget"]] + [template.spec] if request.attack else []
    shelf = _shelf(request, out, digest, tokenizer, seen)
    load = _loader(request, lambda model: attack.relearn(model, tokenizer, splits["forget"], template))
    found = evaluate_lazily(load, tokenizer, splits, annotations=annotations, settings=settings, shelf=shelf)
    record = describe(found, settings) | {
        "benchmark": request.benchmark,
        "attack": request.attack,
        "forget": request.forget,
        "limit": request.limit,
        "dtype": request.dtype,
        "model": {"spec": request.model, "digest": digest},
        "masks": masks,
        "run": run_info,
    }
    record |= forget_quality(record, log, force=request.force)
    if log is not None:
        record["retain_leakage"] = {
            part: log.leakage[part].to_json()
            for part in found.leakage
            if found.leakage[part].comparable(log.leakage.get(part))
        }
    record |= _beyond(request, load, tokenizer, shelf)
    write(record, found, out)
    return record | {"out": str(out)}


def _run_muse(request: Request) -> dict[str, Any]:
    """MUSE's numbers; a retain model's `eval.json` as retain log gives PrivLeak its reference AUC."""
    from tif.eval.benchmarks import muse

    areas = logs.muse_areas(request.retain_log) if request.retain_log else None
    tokenizer = load_tokenizer(request.model)
    digest = model_digest(request.model)
    out = Path(request.out) if request.out else default_out(request.model, digest, request.attack)
    load, shelf = _loader(request), _shelf(request, out, digest, tokenizer)
    inference = muse.Inference(gradnorm=request.gradnorm)
    if request.reference_model is not None:
        if load_tokenizer(request.reference_model).get_vocab() != tokenizer.get_vocab():
            raise InputError("has another tokenizer", where=request.reference_model, why="losses cannot be subtracted")
        other = replace(request, model=request.reference_model, attack=None)
        inference = muse.Inference(_loader(other), model_digest(request.reference_model), request.gradnorm)
    found, frames = muse.evaluate(
        load,
        tokenizer,
        request.data_dir,
        shelf=shelf,
        limit=request.limit,
        inference=inference,
    )
    found |= muse.leak(found, areas, where=request.retain_log or "", force=request.force)
    record = {
        "tif": __version__,
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "benchmark": "muse",
        "attack": request.attack,
        "limit": request.limit,
        "dtype": request.dtype,
        "model": {"spec": request.model, "digest": digest},
        "retain_log": request.retain_log,
        "reference_model": request.reference_model,
        "run": read_run(request.model),
        "muse": found,
    }
    record |= _beyond(request, load, tokenizer, shelf)
    _save(record, frames, out)
    return record | {"out": str(out)}


def _loader(request: Request, relearn: Callable[[Any], None] | None = None) -> Callable[[], Any]:
    """The model, loaded when it is first asked for, and attacked if that was asked for."""

    @cache
    def load() -> Any:
        where = processes.device() if request.device is None else processes.named(request.device)
        model = load_model(request.model, dtype=request.dtype).to(where)
        if request.attack == "nf4":
            say(f"nf4: {attack.quantize(model):.0%} of the model's numbers are rounded")
        if request.attack == "relearn" and relearn is not None:
            relearn(model)
        return model

    return load


def _beyond(request: Request, load: Callable[[], Any], tokenizer: Any, shelf: Shelf) -> dict[str, Any]:
    """lm-eval's numbers, if some were asked for."""
    if not request.lm_eval:
        return {}
    from tif.eval.benchmarks.lm_eval import harness

    folder, limit = request.lm_eval_tasks, request.limit
    return {"lm_eval": harness(load, tokenizer, request.lm_eval, shelf=shelf, folder=folder, limit=limit)}


def _shelf(request: Request, out: Path, digest: str, tokenizer: Any, seen: Sequence[Any] = ()) -> Shelf:
    # The weights' type is part of what is scored: bfloat16 gives other digits.
    said = [digest, manner_digest(request.model, tokenizer), request.dtype or "stored", request.attack, *seen]
    shelf = Shelf(out / "parts", json.dumps(said, ensure_ascii=False))
    shelf.check()
    return shelf


def describe(found: Evaluation, settings: Settings) -> dict[str, Any]:
    """The record that `eval.json` is made of, without what only the caller knows (model, data, masks)."""
    forget = found.parts.get("forget", {})
    return {
        "tif": __version__,
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "settings": asdict(settings) | {"template": found.template or settings.template},
        "model_utility": found.model_utility,
        "model_utility_reason": found.reasons.get("model_utility"),
        "model_utility_parts": dict(found.utility_parts),
        "forget_quality": None,
        "forget_quality_reason": "no retain log was given",
        "uw_probability": forget.get("uw_probability"),
        "uw_probability_reason": found.reasons.get("forget_uw_probability"),
        "gw_probability": forget.get("gw_probability"),
        "leakage": {part: counts.to_json() for part, counts in found.leakage.items()},
        "parts": {part: dict(values) for part, values in found.parts.items()},
        "reasons": dict(found.reasons),
        "per_example": {
            part: {name: [row[name] for row in examples] for name in ("question", "answer", "truth_ratio")}
            for part, examples in found.examples.items()
            if part == "forget"
        },
    }


def forget_quality(record: Mapping[str, Any], log: logs.Log | None, *, force: bool = False) -> dict[str, Any]:
    """`forget_quality` and why it is null or forced, of a record against a retain log.

    Raises:
        InputError: for a log of other questions, unless `force`d.
    """
    forget = record["per_example"].get("forget", {"truth_ratio": ()})
    if log is None:
        return {
            "forget_quality": None,
            "forget_quality_reason": "no retain log: evaluate a model that never saw the forget set with the same "
            "options, and give its eval.json as --retain-log",
        }
    if any(ratio is None for ratio in forget["truth_ratio"]):
        return {"forget_quality": None, "forget_quality_reason": "the data has no paraphrased and perturbed answers"}
    for warning in log.warnings():
        warn(warning)
    mine = logs.Log(
        "this evaluation",
        "tif",
        tuple(forget["truth_ratio"]),
        tuple(forget["question"]),
        tuple(forget["answer"]),
        None,
        {},
        settings=record["settings"],
    )
    result = logs.compare(mine, log, force=force)
    return {
        "forget_quality": result.forget_quality,
        "forget_quality_reason": None,
        "forget_quality_forced": result.forced,
        "retain_log": log.path,
        "retain_truth_ratio": list(log.truth_ratios),
    }


def write(record: Mapping[str, Any], found: Evaluation, out: Path) -> None:
    """Write `examples.parquet` and `eval.json` in `out`, each whole or not at all.

    Raises:
        WriteError: if the folder cannot be written to.
    """
    _save(record, found.examples, out)


def _save(record: Mapping[str, Any], examples: Mapping[str, list[dict[str, Any]]], out: Path) -> None:
    if not processes.main():
        return
    rows_ = [{"part": part, **row} for part, found in examples.items() for row in found]
    # A table takes its columns from the first row, and MUSE's parts differ in theirs.
    columns = list(dict.fromkeys(name for row in rows_ for name in row))
    frame = [{name: row.get(name) for name in columns} for row in rows_]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(frame), sink, compression="zstd")
    files.write(out / "examples.parquet", sink.getvalue())
    files.write(out / "eval.json", json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False))


def headline(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `tif eval --json` prints: the record without per-example columns, headline first."""
    left_out = ("per_example", "retain_truth_ratio")
    first = {name: record[name] for name in HEADLINE if name in record}
    return first | {name: value for name, value in record.items() if name not in left_out and name not in first}


def read_run(model: str) -> dict[str, Any] | None:
    """A run folder's `run.json`; None for a plain model.

    Raises:
        InputError: if it is not JSON.
    """
    path = Path(model) / "run.json"
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError("is not an object", where=str(path))
    return found


def trained_labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The labels that a run forgot, from the config in its record; a record of an older tif names one label."""
    if "label" in config:
        return (config["label"],)
    labels = config.get("labels")
    return None if labels is None else tuple(labels)


def default_out(model: str, digest: str, attacked: str | None = None) -> Path:
    """`RUN/eval` for a run folder, else `runs/eval/NAME-DIGEST`: a model's folder is not ours to write to.

    An attack has a folder of its own, so that both sides of it can be reported.
    """
    after = f"-{attacked}" if attacked else ""
    if (Path(model) / "run.json").is_file():
        return Path(model) / f"eval{after}"
    return Path("runs", "eval", f"{Path(model).name}-{digest[:8]}{after}")


def _annotations(
    request: Request, run_info: Mapping[str, Any] | None, asked: Sequence[rows.Row], labels: tuple[str, ...] | None
) -> tuple[AnnotationSet | None, dict[str, Any] | None]:
    """The set that tells unwanted words from general ones, and what is recorded of it.

    Raises:
        InputError: for a set that was asked for and marks nothing in the forget rows. The run's own is then left out.
    """
    ref = request.masks
    if ref is None and run_info is not None:
        named = run_info.get("masks")
        if isinstance(named, dict) and "path" in named:
            head = store.resolve(named["path"])[0]
            if not head.exists():
                warn(f"{head}, which this run was trained on, is not here: no UW and GW numbers (--masks)")
                return None, None
            ref = f"{head}@{named['digest'][:12]}"
    if ref is None:
        return None, None
    found = join.load(ref, data_dir=request.data_dir)
    if not any(of_labels(row.spans, labels) for row in rows.annotate(asked, found)):
        which = f" labelled {' or '.join(labels)}" if labels else ""
        what = f"no question of the forget split has a span{which} in this set"
        hint = "Was it made from another split, or under other --labels?"
        if request.masks is not None:
            raise InputError(what, where=ref, hint=hint)
        warn(f"{ref}, which this run was trained on: {what}; no UW and GW numbers. {hint}")
        return None, None
    assert found.version is not None
    version = found.version
    return found, {
        "ref": ref,
        "version": version.number,
        "digest": version.digest,
        "author": version.author,
        "message": version.message,
    }


def _splits(request: Request) -> dict[str, Sequence[rows.Row]]:
    if request.benchmark == "tofu":
        if is_file(request.forget):
            raise UsageError("--benchmark tofu takes a split", hint="Use --benchmark local for files of your own.")
        return dict(rows.tofu(request.forget, data_dir=request.data_dir, limit=request.limit))
    found: dict[str, Sequence[rows.Row]] = {"forget": rows.read(request.forget, "forget", limit=request.limit)}
    if request.retain:
        found["retain"] = rows.read(request.retain, "retain", limit=request.limit)
    return found


__all__ = [
    "HEADLINE",
    "Request",
    "default_out",
    "describe",
    "forget_quality",
    "headline",
    "read_run",
    "run",
    "trained_labels",
    "write",
]
