"""Evaluate one model and write its files.

OUT/eval.json             all numbers, and the forget questions with their truth ratios, so it can be a retain log
OUT/examples.parquet      one row for each example
OUT/leaks.parquet         with `--leak`: one row for each form of asking and question, with all samples
OUT/parts/*.parquet       per-token scores and completions of finished parts, so a killed evaluation can continue
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files, seal
from tif.console import warn
from tif.errors import InputError
from tif.eval import data, processes
from tif.eval.benchmarks import leak, lume, membership
from tif.eval.benchmarks.lume_files import LumeFiles
from tif.eval.benchmarks.questions import Row
from tif.eval.benchmarks.texts import Inference, TextModel
from tif.eval.benchmarks.tofu import Evaluation, ExampleRow, evaluate_lazily
from tif.eval.compare import composites, depth, gaps, leaks, logs, relearning, robustness
from tif.eval.compare.attack import Attack, name_of
from tif.eval.full import Full
from tif.eval.loading import inference_of, loader
from tif.eval.measure.composites import Memorization
from tif.eval.options import CONTROLS, EvaluateOptions
from tif.eval.origin import default_out, model_of, run_of
from tif.eval.parts import PartsCache
from tif.eval.record import EVAL_FILE, EXAMPLES_FILE, EvalRecord, columns
from tif.eval.settings import MAX_NEW_TOKENS, Scoring
from tif.records import ModelIdentity, RunRecord
from tif.tokens.encoding import Encoder
from tif.tokens.generate import prompt_text
from tif.tokens.memory import fits_in_memory
from tif.tokens.models import load_tokenizer, model_digest, prompting_digest
from tif.tokens.templates import Template, TemplateSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_OWN_QUESTIONS: Final = ("set", "lume")
"""Benchmarks without TOFU's paraphrased and perturbed answers."""
_NO_LOG: Final = (
    "no retain log: evaluate a model that never saw the forget set with the same options, and give its eval.json as "
    "--retain-log"
)
_SHARE: Final = (
    "the retain log is of all forget rows, and relearning used some of them: attack the retain model in the same way, "
    "and give its eval.json as --retain-log"
)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A finished evaluation and its folder."""

    record: EvalRecord
    out: Path
    attacked: tuple[Evaluated, ...] = ()
    """With `--full`: the same model's evaluations after attacks, each in its own folder."""


@fits_in_memory("Use --dtype bfloat16, or --device cpu.")
def evaluate_model(options: EvaluateOptions, full: Full | None = None) -> Evaluated:
    """Evaluate `options.model`, and write the files into the output folder.

    Args:
        options: what to measure.
        full: what `--full` added to them, and left out.

    Raises:
        TifError: if the model, the data, the annotation set or the retain log cannot be used; for a retain log of other
            questions, unless `options.force` is set.
    """
    if options.device is not None:
        processes.device(options.device)  # refuse a wrong name before reading anything
    options = data.resolve(options)
    full = replace(full or Full(options=options), options=options)
    return _evaluate_muse(options, full) if options.benchmark == "muse" else _evaluate_questions(options, full)


def _evaluate_questions(options: EvaluateOptions, full: Full) -> Evaluated:
    model = model_of(options)
    membership.check(options)
    log = logs.read(options.retain_log) if options.retain_log else None
    starting = composites.starting_record(options.starting_log)
    run = run_of(model)
    settings = scoring(options, run)
    asked = data.load(options, run, settings.labels)
    if asked.lume is not None and asked.masks is None:
        settings = replace(settings, labels=options.labels)  # a run's labels are not those of LUME's own marks
    splits = dict(asked.splits)
    relearned, splits["forget"] = relearning.divide(splits["forget"], options.relearn_share)
    tokenizer = load_tokenizer(model)
    digest_of = once(model_digest)  # several measures compare with the same models
    digest, prompting = digest_of(model), prompting_digest(model, tokenizer)
    marked = asked.annotations is not None or asked.lume is not None
    depth_models, left_out = full.depth_models(
        lambda: depth.named(full.options, run, tokenizer, digest_of, marked=marked), marked=marked
    )
    if depth_models is None and options.depth:
        options = options.without("depth", *(() if options.attack else CONTROLS))
    out = Path(options.out) if options.out else default_out(model, digest, name_of(options))
    encoder = Encoder.of(tokenizer, settings.encoding)
    log, log_reason = _usable(log, asked.splits["forget"], splits["forget"], settings, encoder, force=options.force)
    attack = Attack.of(options, lambda: relearning.Relearning.of(options, relearned, splits.get("retain", ()), encoder))
    cache = _parts_cache(options, out, digest, prompting, attack)
    load: Callable[[], PreTrainedModel] = loader(options, model)
    measured_attack = None
    if attack is not None:
        load = subject = robustness.Subject(load, attack)
        controls = robustness.named(options, run, tokenizer, digest_of)
        measured_attack = robustness.measure(
            subject, ModelIdentity(model, digest), splits["forget"], encoder, attack, controls, options, cache
        )
    baselines = leaks.Baselines.read(options.retain_log if log and log.format == "tif" else None, options.base_log)
    evaluation = evaluate_lazily(load, tokenizer, splits, settings=settings, cache=cache)
    record = describe(evaluation, _with_template(settings, encoder.template)).but(
        benchmark=options.benchmark,
        config=options.to_json(),
        attack=options.attack,
        forget=asked.forget,
        limit=options.limit,
        dtype=options.dtype,
        model=ModelIdentity(model, digest),
        prompting=prompting,
        masks=asked.masks,
        run=run,
        robustness=measured_attack,
    )
    if options.benchmark in _OWN_QUESTIONS:
        record = record.but(model_utility_reason="only TOFU's questions give it")
    record = with_forget_quality(record, log, force=options.force)
    if log_reason is not None:
        record = record.but(forget_quality_reason=log_reason)
    if log is not None:
        known = {part: log.leakage.get(part) for part in evaluation.leakage}
        comparable = {part: own for part, own in known.items() if own and evaluation.leakage[part].comparable(own)}
        record = record.but(retain_leakage=comparable)
    holdout = membership.source(options)
    asks = holdout is not None or asked.lume is not None
    inference = inference_of(options, tokenizer, digest_of) if asks else Inference()
    if holdout is not None:
        inferred = membership.measure(
            load, encoder, splits["forget"], evaluation.scores, holdout, options, settings, cache, inference
        )
        record = record.but(membership=inferred.beside(baselines.retain.membership if baselines.retain else None))
    examples = dict(evaluation.examples)
    if asked.lume is not None:
        texts = TextModel(load, tokenizer, cache)
        named = LumeFiles(options.data_dir, options.limit)
        record, scored = lume.add(record, examples, asked.lume, texts, named, inference, baselines.retain)
        examples |= scored
    if depth_models is not None:
        rows = [row.texts()[0] for row in splits["forget"]]
        result, depths = depth.measure(load, encoder, rows, depth_models, cache)
        record = record.but(depth=result)
        examples["forget"] = [row | asdict(d) for row, d in zip(examples["forget"], depths, strict=True)]
    record, examples["forget"] = composites.add(record, examples["forget"], options, cache, starting)
    distances, reason = gaps.to_retain(examples["forget"], options.retain_log, baselines.retain)
    record = record.but(retain_gaps=distances, retain_gaps_reason=reason and (log_reason or reason))
    if options.leak is not None:
        measured = leak.measure(
            load,
            encoder,
            splits["forget"],
            retain=splits.get("retain", ()),
            labels=settings.labels,
            how=leak.Leaking(samples=options.leak, forms=options.leak_forms, max_new_tokens=settings.max_new_tokens),
            cache=cache,
        )
        record = leaks.add(record, measured, baselines)
        if processes.main():
            leaks.write(measured, out)
    record = record.but(lm_eval=_lm_eval(options, load, tokenizer, cache), reasons={**record.reasons, **left_out})
    return Evaluated(write(record, examples, out), out)


def _evaluate_muse(options: EvaluateOptions, full: Full) -> Evaluated:
    """Evaluate on MUSE. The retain log, a retain model's `eval.json`, gives the AUC that PrivLeak compares with."""
    from tif.eval.benchmarks import muse
    from tif.eval.benchmarks.muse_files import MuseFiles

    model = model_of(options)
    retain = logs.retain_area(options.retain_log) if options.retain_log else None
    if retain is not None:
        files_of = MuseFiles(options.data_dir, options.limit, options.corpus)
        muse.check_texts(files_of, retain, where=options.retain_log or "", force=options.force)
    tokenizer, digest_of = load_tokenizer(model), once(model_digest)
    digest, prompting = digest_of(model), prompting_digest(model, tokenizer)
    out = Path(options.out) if options.out else default_out(model, digest, name_of(options))
    attack = Attack.of(options)
    load, cache = loader(options, model), _parts_cache(options, out, digest, prompting, attack)
    load = load if attack is None else robustness.Subject(load, attack)
    inference = inference_of(options, tokenizer, digest_of)
    numbers, examples = muse.evaluate(
        load, tokenizer, options.data_dir, cache=cache, limit=options.limit, inference=inference, corpus=options.corpus
    )
    numbers = muse.with_privleak(numbers, retain, where=options.retain_log or "", force=options.force)
    record = EvalRecord.new(
        benchmark="muse",
        config=options.to_json(),
        attack=options.attack,
        limit=options.limit,
        dtype=options.dtype,
        model=ModelIdentity(model, digest),
        prompting=prompting,
        retain_log=options.retain_log,
        base_model=options.base_model,
        run=run_of(model),
        muse=numbers,
        reasons=full.left_out,
        lm_eval=_lm_eval(options, load, tokenizer, cache),
    )
    return Evaluated(write(record, examples, out), out)


def scoring(options: EvaluateOptions, run: RunRecord | None) -> Scoring:
    """Return the scoring settings.

    Template, system prompt, date, labels and punctuation default to those of the run. A system prompt and a date belong
    to a template, so another template does not get the run's.
    """
    raw = options.benchmark == "lume" and options.template is None
    template = options.template or (lume.TEMPLATE if raw else run.asked_template if run else None)
    own = run if options.template is None and not raw else None
    date = str(options.date) if options.date else None
    usual = lume.MAX_NEW_TOKENS if options.benchmark == "lume" else MAX_NEW_TOKENS
    return Scoring(
        template=str(template or TemplateSpec()),
        system_prompt=options.system_prompt or (own.system_prompt if own else None),
        date=date or (own.asked_date if own else None),
        labels=options.labels or (run.labels if run else None),
        punctuation=options.punctuation or (run.punctuation if run else "gw"),
        supervise_eos=options.supervise_eos,
        average=options.truth_ratio,
        max_new_tokens=options.max_new_tokens or usual,
        continues_prompt=raw,
        completions=options.completions,
    )


def _usable(
    log: logs.Log | None,
    rows: Sequence[Row],
    evaluated: Sequence[Row],
    settings: Scoring,
    encoder: Encoder,
    *,
    force: bool,
) -> tuple[logs.Log | None, str | None]:
    """Return the retain log if it is of the evaluated rows, or the reason why it is of all forget rows.

    Raises:
        InputError: for a log of other questions, unless `force` is given.
    """
    if log is None:
        return None, None
    prompt = prompt_text(encoder.tokenizer, encoder.template)
    how = _with_template(settings, encoder.template)
    try:
        logs.check_questions(evaluated, how, prompt, log, force=force)
    except InputError:
        if len(evaluated) == len(rows):
            raise
        logs.check_questions(rows, how, prompt, log, force=force)
        return None, _SHARE
    return log, None


def _with_template(settings: Scoring, template: Template) -> Scoring:
    """Return the settings with what `auto` or a preset stood for, and with the date that a chat template got."""
    date = str(template.today) if template.spec == "chat" else None
    return replace(settings, template=template.spec, system_prompt=template.system_prompt, date=date)


def describe(evaluation: Evaluation, settings: Scoring) -> EvalRecord:
    """Return the record of an evaluation. The caller adds the model, the data and the annotation set."""
    forget = evaluation.parts.get("forget", {})
    return EvalRecord.new(
        settings=replace(settings, template=evaluation.template or settings.template),
        prompt=evaluation.prompt,
        model_utility=evaluation.model_utility,
        model_utility_reason=evaluation.reasons.get("model_utility"),
        model_utility_parts=dict(evaluation.utility_parts),
        forget_quality_reason="no retain log was given",
        uw_probability=forget.get("uw_probability"),
        uw_probability_reason=evaluation.reasons.get("forget_uw_probability"),
        gw_probability=forget.get("gw_probability"),
        memorization=Memorization.of(forget),
        leakage=dict(evaluation.leakage),
        verbatim=dict(evaluation.verbatim),
        parts={part: dict(values) for part, values in evaluation.parts.items()},
        reasons=dict(evaluation.reasons),
        per_example={part: columns(rows) for part, rows in evaluation.examples.items() if part == "forget"},
    )


def with_forget_quality(record: EvalRecord, log: logs.Log | None, *, force: bool = False) -> EvalRecord:
    """Return the record with its forget quality against a retain log, or with the reason why it has none.

    Raises:
        InputError: for a retain log of other questions, unless `force` is given.
    """
    own = logs.of_record(record, "this evaluation")
    if log is None and (own is not None or record.benchmark not in _OWN_QUESTIONS):
        return record.but(forget_quality=None, forget_quality_reason=_NO_LOG)
    if log is None or own is None:
        why = "the data has no paraphrased and perturbed answers"
        used = log.path if log else None
        return record.but(forget_quality=None, forget_quality_reason=why, retain_log=used)
    result = logs.compare(own, log, force=force)
    for warning in [*log.warnings(), *([result.unknown] if result.unknown else [])]:
        warn(warning)
    return record.but(
        forget_quality=result.forget_quality,
        forget_quality_reason=None,
        forget_quality_forced=result.forced,
        forget_quality_unchecked=result.unknown,
        ks_distance=result.distance,
        retain_log=log.path,
        retain_truth_ratio=log.truth_ratios,
    )


def write(record: EvalRecord, examples: Mapping[str, Sequence[ExampleRow]], out: Path) -> EvalRecord:
    """Write `examples.parquet` and `eval.json` into `out`, each atomically. Return the record with all files' digests.

    Raises:
        WriteError: if the folder cannot be written to.
    """
    if not processes.main():
        return record
    rows = [{"part": part, **row} for part, part_rows in examples.items() for row in part_rows]
    # pyarrow takes the columns from the first row, but the parts of MUSE have different columns.
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    files.write(out / EXAMPLES_FILE, sink.getvalue())
    record = record.but(
        files=seal.manifest(out, [EXAMPLES_FILE, *([leaks.LEAKS_FILE] if record.leaks else []), "parts"])
    )
    files.write(out / EVAL_FILE, json.dumps(record.to_json(), ensure_ascii=False, indent=1, allow_nan=False))
    return record


def _lm_eval(
    options: EvaluateOptions, load: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase, cache: PartsCache
) -> dict[str, dict[str, float]]:
    """Return lm-evaluation-harness's numbers for the tasks in the options."""
    if not options.lm_eval:
        return {}
    from tif.eval.benchmarks.lm_eval import harness

    return harness(load, tokenizer, options.lm_eval, cache=cache, folder=options.lm_eval_tasks, limit=options.limit)


def _parts_cache(options: EvaluateOptions, out: Path, digest: str, prompting: str, attack: Attack | None) -> PartsCache:
    # The dtype is part of the key, because bfloat16 gives other scores.
    key = [digest, prompting, options.dtype or "stored"]
    parts = PartsCache(out / "parts", json.dumps([*key, attack.key if attack else None], ensure_ascii=False))
    parts.check()
    return parts


__all__ = [
    "Evaluated",
    "describe",
    "evaluate_model",
    "scoring",
    "with_forget_quality",
    "write",
]
