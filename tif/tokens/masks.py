"""Spans -> token masks: which tokens are the prompt's, which general words (GW), which unwanted words (UW).

Prompt and text are tokenized once, together, as the model sees them, and a span reaches a token by sharing a character
with it that is not white space. No step searches for the answer's text or for the token ids of a tag.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

from tif.errors import MaskError, UsageError
from tif.spans import Example, Span, united
from tif.text import is_punctuation, trimmed
from tif.tokens.templates import Rendered, Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOWHERE = (-1, -1)
"""The offset of a token that is no part of the text."""


KindName = Literal["prompt", "gw", "uw"]


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """The tokens that begin, end and separate texts for this tokenizer, such as `</s>`: id and string."""
    return _control_tokens(tokenizer, len(tokenizer))


@lru_cache(maxsize=8)
def _control_tokens(tokenizer: PreTrainedTokenizerBase, _size: int) -> dict[int, str]:
    # A tokenizer builds this table at each call. Its size is part of the key, because tokens can be added.
    return {token: added.content for token, added in tokenizer.added_tokens_decoder.items() if added.special}


class Kind(IntEnum):
    """What a token is to training."""

    PROMPT = 0
    """Not supervised: prompt, template, and a first token, which nothing predicts."""
    GW = 1
    """A general word, to be kept."""
    UW = 2
    """An unwanted word, to be forgotten."""

    @property
    def word(self) -> KindName:
        """The kind as JSON and the page name it."""
        return _NAMES[self]


_NAMES: Final[dict[Kind, KindName]] = {Kind.PROMPT: "prompt", Kind.GW: "gw", Kind.UW: "uw"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example in tokens. The three sequences have one entry a token.

    Raises:
        MaskError: for sequences of different lengths, or a supervised first token, which nothing predicts.
    """

    id: str
    input_ids: tuple[int, ...]
    kinds: tuple[Kind, ...]
    offsets: tuple[tuple[int, int], ...]
    """Code points into `Example.text`, half-open; (-1, -1) for tokens outside it."""
    lost_spans: tuple[int, ...] = ()
    """Indices into `Example.spans` of the spans that are not fully supervised: cut off, or on the first token."""
    unpredicted: bool = False
    """Whether the text begins with an unwanted word and no token stands before it, so that nothing predicts it."""

    def __post_init__(self) -> None:
        if not len(self.input_ids) == len(self.kinds) == len(self.offsets):
            raise MaskError("ids, kinds and offsets differ in length", where=f"record {self.id!r}")
        if self.kinds and self.kinds[0] != Kind.PROMPT:
            raise MaskError("the first token is supervised, but nothing predicts it", where=f"record {self.id!r}")

    def __len__(self) -> int:
        return len(self.input_ids)

    def count(self, kind: Kind) -> int:
        """How many tokens are of this kind."""
        return self.kinds.count(kind)

    @property
    def predicting(self) -> tuple[bool, ...]:
        """For each token, whether the next one is supervised: a model's logits at a position predict the next token."""
        return (*(kind != Kind.PROMPT for kind in self.kinds[1:]), False) if self.kinds else ()

    def text_only(self) -> Encoded:
        """The same, without supervision of the end token and of other tokens that are not part of the text."""
        kinds = [Kind.PROMPT if at == NOWHERE else kind for kind, at in zip(self.kinds, self.offsets, strict=True)]
        return replace(self, kinds=tuple(kinds))

    def without(self, kind: Kind) -> Encoded:
        """The same, without supervision of one kind of token. A model still reads these tokens."""
        return replace(self, kinds=tuple(Kind.PROMPT if each == kind else each for each in self.kinds))

    @property
    def supervised(self) -> int:
        """How many tokens are supervised."""
        return len(self) - self.count(Kind.PROMPT)

    def pushed(self, scope: str) -> list[bool]:
        """For each supervised token, whether an objective of this scope (`uw`, `all`) pushes it down."""
        return [scope == "all" or kind == Kind.UW for kind in self.kinds if kind != Kind.PROMPT]


def encode(
    example: Example,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    *,
    max_length: int | None = None,
    truncation_side: Literal["left", "right"] = "right",
    punctuation: Literal["gw", "uw"] = "gw",
    supervise_eos: bool = True,
    labels: Collection[str] | None = None,
) -> Encoded:
    """One example as tokens and their kinds.

    A text that begins with an unwanted word gets a token to stand on where it has none (`Template.start`).

    Args:
        example: what to encode; a prompt of "" means plain text, all of which is supervised.
        tokenizer: a fast one (only these know offsets).
        template: from `Template.of`.
        max_length: tokens at most, all included. What is cut off takes its spans along (`lost_spans`).
        truncation_side: which end is cut off.
        punctuation: what a token of nothing but punctuation and symbols is outside every span. `gw` by default; the
            TIF release treats it as `uw`. Inside a span it is unwanted either way.
        supervise_eos: supervise the token that ends the text: the first of the template after it, else the
            tokenizer's EOS, which is appended. False leaves it out.
        labels: spans of these labels are unwanted; all spans where None.

    Raises:
        MaskError: for a slow tokenizer, a chat template that rewrites the text, or a span on a control token.
        UsageError: if the end token is to be supervised and the tokenizer has none.
    """
    if not tokenizer.is_fast:
        raise MaskError("the tokenizer gives no offsets", hint="Use a model with a fast tokenizer (tokenizer.json).")
    rendered = template.render(example, tokenizer)
    # verbose=False: a text longer than the model's window is our business (max_length), not worth a warning each.
    coded = tokenizer(
        rendered.string,
        add_special_tokens=rendered.add_special_tokens,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    ids: list[int] = coded["input_ids"]
    inside = _places(rendered, coded["offset_mapping"], coded.sequence_ids(0))
    text_tokens = [t for t, offset in enumerate(inside) if offset != NOWHERE]
    end = text_tokens[-1] + 1 if text_tokens else _first_after(rendered, coded["offset_mapping"], ids)

    marked = united(example.unwanted(labels))
    kinds = [_kind(example.text, offset, marked, punctuation) for offset in inside[:end]]
    _refuse_control(example, ids, kinds, inside, tokenizer)
    ids, inside = ids[: end + 1], inside[: end + 1]
    if supervise_eos:
        if len(ids) == end:
            if tokenizer.eos_token_id is None:
                raise UsageError("the tokenizer has no EOS token to supervise", hint="Use --no-supervise-eos.")
            ids.append(tokenizer.eos_token_id)
            inside.append(NOWHERE)
        kinds.append(Kind.GW)
    else:
        ids, inside = ids[:end], inside[:end]
    if kinds and kinds[0] == Kind.UW and (start := template.start(tokenizer)) is not None:
        ids, kinds, inside = [start, *ids], [Kind.PROMPT, *kinds], [NOWHERE, *inside]
    unpredicted = bool(kinds) and kinds[0] == Kind.UW

    low, high = 0, len(example.text)
    if max_length is not None and len(ids) > max_length:
        cut = slice(0, max_length) if truncation_side == "right" else slice(len(ids) - max_length, None)
        ids, kinds, inside = ids[cut], kinds[cut], inside[cut]
        low, high = _reach(inside, low, high, truncation_side)
        unpredicted = unpredicted and truncation_side == "right"
    if kinds and kinds[0] != Kind.PROMPT:
        kinds[0] = Kind.PROMPT
        low = inside[0][1]
    # A byte-level tokenizer may share one character among tokens: a later one can still carry the first character.
    lost = tuple(
        index
        for index, span in enumerate(example.spans)
        if (labels is None or span.label in labels) and (span.start < low or span.end > high)
    )
    return Encoded(example.id, tuple(ids), tuple(kinds), tuple(inside), lost, unpredicted)


def check(
    examples: Sequence[Example],
    encoded: Sequence[Encoded],
    tokenizer: PreTrainedTokenizerBase,
    *,
    labels: Collection[str] | None = None,
) -> None:
    """Make sure that every span which was not cut off became unwanted tokens, and that they decode to its words.

    Each span's unwanted tokens are decoded and must contain the span's words, compared without white space and in the
    tokenizer's own normal form (a lower-casing tokenizer cannot give capitals back). Where the vocabulary lacks a
    character, only the coverage is checked.

    Raises:
        MaskError: naming record and span.
    """
    for example, item in zip(examples, encoded, strict=True):
        if example.id != item.id:
            raise MaskError(f"tokens of {item.id!r} beside record {example.id!r}")
        for label in dict.fromkeys(span.label for span in example.unwanted(labels)):
            _check_label(example, item, tokenizer, label)


def _check_label(example: Example, item: Encoded, tokenizer: PreTrainedTokenizerBase, label: str) -> None:
    # Spans of one label do not overlap, which `_touched` needs.
    indices = [index for index, span in enumerate(example.spans) if span.label == label]
    spans = [example.spans[index] for index in indices]
    tokens: list[list[int]] = [[] for _ in spans]
    for t, (kind, (start, end)) in enumerate(zip(item.kinds, item.offsets, strict=True)):
        if kind == Kind.UW:
            for k in _touched(spans, start, end):
                tokens[k].append(t)
    for index, span, marked in zip(indices, spans, tokens, strict=True):
        if index in item.lost_spans:
            continue
        quote = example.quote(span)
        where = (f"record {example.id!r}", f"spans[{index}]")
        if not marked:
            raise MaskError(f"{quote!r} covers no token", where=where)
        ids = [item.input_ids[t] for t in marked]
        if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
            continue
        decoded = _bare(str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)), tokenizer)
        if _bare(quote, tokenizer) not in decoded:
            raise MaskError(f"{quote!r} became the tokens {decoded!r}", where=where)


def _places(
    rendered: Rendered, offsets: Sequence[tuple[int, int]], sequences: Sequence[int | None]
) -> list[tuple[int, int]]:
    """Tokens' offsets in the rendered string -> offsets in the text, or NOWHERE.

    Args:
        rendered: the string.
        offsets: of its tokens.
        sequences: None for a token that the tokenizer added to the string.
    """
    places, before = [], 0
    for (start, end), sequence in zip(offsets, sequences, strict=True):
        if start == end and sequence is not None:
            start = _widened(rendered.string, start, max(before, rendered.start))
            inside = rendered.start < end <= rendered.end
        else:
            inside = _shares(rendered, start, end)
        low, high = max(start, rendered.start), min(end, rendered.end)
        places.append((low + rendered.shift, high + rendered.shift) if inside else NOWHERE)
        before = max(before, end)
    return places


def _widened(string: str, at: int, least: int) -> int:
    """Where a token of zero width at `at` begins: tokenizers that trim offsets leave white space out of them."""
    while at > least and string[at - 1].isspace():
        at -= 1
    return at


def _shares(rendered: Rendered, start: int, end: int) -> bool:
    """Whether a token is part of the text.

    A token of the template may take up white space of the text, as Phi-3's `<|assistant|>` does. It stays the
    template's.
    """
    low, high = max(start, rendered.start), min(end, rendered.end)
    if low >= high:
        return False
    outside = rendered.string[start:low] + rendered.string[high:end]
    return not outside.strip() or bool(rendered.string[low:high].strip())


def _refuse_control(
    example: Example,
    ids: Sequence[int],
    kinds: Sequence[Kind],
    inside: Sequence[tuple[int, int]],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Raise a `MaskError` if a control token in the text, such as `</s>` of an HTML page, is to be unlearned."""
    special = control_tokens(tokenizer)
    for token, kind, (start, end) in zip(ids, kinds, inside, strict=False):
        if kind == Kind.UW and special.get(token, "") == example.text[start:end].strip() != "":
            raise MaskError(
                f"a span marks {special[token]!r} at character {start}, which this tokenizer reads as a control token",
                where=f"record {example.id!r}",
                why="it would be unlearned everywhere",
                hint="Leave it out of the span, or out of the text.",
            )


def _first_after(rendered: Rendered, offsets: Sequence[tuple[int, int]], ids: Sequence[int]) -> int:
    """For a text that gives no token: the first token behind where it would stand."""
    return next((t for t, (start, end) in enumerate(offsets) if start >= rendered.end and end > start), len(ids))


def _touched(spans: Sequence[Span], start: int, end: int) -> range:
    """Which of sorted, disjoint spans share a character with start:end."""
    first = bisect_right(spans, start, key=attrgetter("end"))
    return range(first, max(first, bisect_left(spans, end, lo=first, key=attrgetter("start"))))


def _kind(text: str, offset: tuple[int, int], marked: Sequence[Span], punctuation: str) -> Kind:
    if offset == NOWHERE:
        return Kind.PROMPT
    # White space glued to a word belongs to neither neighbour: " Anna" touches a span that ends before the blank only
    # by that blank.
    start, end = trimmed(text, *offset)
    if start < end and _touched(marked, start, end):
        return Kind.UW
    if punctuation == "uw" and start < end and all(is_punctuation(c) for c in text[start:end]):
        return Kind.UW
    return Kind.GW


def _reach(inside: Sequence[tuple[int, int]], low: int, high: int, side: str) -> tuple[int, int]:
    """The part of the text that truncated tokens still hold."""
    kept = [offset for offset in inside if offset != NOWHERE]
    if not kept:
        return high, low
    return (low, kept[-1][1]) if side == "right" else (kept[0][0], high)


def _bare(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    normalizer = tokenizer.backend_tokenizer.normalizer
    normal = normalizer.normalize_str(text) if normalizer is not None else text
    return "".join(normal.replace("▁", " ").split())


__all__ = ["NOWHERE", "Encoded", "Kind", "KindName", "Template", "check", "control_tokens", "encode"]
