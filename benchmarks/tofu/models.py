"""The work on models: fine-tune, unlearn, choose a learning rate, measure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.tofu.plan import Experiment, Row, World
from tif import files
from tif.console import warn
from tif.errors import InputError
from tif.eval.record import EvalRecord
from tif.readers import read_json
from tif.sets import store
from tif.sources import load


def learn(e: Experiment, rows: Path, folder: Path) -> dict[str, Any]:
    """Fine-tune the base model on questions and answers, with the trainer that unlearns."""
    from transformers import TrainingArguments, set_seed

    from tif.tokens.masks import Template, encode
    from tif.tokens.models import load_model, load_tokenizer
    from tif.train import checkpoint
    from tif.train.callbacks import Watch
    from tif.train.data import ScoredExample, TrainingSet
    from tif.train.losses import LossTerms, StepScores
    from tif.train.objectives import Objective
    from tif.train.settings import ObjectiveSettings
    from tif.train.trainer import LossPlan, Unlearner

    def likelihood(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
        t = step.forget
        return {"ce": t.means(-t.logprob, t.in_scope(settings)).mean()}

    plan = e.plan
    tokenizer = load_tokenizer(e.model)
    template = Template.of(tokenizer)
    samples = [ScoredExample.unscored(encode(example, tokenizer, template)) for example in load(str(rows)).examples]
    set_seed(0)
    model = load_model(e.model, dtype="float32")
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=plan.learn_epochs,
        per_device_train_batch_size=plan.learn_batch,
        learning_rate=plan.learn_lr,
        warmup_steps=0.05,
        weight_decay=0.0,
        bf16=_autocast(e),
        use_cpu=e.cpu,
        save_strategy="steps",
        save_steps=plan.save_steps,
        logging_steps=1,
        report_to="none",
        remove_unused_columns=False,
        disable_tqdm=True,
        seed=0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    watch = Watch(folder / "log.jsonl", "fine-tuning")
    objective = Objective("learn", likelihood, "cross-entropy")
    loss = LossPlan(objective=objective, settings=ObjectiveSettings(scope="all"))
    trainer = Unlearner(model, arguments, TrainingSet(samples), loss, callbacks=[watch])
    last = checkpoint.latest(folder / "checkpoints")
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        watch.close()
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"rows": len(samples), "steps": trainer.state.global_step}


def _autocast(e: Experiment) -> bool:
    return bool(read_json(e.out / "plan.json")["autocast"])


def unlearn(e: Experiment, row: Row, world: World, folder: Path, seed: int, rate: float | None) -> dict[str, Any]:
    from tif.train.options import TrainOptions
    from tif.train.run import train

    lr = chosen_rate(e, row) if rate is None else rate
    micro = min(e.plan.micro, e.plan.batch)
    bounded: dict[str, Any] = {"floor": "base", "base_model": str(e.model)} if row.floor else {}
    options = TrainOptions(
        masks=str(e.spans(row.spans, world)),
        model=str(e.reference("target", world) / "model"),
        out=str(folder),
        retain=str(e.file(f"{world}-retain")) if row.retain else None,
        objective=row.objective,
        unmarked="skip",
        batch_size=micro,
        accumulate=e.plan.batch // micro,
        lr=lr,
        warmup=0.1,
        seed=seed,
        autocast=_autocast(e),
        cpu=e.cpu,
        save_steps=e.plan.save_steps,
        **{"epochs": e.plan.epochs, **bounded, **row.options},
    )
    result = train(options)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"lr": lr, "steps": result.steps}


def chosen_rate(e: Experiment, row: Row) -> float:
    """The rate with the highest `choice_score` in `dev`, of the row itself or of the one it takes its rate from."""
    if row.rate_of:
        return chosen_rate(e, e.row(row.rate_of))
    if not e.tried(row):
        return e.rates(row)[0]
    return max(e.rates(row), key=lambda rate: trial_score(e, row, rate))


def trial_score(e: Experiment, row: Row, rate: float) -> float:
    """`choice_score` of a finished trial, wherever it was made."""
    known = e.score_before(row, rate)
    return choice_score(e, e.trial(row, rate)) if known is None else known


def choice_score(e: Experiment, folder: Path) -> float:
    """The smaller of forget quality and the share of the target's retain probability that is left: both must be good.

    Raises:
        InputError: for an evaluation that lacks one of the two.
    """
    own, target = (EvalRecord.read(f / "measured-dev") for f in (folder, e.reference("target", "dev")))
    kept, before = (record.mean("retain", "probability") for record in (own, target))
    if own.forget_quality is None or kept is None or not before:
        raise InputError("lacks forget quality or retain probability", where=str(folder / "measured-dev"))
    return min(own.forget_quality, kept / before)


def measure(e: Experiment, folder: Path, world: World, out: Path, *, relearned: bool) -> dict[str, Any]:
    """Evaluate `folder/model`. Completions, and with them utility, in `eval` only, and not after relearning."""
    from tif.eval import run
    from tif.eval.benchmarks import questions as rows
    from tif.eval.benchmarks.tofu import evaluate_lazily
    from tif.eval.compare import attack, logs
    from tif.eval.parts import PartsCache
    from tif.eval.settings import Scoring
    from tif.tokens.encoding import Encoder
    from tif.tokens.models import load_model, load_tokenizer, model_digest

    whole = world == "eval" and not relearned
    files = {"forget": f"{world}-forget"} | ({} if relearned else {"retain": f"{world}-measured"})
    files |= {part: part for part in ("real_authors", "world_facts")} if whole else {}
    splits = {part: rows.read(str(e.file(file)), part) for part, file in files.items()}
    spec = str(folder / "model")
    tokenizer = load_tokenizer(spec)
    settings = Scoring(completions=whole, max_new_tokens=e.plan.max_new_tokens)

    def model() -> Any:
        if not loaded:
            found = load_model(spec, dtype="float32").to(e.device)
            if relearned:
                attack.relearn(found, Encoder.of(tokenizer), splits["forget"])
            loaded.append(found)
        return loaded[0]

    loaded: list[Any] = []
    cache = PartsCache(out / "parts", f"{model_digest(spec)} {'relearned' if relearned else ''}")
    gold = store.load(e.spans("gold", world))
    found = evaluate_lazily(model, tokenizer, splits, annotations=gold, settings=settings, cache=cache)
    record = run.describe(found, settings).but(benchmark="local", attack="relearn" if relearned else None)
    never = e.reference("retain-only", world) / f"measured-{world}" / "eval.json"
    if never.parent != out:
        # What never saw the forget set is the measure of the others, before and after they are attacked.
        log = logs.read(never) if never.is_file() else None
        if log is None:
            warn(f"{out}: no forget quality, for the retain-only model is not measured yet")
        record = run.with_forget_quality(record, log)
    run.write(record, found.examples, out)
    return {"forget_quality": record.forget_quality}


__all__ = ["choice_score", "chosen_rate", "learn", "measure", "trial_score", "unlearn"]
