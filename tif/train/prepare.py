"""Annotation set, tokenizer and retain samples -> tokens to train on, checked before any training."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tif import sources
from tif.console import say, warn
from tif.errors import MaskError, UsageError, first_of
from tif.overlap import refuse_overlap
from tif.sets import store
from tif.sets.untrained import span_counts, untrained
from tif.spans import UNRESOLVED, UNTRAINED, Example, SavedSet
from tif.tokens.encoding import Encoder, TrainingView, see, warn_of_control
from tif.tokens.masks import Encoded, Kind, Template
from tif.tokens.models import load_tokenizer
from tif.train.data import Part
from tif.train.frames import framed
from tif.train.objectives import Need, Objective
from tif.train.options import TrainOptions
from tif.train.preferred import preferred
from tif.train.settings import Scope

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSet:
    """A set for the early stop, in tokens. It is never trained on."""

    where: str
    rows: tuple[Encoded, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a run trains on, in tokens."""

    annotations: SavedSet
    tokenizer: PreTrainedTokenizerBase
    template: Template
    forget: tuple[Encoded, ...]
    """The forget set as it was annotated."""
    framed: tuple[Encoded, ...]
    """The same examples once more, in frames; empty without frames."""
    retain: tuple[Encoded, ...]
    held: tuple[Encoded, ...]
    """Retain samples in frames, which are held where the reference has them."""
    parts: tuple[Part, ...]
    """How many of `retain` each source gave, in their order, and its weight; `held` is the last source."""
    preferred: tuple[tuple[Encoded, ...], ...]
    """For each of `forget` and `framed` the answers that are preferred to it: an "I do not know", or alternates. Empty
    for an objective without them."""
    validation: ValidationSet | None
    """None where the early stop looks at `forget`."""
    counts: dict[str, int]
    """Examples trained on and left out, tokens of each kind, spans lost to truncation."""

    @property
    def marks(self) -> bool:
        """Whether the forget set has an unwanted token."""
        return any(item.count(Kind.UW) for item in self.forget)

    @property
    def forgotten(self) -> tuple[Encoded, ...]:
        """Everything that the forget term is about."""
        return (*self.forget, *self.framed)

    @property
    def forget_side(self) -> tuple[Encoded, ...]:
        """Everything that the forget term reads: the examples, and the answers preferred to them."""
        return (*self.forgotten, *(answer for answers in self.preferred for answer in answers))

    @property
    def rows(self) -> tuple[Encoded, ...]:
        """Every text that the model is to read."""
        return (*self.forget_side, *self.retain, *self.held, *(self.validation.rows if self.validation else ()))


def prepare(options: TrainOptions, scope: Scope, *, needs: Collection[Need] = ()) -> Prepared:
    """Read, select, encode and check.

    Raises:
        MaskError: for a span that did not become tokens, and for examples without an unwanted word when the scope is
            `uw` and `unmarked` is `refuse`.
        UsageError: when nothing is left to train on, a retain sample is to be forgotten too, an answer is to be
            preferred for a text without a prompt, an alternate is missing, or the validation set marks nothing or is
            trained on in part.
        StoreError, InputError, MissingError: for what cannot be read.
    """
    annotations = store.load(options.masks, data_dir=options.data_dir)
    options.check_labels(annotations, options.masks)
    _warn_other_labels(annotations, options)
    encoder = Encoder.of(load_tokenizer(options.model), options)
    chosen, counts = _select(annotations.examples[: options.limit], options.masks, options)
    warn_of_control(chosen, encoder.tokenizer)
    view = _forget(chosen, encoder, options, scope, counts)
    frames = _framed(view, encoder, options, counts)
    views = [view] if frames is None else [view, frames]
    counts["lost_spans"] = sum(each.lost_spans for each in views)
    if counts["lost_spans"]:
        warn(f"{counts['lost_spans']} spans are cut off by --max-length, in part or completely")
    retain, parts = _retain(chosen, encoder, options, counts)
    held = _framed_retain(chosen, encoder, options, counts)
    prepared = Prepared(
        annotations=annotations,
        tokenizer=encoder.tokenizer,
        template=encoder.template,
        forget=view.rows,
        framed=() if frames is None else frames.rows,
        retain=retain,
        held=held,
        parts=(*parts, (len(held), 1.0)) if held else parts,
        preferred=preferred([example for each in views for example in each.examples], encoder, options, needs),
        validation=_validation(encoder, options),
        counts=counts,
    )
    _refuse_trained(prepared)
    counts |= {f"{kind.word}_tokens": sum(item.count(kind) for item in prepared.forgotten) for kind in Kind}
    say(
        f"{counts['examples']} examples"
        + (f" and {counts['framed']} in frames" if options.frames else "")
        + f", {counts['uw_tokens']} unwanted and {counts['gw_tokens']} general tokens"
        + (f", {len(prepared.retain)} samples to keep" if prepared.retain else "")
    )
    return prepared


def check_kept(prepared: Prepared, options: TrainOptions, objective: Objective) -> None:
    """Refuse a run that needs samples to keep, when --max-length leaves none of them.

    Raises:
        UsageError: naming what needs them.
    """
    if prepared.retain or not options.retain:
        return
    settles = options.settle is not None and options.settle.kind == "steps"
    if options.floor is not None and options.floor.of_retain:
        raise nothing_kept(f"--floor {options.floor}")
    if not prepared.held and (settles or objective.needs_retain):
        raise nothing_kept(f"--settle {options.settle}" if settles else f"--objective {objective.name}")


def nothing_kept(user: str) -> UsageError:
    """The error about a lack of samples to keep, which `user` needs."""
    return UsageError(
        f"{user} needs samples to keep, and none is left",
        where="--retain",
        why="all lose their complete answer to --max-length",
        hint="Give more --max-length, or samples with shorter prompts.",
    )


def _forget(
    chosen: Sequence[Example], encoder: Encoder, options: TrainOptions, scope: Scope, counts: dict[str, int]
) -> TrainingView:
    """The forget set in tokens. An objective of scope `uw` learns nothing from a sample without an unwanted word."""
    skip = scope == "uw" and options.unmarked == "skip"
    view = see(chosen, encoder, skip_unmarked=skip)
    if scope == "uw":
        _refuse_unmarked(view.unmarked, len(chosen), "examples", options)
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
            warn(f"{windows}, and are left out: {first_of(view.unmarked_windows)}")
        else:
            warn(f"{windows}. Their general words are kept, and nothing is forgotten. --unmarked skip leaves them out")
    return view


def _framed(view: TrainingView, encoder: Encoder, options: TrainOptions, counts: dict[str, int]) -> TrainingView | None:
    """The forget set once more, in frames; None without frames."""
    if not options.frames:
        return None
    examples = framed(view.examples, options.frames, labels=options.labels)
    if not examples:
        raise UsageError("nothing to put into a frame: no example has a question and marked words", where=options.masks)
    # A frame can lose all its words to max_length.
    frames = see(examples, encoder, skip_unmarked=options.unmarked == "skip")
    _refuse_unmarked(frames.unmarked, len(examples), "frames", options)
    counts["framed"] = len(frames.items)
    return frames


def _validation(encoder: Encoder, options: TrainOptions) -> ValidationSet | None:
    if options.validation is None:
        return None
    annotations = store.load(options.validation, data_dir=options.data_dir)
    chosen, _ = _select(annotations.examples, options.validation, options)
    view = see(chosen, encoder, skip_unmarked=False)
    _warn_emptied(view.emptied, len(chosen), "validation examples")
    if not any(row.count(Kind.UW) for row in view.rows):
        raise UsageError("the validation set marks nothing as unwanted", where=options.validation)
    return ValidationSet(where=options.validation, rows=view.rows, digest=annotations.digest)


def _retain(
    forget: Sequence[Example], encoder: Encoder, options: TrainOptions, counts: dict[str, int]
) -> tuple[tuple[Encoded, ...], tuple[Part, ...]]:
    """The samples to keep of all sources, and how many each gave, with its weight."""
    rows: list[Encoded] = []
    parts: list[Part] = []
    for keep in options.retain:
        items = _kept(keep.source, forget, encoder, options)
        windows = [row for item in items for row in encoder.windows(item)]
        rows += windows
        if windows:
            parts.append((len(windows), keep.weight))
        counts["retain"] = counts.get("retain", 0) + len(items)
        if len(options.retain) > 1:
            counts[f"retain {keep.source}"] = len(items)
    return tuple(rows), tuple(parts)


def _framed_retain(
    forget: Sequence[Example], encoder: Encoder, options: TrainOptions, counts: dict[str, int]
) -> tuple[Encoded, ...]:
    """Retain samples in the frames, with their own unwanted words."""
    if options.frame_retain is None:
        return ()
    annotations = store.load(options.frame_retain, data_dir=options.data_dir)
    chosen, _ = _select(annotations.examples[: options.limit_retain], options.frame_retain, options)
    refuse_overlap(forget, chosen, options.frame_retain)
    examples = framed(chosen, options.frames)
    items = [item for item in map(encoder.encode_for_training, examples) if item.supervised]
    if not items:
        raise UsageError(
            "nothing to put into a frame: no example has a question and marked words", where=options.frame_retain
        )
    counts["framed_retain"] = len(items)
    return tuple(items)


def _kept(where: str, forget: Sequence[Example], encoder: Encoder, options: TrainOptions) -> list[Encoded]:
    """The samples of one source, without those whose answer is cut off."""
    source = sources.load(
        where,
        data_dir=options.data_dir,
        prompt_field=options.prompt_field,
        text_field=options.text_field,
        encoding=options.encoding,
        limit=options.limit_retain,
    )
    refuse_overlap(forget, source.examples, where)
    warn_of_control(source.examples, encoder.tokenizer)
    items = [encoder.encode_for_training(example) for example in source.examples]
    _warn_emptied([item.id for item in items if not item.supervised], len(items), "retain samples")
    return [item for item in items if item.supervised]


def _refuse_trained(prepared: Prepared) -> None:
    if prepared.validation is None:
        return
    trained = {item.input_ids for item in (*prepared.forgotten, *prepared.retain, *prepared.held)}
    if both := [item.id for item in prepared.validation.rows if item.input_ids in trained]:
        raise UsageError(
            f"{len(both)} validation examples are trained on too: {first_of(both)}",
            where=prepared.validation.where,
            hint="Leave out --validation to check the examples that are forgotten.",
        )


def _refuse_unmarked(unmarked: Sequence[str], total: int, what: str, options: TrainOptions) -> None:
    """Raise a `MaskError` for items without an unwanted word, unless these are to be left out."""
    if unmarked and options.unmarked == "refuse":
        raise MaskError(
            f"{len(unmarked)} of {total} {what} have no unwanted word: {first_of(unmarked)}",
            where=options.masks,
            hint="Mark some, give more --max-length, or leave these out with --unmarked skip.",
        )


def _warn_other_labels(annotations: SavedSet, options: TrainOptions) -> None:
    """Warn of spans that stay untrained because their label is not in `labels`."""
    if labels := untrained(span_counts(annotations), options.labels).labels:
        listed = ", ".join(f"{count} {label}" for label, count in labels.items())
        warn(f"{sum(labels.values())} spans are not trained, because --labels leaves them out: {listed}")


def _warn_emptied(emptied: Sequence[str], total: int, what: str) -> None:
    """Warn of items that are left out because --max-length cuts their complete answer off."""
    if emptied:
        warn(f"{len(emptied)} of {total} {what} lose their complete answer to --max-length: {first_of(emptied)}")


def _select(examples: Sequence[Example], where: str, options: TrainOptions) -> tuple[list[Example], dict[str, int]]:
    """The examples to train on, and how many are left out: rejected, or undecided.

    Raises:
        UsageError: for undecided examples, unless `skip_failed` is set.
    """
    undecided = [e for e in examples if e.status in UNRESOLVED]
    if undecided and not options.skip_failed:
        ids = first_of([example.id for example in undecided])
        raise UsageError(
            f"{len(undecided)} examples are failed, in conflict or waiting for review: {ids}",
            where=where,
            hint="Correct them, or leave them out with --skip-failed.",
        )
    chosen = [e for e in examples if e.status not in UNTRAINED]
    rejected = len(examples) - len(undecided) - len(chosen)
    return chosen, {"rejected": rejected, "undecided": len(undecided)}


__all__ = ["Prepared", "ValidationSet", "check_kept", "nothing_kept", "prepare"]
