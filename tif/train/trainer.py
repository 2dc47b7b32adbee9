"""A thin transformers.Trainer: one forward a step over forget, retain and IDK examples together, and our loss."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from tif.errors import TifError
from tif.tokens.forward import Statistics, statistics, statistics_of
from tif.tokens.masks import Kind
from tif.tokens.packing import Packed
from tif.train import checkpoint
from tif.train.callbacks import Epoch
from tif.train.data import Pair, Pairs, PairSampler, Part, collate
from tif.train.objectives import Activations, Batch, Distributions, Objective, Parts, Settings, Tokens


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a step minimises: the objective's parts, and `retain_weight` times the retain term."""

    objective: Objective
    settings: Settings
    retain_loss: str = "none"
    retain_weight: float = 1.0
    rmu_layer: int = 7
    rmu_scale: float = 20.0
    keep_checkpoints: int = 1

    @property
    def needs_frozen(self) -> bool:
        """Whether the reference is asked for more than two numbers a token, and so must be there itself."""
        return self.retain_loss == "kl" or bool(self.objective.needs & {"distributions", "activations"})


class Unlearner(Trainer):  # type: ignore[misc]
    """Trains on `Pairs` by a `Recipe`.

    Args:
        model: the model that forgets, or a PEFT model around it.
        args: with `remove_unused_columns=False`.
        pairs: what to forget and to keep.
        recipe: what is minimised.
        frozen: a copy of the model before training, where `recipe.needs_frozen` and there is no adapter to switch off.
        callbacks: transformers' own kind.
    """

    # `compute_loss` divides by the examples of the whole optimizer step, on all processes.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        pairs: Pairs,
        recipe: Recipe,
        *,
        frozen: PreTrainedModel | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        self.recipe, self.frozen, self.pairs = recipe, frozen, pairs
        self.order = PairSampler(len(pairs.forget), len(pairs.retain), args.seed)
        self._seen: dict[str, Tensor] = {}
        collator = partial(collate, whole="activations" in recipe.objective.needs)
        super().__init__(model, args, data_collator=collator, train_dataset=pairs, callbacks=callbacks)
        # It prints records to stdout, which belongs to data; `Watch` tells them.
        self.remove_callback(PrinterCallback)
        self.add_callback(Epoch(self.order))
        if "activations" in recipe.objective.needs:
            generator = torch.Generator().manual_seed(args.seed)
            direction = torch.rand(model.config.hidden_size, generator=generator)
            self._control = recipe.rmu_scale * direction / direction.norm()

    def _get_train_sampler(self, _: Any = None) -> Sampler[Pair]:
        return self.order

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """The micro-batches of one optimizer step, and how many forget examples they hold on all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        count = sum(((batch["part"] == Part.FORGET).sum() for batch in batches), torch.tensor(0)).to(device)
        return batches, self.accelerator.reduce(count, "sum")

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,  # noqa: ARG002  the Trainer's own signature
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This process's share of a step's loss: one forward."""
        part = inputs["part"]
        names = ("input_ids", "position_ids", "keep", "target", "kind", "row", "position")
        packed = Packed(**{name: inputs[name] for name in names}, size=len(part))
        batch, retain = self._forward(model, packed, inputs)
        parts = self.recipe.objective.loss(batch, self.recipe.settings)
        if retain is not None:
            parts["retain"] = self.recipe.retain_weight * retain
        loss = torch.stack([value.float() for value in parts.values()]).sum()
        self._note(parts, batch.forget)
        if num_items_in_batch is None:
            return loss
        share = (part == Part.FORGET).sum() * self.accelerator.num_processes / num_items_in_batch
        return loss * share

    def _forward(self, model: Any, packed: Packed, inputs: dict[str, Tensor]) -> tuple[Batch, Tensor | None]:
        recipe, needs = self.recipe, self.recipe.objective.needs
        part = inputs["part"][packed.row]
        forgets, retains = part == Part.FORGET, part == Part.RETAIN
        whole = recipe.needs_frozen
        output = ref_output = None
        if whole:
            hidden = "activations" in needs
            output = _full(model, packed, hidden)
            with torch.no_grad(), self._reference() as frozen:
                ref_output = _full(frozen, packed, hidden)
            said = statistics_of(output.logits.float(), packed.target)
        else:
            said = statistics(model, packed, whole=self.is_fsdp_enabled or self.is_deepspeed_enabled)

        forget = self._tokens(said, packed, inputs, Part.FORGET)
        idk = self._tokens(said, packed, inputs, Part.IDK) if "idk" in needs else None
        distributions = activations = retain = None
        if "distributions" in needs:
            assert output is not None
            assert ref_output is not None
            distributions = Distributions(
                output.logits[forgets].float(), ref_output.logits[forgets].float(), packed.target[forgets]
            )
        if "activations" in needs:
            assert output is not None
            assert ref_output is not None
            # A hidden state belongs to the token itself, one behind the position whose logits predict it.
            own = packed.keep[0].nonzero()[:, 0] + 1
            now, before = (o.hidden_states[recipe.rmu_layer][0, own] for o in (output, ref_output))
            first = int((inputs["part"] == Part.FORGET).sum())
            activations = Activations(
                now[forgets],
                self._control.to(now),
                now[retains],
                before[retains],
                packed.row[retains] - first,
                int((inputs["part"] == Part.RETAIN).sum()),
            )
        if recipe.retain_loss != "none" and bool(retains.any()):
            kept = self._tokens(said, packed, inputs, Part.RETAIN)
            everything = torch.ones_like(kept.unwanted)
            if recipe.retain_loss == "ce":
                retain = kept.means(-kept.logprob, everything).mean()
            else:
                assert output is not None
                assert ref_output is not None
                p, q = (o.logits[retains].float().log_softmax(1) for o in (ref_output, output))
                retain = kept.means(F.kl_div(q, p, reduction="none", log_target=True).sum(1), everything).mean()
        return Batch(forget, idk, distributions, activations), retain

    def _tokens(self, said: Statistics, packed: Packed, inputs: dict[str, Tensor], part: Part) -> Tokens:
        """The tokens of one part, rows counted from 0. `collate` puts the examples of a part side by side."""
        mine = inputs["part"][packed.row] == part
        of_part = inputs["part"] == part
        first = int((inputs["part"] < part).sum()) if part != Part.FORGET else 0
        logit, logprob = said.logit[mine], said.logprob[mine]
        # What has fallen to its floor still counts in the loss, but is pushed no further.
        fallen = logprob.detach() <= inputs["floor"][mine]
        logit, logprob = (torch.where(fallen, x.detach(), x) for x in (logit, logprob))
        return Tokens(
            logit=logit,
            logprob=logprob,
            ref_logit=inputs["reference"][mine, 0],
            ref_logprob=inputs["reference"][mine, 1],
            unwanted=packed.kind[mine] == Kind.UW,
            row=packed.row[mine] - first,
            size=int(of_part.sum()),
            base_logprob=inputs["base"][mine],
        )

    @contextlib.contextmanager
    def _reference(self) -> Iterator[Any]:
        """The model before the first step."""
        if self.frozen is not None:
            yield self.frozen
            return
        adapted = self.accelerator.unwrap_model(self.model)
        with adapted.disable_adapter():
            yield adapted

    def _note(self, parts: Parts, forget: Tokens) -> None:
        """Add a step to what the next log line tells, without waiting for the device."""
        p = forget.logprob.detach().exp()
        uw, n = forget.unwanted, p.new_tensor(1.0)
        sums = {name: (value.detach().float(), n) for name, value in parts.items()}
        sums["uw_probability"] = (p[uw].sum(), uw.sum().float())
        sums["gw_probability"] = (p[~uw].sum(), (~uw).sum().float())
        for name, pair in sums.items():
            entry = torch.stack(pair)
            self._seen[name] = self._seen[name] + entry if name in self._seen else entry

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """A log record, with the loss's parts and the mean probability of unwanted and of general words.

        Raises:
            TifError: for a loss that is not a finite number.
        """
        if "loss" in logs:
            for name in sorted(self._seen):
                total, count = self.accelerator.reduce(self._seen[name], "sum").tolist()
                if count:
                    logs[name] = total / count
            self._seen = {}
            if not math.isfinite(logs["loss"]):
                raise TifError(
                    f"the loss is {logs['loss']} at step {self.state.global_step}", hint="Use a smaller --lr."
                )
        super().log(logs, start_time)

    def finished(self, last: Path) -> bool:
        """Whether a checkpoint is that of the last step; then its weights and its state are taken over."""
        state = TrainerState.load_from_json(str(last / "trainer_state.json"))
        if state.global_step < state.max_steps or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return False
        self._load_from_checkpoint(str(last))
        self.state = state
        return True

    def check_finite(self) -> None:
        """Hold the weights to being numbers: the step that a loss was computed for comes after it.

        Raises:
            TifError: if a weight that is trained is none.
        """
        for name, weight in self.model.named_parameters():
            if weight.requires_grad and not bool(torch.isfinite(weight).all()):
                raise TifError(
                    f"{name} holds what is no number after step {self.state.global_step}", hint="Use a smaller --lr."
                )

    # What follows replaces pickles by safetensors and JSON. Sharded training keeps its library's own checkpoints.

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        folder = output_dir or self.args.output_dir
        self.accelerator.unwrap_model(self.model).save_pretrained(
            folder, state_dict=state_dict, is_main_process=self.args.should_save
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.check_finite()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            checkpoint.seal(folder, self.recipe.keep_checkpoints)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save:
            checkpoint.save_optimizer(self.optimizer.state_dict(), Path(output_dir))
            (Path(output_dir) / "scheduler.json").write_text(json.dumps(self.lr_scheduler.state_dict()))

    def _load_optimizer_and_scheduler(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is None or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint_folder)
            return
        self.optimizer.load_state_dict(checkpoint.load_optimizer(Path(checkpoint_folder)))
        self.lr_scheduler.load_state_dict(json.loads((Path(checkpoint_folder) / "scheduler.json").read_text()))

    def _save_rng_state(self, output_dir: str) -> None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        checkpoint.save_random(Path(output_dir), self.args.process_index)

    def _load_rng_state(self, checkpoint_folder: str | None) -> None:
        if checkpoint_folder is not None:
            checkpoint.load_random(Path(checkpoint_folder), self.args.process_index)


def _full(model: Any, packed: Packed, hidden: bool) -> Any:
    return model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        logits_to_keep=packed.keep,
        use_cache=False,
        output_hidden_states=hidden,
    )


__all__ = ["Recipe", "Unlearner"]
