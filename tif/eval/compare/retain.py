"""No retain model at hand: make one, evaluate it, and forget quality has what it compares with.

A copy of the model from before the target was fine-tuned is fine-tuned on what is to be kept alone, by TOFU's recipe
(arXiv 2401.06121, section 4 and `config/finetune.yaml`): AdamW, weight decay 0.01, 32 examples a step, five epochs,
the learning rate rising over the first and falling over the others. Its evaluation is the retain log.

    OUT/model        the retain model; the same command does not train it again, and goes on after a kill
    OUT/retain.json  from what, on what and how it was trained
    OUT/eval.json    the log, for `tif eval RUN --retain-log`
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from tif import files
from tif.console import say
from tif.errors import UsageError
from tif.eval import processes
from tif.eval.benchmarks import questions
from tif.eval.options import EvaluateOptions
from tif.eval.run import Evaluated, evaluate_model
from tif.sources import read_json
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune
from tif.tokens.masks import Template
from tif.tokens.models import load_model, load_tokenizer, model_digest, prompting_digest

COMPLEMENT: Final = {"forget01": "tofu:retain99", "forget05": "tofu:retain95", "forget10": "tofu:retain90"}

TOFU: Final = FineTuning(epochs=5, lr=1e-5, weight_decay=0.01, schedule="linear")
"""TOFU's fine-tuning. A retain model has to be fine-tuned as the target was: the options give epochs and rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`retain.json`: from which model, on which samples and how a retain model was trained."""

    key: str
    """SHA-256 over everything that decides the model."""
    base: str
    retain: str
    questions: int
    fine_tuning: FineTuning


def make(options: EvaluateOptions) -> Evaluated:
    """Fine-tune the base model on the retain samples, and evaluate it.

    Args:
        options: those of the unlearned model's evaluation. `retain` names the retain samples, by default a TOFU split's
            complement. `limit` limits the evaluation alone. With a `model`, `out` is that model's.

    Returns:
        The retain model's evaluation; its `eval.json` is the retain log.

    Raises:
        UsageError: without retain samples, or in several processes.
        TifError: for a model or data that cannot be used.
    """
    if processes.count() > 1:
        raise UsageError("one process trains a retain model", hint="Make the log first, then evaluate with it.")
    source = options.retain or COMPLEMENT.get(options.forget)
    base = options.base_model
    if options.benchmark == "muse" or source is None or base is None:
        raise UsageError("the retain samples are not known", hint="Give them: --retain SOURCE (tofu, local).")
    kept = questions.read(source, "retain", data_dir=options.data_dir)
    tokenizer = load_tokenizer(base)
    encoder = Encoder(tokenizer, Template.of(tokenizer, options.template))
    how = replace(TOFU, epochs=options.retain_epochs, lr=options.retain_lr)
    key = _key(base, kept, encoder, how)
    out = options.out if options.model is None else None
    folder = Path(out) if out else Path("runs", "retain", f"{Path(base).name}-{key[:8]}")
    record = folder / "retain.json"
    if not record.is_file() or read_json(record).get("key") != key:
        say(f"fine-tuning {base} on {len(kept)} questions of {source}: {how.epochs} epochs")
        checkpoint = folder / f"checkpoint-{key[:16]}.safetensors"
        model = load_model(base).to(options.device or processes.device())
        examples = [row.texts()[0] for row in kept]
        fine_tune(model, encoder, examples, how, title="fine-tuning", checkpoint=checkpoint)
        made = Made(key=key, base=base, retain=source, questions=len(kept), fine_tuning=how)
        _save(model, tokenizer, folder, made)
        with files.writing(checkpoint):
            checkpoint.unlink(missing_ok=True)
    # TOFU evaluates `retain_perturbed`; a local file of retain samples is both trained on and evaluated.
    alone = options.plain(str(folder / "model"), out=str(folder), retain_log=None)
    lm_eval = {} if options.model is None else {"lm_eval": (), "lm_eval_tasks": None}
    return evaluate_model(alone.but(attack=None, **lm_eval))


def _key(base: str, kept: Sequence[questions.Row], encoder: Encoder, how: FineTuning) -> str:
    asked = [[row.question, row.answer] for row in kept]
    prompting = prompting_digest(base, encoder.tokenizer)
    parts = [model_digest(base), prompting, encoder.template.spec, asdict(how), asked]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _save(model: Any, tokenizer: Any, folder: Path, made: Made) -> None:
    """Write the model completely or not at all, and last the record that says it is complete."""
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    files.write(folder / "retain.json", json.dumps(asdict(made), ensure_ascii=False, indent=1))


__all__ = ["COMPLEMENT", "TOFU", "Made", "make"]
