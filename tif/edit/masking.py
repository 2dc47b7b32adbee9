"""A record as training would see it: its tokens under a chosen tokenizer, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from tif.edit.edits import pieces_of
from tif.spans import UNTRAINED, Example
from tif.tokens.encoding import USUAL, Encoder, Encoding
from tif.tokens.masks import NOWHERE, Encoded, Kind, KindName
from tif.tokens.models import load_tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class PageToken:
    """One token of a text, or several that share a character."""

    text: str
    """Cut from the record, with the white space before it."""
    kind: KindName | Literal["cut"]
    """`cut`: beyond `max_length`, so training never sees it."""
    count: int = 1
    """How many tokens stand for the text."""
    part: bool = False
    """Unwanted, although no span covers all of its characters."""
    window: bool = False
    """Whether a new window begins here."""
    end: bool = False
    """Whether this is the supervised token that ends the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTokens:
    """What the page shows of a record's tokens."""

    tokenizer: str
    tokens: tuple[PageToken, ...]
    """Those of the pieces that the page shows, in the order of the text."""
    uw: int
    """Unwanted tokens in the complete record."""
    gw: int
    """Its general tokens."""
    cut: int
    """Its tokens beyond `max_length`."""
    windows: int
    """Rows that it is trained in."""
    trained: bool
    """False if training leaves a record of this status out."""

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Masker:
    """A tokenizer's name, and the encoder that training would use. Made by `Masker.load`."""

    name: str
    encoder: Encoder

    @classmethod
    def load(cls, spec: str, encoding: Encoding = USUAL) -> Masker:
        """The tokenizer of a model folder or hub id.

        Raises:
            MissingError, InputError: as `load_tokenizer`.
            UsageError: for a template that this tokenizer cannot use.
        """
        return cls(Path(spec).name, Encoder.of(load_tokenizer(spec), encoding))

    def shown(self, example: Example, first: int, last: int) -> PageTokens:
        """The tokens of the pieces `first` to `last`.

        Args:
            example: the record as it is.
            first: first piece, as `pieces_of` cuts the text.
            last: last piece, itself included; beyond the end, all of the text's.

        Raises:
            MaskError: for a span that did not become unwanted tokens.
            UsageError: for a tokenizer without an end token.
        """
        limit = self.encoder.encoding.max_length
        item = self.encoder.encode_for_training(example)
        self.encoder.check([example], [item])
        rows = self.encoder.windows(item)
        # What --max-length cuts off is shown too, so that a reader sees where training stops.
        uncut = self._without_limit().encode(example) if len(item) == limit else item
        pieces = pieces_of(example)
        low = pieces[first - 1][1] if 0 < first <= len(pieces) else 0
        high = pieces[last][1] if 0 <= last < len(pieces) else len(example.text)
        return PageTokens(
            tokenizer=self.name,
            tokens=self._tokens(example, uncut, self._kinds(item, uncut), _window_starts(rows), low, high),
            uw=item.count(Kind.UW),
            gw=item.count(Kind.GW),
            cut=len(uncut) - len(item),
            windows=len(rows),
            trained=example.status not in UNTRAINED,
        )

    def _without_limit(self) -> Encoder:
        return replace(self.encoder, encoding=self.encoder.encoding.but(max_length=None))

    def _kinds(self, item: Encoded, uncut: Encoded) -> list[KindName | Literal["cut"]]:
        """The kinds of an uncut text's tokens, as they are once it is cut off."""
        kept: list[KindName | Literal["cut"]] = [kind.word for kind in item.kinds]
        cut: list[KindName | Literal["cut"]] = ["cut"] * (len(uncut) - len(item))
        return [*kept, *cut] if self.encoder.encoding.truncation_side == "right" else [*cut, *kept]

    def _tokens(
        self,
        example: Example,
        item: Encoded,
        kinds: Sequence[KindName | Literal["cut"]],
        starts: frozenset[int],
        low: int,
        high: int,
    ) -> tuple[PageToken, ...]:
        spans = example.unwanted(self.encoder.encoding.labels)
        marked = {i for span in spans for i in range(span.start, span.end)}
        text = example.text
        tokens: list[PageToken] = []
        at = low
        for index, (token, kind, (start, end)) in enumerate(zip(item.input_ids, kinds, item.offsets, strict=True)):
            if (start, end) == NOWHERE:
                if kind == "gw" and high == len(text):
                    decoded = str(self.encoder.tokenizer.decode([token]))
                    tokens.append(PageToken(text=decoded, kind="gw", window=index in starts, end=True))
                continue
            if end <= low or start >= high:
                continue
            if end <= at and tokens:
                # A byte-level tokenizer may give one character several tokens: it is shown once.
                last = tokens[-1]
                tokens[-1] = replace(last, count=last.count + 1, kind="uw" if kind == "uw" else last.kind)
                continue
            part = kind == "uw" and not all(i in marked or text[i].isspace() for i in range(start, end))
            # What no token holds, such as white space that the tokenizer drops, is shown with the next one.
            tokens.append(PageToken(text=text[at:end], kind=kind, part=part, window=index in starts))
            at = end
        return tuple(tokens)


def _window_starts(rows: Sequence[Encoded]) -> frozenset[int]:
    """The tokens with which each window but the first begins; the token before, which it repeats, is not counted."""
    starts, at = set(), len(rows[0])
    for row in rows[1:]:
        starts.add(at)
        at += len(row) - 1
    return frozenset(starts)


__all__ = ["Masker", "PageToken", "PageTokens"]
