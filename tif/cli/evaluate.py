"""`tif eval` and `tif report`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tif.console import emit, emit_json, say
from tif.errors import UsageError

_DATA = "Folder with TOFU's or MUSE's files. [default: TIF_DATA_DIR, else the hub]"


def register(app: typer.Typer) -> None:
    """Put `eval` and `report` on `app`."""
    app.command("eval")(evaluate)
    app.command("report")(report)


def evaluate(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="RUN_OR_MODEL", help="Run folder, model folder or hub id.")] = (
        None
    ),
    benchmark: Annotated[str, typer.Option(help="tofu, muse, or local (JSONL files of TOFU's fields).")] = "tofu",
    forget: Annotated[str, typer.Option(help="TOFU split; with local, a file.")] = "forget10",
    retain: Annotated[str | None, typer.Option(help="With local: the file of what is to be kept.")] = None,
    data_dir: Annotated[str | None, typer.Option(help=_DATA)] = None,
    retain_log: Annotated[
        str | None, typer.Option(help="Evaluation log of a model that never saw the forget set.")
    ] = None,
    masks: Annotated[
        str | None, typer.Option(metavar="SET[@N]", help="Annotation set. [default: the run's own]")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many rows of each part.")] = None,
    out: Annotated[str | None, typer.Option(help="Output folder. [default: RUN/eval or runs/eval/NAME-DIGEST]")] = None,
    template: Annotated[str, typer.Option(help="auto, chat, qa, text, or a format string.")] = "auto",
    labels: Annotated[
        list[str] | None,
        typer.Option(help="Labels of unwanted words, comma-separated. [default: the run's, else every label]"),
    ] = None,
    punctuation: Annotated[
        str | None, typer.Option(help="Punctuation outside spans: gw or uw. [default: the run's, else gw]")
    ] = None,
    supervise_eos: Annotated[
        bool, typer.Option("--supervise-eos/--no-supervise-eos", help="Score the end token, as TOFU does.")
    ] = True,
    truth_ratio: Annotated[str, typer.Option(help="Average wrong answers by loss (code) or probability (paper).")] = (
        "loss"
    ),
    max_new_tokens: Annotated[int, typer.Option(help="Longest completion.")] = 200,
    completions: Annotated[bool, typer.Option(help="Without them: no ROUGE, no model utility, much faster.")] = True,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16. [default: as stored]")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps. [default: the best there is]")] = None,
    import_log: Annotated[str | None, typer.Option(metavar="FILE", help="Read another project's log instead.")] = None,
    attack: Annotated[
        str | None, typer.Option(help="Evaluate after relearn (a short relearning) or nf4 (4-bit quantization).")
    ] = None,
    make_retain_log: Annotated[
        bool, typer.Option("--make-retain-log", help="Fine-tune --base on what is to be kept, and use its evaluation.")
    ] = False,
    base: Annotated[str | None, typer.Option(help="The model that the target was fine-tuned from.")] = None,
    retain_epochs: Annotated[int, typer.Option(help="Epochs of that fine-tuning: as many as the target's.")] = 5,
    retain_lr: Annotated[float, typer.Option(help="Its learning rate: the target's.")] = 1e-5,
    reference_model: Annotated[
        str | None, typer.Option(help="With muse: a model that never saw the texts, for membership inference.")
    ] = None,
    gradnorm: Annotated[
        bool, typer.Option("--gradnorm", help="With muse: membership inference by gradient norm, too.")
    ] = False,
    lm_eval: Annotated[
        str | None, typer.Option(metavar="TASK[,TASK]", help="Tasks of lm-evaluation-harness to measure besides.")
    ] = None,
    lm_eval_tasks: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Further tasks for it, as YAML files.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Compare logs of different questions all the same.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Measure what a model has forgotten and what it has kept."""
    _refuse_idle(ctx, benchmark, alone=import_log is not None, making=make_retain_log)
    if import_log is not None:
        if model is not None:
            raise UsageError("--import-log takes no model", hint="It reads numbers from the log alone.")
        from tif.eval.compare.logs import import_log as read_log

        found = read_log(import_log, retain_log, force=force)
        _show(found, as_json)
        return
    if make_retain_log and base is None:
        raise UsageError(
            "--make-retain-log needs --base, the model that the target was fine-tuned from",
            hint="With a retain model at hand: `tif eval RETAIN_MODEL --out DIR`, then --retain-log DIR/eval.json. "
            "Without either, all numbers but forget quality can still be had.",
        )
    if base is not None and not make_retain_log:
        raise UsageError("--base is for --make-retain-log")
    if make_retain_log and retain_log is not None:
        raise UsageError("--make-retain-log and --retain-log exclude each other")
    if model is None and not make_retain_log:
        raise UsageError("no model given", hint="tif eval RUN_OR_MODEL, or --import-log FILE.")
    choices = (
        ("--truth-ratio", truth_ratio, ("loss", "probability")),
        ("--punctuation", punctuation, (None, "gw", "uw")),
    )
    for name, value, known in choices:
        if value not in known:
            raise UsageError(f"{name} {value!r} is not known", hint=f"Known: {', '.join(filter(None, known))}.")
    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise UsageError(f"--dtype {dtype!r} is not known", hint="Known: float32, bfloat16, float16.")
    if max_new_tokens < 1:
        raise UsageError(f"--max-new-tokens {max_new_tokens} leaves nothing to say", hint="Give 1 or more.")
    from tif.eval.benchmarks.tofu import Settings
    from tif.eval.processes import main
    from tif.eval.run import Request, headline, read_run, run, trained_labels
    from tif.spans import split_labels

    trained = ((model and read_run(model)) or {}).get("config", {})
    settings = Settings(
        template=template,
        labels=split_labels(labels) or trained_labels(trained),
        punctuation=punctuation or trained.get("punctuation", "gw"),
        supervise_eos=supervise_eos,
        average="loss" if truth_ratio == "loss" else "probability",
        max_new_tokens=max_new_tokens,
        completions=completions,
    )
    tasks = tuple(filter(None, map(str.strip, (lm_eval or "").split(","))))
    if lm_eval is not None and not tasks:
        raise UsageError(f"--lm-eval {lm_eval!r} names no task")
    request = Request(
        model or "", benchmark, forget, retain, data_dir, retain_log, masks, limit, out, force, dtype, device, attack,
        reference_model, gradnorm, tasks, lm_eval_tasks,
    )  # fmt: skip
    if base is not None:
        from tif.eval.compare.retain import Recipe, make

        # With a model to evaluate besides, --out is that model's.
        wanted = request if model is None else replace(request, out=None, lm_eval=(), lm_eval_tasks=None)
        record = make(base, wanted, settings, Recipe(retain_epochs, retain_lr))
        log = str(Path(record["out"]) / "eval.json")
        say(f"wrote {log}")
        request = replace(request, retain_log=log)
    if model is not None:
        record = run(request, settings)
        if not main():
            return
        say(f"wrote {Path(record['out']) / 'eval.json'}")
    _show(headline(record), as_json)


_LOG_ONLY = {"import_log", "retain_log", "force", "as_json"}
_MAKING = {"retain_epochs", "retain_lr"}
_ASKING = {
    "forget",
    "retain",
    "masks",
    "template",
    "labels",
    "punctuation",
    "supervise_eos",
    "truth_ratio",
    "max_new_tokens",
}


def _refuse_idle(ctx: typer.Context, benchmark: str, *, alone: bool, making: bool) -> None:
    """Refuse options that would change nothing: who gave them believes that they did.

    Raises:
        UsageError: naming the first.
    """
    given = {name for name in ctx.params if str(ctx.get_parameter_source(name)) != "ParameterSource.DEFAULT"}
    idle: tuple[set[str], str] = (set(), "")
    if alone:
        idle = given - _LOG_ONLY - {"model"}, "--import-log reads numbers from the log alone"
    elif not making and given & _MAKING:
        idle = given & _MAKING, "it is for --make-retain-log"
    elif benchmark == "muse":
        idle = given & (_ASKING | {"completions"}), "MUSE's texts, prompts and lengths are its own"
    elif benchmark == "tofu" and not making:
        idle = given & {"retain"}, "--benchmark tofu has its own retain rows; --benchmark local takes a file"
    for parameter in ctx.command.params:
        if parameter.name in idle[0]:
            raise UsageError(f"{parameter.opts[0]} does nothing here", why=idle[1])


def report(
    evaluations: Annotated[list[str], typer.Argument(metavar="RUN_OR_EVAL...", help="Run folders or eval.json files.")],
    out: Annotated[str, typer.Option(help="HTML file to write.")] = "report.html",
    before: Annotated[
        str | None,
        typer.Option(help="Which of them is the model before unlearning. [default: what a run started from]"),
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Names, one for each, in order.")] = None,
    title: Annotated[str, typer.Option(help="The page's title.")] = "What was forgotten, and what was kept",
    md: Annotated[bool, typer.Option("--md", help="The headline table as Markdown on stdout; no page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout; no page.")] = False,
) -> None:
    """Show evaluations side by side on one self-contained HTML page."""
    if label and len(label) != len(evaluations):
        raise UsageError(f"{len(label)} labels for {len(evaluations)} evaluations", hint="Give --label once for each.")
    if md and as_json:
        raise UsageError("--md and --json exclude each other")
    from tif.eval.report.entry import Entry
    from tif.eval.report.write import markdown, write_json, write_report

    names: list[str | None] = [*label] if label else [None] * len(evaluations)
    entries = [Entry.load(path, name) for path, name in zip(evaluations, names, strict=True)]
    if md:
        emit(markdown(entries, before=before).rstrip())
    elif as_json:
        emit_json(write_json(None, entries, before=before))
    else:
        say(f"wrote {write_report(out, entries, before=before, title=title)}")


def _show(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(record)
        return
    for name in ("model_utility", "forget_quality", "uw_probability", "gw_probability"):
        if name in record:
            value, why = record[name], record.get(f"{name}_reason")
            emit(f"{name:16} {'-' if value is None else f'{value:.4g}'}{f'  ({why})' if why else ''}")
    for name, value in record.get("muse", {}).items():
        values = value.items() if isinstance(value, dict) else [("", value)]
        if some := [f"{n} {v:.4g}".strip() for n, v in values if isinstance(v, int | float)]:
            emit(f"{name:20} " + "  ".join(some))
    if why := record.get("muse", {}).get("privleak_reason"):
        emit(f"{'privleak':20} -  ({why})")
    for task, values in record.get("lm_eval", {}).items():
        emit(f"{task:20} " + "  ".join(f"{n} {v:.4g}" for n, v in values.items()))
    parts = record.get("parts", {})
    if record.get("forget_quality_forced"):
        emit(f"forget quality was forced: {record['forget_quality_forced']}")
    for part, values in parts.items():
        if isinstance(values, dict):
            shown = ("probability", "rougeL_recall", "truth_ratio")
            numbers = "  ".join(f"{n} {'-' if values[n] is None else f'{values[n]:.3f}'}" for n in shown)
            emit(f"  {part:14} n={values['n']:<4} {numbers}")
        else:
            emit(f"  {part:28} {values:.4f}")
