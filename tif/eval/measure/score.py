"""The first of the two model calls: the log-probability of each token of an answer.

Texts are scored longest first, in padded batches of at most `budget` positions. Logits are computed only at supervised
tokens. Answers to one prompt form a *tree*: the model computes the prompt's keys and values once. The right,
paraphrased and wrong answers share them and cannot see each other:

    prompt  answer  paraphrase  perturbed 1 ...      position ids restart after the prompt at each branch

Every likelihood metric is computed from these scores, without the model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from tif.console import warn
from tif.eval.settings import BUDGET
from tif.spans import Example
from tif.tokens.apart import is_rounding, other_tokens
from tif.tokens.encoding import Encoder
from tif.tokens.forward import outputs
from tif.tokens.limits import Limits, attention_window
from tif.tokens.masks import Encoded, Kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tif.console import Advance

_LONGEST_TREE: Final = 1024
"""Longest tree, in tokens. Its mask grows with the square of its length, so longer trees are split."""
_CHUNK: Final = 512
"""Positions whose logits are converted to float32 at once."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The supervised tokens of one text. Every array has one entry per token; the end token is last.

    If only the log-probability was computed, `mean` and `variance` are NaN and `rank` is -1.
    """

    id: str
    token: NDArray[np.int32]
    start: NDArray[np.int32]
    """First code point of the token in the text; -1 for the end token and other template tokens."""
    end: NDArray[np.int32]
    kind: NDArray[np.int8]
    """`Kind.GW` or `Kind.UW`."""
    logprob: NDArray[np.float32]
    mean: NDArray[np.float32]
    """Expected log-probability under the model at this position (min-k++)."""
    variance: NDArray[np.float32]
    rank: NDArray[np.int32]
    """Number of tokens that the model finds more likely. Greedy decoding picks the token of rank 0."""

    def __len__(self) -> int:
        return len(self.token)

    def only(self, keep: NDArray[np.bool_]) -> Scored:
        """Return the scores of the tokens where `keep` is true."""
        columns = {name: getattr(self, name)[keep] for name in _COLUMNS}
        return Scored(self.id, **columns)

    def without_end(self) -> Scored:
        """Return the scores without the end token and other template tokens."""
        return self.only(self.start >= 0)

    def of(self, kind: Kind) -> Scored:
        """Return the scores of one kind of token."""
        return self.only(self.kind == int(kind))

    @property
    def loss(self) -> float:
        """Mean negative log-probability; NaN without tokens."""
        return -float(self.logprob.mean(dtype=np.float64)) if len(self) else float("nan")


_COLUMNS: Final = {
    "token": pa.int32(),
    "start": pa.int32(),
    "end": pa.int32(),
    "kind": pa.int8(),
    "logprob": pa.float32(),
    "mean": pa.float32(),
    "variance": pa.float32(),
    "rank": pa.int32(),
}


def score(
    model: PreTrainedModel,
    encoder: Encoder,
    examples: Sequence[Example],
    *,
    light: Collection[str] = (),
    budget: int = BUDGET,
    share: bool = True,
    advance: Advance | None = None,
) -> list[Scored]:
    """Score every supervised token of every text.

    Args:
        model: a causal language model. It is switched to evaluation mode.
        encoder: turns prompt and text into one token sequence.
        examples: prompts and texts. Texts with the same prompt share its keys and values.
        light: ids of texts that need only the log-probability.
        budget: positions per batch.
        share: False scores each text separately.
        advance: called with the number of finished texts.

    Returns:
        One `Scored` for each example, in order.

    Raises:
        MaskError: if the tokenizer cannot encode a text.
        InputError: for a text that the model cannot read.
    """
    model.eval()
    encoded = [encoder.encode(example) for example in examples]
    Limits.of(model).check(encoded, hint="Leave it out, or evaluate a model that reads longer texts.")
    full = [example.id not in light for example in examples]
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.prompt or example.id, []).append(index)
    rows: list[_Row] = []
    for members in groups.values():
        tree = _Row.of(members, encoded, full)
        shared = share and len(members) > 1 and len(tree) <= _limit(model)
        rows += [tree] if shared else [_Row.of([index], encoded, full) for index in members]
    trees = [row for row in rows if len(row.members) > 1]
    if trees and not _trees_agree(model, min(trees, key=len), encoded, full):
        warn("this model ignores custom attention masks, so tif scores the answers to each question one by one")
        rows = [_Row.of([index], encoded, full) for row in rows for index in row.members]
    scored: dict[int, Scored] = {}
    for batch in _batches(rows, budget):
        for index, columns in _forward(model, batch, encoded):
            scored[index] = Scored(examples[index].id, **columns)
        if advance is not None:
            advance(sum(len(row.members) for row in batch))
    return [scored[index] for index in range(len(examples))]


def table(scores: Iterable[Scored]) -> pa.Table:
    """Return the scores as a table: one row per text, lists with one entry per token."""
    scores = list(scores)
    columns: dict[str, pa.Array] = {"id": pa.array([s.id for s in scores], type=pa.string())}
    for name, kind in _COLUMNS.items():
        offsets = np.cumsum([0, *(len(s) for s in scores)], dtype=np.int32)
        values = np.concatenate([getattr(s, name) for s in scores]) if scores else np.zeros(0)
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, type=kind))
    return pa.table(columns)


def from_table(stored: pa.Table) -> dict[str, Scored]:
    """Return the scores by id from a table that `table` made."""
    stored = stored.combine_chunks()
    arrays: dict[str, list[NDArray[Any]]] = {}
    for name, kind in _COLUMNS.items():
        column = stored[name]
        flat = column.combine_chunks().flatten() if len(stored) else pa.array([], type=kind)
        lengths = column.to_pylist() if not len(stored) else [len(v) for v in column]
        arrays[name] = np.split(flat.to_numpy(zero_copy_only=False), np.cumsum(lengths)[:-1]) if lengths else []
    ids = stored["id"].to_pylist()
    return {id_: Scored(id_, **{name: arrays[name][i] for name in _COLUMNS}) for i, id_ in enumerate(ids)}


# --- rows, batches and the forward pass --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a batch: a shared prefix, then one branch for each member."""

    members: tuple[int, ...]
    input_ids: NDArray[np.int64]
    position: NDArray[np.int64]
    branch: NDArray[np.int64]
    """0 in the prefix; 1, 2, ... in the branches."""
    keep: NDArray[np.bool_]
    """Whether the logits at this position predict a supervised token."""
    full: NDArray[np.bool_]
    """Whether to compute mean, variance and rank there, `[keep.sum()]`."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @classmethod
    def of(cls, members: Sequence[int], encoded: Sequence[Encoded], full: Sequence[bool]) -> _Row:
        ids = [np.asarray(encoded[m].input_ids, dtype=np.int64) for m in members]
        first = [int(_supervised(encoded[m]).argmax()) for m in members]
        # The prefix ends one token early: each branch needs the token that predicts its first answer token.
        shared = 0
        if len(members) > 1:
            limit = min(first) - 1
            while shared < limit and all(row[shared] == ids[0][shared] for row in ids):
                shared += 1
        parts = [ids[0][:shared], *(row[shared:] for row in ids)]
        spots = [np.arange(shared), *(np.arange(shared, len(row)) for row in ids)]
        branch = [np.full(len(part), number) for number, part in enumerate(parts)]
        keep = [np.zeros(shared, dtype=np.bool_)]
        wanted = []
        for member in members:
            kept = np.asarray(encoded[member].predicting)
            keep.append(kept[shared:])
            wanted.append(np.full(int(kept.sum()), full[member]))
        return cls(
            tuple(members),
            np.concatenate(parts),
            np.concatenate(spots),
            np.concatenate(branch),
            np.concatenate(keep),
            np.concatenate(wanted),
        )

    def with_other(self, branch: int, model: PreTrainedModel) -> _Row:
        """Return the row with other tokens in one branch."""
        here = self.branch == branch
        ids = self.input_ids.copy()
        ids[here] = other_tokens(ids[here].tolist(), model)
        return replace(self, input_ids=ids)


def _supervised(encoded: Encoded) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(encoded.kinds) != int(Kind.PROMPT), dtype=np.bool_)


def _limit(model: PreTrainedModel) -> int:
    """Return the longest tree that this model's attention supports; 0 if its kernel takes no custom mask."""
    config = model.config.get_text_config()
    if config._attn_implementation not in ("sdpa", "eager"):
        return 0
    return min(_LONGEST_TREE, attention_window(model) or _LONGEST_TREE)


def _batches(rows: list[_Row], budget: int) -> Iterator[list[_Row]]:
    """Yield batches, longest rows first. Lack of memory then shows at once, and there is little padding."""
    batch: list[_Row] = []
    for row in sorted(rows, key=len, reverse=True):
        if batch and len(batch[0]) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.inference_mode()
def _forward(
    model: PreTrainedModel, batch: Sequence[_Row], encoded: Sequence[Encoded]
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    width = len(batch[0])
    ids, position, keep = (np.zeros((len(batch), width), dtype=kind) for kind in (np.int64, np.int64, np.bool_))
    branch = np.full((len(batch), width), -1)
    for number, row in enumerate(batch):
        for target, source in ((ids, row.input_ids), (position, row.position), (branch, row.branch), (keep, row.keep)):
            target[number, : len(row)] = source
    targets = [np.asarray(encoded[m].input_ids)[_supervised(encoded[m])] for row in batch for m in row.members]
    device = model.device
    output = outputs(
        model,
        *(torch.from_numpy(array).to(device) for array in (ids, position, keep)),
        attention_mask=_mask(torch.from_numpy(branch).to(device), model.dtype, any(len(r.members) > 1 for r in batch)),
    )
    answers = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(device)
    columns = _statistics(output.logits, answers, torch.from_numpy(np.concatenate([r.full for r in batch])).to(device))
    at = 0
    for row in batch:
        for member in row.members:
            mask = _supervised(encoded[member])
            n = int(mask.sum())
            offsets = np.asarray(encoded[member].offsets, dtype=np.int32).reshape(-1, 2)[mask]
            yield (
                member,
                {
                    "token": np.asarray(encoded[member].input_ids, dtype=np.int32)[mask],
                    "start": offsets[:, 0],
                    "end": offsets[:, 1],
                    "kind": np.asarray(encoded[member].kinds, dtype=np.int8)[mask],
                    **{name: values[at : at + n] for name, values in columns.items()},
                },
            )
            at += n


def _mask(branch: torch.Tensor, dtype: torch.dtype, trees: bool) -> torch.Tensor:
    """Return a `[B, T]` mask of 1 and 0, or for trees a `[B, 1, T, T]` mask added to the attention scores."""
    if not trees:
        return (branch >= 0).long()
    width = branch.shape[1]
    same = branch[:, :, None] == branch[:, None, :]
    seen = (same | (branch == 0)[:, None, :]) & torch.ones(width, width, dtype=torch.bool, device=branch.device).tril()
    return torch.zeros(seen.shape, dtype=dtype, device=branch.device).masked_fill_(~seen, torch.finfo(dtype).min)[
        :, None
    ]


def _statistics(logits: torch.Tensor, target: torch.Tensor, full: torch.Tensor) -> dict[str, NDArray[Any]]:
    """Return each target's log-probability, and its rank and the log-probability's mean and variance where `full`.

    Args:
        logits: `[n, V]`.
        target: `[n]`, token ids.
        full: `[n]`, bool.
    """
    n = len(target)
    logprob = torch.empty(n, device=logits.device)
    mean, variance = (torch.full((n,), torch.nan, device=logits.device) for _ in range(2))
    rank = torch.full((n,), -1, dtype=torch.int32, device=logits.device)
    for at in range(0, n, _CHUNK):
        piece = slice(at, at + _CHUNK)
        z = logits[piece].float()
        chosen = z.gather(1, target[piece, None])
        norm = z.logsumexp(1, keepdim=True)
        logprob[piece] = (chosen - norm)[:, 0]
        chosen_rows = full[piece]
        if bool(chosen_rows.any()):
            lp = z[chosen_rows] - norm[chosen_rows]
            p = lp.exp()
            # As in xlogy: a logit of minus infinity contributes 0; 0 * inf would be NaN.
            weighted = torch.where(p > 0, p * lp, 0.0)
            first = weighted.sum(1)
            second = torch.where(p > 0, weighted * lp, 0.0).sum(1)
            where = torch.arange(at, min(at + _CHUNK, n), device=logits.device)[chosen_rows]
            mean[where] = first
            variance[where] = (second - first.square()).clamp(min=0)
            rank[where] = (z[chosen_rows] > chosen[chosen_rows]).sum(1).int()
    return {
        "logprob": logprob.cpu().numpy(),
        "mean": mean.cpu().numpy(),
        "variance": variance.cpu().numpy(),
        "rank": rank.cpu().numpy(),
    }


def _trees_agree(model: PreTrainedModel, tree: _Row, encoded: Sequence[Encoded], full: Sequence[bool]) -> bool:
    """Return whether the smallest tree gives the same scores as its members alone, whatever its other branches say.

    Some models replace the mask with their own, others refuse it, and recurrent ones read all that came before.
    """
    first, last = tree.members[0], tree.members[-1]
    try:
        together = dict(_forward(model, [tree], encoded))
        # Of another first branch the last must see nothing. What the first cannot see, the last, shows the rounding.
        changed = [dict(_forward(model, [tree.with_other(n, model)], encoded)) for n in (1, len(tree.members))]
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    leak, noise = (_apart(together[m], other[m]) for m, other in zip((last, first), changed, strict=True))
    worst = 0.0
    for member in tree.members:
        ((_, alone),) = _forward(model, [_Row.of([member], encoded, full)], encoded)
        worst = max(worst, _apart(together[member], alone))
    return is_rounding(model, leak, noise) and worst < (1e-3 if model.dtype == torch.float32 else 0.25)


def _apart(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> float:
    return float(np.abs(one["logprob"] - other["logprob"]).max(initial=0.0))


__all__ = ["Scored", "from_table", "score", "table"]
