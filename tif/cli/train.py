"""`tif train`: unlearn what an annotation set marks."""

from __future__ import annotations

from typing import Annotated

import typer

from tif.console import emit, emit_json

_DATA, _LOSS, _STEPS, _COMPUTE = "Data", "Objective", "Training", "Compute"


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(train)


def _data(help_: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_, rich_help_panel=_DATA)  # type: ignore[no-any-return]


def _loss(help_: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_, rich_help_panel=_LOSS)  # type: ignore[no-any-return]


def _steps(help_: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_, rich_help_panel=_STEPS)  # type: ignore[no-any-return]


def _compute(help_: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=help_, rich_help_panel=_COMPUTE)  # type: ignore[no-any-return]


def train(
    masks: Annotated[str, _data("Annotation set, FILE or FILE@N.")],
    model: Annotated[str, _data("The model that forgets: a folder, a run folder or a hub id.")],
    out: Annotated[str, _data("Run folder. The same command goes on from its last checkpoint.")],
    retain: Annotated[str | None, _data("Samples to keep: tofu:retain95, a file, a hub id.")] = None,
    data_dir: Annotated[str | None, _data("Folder with local copies of benchmark files.")] = None,
    limit: Annotated[int | None, _data("Forget the first so many examples only.")] = None,
    limit_retain: Annotated[int | None, _data("Keep the first so many samples only.")] = None,
    template: Annotated[str, _data("auto, chat, qa, text, or a format string with {prompt} and {text}.")] = "auto",
    max_length: Annotated[int | None, _data("Tokens an example; longer plain text is cut into windows.")] = None,
    punctuation: Annotated[str, _data("What punctuation outside spans is: gw or uw.")] = "gw",
    supervise_eos: Annotated[
        bool, _data("Supervise the token that ends the text.", "--supervise-eos/--no-supervise-eos")
    ] = True,
    labels: Annotated[
        list[str] | None, _data("Labels of the spans to forget, comma-separated. Default: every label of the set.")
    ] = None,
    unmarked: Annotated[str, _data("Examples without an unwanted word: refuse or skip.")] = "refuse",
    skip_failed: Annotated[bool, _data("Leave failed and conflicting examples out.", "--skip-failed")] = False,
    frame: Annotated[
        list[str] | None,
        _data("Forget each example once more with this answer: 'The answer is {words}.' Several are taken in turn."),
    ] = None,
    objective: Annotated[
        str, _loss("tpo, anchored, ga, graddiff, npo, simnpo, dpo, wga, tnpo, satimp, undial, rmu, or a plugin's.")
    ] = "tpo",
    beta: Annotated[float | None, _loss("The objective's beta. Default: the objective's own.")] = None,
    beta2: Annotated[float | None, _loss("SatImp's second exponent.")] = None,
    gamma: Annotated[float | None, _loss("SimNPO: margin; anchored: level from base (0) to reference (1).")] = None,
    alpha: Annotated[float | None, _loss("RMU's weight of keeping activations.")] = None,
    scope: Annotated[str | None, _loss("Push all answer tokens or unwanted words (uw). Default: as published.")] = None,
    reduction: Annotated[str, _loss("TPO's sigmoid per sample, or per batch as in the released code.")] = "sample",
    space: Annotated[str, _loss("TPO on the logit (paper) or on the logprob.")] = "logit",
    pl: Annotated[str, _loss("Preservation loss over an example: sum (released code) or mean.")] = "sum",
    pl_weight: Annotated[float, _loss("Weight of the preservation loss.")] = 1.0,
    retain_loss: Annotated[str | None, _loss("ce, kl or none. Default: the objective's own.")] = None,
    retain_weight: Annotated[
        float | None, _loss("Weight of the retain term. Default: the objective's own (anchored 8, others 1).")
    ] = None,
    floor: Annotated[
        str | None,
        _loss("Push no further than: base, a log-probability (-8), or a drop in nats (5)."),
    ] = None,
    floor_model: Annotated[str | None, _loss("The model that never saw the forget set, for --floor base.")] = None,
    rmu_layer: Annotated[int, _loss("RMU's layer.")] = 7,
    rmu_scale: Annotated[float, _loss("RMU's steering coefficient.")] = 20.0,
    epochs: Annotated[float, _steps("Passes over the forget set.")] = 5.0,
    max_steps: Annotated[int | None, _steps("Optimizer steps; overrides --epochs.")] = None,
    early_stop: Annotated[
        str | None,
        _steps(
            "End when unwanted tokens are at their floor (floor:0.95) or improbable (uw:0.05), or general ones hurt "
            "(gw:0.8 of before)."
        ),
    ] = None,
    early_stop_every: Annotated[int | None, _steps("Steps between two checks of it. Default: an epoch.")] = None,
    validation: Annotated[
        str | None, _steps("Annotation set for the early stop, never trained on. Default: what is forgotten.")
    ] = None,
    batch_size: Annotated[int, _steps("Forget examples a step and process, packed into one row.")] = 4,
    accumulate: Annotated[int, _steps("Micro-batches an optimizer step.")] = 1,
    lr: Annotated[float, _steps("Peak learning rate.")] = 1e-5,
    scheduler: Annotated[str, _steps("transformers' name of a learning rate schedule.")] = "linear",
    warmup: Annotated[float, _steps("Fraction of the steps over which the learning rate rises.")] = 0.0,
    weight_decay: Annotated[float, _steps("AdamW's weight decay.")] = 0.01,
    max_grad_norm: Annotated[float, _steps("Gradient clipping; 0 for none.")] = 1.0,
    optimizer: Annotated[str, _steps("transformers' name of an optimizer.")] = "adamw_torch_fused",
    seed: Annotated[int, _steps("Of order, pairs and adapters.")] = 0,
    lora: Annotated[int, _compute("Rank of LoRA adapters; 0 trains every weight.")] = 0,
    lora_alpha: Annotated[int | None, _compute("Default: twice the rank.")] = None,
    dtype: Annotated[str, _compute("Of the weights: float32 or bfloat16.")] = "float32",
    autocast: Annotated[bool, _compute("Compute in bfloat16, keep weights in float32.", "--autocast")] = False,
    gradient_checkpointing: Annotated[bool, _compute("Less memory, more time.", "--gradient-checkpointing")] = False,
    attention: Annotated[str | None, _compute("transformers' attn_implementation.")] = None,
    cpu: Annotated[bool, _compute("Stay on the CPU.", "--cpu")] = False,
    save_steps: Annotated[int, _compute("Steps between checkpoints.")] = 50,
    keep_checkpoints: Annotated[int, _compute("Checkpoints kept.")] = 1,
    log_steps: Annotated[int, _compute("Steps between log records.")] = 1,
    report_to: Annotated[list[str] | None, _compute("tensorboard, wandb, ...: transformers' integrations.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="The run's record on stdout.")] = False,
) -> None:
    """Make a model forget what an annotation set marks as unwanted, and keep the rest.

    Example: tif train --masks annotations/tofu05.parquet --model MODEL --retain tofu:retain95 --out runs/tofu05
    """
    given = dict(locals())
    given.pop("json_")
    given["report_to"] = tuple(given["report_to"] or ())
    given["frames"] = tuple(given.pop("frame") or ())

    from tif.spans import split_labels
    from tif.train.config import TrainConfig

    given["labels"] = split_labels(given["labels"])
    config = TrainConfig(**given)

    # After the config: a wrong option is told at once, not after seconds of loading libraries.
    import json

    from tif.train.run import train as run

    result = run(config)
    if json_:
        emit_json(json.loads((result.folder / "run.json").read_text()))
    else:
        emit(str(result.model))
