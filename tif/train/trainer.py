"""A thin transformers.Trainer: one forward a step over forget, retain and preferred examples together, and our loss."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from tif.errors import DivergedError
from tif.tokens.forward import Statistics, outputs, statistics, statistics_of
from tif.tokens.layers import watching
from tif.tokens.masks import Kind
from tif.tokens.packing import Packed
from tif.train import checkpoint, phrases
from tif.train.callbacks import Epoch
from tif.train.data import Pair, PairSampler, Role, Step, TrainingSet, collate
from tif.train.dual import DualWeight
from tif.train.losses import Activations, Distributions, LossTerms, StepScores, TokenScores, coin_divergence
from tif.train.objectives import Objective, RetainLoss
from tif.train.settings import ObjectiveSettings
from tif.train.sharpness import with_gradient, worst_gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPlan:
    """What a step minimises: the terms of the objective, and `retain_weight` times the retain term."""

    objective: Objective
    settings: ObjectiveSettings
    retain_loss: RetainLoss = "none"
    retain_weight: float = 1.0
    retain_bound: float = 0.0
    dual_step: float = 1.0
    settle_steps: int = 0
    """The last optimizer steps, which minimise the retain term alone."""
    sharpness: float = 0.0
    """Radius of the step that undoes most of the forget term, behind which its gradient is taken; 0 for none."""
    rmu_layer: int = 7
    rmu_scale: float = 20.0

    @property
    def is_dual(self) -> bool:
        """Whether the weight of the retain term follows `retain_bound` from `retain_weight` on."""
        return "dual" in self.objective.needs

    @property
    def needs_vocabulary(self) -> bool:
        """Whether the loss reads the model's logits over the vocabulary."""
        return self.needs_frozen or "logits" in self.objective.needs

    @property
    def needs_frozen(self) -> bool:
        """Whether the loss needs more of the reference than two numbers a token, so that a copy must be in memory."""
        return self.retain_loss == "kl" or bool(self.objective.needs & {"distributions", "activations"})


class Unlearner(Trainer):  # type: ignore[misc]
    """Trains on a `TrainingSet` by a `LossPlan`.

    Args:
        model: the model that unlearns, or a PEFT model around it.
        args: with `remove_unused_columns=False`.
        examples: what to forget and to keep.
        plan: what is minimised.
        frozen: a copy of the model before training, where `plan.needs_frozen` and there is no adapter to switch off.
        callbacks: transformers' own kind.
        keep_checkpoints: how many checkpoints stay on disk.
    """

    # `compute_loss` divides by the number of examples in the optimizer step, over all processes.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        examples: TrainingSet,
        plan: LossPlan,
        *,
        frozen: PreTrainedModel | None = None,
        callbacks: list[TrainerCallback] | None = None,
        keep_checkpoints: int = 1,
    ) -> None:
        self.plan, self.frozen, self.keep_checkpoints = plan, frozen, keep_checkpoints
        self.order = PairSampler(len(examples.forget), len(examples.retain), args.seed, parts=examples.parts)
        self._seen: dict[str, Tensor] = {}
        collator = partial(collate, complete="activations" in plan.objective.needs)
        super().__init__(model, args, data_collator=collator, train_dataset=examples, callbacks=callbacks)
        # It prints records to stdout, which belongs to data. `Watch` shows them on stderr.
        self.remove_callback(PrinterCallback)
        self.add_callback(Epoch(self.order, examples))
        add_up = partial(self.accelerator.reduce, reduction="sum")
        self.dual = DualWeight(plan.retain_weight, bound=plan.retain_bound, step=plan.dual_step, add_up=add_up)
        if plan.is_dual:
            self.add_callback(self.dual)
        if "activations" in plan.objective.needs:
            generator = torch.Generator().manual_seed(args.seed)
            direction = torch.rand(model.config.get_text_config().hidden_size, generator=generator)
            self._control = plan.rmu_scale * direction / direction.norm()

    def _get_train_sampler(self, _: object = None) -> Sampler[Pair]:
        return self.order

    def get_batch_samples(self, epoch_iterator: Iterator[Step], num_batches: int, device: torch.device) -> Any:
        """The micro-batches of one optimizer step, and how many forget examples they hold on all processes."""
        steps, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        count = sum(((step.role == Role.FORGET).sum() for step in steps), torch.tensor(0)).to(device)
        return steps, self.accelerator.reduce(count, "sum")

    def compute_loss(
        self,
        model: Any,
        inputs: Step,
        return_outputs: bool = False,  # noqa: ARG002  the Trainer's own signature
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This process's share of a step's loss: one forward."""
        left = self.state.max_steps - self.state.global_step
        settling = 0 < left <= self.plan.settle_steps
        sharp = self._sharp(model, inputs) if self.plan.sharpness and not settling else None
        scores, retain = self._forward(model, inputs)
        terms = {} if settling else self.plan.objective.loss(scores, self.plan.settings)
        if sharp is not None:
            terms |= {name: terms[name].detach() for name in _forgetting(terms)}
        if retain is not None:
            terms["retain"] = self.dual.weight * retain
            if self.plan.is_dual:
                self.dual.see(retain, (inputs.role == Role.RETAIN).sum())
        loss = torch.stack([value.float() for value in terms.values()]).sum()
        self._note(terms, scores.forget)
        if sharp is not None:
            loss = loss + sharp
        if num_items_in_batch is None:
            return loss
        share = (inputs.role == Role.FORGET).sum() * self.accelerator.num_processes / num_items_in_batch
        return loss * share

    def _sharp(self, model: Any, inputs: Step) -> Tensor:
        """A scalar 0 with the gradient that the forget term has behind the step that undoes most of it."""
        plain = self.accelerator.unwrap_model(model)
        weights = [weight for weight in plain.parameters() if weight.requires_grad]

        def forget() -> Tensor:
            terms = self.plan.objective.loss(self._forward(plain, inputs)[0], self.plan.settings)
            return torch.stack([terms[name].float() for name in _forgetting(terms)]).sum()

        return with_gradient(weights, worst_gradient(forget, weights, self.plan.sharpness))

    def _forward(self, model: Any, step: Step) -> tuple[StepScores, Tensor | None]:
        plan, needs, packed = self.plan, self.plan.objective.needs, step.packed
        role = step.role[packed.row]
        forgets, retains = role == Role.FORGET, role == Role.RETAIN
        output = ref_output = None
        hidden: list[Tensor] = []
        if plan.needs_vocabulary:
            layer = plan.rmu_layer if "activations" in needs else None
            with watching(model, layer) as seen:
                output = _full(model, packed)
            hidden += seen[:1]
            scores = statistics_of(output.logits.float(), packed.target)
        else:
            scores = statistics(model, packed, at_once=self.is_fsdp_enabled or self.is_deepspeed_enabled)
        if plan.needs_frozen:
            with torch.no_grad(), self._reference() as frozen, watching(frozen, layer) as seen:
                ref_output = _full(frozen, packed)
            hidden += seen[:1]

        forget = self._tokens(scores, step, Role.FORGET)
        preferred = self._tokens(scores, step, Role.PREFERRED) if needs & {"idk", "alternates"} else None
        distributions = activations = retain = None
        if needs & {"logits", "distributions"}:
            assert output is not None
            reference = ref_output.logits[forgets].float() if ref_output is not None else None
            distributions = Distributions(output.logits[forgets].float(), reference, packed.target[forgets])
        if "activations" in needs:
            # A hidden state belongs to the token itself, one behind the position whose logits predict it.
            own = packed.keep[0].nonzero()[:, 0] + 1
            now, before = (states[0, own] for states in hidden)
            first = int((step.role == Role.FORGET).sum())
            activations = Activations(
                forget=now[forgets],
                control=self._control.to(now),
                retain=now[retains],
                ref_retain=before[retains],
                retain_row=packed.row[retains] - first,
                retain_size=int((step.role == Role.RETAIN).sum()),
            )
        if plan.retain_loss != "none" and bool(retains.any()):
            kept = self._tokens(scores, step, Role.RETAIN)
            everything = torch.ones_like(kept.unwanted)
            coin = coin_divergence(kept.ref_logprob, kept.logprob)
            if plan.retain_loss == "ce":
                losses = -kept.logprob
            elif plan.retain_loss == "coin":
                losses = coin
            else:
                assert output is not None
                assert ref_output is not None
                p, q = (o.logits[retains].float().log_softmax(1) for o in (ref_output, output))
                losses = F.kl_div(q, p, reduction="none", log_target=True).sum(1)
            losses = torch.where(step.held[packed.row][retains], coin, losses)
            retain = kept.average(losses, everything, plan.settings)
        return (
            StepScores(forget=forget, preferred=preferred, distributions=distributions, activations=activations),
            retain,
        )

    def _tokens(self, scores: Statistics, step: Step, role: Role) -> TokenScores:
        """The tokens of the examples in one role, rows counted from 0. `collate` puts these examples side by side."""
        mine = step.role[step.packed.row] == role
        first = int((step.role < role).sum()) if role != Role.FORGET else 0
        logit, logprob = scores.logit[mine], scores.logprob[mine]
        unwanted, row = step.packed.kind[mine] == Kind.UW, step.packed.row[mine]
        phrase = None
        # What has fallen to its floor still counts in the loss, but is pushed no further.
        fallen = logprob.detach() <= step.floor[mine]
        if role == Role.FORGET and self.plan.settings.per == "phrase":
            pushed = unwanted if self.plan.settings.scope == "uw" else torch.ones_like(unwanted)
            phrase = phrases.numbered(pushed, row, step.packed.position[mine])
            fallen = phrases.fallen(logprob.detach(), step.floor[mine], phrase)
        logit, logprob = (torch.where(fallen, x.detach(), x) for x in (logit, logprob))
        return TokenScores(
            logit=logit,
            logprob=logprob,
            ref_logit=step.reference[mine, 0],
            ref_logprob=step.reference[mine, 1],
            unwanted=unwanted,
            row=row - first,
            size=int((step.role == role).sum()),
            base_logprob=step.base[mine],
            phrase=phrase,
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

    def _note(self, terms: LossTerms, forget: TokenScores) -> None:
        """Add a step to the next log record, without waiting for the device."""
        p = forget.logprob.detach().exp()
        uw, n = forget.unwanted, p.new_tensor(1.0)
        sums = {name: (value.detach().float(), n) for name, value in terms.items()}
        sums["uw_probability"] = (p[uw].sum(), uw.sum().float())
        sums["gw_probability"] = (p[~uw].sum(), (~uw).sum().float())
        for name, pair in sums.items():
            entry = torch.stack(pair)
            self._seen[name] = self._seen[name] + entry if name in self._seen else entry

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """A log record, with the terms of the loss and the mean probability of unwanted and of general words.

        Raises:
            DivergedError: for a loss that is not a finite number.
        """
        if "loss" in logs:
            for name in sorted(self._seen):
                total, count = self.accelerator.reduce(self._seen[name], "sum").tolist()
                if count:
                    logs[name] = total / count
            self._seen = {}
            if self.plan.is_dual:
                logs["retain_weight"] = self.dual.weight
            if not math.isfinite(logs["loss"]):
                raise DivergedError(
                    f"the loss is {logs['loss']} at step {self.state.global_step}", hint="Use a smaller --lr."
                )
        super().log(logs, start_time)

    def log_beside(self, numbers: Mapping[str, float]) -> None:
        """Log numbers in a record of their own. The step's loss is logged after it, if it is due."""
        # Logging clears the flag.
        due = self.control.should_log
        self.log(dict(numbers))
        self.control.should_log = due

    def finished(self, last: Path) -> bool:
        """Whether a checkpoint is that of the last step. If so, its weights and its state are loaded."""
        state = TrainerState.load_from_json(str(last / "trainer_state.json"))
        if state.global_step < state.max_steps or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return False
        self._load_from_checkpoint(str(last))
        self.state = state
        return True

    def check_finite(self) -> None:
        """Raise if a trained weight is NaN or infinite. The loss check cannot see the last update.

        Raises:
            DivergedError: naming the first such weight.
        """
        for name, weight in self.model.named_parameters():
            if weight.requires_grad and not bool(torch.isfinite(weight).all()):
                raise DivergedError(
                    f"{name} contains NaN or infinity after step {self.state.global_step}", hint="Use a smaller --lr."
                )

    # The methods below replace pickles by safetensors and JSON. Sharded training keeps its library's own checkpoints.

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        folder = output_dir or self.args.output_dir
        self.accelerator.unwrap_model(self.model).save_pretrained(
            folder, state_dict=state_dict, is_main_process=self.args.should_save
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.check_finite()
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with checkpoint.writing(folder):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                if self.plan.is_dual:
                    self.dual.save(folder)
                checkpoint.seal(folder, self.keep_checkpoints)

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
            if self.plan.is_dual:
                self.dual.load(Path(checkpoint_folder))


def _forgetting(terms: LossTerms) -> list[str]:
    """Names of the terms that forget. The others of an objective hold general words or retain samples."""
    return [name for name in terms if name not in ("pl", "kept")]


def _full(model: Any, packed: Packed) -> Any:
    return outputs(model, packed.input_ids, packed.position_ids, packed.keep)


__all__ = ["LossPlan", "Unlearner"]
