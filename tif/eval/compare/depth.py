"""Measure how deep the unwanted words were removed, beside the starting model and a retain model.

    models = named(options, run, tokenizer, set)     check the models before any computation
    depth, rows = measure(load, encoder, examples, models, cache)

The readings with the retain model's states do not depend on the evaluated model. They stay in the user's cache folder,
so other runs from the same starting model use them too. The definitions are in `tif.eval.measure.depth`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as once
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tif.errors import InputError, UsageError
from tif.eval import processes
from tif.eval.compare.logs import evaluated_model
from tif.eval.measure.depth import Depth, depths, drops, summarise
from tif.eval.measure.patching import Patched, Patching, Targets, hidden_states
from tif.eval.options import EvaluateOptions
from tif.eval.parts import PartsCache, shared_cache
from tif.records import ModelIdentity, RunRecord
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.models import load_config, load_model, load_tokenizer, model_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Load = Callable[[], "PreTrainedModel"]

_UNMARKED: Final = "--depth needs unwanted words"
_MARK: Final = "Give an annotation set of the forget set as --masks."


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthModels:
    """The two models beside the evaluated one."""

    starting: ModelIdentity
    retain: ModelIdentity
    dtype: str | None = None
    """None for float32: in bfloat16 a log-probability is uncertain by about as much as the threshold."""
    device: str | None = None

    def load(self, model: ModelIdentity) -> PreTrainedModel:
        """Load one of the models."""
        device = processes.device(self.device)
        return load_model(str(model.path), dtype=self.dtype or "float32").to(device)


@dataclass(frozen=True, slots=True)
class ExampleDepth:
    """The depth of one example; None if no layer tells the starting model from the retain model."""

    depth: float | None
    lens_depth: float | None


def named(
    options: EvaluateOptions,
    run: RunRecord | None,
    tokenizer: PreTrainedTokenizerBase,
    digest_of: Callable[[str], str] = model_digest,
    *,
    marked: bool,
) -> DepthModels:
    """Return the starting model and the retain model that the options, the run and the retain log name.

    Args:
        options: the options of the evaluation.
        run: the training run of the evaluated model, if it is a run folder.
        tokenizer: of the evaluated model.
        digest_of: returns a model's digest. One that remembers saves reading a model again.
        marked: whether the rows have unwanted words, of an annotation set or of the benchmark.

    Raises:
        UsageError: if one of them is not named, or no words are marked.
        InputError: if one has another tokenizer or other layers than the evaluated model, or if the starting model is
            not the run's.
        MissingError: if one does not exist.
    """
    if not marked:
        raise UsageError(_UNMARKED, hint=_MARK)
    started = run.model if run else ModelIdentity()
    start = options.starting_model or started.path
    if start is None:
        raise UsageError("--depth needs the starting model", hint="Give it as --starting-model.")
    logged = evaluated_model(options.retain_log) if options.retain_log else None
    retain = options.retain_model or (logged.path if logged else None)
    if retain is None:
        raise UsageError(
            "--depth needs a retain model", hint="Give it as --retain-model, or give a --retain-log of `tif eval`."
        )
    models = DepthModels(
        starting=ModelIdentity(start, digest_of(start)),
        retain=ModelIdentity(retain, digest_of(retain)),
        dtype=options.dtype,
        device=options.device,
    )
    if options.starting_model is None and started.digest not in (None, models.starting.digest):
        raise InputError(
            "is not the model that the run started from",
            where=f"starting model {start}",
            why="its weights or its config have changed since",
            hint="Give a copy of the starting model as --starting-model.",
        )
    shape = _shape(str(options.model))
    for name, path in (("starting", start), ("retain", retain)):
        difference = "tokenizer" if load_tokenizer(path).get_vocab() != tokenizer.get_vocab() else None
        if difference is None and _shape(path) != shape:
            difference = "number or size of layers"
        if difference is not None:
            raise InputError(
                f"has another {difference} than the evaluated model",
                where=f"{name} model {path}",
                why="--depth puts hidden states of one model into another",
                hint=f"Give another --{name}-model.",
            )
    return models


def measure(
    load: Load,
    encoder: Encoder,
    examples: Sequence[Example],
    models: DepthModels,
    cache: PartsCache,
) -> tuple[Depth, list[ExampleDepth]]:
    """Patch both models' states into the starting model, and return the depth.

    Args:
        load: loads the evaluated model.
        encoder: encodes the examples as the other measures do.
        examples: the forget set with its spans.
        models: the starting model and the retain model.
        cache: the evaluation's parts cache.

    Returns:
        The depth, and one row for each example.

    Raises:
        UsageError: if no example has unwanted words.
    """
    targets = [Targets.of(encoder.encode(example)) for example in examples]
    items = [item for item in targets if item is not None]
    if not items:
        raise UsageError(_UNMARKED, hint=_MARK)
    inputs = [[item.input_ids, item.positions, item.tokens] for item in items]
    key = [models.starting.digest, models.retain.digest, models.dtype or "float32", inputs]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    target = once(lambda: Patching(models.load(models.starting)))

    def readings(source: Load, title: str) -> Mapping[str, list[float]]:
        return _columns(processes.split(items, lambda share: _patch(source, target, share, title, models.dtype)))

    retain = _Readings.of(
        shared_cache("depth").values(
            digest, digest, lambda: readings(lambda: models.load(models.retain), "the retain model's states")
        )
    )
    own = _Readings.of(cache.values("depth", digest, lambda: readings(load, "the model's states")))
    patching = drops(retain.plain, retain.patched), drops(own.plain, own.patched)
    lens = drops(retain.own_lens, retain.lens), drops(own.own_lens, own.lens)
    scores = depths(*patching), depths(*lens)
    by_item = iter(zip(*scores, strict=True))
    rows = [ExampleDepth(*next(by_item)) if item is not None else ExampleDepth(None, None) for item in targets]
    depth = Depth(
        examples=len(items),
        layers=retain.patched.shape[1],
        patching=summarise(*patching, scores[0]),
        lens=summarise(*lens, scores[1]),
        starting_model=models.starting,
        retain_model=models.retain,
    )
    return depth, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readings:
    """The readings of `Patched`, one row for each example."""

    plain: NDArray[np.float64]
    """`[n]`"""
    patched: NDArray[np.float64]
    """`[n, L]`, as the other two"""
    lens: NDArray[np.float64]
    own_lens: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[float]]) -> _Readings:
        """Make the arrays from `_columns`."""
        layers = sum(name.startswith("lens.") for name in columns)
        arrays = {
            name: np.stack(
                [np.asarray(columns[f"{name}.{layer}"], dtype=np.float64) for layer in range(layers)], axis=1
            )
            for name in _BY_LAYER
        }
        return cls(plain=np.asarray(columns["plain"], dtype=np.float64), **arrays)


_BY_LAYER: Final = ("patched", "lens", "own_lens")


def _columns(results: Sequence[Patched]) -> dict[str, list[float]]:
    """Return the readings as one column of numbers for each kind and layer."""
    columns = {"plain": [result.plain for result in results]}
    for name in _BY_LAYER:
        for layer, values in enumerate(zip(*(getattr(result, name) for result in results), strict=True)):
            columns[f"{name}.{layer}"] = list(values)
    return columns


def _patch(
    load: Load, target: Callable[[], Patching], items: Sequence[Targets], title: str, dtype: str | None
) -> list[Patched]:
    source, results = load().eval(), []
    with processes.shown(f"patching {title}", len(items)) as advance, _float32(source if dtype is None else None):
        for item in items:
            results.append(target().run(item, hidden_states(source, item)))
            advance(1)
    return results


@contextmanager
def _float32(model: PreTrainedModel | None) -> Iterator[None]:
    """Hold the weights in float32, then in their own type again. That changes no weight: float32 has all their values.

    Buffers stay as they are: rotary frequencies are in float32 in any model.
    """
    before = {weight: weight.dtype for weight in model.parameters()} if model is not None else {}
    try:
        for weight in before:
            weight.data = weight.data.float()
        yield
    finally:
        for weight, dtype in before.items():
            weight.data = weight.data.to(dtype)


def _shape(path: str) -> tuple[int, int]:
    """Return a model's number of layers and the size of its hidden states."""
    config = load_config(path).get_text_config()
    return int(config.num_hidden_layers), int(config.hidden_size)


__all__ = ["DepthModels", "ExampleDepth", "measure", "named"]
