"""Make a retain model and evaluate it. Forget quality compares with its evaluation, the retain log.

The base model is fine-tuned on the retain samples alone. The recipe is TOFU's (arXiv 2401.06121, section 4 and
`config/finetune.yaml`): AdamW, weight decay 0.01, 32 examples per step, five epochs. The learning rate rises during the
first epoch and falls during the others.

    OUT/model        the retain model. The same command reuses it, and continues after a kill
    OUT/retain.json  its base model, retain samples and fine-tuning settings
    OUT/eval.json    the retain log, for `tif eval RUN --retain-log`
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif import files, sources
from tif.console import say
from tif.errors import MissingError, UsageError
from tif.eval import data, processes
from tif.eval.benchmarks import membership
from tif.eval.benchmarks.lume_files import LumeFiles
from tif.eval.benchmarks.questions import Row
from tif.eval.options import EvaluateOptions
from tif.eval.run import Evaluated, evaluate_model, scoring
from tif.eval.settings import Scoring
from tif.overlap import refuse_overlap
from tif.readers import read_json
from tif.records import RunRecord
from tif.sets import store
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune
from tif.tokens.models import load_model, load_tokenizer, model_digest, prompting_digest
from tif.tokens.templates import ChatDate, TemplateSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

COMPLEMENT: Final = {"forget01": "tofu:retain99", "forget05": "tofu:retain95", "forget10": "tofu:retain90"}

TOFU: Final = FineTuning(epochs=5, lr=1e-5, weight_decay=0.01, schedule="linear")
"""TOFU's fine-tuning. Options set the epochs and learning rate, because they must equal the starting model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainRecord:
    """`retain.json`: the base model, retain samples and fine-tuning settings of a retain model."""

    key: str
    """SHA-256 over everything that determines the model."""
    base: str
    retain: str
    questions: int
    fine_tuning: FineTuning


def make(options: EvaluateOptions) -> Evaluated:
    """Fine-tune the base model on the retain samples, and evaluate it.

    Args:
        options: the options of the unlearned model's evaluation. `retain` names the retain samples, by default the
            complement of the TOFU split. `limit` applies to the evaluation only. With a `model`, `out` is the folder of
            that model's evaluation.

    Returns:
        The retain model's evaluation. Its `eval.json` is the retain log.

    Raises:
        UsageError: without retain samples, or in several processes.
        TifError: for a model or data that cannot be used.
    """
    if processes.count() > 1:
        raise UsageError(
            "--make-retain-log runs in one process only",
            hint="Make the log without a launcher first, then give it as --retain-log.",
        )
    source = options.retain or _complement(options)
    base = options.base_model
    if options.benchmark == "muse" or source is None or base is None:
        raise UsageError(
            "--make-retain-log needs retain samples",
            hint="Give --retain SOURCE with --benchmark tofu, lume, local or set.",
        )
    samples = data.retain_rows(options, source, None)
    examples = [row.texts()[0] for row in samples]
    if options.retain:
        refuse_overlap(_forget(options), examples, options.retain)
    tokenizer = load_tokenizer(base)
    run = RunRecord.of_model(options.model) if options.model else None
    settings = scoring(options, run)
    encoder = Encoder.of(tokenizer, settings.encoding)
    how = replace(TOFU, epochs=options.retain_epochs, lr=options.retain_lr)
    key = _key(base, samples, encoder, how)
    out = options.out if options.model is None else None
    folder = Path(out) if out else Path("runs", "retain", f"{Path(base).name}-{key[:8]}")
    record = folder / "retain.json"
    if not record.is_file() or read_json(record).get("key") != key:
        say(f"fine-tuning {base} on {len(samples)} questions of {source}: {how.epochs} epochs")
        checkpoint = folder / f"checkpoint-{key[:16]}.safetensors"
        model = load_model(base).to(processes.device(options.device))
        fine_tune(model, encoder, examples, how, title="fine-tuning", checkpoint=checkpoint)
        trained = RetainRecord(key=key, base=base, retain=source, questions=len(samples), fine_tuning=how)
        _save(model, tokenizer, folder, trained)
        with files.writing(checkpoint):
            checkpoint.unlink(missing_ok=True)
    # TOFU evaluates `retain_perturbed`. A local file of retain samples serves training and evaluation.
    alone = options.plain(
        str(folder / "model"), out=str(folder), retain_log=None, inference=membership.possible(options), beside=False
    )
    lm_eval = {} if options.model is None else {"lm_eval": (), "lm_eval_tasks": None}
    # LUME's prompts have no template unless the user gives one, and then `alone` has it.
    prompting = {} if options.benchmark == "lume" else _prompting(settings)
    return evaluate_model(alone.but(**lm_eval, **prompting, **(_marks(options, run, settings) if run else {})))


def _prompting(settings: Scoring) -> dict[str, TemplateSpec | ChatDate | str]:
    """Return the options that make the retain model's prompts those of the unlearned model."""
    prompting: dict[str, TemplateSpec | ChatDate | str] = {"template": TemplateSpec.of(settings.template)}
    if settings.system_prompt is not None:
        prompting["system_prompt"] = settings.system_prompt
    if settings.date is not None:
        prompting["date"] = ChatDate.of(settings.date)
    return prompting


def _marks(options: EvaluateOptions, run: RunRecord, settings: Scoring) -> dict[str, str | tuple[str, ...] | None]:
    """Return the options that count the words of the unlearned run as unwanted in the retain model's answers too."""
    ref = options.masks
    if ref is None and (used := data.load(options, run, settings.labels).masks) is not None:
        ref = used.ref
    if ref is None:
        return {"punctuation": settings.punctuation}
    return {"masks": ref, "labels": settings.labels, "punctuation": settings.punctuation}


def _complement(options: EvaluateOptions) -> str | None:
    """Return the benchmark's own retain samples; None if it has none."""
    if options.benchmark == "lume":
        return str(LumeFiles(options.data_dir).path("retain"))
    return COMPLEMENT.get(options.forget) if options.benchmark == "tofu" else None


def _forget(options: EvaluateOptions) -> tuple[Example, ...]:
    """Return the samples that the retain model must not see."""
    if options.benchmark == "set" and options.masks is not None:
        rows = data.forget_rows(store.load(options.masks, data_dir=options.data_dir))
        return tuple(row.texts()[0] for row in rows)
    if options.benchmark in ("local", "lume"):
        own = options.benchmark == "lume"
        return sources.load(
            str(LumeFiles(options.data_dir).path("forget")) if own else options.forget,
            data_dir=options.data_dir,
            prompt_field=options.prompt_field,
            text_field=options.text_field,
            encoding=options.encoding,
        ).examples
    try:
        return sources.load(f"tofu:{options.forget}", data_dir=options.data_dir).examples
    except MissingError:
        return sources.load(f"tofu:{options.forget}_perturbed", data_dir=options.data_dir).examples


def _key(base: str, samples: Sequence[Row], encoder: Encoder, how: FineTuning) -> str:
    texts = [[row.question, row.answer] for row in samples]
    prompting = prompting_digest(base, encoder.tokenizer)
    parts = [model_digest(base), prompting, encoder.template.key, asdict(how), texts]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, trained: RetainRecord) -> None:
    """Write the complete model or nothing, then the record that marks it as complete."""
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    files.write(folder / "retain.json", json.dumps(asdict(trained), ensure_ascii=False, indent=1))


__all__ = ["COMPLEMENT", "TOFU", "RetainRecord", "make"]
