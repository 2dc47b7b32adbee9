"""Find the place in a text of the words that a judge or a person quotes.

Each search is more tolerant than the one before. The first search with a result wins:

1. the exact quote;
2. different kinds of white space, quotation marks, dashes and composed characters count as equal;
3. upper and lower case count as equal too;
4. the same three without the punctuation around the quote.

Tolerant searches run over a folded copy of the text. The copy may be longer: `"İ".casefold()` has two characters. So
the copy keeps the offset in the text of each of its characters. A quote without a place is reported, never guessed.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from tif.spans import UW, Span, tidy
from tif.text import Range, all_mentions, divides, mentions, words

Mentions = Literal["first", "all"]

FUZZY: Final = "~fuzzy"
"""Suffix of the source of a span whose words only resemble the quote."""

_FUZZY_FROM = 0.85
_INVISIBLE = frozenset("\u00ad\u200b\u2060\ufeff")
"""Soft hyphen, zero-width space, word joiner, byte-order mark: judges leave them out of quotes."""

_ALIKE: Final = {
    **dict.fromkeys("‘’‚‛′ʼ`´", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
}

_INSIDE_WORDS: Final = "'’-."
"""Characters inside words for the fuzzy search: `O'Neill-Brandt` is one word."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that a judge or a person quotes from a text."""

    text: str
    occurrence: int | None = None
    """Number of the mention, 0 for the first. None: the first mention that no other quote has."""
    label: str = UW
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A quote without a place, and why."""

    quote: Quote
    reason: str

    def __str__(self) -> str:
        shown = " ".join(self.quote.text.split())
        return f"{(shown if len(shown) <= 80 else shown[:77] + '...')!r} {self.reason}"


@dataclass(frozen=True, slots=True)
class Aligned:
    """Tidy spans, and the quotes without a place, in the order of the quotes."""

    spans: tuple[Span, ...]
    unplaced: tuple[Unplaced, ...]


def align(
    text: str, quotes: Sequence[Quote], *, mentions: Mentions = "first", source: str = "", fuzzy: bool = False
) -> Aligned:
    """Find quotes in a text.

    Equal quotes get successive mentions. Those beyond the last mention add nothing. A quote prefers a mention that no
    longer quote covers: beside the quote "Rome, Italy", the quote "Rome" gets the other Rome. A place never cuts
    through a word or a cluster, see `tif.text`.

    Args:
        text: the text that the offsets index, in code points.
        quotes: the quotes to find.
        mentions: `first` gives each quote one place; `all` gives it every place and ignores its `occurrence`.
        source: the spans' source.
        fuzzy: whether to accept words that resemble a quote, one place for each quote. The source of such a span ends
            in `~fuzzy`, and its score is the similarity.

    Returns:
        Tidy spans, and the quotes without a place: empty, not in the text, or without the given occurrence.
    """
    haystack = _Haystack(text, {quote.text.strip() for quote in quotes} if mentions == "first" else ())
    known: dict[str, list[Range]] = {}
    similar: dict[str, tuple[Range, float] | None] = {}
    everywhere: dict[tuple[str, str], float | None] = {}
    free: dict[str, _Free] = {}
    taken = bytearray(len(text))
    used: set[Range] = set()
    spans: list[Span] = []
    unplaced: list[tuple[int, Unplaced]] = []

    def put(quote: Quote, place: Range, *, score: float | None, origin: str) -> None:
        used.add(place)
        taken[place[0] : place[1]] = b"\1" * (place[1] - place[0])
        spans.append(Span(*place, quote.label, origin, score))

    # Place quotes with an explicit occurrence first, then longer quotes before shorter ones.
    order = sorted(range(len(quotes)), key=lambda i: (quotes[i].occurrence is None, -len(quotes[i].text)))
    for index in order:
        quote = quotes[index]
        wanted = quote.text.strip()
        if not wanted:
            unplaced.append((index, Unplaced(quote, "is empty")))
            continue
        if wanted not in known:
            known[wanted] = haystack.find(wanted, widest=mentions == "all")
        places = known[wanted]
        if not places:
            if fuzzy and wanted not in similar:
                similar[wanted] = haystack.resembling(wanted)
            near = similar.get(wanted)
            if near is None:
                unplaced.append((index, Unplaced(quote, "is not in the text")))
            else:
                put(quote, near[0], score=near[1], origin=source + FUZZY)
        elif mentions == "all":
            # A quote that is repeated adds nothing but its score.
            scores = [quote.score, everywhere.get((wanted, quote.label))]
            everywhere[wanted, quote.label] = max((s for s in scores if s is not None), default=None)
        elif quote.occurrence is not None:
            if 0 <= quote.occurrence < len(places):
                put(quote, places[quote.occurrence], score=quote.score, origin=source)
            else:
                why = f"has no occurrence {quote.occurrence}, counted from 0: it occurs {_times(len(places))}"
                unplaced.append((index, Unplaced(quote, why)))
        else:
            if wanted not in free:
                free[wanted] = _Free(places)
            if place := free[wanted].next(taken, used):
                put(quote, place, score=quote.score, origin=source)
    exact = [Span(*at, label, source, score) for (wanted, label), score in everywhere.items() for at in known[wanted]]
    spans = [*exact, *spans]
    return Aligned(tidy(text, spans), tuple(each for _, each in sorted(unplaced, key=lambda pair: pair[0])))


class _Free:
    """The places of one quote that are left. Places are only ever taken, so each is looked at once."""

    def __init__(self, places: list[Range]) -> None:
        self._places = places
        self._uncovered = self._unused = 0

    def next(self, taken: bytearray, used: set[Range]) -> Range | None:
        """Return the first place that no span covers, else the first that is not used itself."""
        places = self._places
        while self._uncovered < len(places):
            start, end = places[self._uncovered]
            if 1 not in taken[start:end]:
                return start, end
            self._uncovered += 1
        while self._unused < len(places):
            if places[self._unused] not in used:
                return places[self._unused]
            self._unused += 1
        return None


class _Haystack:
    """A text and its folded copies, which are created on first use.

    Args:
        text: the text.
        quotes: what is going to be searched exactly.
    """

    def __init__(self, text: str, quotes: Collection[str] = ()) -> None:
        self.text = text
        self._exact = all_mentions(text, quotes)
        self._runs_of: dict[int, _Runs] = {}

    @cached_property
    def tolerant(self) -> tuple[str, list[int]]:
        return _folded(self.text, _alike)

    @cached_property
    def caseless(self) -> tuple[str, list[int]]:
        return _folded(self.text, _alike_caseless)

    def find(self, quote: str, *, widest: bool) -> list[Range]:
        """Return every mention by the strictest search with a result, left to right; skip the exact one if `widest`."""
        bare = quote.strip("\"'`.,;:!?…‘’“”«»()[]").strip()
        for wanted in (quote, bare) if bare not in ("", quote) else (quote,):
            if not widest and (places := [(at, at + len(wanted)) for at in self._starts(wanted)]):
                return places
            for fold, copy in ((_alike, "tolerant"), (_alike_caseless, "caseless")):
                haystack, origin = self.tolerant if copy == "tolerant" else self.caseless
                if places := self._in(haystack, origin, _folded(wanted, fold)[0]):
                    return places
        return []

    def _starts(self, wanted: str) -> Iterable[int]:
        known = self._exact.get(wanted)
        return mentions(self.text, wanted) if known is None else known

    def _in(self, haystack: str, origin: list[int], wanted: str) -> list[Range]:
        places: list[Range] = []
        at = haystack.find(wanted) if wanted else -1
        while at >= 0:
            end = at + len(wanted)
            # A match must not begin or end inside the folded form of one character.
            split = (at and origin[at - 1] == origin[at]) or (end < len(origin) and origin[end] == origin[end - 1])
            start, stop = origin[at], origin[end - 1] + 1
            fits = not split and not divides(self.text, start) and not divides(self.text, stop)
            if fits:
                places.append((start, stop))
            at = haystack.find(wanted, end if fits else at + 1)
        return places

    def resembling(self, quote: str) -> tuple[Range, float] | None:
        """Return the run of words most similar to the quote, and its similarity. None if no run or two runs qualify."""
        wanted = _folded(quote, _alike_caseless)[0]
        size = max(1, len(list(words(quote, inside_words=_INSIDE_WORDS))))
        matcher = difflib.SequenceMatcher(b=wanted, autojunk=False)
        best: list[tuple[float, Range]] = []
        for n in sorted({max(1, size - 1), size, size + 1}):
            runs = self._runs(n)
            for index in runs.may_resemble(wanted):
                matcher.set_seq1(runs.folded[index])
                if (ratio := matcher.ratio()) >= _FUZZY_FROM:
                    best.append((ratio, runs.places[index]))
        best.sort(key=lambda pair: pair[1])
        if not best:
            return None
        ratio, place = max(best, key=lambda pair: pair[0])
        rivals = [p for r, p in best if r == ratio and (p[1] <= place[0] or place[1] <= p[0])]
        return None if rivals else (place, ratio)

    @cached_property
    def _bounds(self) -> list[Range]:
        return list(words(self.text, inside_words=_INSIDE_WORDS))

    def _runs(self, n: int) -> _Runs:
        """Return every run of `n` words. It is folded and counted once for all quotes."""
        if n not in self._runs_of:
            places = [(first[0], last[1]) for first, last in zip(self._bounds, self._bounds[n - 1 :], strict=False)]
            self._runs_of[n] = _Runs.of(self.text, places)
        return self._runs_of[n]


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of words in the text, folded, with the counts of their characters."""

    places: list[Range]
    folded: list[str]
    counts: np.ndarray
    """One row a run: how often each bucket of characters occurs."""

    @classmethod
    def of(cls, text: str, places: list[Range]) -> _Runs:
        folded = [_folded(text[start:end], _alike_caseless)[0] for start, end in places]
        return cls(places, folded, np.array([_counts(run) for run in folded]).reshape(len(folded), _BUCKETS))

    def may_resemble(self, wanted: str) -> Iterable[int]:
        """Return the runs that share enough characters with the quote; all others cannot resemble it."""
        shared = np.minimum(self.counts, _counts(wanted)).sum(axis=1)
        lengths = self.counts.sum(axis=1) + len(wanted)
        return (int(i) for i in np.flatnonzero(2 * shared >= _FUZZY_FROM * lengths - 1e-9))


_BUCKETS: Final = 64


def _counts(text: str) -> np.ndarray:
    """Return how many characters fall into each bucket. Two characters may share one: shared counts only grow."""
    return np.bincount([ord(char) % _BUCKETS for char in text], minlength=_BUCKETS)


def _folded(text: str, fold: Callable[[str], str]) -> tuple[str, list[int]]:
    """Return a copy folded character by character, and the index in `text` of each character of the copy."""
    copy: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        for folded in " " if char.isspace() else fold(char):
            if folded == " " and copy and copy[-1] == " ":
                continue
            copy.append(folded)
            origin.append(index)
    return "".join(copy), origin


def _alike(char: str) -> str:
    if char in _INVISIBLE:
        return ""
    return _ALIKE.get(char) or "".join(_ALIKE.get(c, c) for c in unicodedata.normalize("NFKD", char))


def _alike_caseless(char: str) -> str:
    # Only the Turkish capital case-folds to two characters. Judges do not write the second one after an i.
    return "i" if char == "İ" else _alike(char).casefold()


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


__all__ = ["FUZZY", "Aligned", "Mentions", "Quote", "Unplaced", "align"]
