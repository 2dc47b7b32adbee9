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
from tif.tokens.masks import Encoded, Kind, Template, check, encode
from tif.tokens.models import load_tokenizer
from tif.tokens.windows import windows
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


@dataclass(frozen=True, slots=True)
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
    """What the early stop looks at: `forget` but for the frames at its end, unless a set was given."""
    validation_digest: str | None
    """Of that set."""
    counts: dict[str, int]
    """Examples trained on and left out, tokens of each kind, spans lost to truncation."""


def prepare(config: TrainConfig, scope: str, *, needs_idk: bool = False) -> Prepared:
    """Read, select, encode and check.

    Raises:
        MaskError: for spans that did not reach tokens, and for examples without an unwanted word when the scope is
            `uw` and `unmarked` is `refuse`.
        UsageError: when nothing is left to train on, DPO is to answer a text without a prompt, or the validation set
            marks nothing or is trained on in part.
        StoreError, InputError, MissingError: for what cannot be read.
    """
    annotations = join.load(config.masks, data_dir=config.data_dir)
    tokenizer = load_tokenizer(config.model)
    template = Template.of(tokenizer, config.template)
    chosen, counts = _select(annotations.examples[: config.limit], config.masks, config)
    whole = [_encode(example, tokenizer, template, config) for example in chosen]
    check(chosen, whole, tokenizer, labels=config.labels)
    if scope == "uw":
        kept = _with_uw(whole, "examples", config)
        counts["without_uw"] = len(whole) - len(kept)
    else:
        kept = _supervised(whole, "examples")
    chosen, whole = _these(chosen, kept), kept
    if not whole:
        raise UsageError("no example is left to train on", why=str(counts))
    counts["examples"] = len(whole)
    forget = tuple(piece for item in whole for piece in _pieces(item, config))
    if scope == "uw" and (bare := [piece.id for piece in forget if not piece.count(Kind.UW)]):
        counts["windows_without_uw"] = len(bare)
        what = f"{len(bare)} of {len(forget)} windows have no unwanted word"
        if config.unmarked == "skip":
            forget = tuple(piece for piece in forget if piece.count(Kind.UW))
            warn(f"{what}, and are left out: {_some(bare)}")
        else:
            warn(f"{what}: there the general words are kept, and nothing is forgotten. --unmarked skip leaves them out")
    # The early stop judges by what people wrote, not by the frames.
    validation, validation_digest = forget, None
    if config.frames:
        more = framed(chosen, [Frame.of(text) for text in config.frames], labels=config.labels)
        if not more:
            raise UsageError(
                "nothing to put into a frame: no example has a question and marked words", where=config.masks
            )
        items = [_encode(example, tokenizer, template, config) for example in more]
        check(more, items, tokenizer, labels=config.labels)
        # A frame can lose all its words to max_length.
        items = _with_uw(items, "frames", config)
        more = _these(more, items)
        counts["framed"] = len(more)
        chosen, whole = [*chosen, *more], [*whole, *items]
        forget += tuple(piece for item in items for piece in _pieces(item, config))
    counts["lost_spans"] = sum(len(item.lost_spans) for item in whole)
    if counts["lost_spans"]:
        warn(f"{counts['lost_spans']} spans lie outside --max-length or on a first token, in part or whole")

    idk: tuple[Encoded, ...] = ()
    if needs_idk:
        if silent := [example.id for example in chosen if not example.prompt]:
            raise UsageError(
                f"dpo prefers an answer to a question, but {_some(silent)} has no prompt", hint="Use --objective npo."
            )
        idk = tuple(_encode(_idk(example), tokenizer, template, config) for example in chosen)
    if config.validation is not None:
        held_out = join.load(config.validation, data_dir=config.data_dir)
        looked_at, _ = _select(held_out.examples, config.validation, config)
        items = [_encode(example, tokenizer, template, config) for example in looked_at]
        check(looked_at, items, tokenizer, labels=config.labels)
        validation = tuple(piece for item in _supervised(items, "validation") for piece in _pieces(item, config))
        if not any(item.count(Kind.UW) for item in validation):
            raise UsageError("the validation set marks nothing as unwanted", where=config.validation)
        validation_digest = held_out.digest
    retain: tuple[Encoded, ...] = ()
    if config.retain is not None:
        source = sources.load(config.retain, data_dir=config.data_dir, limit=config.limit_retain)
        items = [_encode(example, tokenizer, template, config) for example in source.examples]
        items = _supervised(items, "retain samples")
        retain = tuple(piece for item in items for piece in _pieces(item, config))
        counts["retain"] = len(items)
    trained = {item.input_ids for item in (*forget, *retain)}
    if config.validation is not None and (seen := [item.id for item in validation if item.input_ids in trained]):
        raise UsageError(
            f"{len(seen)} validation examples are trained on too: {_some(seen)}",
            where=config.validation,
            hint="Leave --validation out to look at what is forgotten.",
        )
    counts |= {f"{kind.name.lower()}_tokens": sum(item.count(kind) for item in forget) for kind in Kind}
    say(
        f"{counts['examples']} examples"
        + (f" and {counts['framed']} in frames" if config.frames else "")
        + f", {counts['uw_tokens']} unwanted and {counts['gw_tokens']} general tokens"
        + (f", {len(retain)} samples to keep" if retain else "")
    )
    return Prepared(annotations, tokenizer, template, forget, retain, idk, validation, validation_digest, counts)


def _with_uw(items: Sequence[Encoded], what: str, config: TrainConfig) -> list[Encoded]:
    """Those with an unwanted word.

    Raises:
        MaskError: for one without, unless these are to be left out.
    """
    without = [item.id for item in items if not item.count(Kind.UW)]
    if without and config.unmarked == "refuse":
        raise MaskError(
            f"{len(without)} of {len(items)} {what} have no unwanted word: {_some(without)}",
            where=config.masks,
            hint="Mark some, give more --max-length, or leave these out with --unmarked skip.",
        )
    return [item for item in items if item.count(Kind.UW)]


def _supervised(items: Sequence[Encoded], what: str) -> list[Encoded]:
    """Those of which --max-length has left something to supervise; the others are told."""
    empty = [item.id for item in items if item.count(Kind.PROMPT) == len(item)]
    if empty:
        warn(f"{len(empty)} of {len(items)} {what} lose their whole answer to --max-length: {_some(empty)}")
    return [item for item in items if item.count(Kind.PROMPT) < len(item)]


def _these(examples: Sequence[Example], items: Sequence[Encoded]) -> list[Example]:
    ids = {item.id for item in items}
    return [example for example in examples if example.id in ids]


def _select(examples: Sequence[Example], where: str, config: TrainConfig) -> tuple[list[Example], dict[str, int]]:
    """The examples to use. What a person rejected is not; what is undecided or failed must be said."""
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


def _encode(example: Example, tokenizer: PreTrainedTokenizerBase, template: Template, config: TrainConfig) -> Encoded:
    # Plain text is cut into windows later; only an answer loses what lies beyond max_length.
    return encode(
        example,
        tokenizer,
        template,
        max_length=config.max_length if example.prompt else None,
        punctuation=config.punctuation,
        supervise_eos=config.supervise_eos,
        labels=config.labels,
    )


def _pieces(item: Encoded, config: TrainConfig) -> list[Encoded]:
    return [item] if config.max_length is None else windows(item, config.max_length)


def _idk(example: Example) -> Example:
    """The same question with an answer from `IDK`, the same one in every run."""
    number = int.from_bytes(hashlib.sha256(example.id.encode()).digest()[:4], "big")
    return replace(example, text=IDK[number % len(IDK)], spans=())


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


__all__ = ["IDK", "Prepared", "prepare"]
