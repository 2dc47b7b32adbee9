"""The tokens of a record as in training, for the page."""

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
    """One token of a text, or several tokens that share a character."""

    text: str
    """The text of the token, with the white space before it."""
    kind: KindName | Literal["cut"]
    """`cut`: beyond `max_length`, so training never sees it."""
    count: int = 1
    """Number of tokens for this text."""
    part: bool = False
    """Unwanted, although no span covers all of its characters."""
    window: bool = False
    """Whether a new window begins here."""
    end: bool = False
    """Whether this is the supervised token that ends the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTokens:
    """The tokens of a record, as the page shows them."""

    tokenizer: str
    tokens: tuple[PageToken, ...]
    """The tokens of the shown pieces, in text order."""
    uw: int
    """Number of unwanted tokens in the complete record."""
    gw: int
    """Number of its general tokens."""
    cut: int
    """Number of its tokens beyond `max_length`."""
    windows: int
    """Number of training rows of the record."""
    trained: bool
    """False if training leaves out records with this status."""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Masker:
    """A tokenizer's name, and the encoder as in training. Made by `Masker.load`."""

    name: str
    encoder: Encoder

    @classmethod
    def load(cls, spec: str, encoding: Encoding = USUAL) -> Masker:
        """Load the tokenizer of a model folder or hub id.

        Raises:
            MissingError, InputError: as `load_tokenizer`.
            UsageError: for a template that this tokenizer cannot use.
        """
        return cls(Path(spec).name, Encoder.of(load_tokenizer(spec), encoding))

    def shown(self, example: Example, first: int, last: int) -> PageTokens:
        """Return the tokens of the pieces `first` to `last`.

        Args:
            example: the current record.
            first: first piece, as `pieces_of` cuts the text.
            last: last piece, inclusive; an index beyond the end means the last piece.

        Raises:
            MaskError: for a span that did not become unwanted tokens.
            UsageError: for a tokenizer without an end token.
        """
        limit = self.encoder.encoding.max_length
        item = self.encoder.encode_for_training(example)
        self.encoder.check([example], [item])
        rows = self.encoder.windows(item)
        # Tokens cut off by --max-length are shown too, so that a reader sees where training stops.
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
        """Return the kinds of an uncut text's tokens; those beyond `max_length` get `cut`."""
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
                # A byte-level tokenizer may split a character into several tokens: show the character once.
                last = tokens[-1]
                tokens[-1] = replace(last, count=last.count + 1, kind="uw" if kind == "uw" else last.kind)
                continue
            part = kind == "uw" and not all(i in marked or text[i].isspace() for i in range(start, end))
            # Text outside all tokens, such as dropped white space, is shown with the next token.
            tokens.append(PageToken(text=text[at:end], kind=kind, part=part, window=index in starts))
            at = end
        return tuple(tokens)


def _window_starts(rows: Sequence[Encoded]) -> frozenset[int]:
    """Return the first token of each window except the first, without the token that the window repeats."""
    starts, at = set(), len(rows[0])
    for row in rows[1:]:
        starts.add(at)
        at += len(row) - 1
    return frozenset(starts)


__all__ = ["Masker", "PageToken", "PageTokens"]
