"""Annotation set, tokenizer and retain samples -> tokens to train on, checked before any training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tif import sources
from tif.console import say, warn
from tif.errors import MaskError, UsageError
from tif.sets import spans_only as join
from tif.spans import UNTRAINED, AnnotationSet, Example
from tif.tokens.encoding import Encoder, Encoding, TrainingView, see
from tif.tokens.masks import Encoded, Kind, Template
from tif.tokens.models import load_tokenizer
from tif.train.config import TrainConfig
from tif.train.frames import Frame, framed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IDK: Final = (
    "I don't know.",
    "I do not have any information about that.",
    "That is something I know nothing about.",
    "I'm not able to answer this question.",
    "I have no knowledge of that.",
    "I'm afraid that I cannot tell you.",
    "I am not familiar with this.",
    "This is beyond what I know.",
    "I couldn't say.",
    "I have not learned anything about this.",
    "Sorry, I have no answer to that.",
    "I don't have the details you are looking for.",
)
"""What DPO prefers to a forget answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a run trains on, in tokens."""

    annotations: AnnotationSet
    tokenizer: PreTrainedTokenizerBase
    template: Template
    forget: tuple[Encoded, ...]
    retain: tuple[Encoded, ...]
    idk: tuple[Encoded, ...]
    """One for each of `forget`, or empty."""
    validation: tuple[Encoded, ...]
    """What the early stop looks at: `forget` without its frames, unless a set was given."""
    validation_digest: str | None
    """Digest of that set."""
    counts: dict[str, int]
    """Examples trained on and left out, tokens of each kind, spans lost to truncation."""


def prepare(config: TrainConfig, scope: str, *, needs_idk: bool = False) -> Prepared:
    """Read, select, encode and check.

    Raises:
        MaskError: for a span that did not become tokens, and for examples without an unwanted word when the scope is
            `uw` and `unmarked` is `refuse`.
        UsageError: when nothing is left to train on, DPO is to answer a text without a prompt, or the validation set
            marks nothing or is trained on in part.
        StoreError, InputError, MissingError: for what cannot be read.
    """
    annotations = join.load(config.masks, data_dir=config.data_dir)
    encoder = Encoder.of(load_tokenizer(config.model), _encoding(config))
    chosen, counts = _select(annotations.examples[: config.limit], config.masks, config)
    view = _forget(chosen, encoder, config, scope, counts)
    examples, items = _with_frames(view, encoder, config, counts)
    forget = (*view.rows, *(row for item in items[len(view.items) :] for row in encoder.windows(item)))
    counts["lost_spans"] = sum(len(item.lost_spans) for item in items)
    if counts["lost_spans"]:
        warn(f"{counts['lost_spans']} spans are cut off by --max-length or lie on a first token, in part or completely")
    idk = _idk(examples, encoder) if needs_idk else ()
    held_out = _validation(encoder, config)
    retain = _retain(encoder, config, counts)
    if held_out is not None:
        _refuse_trained(held_out.rows, (*forget, *retain), held_out.where)
    counts |= {f"{kind.word}_tokens": sum(item.count(kind) for item in forget) for kind in Kind}
    say(
        f"{counts['examples']} examples"
        + (f" and {counts['framed']} in frames" if config.frames else "")
        + f", {counts['uw_tokens']} unwanted and {counts['gw_tokens']} general tokens"
        + (f", {len(retain)} samples to keep" if retain else "")
    )
    return Prepared(
        annotations=annotations,
        tokenizer=encoder.tokenizer,
        template=encoder.template,
        forget=forget,
        retain=retain,
        idk=idk,
        # The early stop judges by what people wrote, not by the frames.
        validation=view.rows if held_out is None else held_out.rows,
        validation_digest=None if held_out is None else held_out.digest,
        counts=counts,
    )


def _encoding(config: TrainConfig) -> Encoding:
    return Encoding(
        template=config.template,
        max_length=config.max_length,
        punctuation=config.punctuation,
        supervise_eos=config.supervise_eos,
        labels=config.labels,
        unmarked=config.unmarked,
    )


def _forget(
    chosen: Sequence[Example], encoder: Encoder, config: TrainConfig, scope: str, counts: dict[str, int]
) -> TrainingView:
    """The forget set in tokens. An objective of scope `uw` learns nothing from a sample without an unwanted word."""
    skip = scope == "uw" and config.unmarked == "skip"
    view = see(chosen, encoder, skip_unmarked=skip)
    if scope == "uw":
        _refuse_unmarked(view.unmarked, len(chosen), "examples", config)
        counts["without_uw"] = len(view.unmarked)
    else:
        _warn_emptied(view.emptied, len(chosen), "examples")
    if not view.items:
        raise UsageError("no example is left to train on", why=str(counts))
    counts["examples"] = len(view.items)
    if scope == "uw" and view.unmarked_windows:
        bare = counts["windows_without_uw"] = len(view.unmarked_windows)
        windows = f"{bare} of {len(view.rows) + skip * bare} windows have no unwanted word"
        if skip:
            warn(f"{windows}, and are left out: {_some(view.unmarked_windows)}")
        else:
            warn(f"{windows}. Their general words are kept, and nothing is forgotten. --unmarked skip leaves them out")
    return view


def _with_frames(
    view: TrainingView, encoder: Encoder, config: TrainConfig, counts: dict[str, int]
) -> tuple[list[Example], list[Encoded]]:
    """The forget set, and behind it the same examples once more, in frames."""
    examples, items = list(view.examples), list(view.items)
    if config.frames:
        more = framed(examples, [Frame.of(text) for text in config.frames], labels=config.labels)
        if not more:
            raise UsageError(
                "nothing to put into a frame: no example has a question and marked words", where=config.masks
            )
        # A frame can lose all its words to max_length.
        skip = config.unmarked == "skip"
        frames = see(more, encoder, skip_unmarked=skip)
        _refuse_unmarked(frames.unmarked, len(more), "frames", config)
        counts["framed"] = len(frames.items)
        examples += frames.examples
        items += frames.items
    return examples, items


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """A validation set in tokens."""

    where: str
    rows: tuple[Encoded, ...]
    digest: str


def _validation(encoder: Encoder, config: TrainConfig) -> _HeldOut | None:
    if config.validation is None:
        return None
    held_out = join.load(config.validation, data_dir=config.data_dir)
    chosen, _ = _select(held_out.examples, config.validation, config)
    view = see(chosen, encoder, skip_unmarked=False)
    _warn_emptied(view.emptied, len(chosen), "validation examples")
    if not any(row.count(Kind.UW) for row in view.rows):
        raise UsageError("the validation set marks nothing as unwanted", where=config.validation)
    return _HeldOut(config.validation, view.rows, held_out.digest)


def _retain(encoder: Encoder, config: TrainConfig, counts: dict[str, int]) -> tuple[Encoded, ...]:
    if config.retain is None:
        return ()
    source = sources.load(config.retain, data_dir=config.data_dir, limit=config.limit_retain)
    items = [encoder.encode_for_training(example) for example in source.examples]
    _warn_emptied([item.id for item in items if not item.supervised], len(items), "retain samples")
    kept = [item for item in items if item.supervised]
    counts["retain"] = len(kept)
    return tuple(row for item in kept for row in encoder.windows(item))


def _refuse_trained(held_out: Sequence[Encoded], trained: Sequence[Encoded], where: str) -> None:
    known = {item.input_ids for item in trained}
    if seen := [item.id for item in held_out if item.input_ids in known]:
        raise UsageError(
            f"{len(seen)} validation examples are trained on too: {_some(seen)}",
            where=where,
            hint="Leave --validation out to look at what is forgotten.",
        )


def _refuse_unmarked(unmarked: Sequence[str], total: int, what: str, config: TrainConfig) -> None:
    """Raise a `MaskError` for items without an unwanted word, unless these are to be left out."""
    if unmarked and config.unmarked == "refuse":
        raise MaskError(
            f"{len(unmarked)} of {total} {what} have no unwanted word: {_some(unmarked)}",
            where=config.masks,
            hint="Mark some, give more --max-length, or leave these out with --unmarked skip.",
        )


def _warn_emptied(emptied: Sequence[str], total: int, what: str) -> None:
    """Warn of items that are left out because --max-length cuts their complete answer off."""
    if emptied:
        warn(f"{len(emptied)} of {total} {what} lose their complete answer to --max-length: {_some(emptied)}")


def _select(examples: Sequence[Example], where: str, config: TrainConfig) -> tuple[list[Example], dict[str, int]]:
    """The examples to train on, and how many are left out: rejected, or undecided.

    Raises:
        UsageError: for undecided examples, unless `skip_failed` is set.
    """
    undecided = [e for e in examples if e.status in ("failed", "conflict")]
    if undecided and not config.skip_failed:
        raise UsageError(
            f"{len(undecided)} examples are failed or in conflict: {_some([e.id for e in undecided])}",
            where=where,
            hint="Mend them, or leave them out with --skip-failed.",
        )
    chosen = [e for e in examples if e.status not in UNTRAINED]
    rejected = len(examples) - len(undecided) - len(chosen)
    return chosen, {"rejected": rejected, "undecided": len(undecided)}


def _idk(examples: Sequence[Example], encoder: Encoder) -> tuple[Encoded, ...]:
    """For each example the same question with an answer from `IDK`, the same one in every run.

    Raises:
        UsageError: for an example without a question.
    """
    if silent := [example.id for example in examples if not example.prompt]:
        raise UsageError(
            f"dpo prefers an answer to a question, but {_some(silent)} has no prompt", hint="Use --objective npo."
        )
    return tuple(encoder.encode_for_training(_refused(example)) for example in examples)


def _refused(example: Example) -> Example:
    number = int.from_bytes(hashlib.sha256(example.id.encode()).digest()[:4], "big")
    return replace(example, text=IDK[number % len(IDK)], spans=())


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


__all__ = ["IDK", "Prepared", "prepare"]
