"""What a model's hidden states still say: activation patching and the logit lens, on any decoder, by forward hooks.

    states = hidden_states(source, item)             the output of each layer where the model predicts a target
    patched = Patching(target).run(item, states)     the targets' log-probability under the target model

*Patching* replaces the output of one layer of the target by the source's, at all positions that predict the item's
targets together, and runs the remaining layers. The *lens* sends a layer's output straight through the target's final
norm and head.

One forward gives all layers. Row 0 of the batch is the target itself. After layer k a hook adds a row, which is row 0
with the source's state. So the layers up to k are not computed for it again. The keys and values before the first
position do not change, and tokens after the last position change nothing. With L layers and T tokens, of which p come
before the first position and q from there to the last, this takes (p + q (L + 1) / 2) / T forwards. One forward per
layer takes L + 1. The result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from tif.console import warn
from tif.tokens.layers import layers_of, state_of, with_state
from tif.tokens.masks import Encoded, Kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PIECE: Final = 2**25
"""Logits in one tensor at most: 128 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Targets:
    """A text in tokens, and the tokens in it to predict."""

    input_ids: tuple[int, ...]
    """Up to the last position. Later tokens change nothing."""
    positions: tuple[int, ...]
    """Positions that predict a target: the token before it."""
    tokens: tuple[int, ...]
    """The targets."""
    length: int
    """Tokens of the complete text."""

    @classmethod
    def of(cls, encoded: Encoded) -> Targets | None:
        """Return the unwanted tokens of a text as targets; None if it has none."""
        targets = [t for t, kind in enumerate(encoded.kinds) if kind == Kind.UW]
        if not targets:
            return None
        return cls(
            encoded.input_ids[: targets[-1]],
            tuple(t - 1 for t in targets),
            tuple(encoded.input_ids[t] for t in targets),
            len(encoded),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """Mean log-probability of one item's targets under the target model, in nats."""

    plain: float
    """Without a patch."""
    patched: tuple[float, ...]
    """By layer: with the source's state after this layer."""
    lens: tuple[float, ...]
    """By layer: read from the source's state after this layer by the target's final norm and head."""
    own_lens: tuple[float, ...]
    """The same for the target's own states."""


@torch.inference_mode()
def hidden_states(model: PreTrainedModel, item: Targets) -> Tensor:
    """Return the output of each decoder layer at the item's positions, `[L, n, H]`.

    The last of the hidden states that transformers returns went through the final norm. A hook sees the layer's own.
    """
    seen: list[Tensor] = []
    at = torch.tensor(item.positions, device=model.device)
    with _hooks(model, lambda _layer, output: seen.append(state_of(output)[0, at])):
        _forward(model, item.input_ids)
    return torch.stack(seen)


class Patching:
    """A target model, into which states of other models are patched."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model.eval()
        self.layers = layers_of(model)
        self._fast: bool | None = None
        self._tuples = False
        """Whether the layers return tuples."""

    @torch.inference_mode()
    def run(self, item: Targets, states: Tensor) -> Patched:
        """Patch a source's states into each layer, one layer at a time.

        Args:
            item: the text and its targets.
            states: `[L, n, H]`, from `hidden_states` of the source.
        """
        states = states.to(self.model.device, self.model.dtype)
        if self._fast is None:
            self._fast = self._agrees(item, states)
            if not self._fast:
                warn("this model cannot run all patches in one forward, so tif runs one forward for each layer")
        final, own = (self._in_one_forward if self._fast else self._one_by_one)(item, states)
        plain, *patched = self._read(item, final)
        lenses = self._read(item, torch.cat([states, own]))
        return Patched(
            plain=plain,
            patched=tuple(patched),
            lens=tuple(lenses[: len(states)]),
            own_lens=tuple(lenses[len(states) :]),
        )

    def _agrees(self, item: Targets, states: Tensor) -> bool:
        """Return whether one forward gives the same final states as one forward for each layer."""
        expected, _ = self._one_by_one(item, states)
        try:
            final, _ = self._in_one_forward(item, states)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # a model whose mask, cache or positions fix the batch size can raise nearly anything
            return False
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.1
        return bool((final - expected).norm() <= tolerance * expected.norm())

    def _in_one_forward(self, item: Targets, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last layer's output, `[1 + L, n, H]`, row 0 without a patch, and the target's own states."""
        first = item.positions[0]
        at = torch.tensor(item.positions, device=self.model.device) - first
        cache = None
        if first:
            cache = _forward(self.model, item.input_ids[:first], use_cache=True).past_key_values
            for rows, layer in enumerate(cache.layers, start=1):
                layer.batch_repeat_interleave(rows)
        own: list[Tensor] = []
        last: list[Tensor] = []

        def grow(layer: int, output: Any) -> Any:
            self._tuples = isinstance(output, tuple)
            state = state_of(output)
            own.append(state[0, at])
            row = state[:1].clone()
            row[0, at] = states[layer]
            state = torch.cat([state, row])
            last[:] = [state[:, at]]
            return with_state(output, state)

        with _hooks(self.model, grow):
            _forward(self.model, item.input_ids[first:], start=first, past_key_values=cache, use_cache=bool(first))
        return last[0], torch.stack(own)

    def _one_by_one(self, item: Targets, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same from one forward without a patch, and one for each layer."""
        at = torch.tensor(item.positions, device=self.model.device)
        own = hidden_states(self.model, item)
        final = [own[-1]]
        for patched, state in enumerate(states):
            last: list[Tensor] = []

            def patch(layer: int, output: Any, to: int = patched, by: Tensor = state, out: list[Tensor] = last) -> Any:
                self._tuples = isinstance(output, tuple)
                changed = state_of(output)
                if layer == to:
                    changed = changed.clone()
                    changed[0, at] = by
                out[:] = [changed[0, at]]
                return with_state(output, changed)

            with _hooks(self.model, patch):
                _forward(self.model, item.input_ids)
            final.append(last[0])
        return torch.stack(final), own

    def _read(self, item: Targets, states: Tensor) -> list[float]:
        """Return the targets' mean log-probability under the final norm and head, for each of `[R, n, H]` states."""
        tokens = torch.tensor(item.tokens, device=states.device)
        rows = max(1, _PIECE // (self._vocabulary * len(tokens)))
        values: list[float] = []
        for piece in torch.split(states, rows):
            logprobs = self._decode(piece.flatten(0, 1)).float().log_softmax(-1)
            chosen = logprobs.gather(1, tokens.repeat(len(piece))[:, None])
            values += chosen.view(len(piece), -1).double().mean(1).tolist()
        return values

    @cached_property
    def _vocabulary(self) -> int:
        return int(self.model.config.get_text_config().vocab_size)

    def _decode(self, states: Tensor) -> Tensor:
        """Return the logits of `[m, H]` final states, `[m, V]`: by the model's own forward, without its layers.

        It includes whatever the model does after its layers, such as soft-capping.
        """
        state = states[:, None]
        ids = torch.zeros(len(states), 1, dtype=torch.long, device=states.device)
        with _replaced(self.layers, (state,) if self._tuples else state):
            return self.model(input_ids=ids, position_ids=ids, use_cache=False).logits[:, 0]  # type: ignore[no-any-return]


def _forward(model: PreTrainedModel, input_ids: Sequence[int], *, start: int = 0, **more: Any) -> Any:
    """Run the model on one row whose first token is at position `start`. The hooks take what they need."""
    ids = torch.tensor([input_ids], device=model.device)
    where = torch.arange(start, start + ids.shape[1], device=model.device)[None]
    return model(**{"input_ids": ids, "position_ids": where, "use_cache": False, "logits_to_keep": 1, **more})


@contextmanager
def _hooks(model: PreTrainedModel, function: Callable[[int, Any], Any]) -> Iterator[None]:
    """Call `function(layer, output)` after each decoder layer. What it returns replaces the output, unless it is None.

    Raises:
        UsageError: for a model whose layers are not one list.
    """
    with ExitStack() as stack:
        for index, layer in enumerate(layers_of(model)):

            def hook(_module: nn.Module, _inputs: Any, output: Any, index: int = index) -> Any:
                return function(index, output)

            stack.callback(layer.register_forward_hook(hook).remove)
        yield


@contextmanager
def _replaced(layers: Iterable[nn.Module], output: Any) -> Iterator[None]:
    """Make each layer return this output, without any computation."""

    def forward(*_inputs: Any, **_more: Any) -> Any:
        return output

    before = {layer: vars(layer).get("forward") for layer in layers}
    try:
        for layer in before:
            layer.forward = forward
        yield
    finally:
        for layer, own in before.items():
            del layer.forward
            if own is not None:
                layer.forward = own


__all__ = ["Patched", "Patching", "Targets", "hidden_states"]
