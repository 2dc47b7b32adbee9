"""The work on models: fine-tune, write texts, tune, unlearn, measure."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.claim.plan import Experiment, Measurement, Row, World
from benchmarks.claim.rows import RETAIN_WEIGHT
from benchmarks.stages import write_rows
from tif import files
from tif.errors import InputError
from tif.sources import load
from tif.spans import Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tif.tokens.encoding import Encoder

QUESTION: Final = "Which question stands here?"
"""Stands for a question in a chat, so that the words before it can be found."""
LONGEST: Final = 40
"""Words of a question that a model writes itself; longer ones are left out."""


def learn(e: Experiment, rows: Path, folder: Path) -> dict[str, Any]:
    """Fine-tune the base model on samples, unless somebody else made this model."""
    from tif.tokens.finetune import FineTuning, fine_tune
    from tif.tokens.models import load_tokenizer

    if folder.name in e.given:
        return {"given": str(e.given[folder.name])}
    model, tokenizer = _loaded(e, e.model), load_tokenizer(str(e.model))
    how = FineTuning(
        epochs=e.plan.learn_epochs, lr=e.plan.learn_lr, batch_size=e.plan.learn_batch or e.plan.batch, packed=True,
        schedule="linear", warmup_steps=5, max_grad_norm=1.0,
    )  # fmt: skip
    examples = load(str(rows)).examples
    fine_tune(model, _encoder(e, tokenizer), examples, how, title=folder.name, autocast=e.bfloat16)
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    return {"rows": len(examples)}


def _loaded(e: Experiment, folder: Path) -> PreTrainedModel:
    from tif.tokens.models import load_model

    return load_model(str(folder), dtype="float32").to(e.device)


def _encoder(e: Experiment, tokenizer: PreTrainedTokenizerBase) -> Encoder:
    from tif.tokens.encoding import Encoder, Encoding
    from tif.tokens.templates import TemplateSpec

    return Encoder.of(tokenizer, Encoding(template=TemplateSpec.of(e.plan.template)))


def write_alternates(e: Experiment, world: World) -> dict[str, Any]:
    """Write other answers to the forget questions: random ones of the retain proxy, which never saw the right ones."""
    from tif.eval.measure.sample import Sampling, sample
    from tif.tokens.generate import ask
    from tif.tokens.models import load_tokenizer

    folder = e.weights(e.reference("proxy", world))
    tokenizer = load_tokenizer(str(folder))
    examples = load(str(e.file(f"{world}-forget"))).examples
    asked = ask(examples, tokenizer, _encoder(e, tokenizer).template)
    how = Sampling(samples=e.plan.alternates, max_new_tokens=e.plan.max_new_tokens, ends=asked.ends)
    texts = sample(_loaded(e, folder), tokenizer, asked.prompts, how)
    pairs = [
        {"question": example.prompt, "answer": answer}
        for example, own in zip(examples, texts, strict=True)
        for answer in dict.fromkeys(own)
        if answer and answer != example.text
    ]
    write_rows(e.file(f"{world}-alternates"), pairs)
    return {"answers": len(pairs)}


def write_own_texts(e: Experiment) -> dict[str, Any]:
    """Write questions of the base model with answers of the target: what it says where nothing was taught."""
    from tif.eval.measure.complete import complete
    from tif.eval.measure.sample import Sampling, sample
    from tif.tokens.generate import ask
    from tif.tokens.models import load_tokenizer

    tokenizer = load_tokenizer(str(e.model))
    template = _encoder(e, tokenizer).template
    before = template.render(Example("own", QUESTION, "An answer."), tokenizer).string.partition(QUESTION)[0]
    prompt = tokenizer(before, add_special_tokens=False)["input_ids"]
    ends = ask([Example("own", QUESTION, "An answer.")], tokenizer, template).ends
    how = Sampling(samples=2 * e.plan.own_texts, max_new_tokens=e.plan.max_new_tokens, ends=ends)
    (drawn,) = sample(_loaded(e, e.model), tokenizer, [prompt], how)
    short = [text.strip() for text in drawn if 0 < len(text.split()) <= LONGEST]
    questions = [Example(str(i), q, "x") for i, q in enumerate(list(dict.fromkeys(short))[: e.plan.own_texts])]
    asked = ask(questions, tokenizer, template)
    target = _loaded(e, e.weights(e.reference("target", "eval")))
    answers = complete(target, tokenizer, asked.prompts, max_new_tokens=e.plan.max_new_tokens, ends=asked.ends)
    pairs = [{"question": q.prompt, "answer": a} for q, a in zip(questions, answers, strict=True) if a]
    write_rows(e.file("own-texts"), pairs)
    return {"texts": len(pairs)}


def options_of(e: Experiment, row: Row, world: World) -> dict[str, Any]:
    """The options of `tif train` for a row, without those that a search or a run adds."""
    retain = [str(e.file(f"{world}-retain"))]
    extra: dict[str, Any] = {}
    if "own-text" in row.needs:
        retain.append(str(e.file("own-texts")))
    if "base" in row.needs:
        extra["base_model"] = str(e.model)
    if "alternates" in row.needs:
        extra["alternates"] = str(e.file(f"{world}-alternates"))
    if "frame-retain" in row.needs:
        extra["frame_retain"] = str(e.retain_spans)
    micro = min(e.plan.micro, e.plan.batch)
    if e.plan.template != "auto":
        extra["template"] = e.plan.template
    return {
        "masks": str(e.spans(row.spans, world)),
        "model": str(e.weights(e.reference("target", world))),
        "retain": tuple(retain),
        "objective": row.objective,
        "unmarked": "skip",
        "batch_size": micro,
        "accumulate": e.plan.batch // micro,
        "warmup": 0.1,
        "retain_weight": RETAIN_WEIGHT,
        "autocast": e.bfloat16,
        "cpu": e.cpu,
        "save_steps": 100_000,
        **extra,
        **e.plan.train,
        **row.options,
    }


def search(e: Experiment, row: Row) -> dict[str, Any]:
    """Tune a row on the dev authors, as `tif tune` does: the aim is what never saw them."""
    from tif.train.grid import Grid
    from tif.train.tune import tune
    from tif.train.tune_options import TuneOptions

    grid = tuple(Grid.of(text) for text in e.plan.grid)
    options = TuneOptions(
        **options_of(e, row, "dev"),
        out=str(e.search(row)),
        aim=str(e.weights(e.reference("retain-only", "dev"))),
        grid=grid,
        budget=1_000,
        evaluated=str(e.spans(row.spans, "eval")),
    )
    record = tune(options)
    tried = [
        {"settings": dict(c.settings), "uw": c.unwanted.phrase, "kept": c.kept, "chosen": c.number == record.chosen}
        for c in record.candidates
    ]
    aim, start = (level and level.phrase for level in (record.aim, record.start))
    return {"aim": aim, "start": start, "of": "phrase", "candidates": tried, "diverged": len(record.diverged)}


def chosen(e: Experiment, row: Row) -> dict[str, Any]:
    """The settings that a finished search chose.

    Raises:
        InputError: if there is none.
    """
    path = e.search(row) / "chosen.toml"
    if not path.is_file():
        raise InputError("the search is not finished", where=str(path))
    values = tomllib.loads(path.read_text())["train"]
    return {name: values[name] for name in (grid.partition("=")[0] for grid in e.plan.grid)}


def unlearn(e: Experiment, row: Row, world: World, seed: int) -> dict[str, Any]:
    """Train a row on a world's forget set: in `eval` with its tuned settings, in `dev` with those of the pilot."""
    from tif.train.options import TrainOptions
    from tif.train.run import train

    settings = chosen(e, row) if world == "eval" else dict(e.plan.pilot)
    folder = e.run(row, world, seed)
    result = train(TrainOptions(**{**options_of(e, row, world), **settings, "seed": seed, "out": str(folder)}))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    settled = result.record.settled
    return {**settings, "steps": result.steps, "settled": settled and settled.fraction}


def measure(e: Experiment, measurement: Measurement, world: World, folder: Path) -> dict[str, Any]:
    """Evaluate a model as `tif eval` does.

    Args:
        e: the experiment.
        measurement: what is measured, and how.
        world: whose samples are asked.
        folder: a run, or the folder of a reference.
    """
    from tif.eval.options import EvaluateOptions
    from tif.eval.run import evaluate_model

    out = e.measured(measurement, folder, world)
    never = e.measured(measurement, e.reference("retain-only", world), world)
    options: dict[str, Any] = {
        "model": str(e.weights(folder)),
        "benchmark": measurement.benchmark,
        "dtype": "float32",
        "device": e.device,
        "out": str(out),
        **measurement.options,
    }
    if measurement.benchmark != "set":
        options["data_dir"] = str(e.asked(world))
    if measurement.marks is not None:
        options["masks"] = str(e.spans(measurement.marks, world))
    if measurement.keeps:
        options["retain"] = str(e.file("retain"))
    if measurement.against and never != out:
        options["retain_log"] = str(never / "eval.json")
    if measurement.against and e.classifier is not None:
        options["fluency_classifier"] = str(e.classifier)
        if (folder / "run.json").is_file():
            target = e.reference("target", world)
            options["starting_log"] = str(e.measured(measurement, target, world) / "eval.json")
            options |= {"depth": True, "starting_model": str(e.weights(target))}
            options["retain_model"] = str(e.weights(e.reference("retain-only", world)))
    record = evaluate_model(EvaluateOptions(**options)).record
    return {"forget_quality": record.forget_quality, "gw": record.gw_probability}


__all__ = [
    "chosen",
    "learn",
    "measure",
    "options_of",
    "search",
    "unlearn",
    "write_alternates",
    "write_own_texts",
]
