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
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from tif import files
from tif.console import say
from tif.errors import UsageError
from tif.eval import processes
from tif.eval.benchmarks import questions as rows
from tif.eval.benchmarks.tofu import Settings
from tif.eval.run import Request, run
from tif.sources import read_json
from tif.tokens.finetune import fine_tune
from tif.tokens.masks import Template
from tif.tokens.models import load_model, load_tokenizer, manner_digest, model_digest

COMPLEMENT: Final = {"forget01": "tofu:retain99", "forget05": "tofu:retain95", "forget10": "tofu:retain90"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the retain model is fine-tuned. It has to be what the target was fine-tuned by.

    Raises:
        UsageError: for a value that trains nothing.
    """

    epochs: int = 5
    lr: float = 1e-5
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 < self.lr < math.inf or not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"{self.epochs} epochs at learning rate {self.lr} train nothing")


def make(base: str, request: Request, settings: Settings, recipe: Recipe | None = None) -> dict[str, Any]:
    """Fine-tune and evaluate a retain model; `out` of what is returned is its folder.

    Args:
        base: the model that the target was fine-tuned from.
        request: what the unlearned model is to be evaluated with. `retain` names the samples to keep; of TOFU's splits
            it is the complement by default. `limit` limits the evaluation alone.
        settings: as for the unlearned model.
        recipe: as the target was fine-tuned by.

    Raises:
        UsageError: without samples to keep, or in several processes.
        TifError: for a model or data that cannot be used.
    """
    recipe = recipe or Recipe()
    if processes.count() > 1:
        raise UsageError("a retain model is trained by one process", hint="Make the log first, then evaluate with it.")
    source = request.retain or COMPLEMENT.get(request.forget)
    if request.benchmark == "muse" or source is None:
        raise UsageError("what is to be kept is not known", hint="Give the samples: --retain SOURCE (tofu, local).")
    kept = rows.read(source, "retain", data_dir=request.data_dir)
    tokenizer = load_tokenizer(base)
    template = Template.of(tokenizer, settings.template)
    key = _key(base, kept, tokenizer, template, recipe)
    folder = Path(request.out) if request.out else Path("runs", "retain", f"{Path(base).name}-{key[:8]}")
    made = folder / "retain.json"
    if not made.is_file() or read_json(made).get("key") != key:
        say(f"fine-tuning {base} on {len(kept)} questions of {source}: {recipe.epochs} epochs")
        checkpoint = folder / f"checkpoint-{key[:16]}.safetensors"
        model = load_model(base).to(request.device or processes.device())
        fine_tune(
            model, tokenizer, [row.texts()[0] for row in kept], template, epochs=recipe.epochs, rate=recipe.lr,
            weight_decay=recipe.weight_decay, warm=True, what="fine-tuning", checkpoint=checkpoint,
        )  # fmt: skip
        about = {"key": key, "base": base, "retain": source, "questions": len(kept), "recipe": asdict(recipe)}
        _save(model, tokenizer, folder, about)
        with files.writing(checkpoint):
            checkpoint.unlink(missing_ok=True)
    # Of TOFU's own parts the evaluation knows `retain_perturbed`; a local file is both trained on and evaluated.
    return run(replace(request, model=str(folder / "model"), out=str(folder), retain_log=None, attack=None), settings)


def _key(base: str, kept: Sequence[rows.Row], tokenizer: Any, template: Template, recipe: Recipe) -> str:
    asked = [[row.question, row.answer] for row in kept]
    said = [model_digest(base), manner_digest(base, tokenizer), template.spec, asdict(recipe), asked]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def _save(model: Any, tokenizer: Any, folder: Path, about: dict[str, Any]) -> None:
    """The model, whole or not at all, and last the record that says it is there."""
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    files.write(folder / "retain.json", json.dumps(about, ensure_ascii=False, indent=1))


__all__ = ["COMPLEMENT", "Recipe", "make"]
