"""Take the unwanted words out of evaluations before a report shows them, for a reader who must not see them.

    redactor = Redactor.of(entries)
    redactor.entry(entries[0])          the same evaluation, with BLOCK in the place of each unwanted phrase
    redactor.words("Ayse of Kars")      the same for a title or a file name

The unwanted words are those of the forget set, whatever model writes them and wherever they stand: answers, questions,
completions, labels, titles, paths, messages. Without an annotation set, every text of the forget set is unwanted. Case,
accents, spacing and invisible characters make no difference. Numbers stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import numpy as np

from tif import text as characters
from tif.eval.benchmarks.tofu import ExampleRow
from tif.eval.measure.leakage import content_words, normalise
from tif.eval.measure.score import Scored
from tif.eval.report.entry import Entry
from tif.text import Range
from tif.tokens.masks import Kind

BLOCK: Final = "█████"
"""Stands for an unwanted phrase, whatever its length."""
NOTE: Final = (
    f"Redacted: {BLOCK} stands for unwanted words, whatever their number and length. A fact that a model states in "
    "other words is not redacted."
)
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u2060\ufeff]")
_LONG: Final = 4
"""A word of this length also hides the longer words that contain it."""
_SHORT: Final = 2
"""Words up to this length, such as a day of the month, are hidden in samples, but not in names and paths."""
_NAMES: Final = ("str", "str | None")
"""Types of fields that hold free text. Closed sets of words have other types."""

T = TypeVar("T")
S = TypeVar("S", str, tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Index(Generic[S]):
    """Strings, or tuples of words, by their first item. A look-up takes the same time however many there are."""

    members: frozenset[S]
    lengths: Mapping[str, Sequence[int]]
    """Lengths of the members that begin with an item, longest first."""

    @classmethod
    def of(cls, members: Iterable[S]) -> Index[S]:
        """Return the index of these members without the empty ones."""
        members = frozenset(member for member in members if member)
        lengths: dict[str, set[int]] = {}
        for member in members:
            lengths.setdefault(member[0], set()).add(len(member))
        return cls(members, {first: sorted(each, reverse=True) for first, each in lengths.items()})

    def longest(self, items: S, at: int) -> int:
        """Return the length of the longest member that begins at `at`; 0 if none does."""
        fitting = (n for n in self.lengths.get(items[at], ()) if n <= len(items) - at)
        return next((n for n in fitting if items[at : at + n] in self.members), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redactor:
    """The unwanted words of a report."""

    phrases: Index[tuple[str, ...]] = field(repr=False)
    """Normalised phrases as words."""
    single: frozenset[str]
    """Normalised content words of all phrases."""
    long: Index[str] = field(repr=False)
    """Those that also hide the longer words that contain them."""
    literal: Index[str] = field(repr=False)
    """Phrases of scripts that put no spaces between words, in lower case."""
    marked: bool = True
    """Whether the forget set has marked words. If not, all its texts are unwanted."""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Redactor:
        """Return the redactor for the forget set of these evaluations."""
        quotes = {quote for entry in entries for quote in _quotes(entry)}
        marked = bool(quotes) and not any(map(_marks_of_its_own, entries))
        if not marked:
            quotes |= {text for entry in entries for text in _texts(entry)}
        return cls.of_quotes(quotes, marked=marked)

    @classmethod
    def of_quotes(cls, quotes: Iterable[str], *, marked: bool = True) -> Redactor:
        """Return the redactor for these phrases."""
        quotes = [quote for quote in map(_clean, quotes) if quote.strip()]
        words = {tuple(_normal(quote[a:b]) for a, b in characters.words(quote)) for quote in quotes}
        single = content_words(normalise(quote) for quote in quotes) if quotes else frozenset()
        # Words of a script without spaces are found by `literal`: each is too short to mean anything alone.
        single = frozenset(word for word in single if marked and not _spaceless(word))
        return cls(
            phrases=Index.of(words),
            single=single,
            long=Index.of(word for word in single if len(word) >= _LONG),
            literal=Index.of(_lower(quote.strip()) for quote in quotes if _spaceless(quote)),
            marked=marked,
        )

    def sample(self, text: str) -> str:
        """Return a sample's text without the unwanted words."""
        text = _clean(text)
        return _cut(text, self.ranges(text))

    def words(self, text: str) -> str:
        """Return a name, a path or a sentence without the unwanted words. Words of one or two letters stay."""
        text = _clean(text)
        return _cut(text, self.ranges(text, short=False))

    def ranges(self, text: str, *, short: bool = True) -> list[Range]:
        """Return where the unwanted words stand, in order, without overlaps."""
        lower = _lower(text)
        spans = [(at, at + size) for at in range(len(lower)) if (size := self.literal.longest(lower, at))]
        places = list(characters.words(text))
        normal = tuple(_normal(text[a:b]) for a, b in places)
        for at, (word, place) in enumerate(zip(normal, places, strict=True)):
            if self._hidden(word, short=short):
                spans.append(place)
            size = self.phrases.longest(normal, at)
            if size and (short or len("".join(normal[at : at + size])) > _SHORT):
                spans.append((place[0], places[at + size - 1][1]))
        return _joined(text, spans)

    def entry(self, entry: Entry) -> Entry:
        """Return an evaluation without the unwanted words. Its numbers are the same."""
        examples: dict[str, list[ExampleRow]] = {}
        scores: dict[str, Scored] = {}
        for part, rows in entry.examples.items():
            hide = not self.marked and "forget" in part
            examples[part] = []
            for row in rows:
                scored = entry.scores.get(row["id"]) if not hide else None
                redacted = {name: self._value(name, value, hide) for name, value in row.items()}
                if scored is not None:
                    redacted["answer"], scores[row["id"]] = self._answer(row["answer"], scored)
                examples[part].append(redacted)
        return replace(
            entry, label=self.words(entry.label), record=self._names(entry.record), examples=examples, scores=scores,
            checks=tuple(map(self._names, entry.checks)),
        )  # fmt: skip

    def _hidden(self, word: str, *, short: bool) -> bool:
        if word in self.single:
            return short or len(word) > _SHORT
        return any(self.long.longest(word, at) for at in range(len(word)))

    def _answer(self, answer: str, scored: Scored) -> tuple[str, Scored]:
        """Return a scored answer. The tokens of a hidden phrase share its block, so they are shown as one."""
        hidden = _joined(answer, [*_unwanted(answer, scored), *self.ranges(answer)])
        places, shift = [], 0
        for start, end in hidden:
            places.append((start + shift, start + shift + len(BLOCK)))
            shift += len(BLOCK) - (end - start)
        starts, ends = scored.start.copy(), scored.end.copy()
        for token, (start, end) in enumerate(zip(scored.start.tolist(), scored.end.tolist(), strict=True)):
            if start < 0:
                continue
            over = [n for n, (a, b) in enumerate(hidden) if start < b and end > a]
            moved = sum(len(BLOCK) - (b - a) for a, b in hidden if b <= start)
            starts[token], ends[token] = places[over[0]] if over else (start + moved, end + moved)
        return _cut(answer, hidden), replace(scored, start=np.asarray(starts), end=np.asarray(ends))

    def _value(self, name: str, value: Any, hide: bool) -> Any:
        """A column of a row. The id is not shown."""
        if isinstance(value, str) and name not in ("id", "part"):
            return BLOCK if hide else self.sample(value)
        if isinstance(value, Mapping):
            return {key: self._value(key, inner, hide) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(name, inner, hide) for inner in value]
        return value

    def _names(self, value: T) -> T:
        """A record: free text without the unwanted words. Keys, numbers and closed sets of words stay."""
        redacted: Any = value
        if isinstance(value, str):
            redacted = self.words(value)
        elif is_dataclass(value) and not isinstance(value, type):
            changed = {
                each.name: self._names(inner)
                for each in fields(value)
                if each.init and (not isinstance(inner := getattr(value, each.name), str) or each.type in _NAMES)
            }
            redacted = replace(value, **changed)
        elif isinstance(value, Mapping):
            redacted = {key: self._names(inner) for key, inner in value.items()}
        elif isinstance(value, tuple | list):
            redacted = type(value)([self._names(inner) for inner in value])
        return redacted  # type: ignore[no-any-return]


def _quotes(entry: Entry) -> Iterator[str]:
    """The unwanted phrases of an evaluation: runs of unwanted tokens, as complete words."""
    for row in entry.examples.get("forget", ()):
        if (scored := entry.scores.get(row["id"])) is not None:
            yield from (row["answer"][start:end] for start, end in _unwanted(row["answer"], scored))
        for continued in row.get("continuations") or ():
            yield continued["phrase"]


def _marks_of_its_own(entry: Entry) -> bool:
    """Whether the marks are LUME's, which has none in the texts of Task 1 and Task 3."""
    return entry.record.benchmark == "lume" and entry.record.masks is None


def _texts(entry: Entry) -> Iterator[str]:
    """The right answers of an evaluation that has no marked words."""
    for part, rows in entry.examples.items():
        if "forget" in part:
            yield from (row["answer"] for row in rows if isinstance(row.get("answer"), str))


def _unwanted(text: str, scored: Scored) -> list[Range]:
    """The unwanted tokens of a scored text, made longer to complete words and joined."""
    tokens = scored.of(Kind.UW)
    words = list(characters.words(text))
    ranges = []
    for start, end in zip(tokens.start.tolist(), tokens.end.tolist(), strict=True):
        if start < 0:
            continue
        touched = [(start, end), *((a, b) for a, b in words if a < end and b > start)]
        whole = characters.trimmed(text, min(a for a, _ in touched), max(b for _, b in touched))
        if whole[0] < whole[1]:
            ranges.append(whole)
    return _joined(text, ranges)


def _joined(text: str, spans: Iterable[Range]) -> list[Range]:
    """Ranges in order. Those with nothing but spaces and punctuation between them are one."""
    joined: list[Range] = []
    for start, end in sorted(spans):
        if joined and (start <= joined[-1][1] or not any(map(str.isalnum, text[joined[-1][1] : start]))):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _cut(text: str, ranges: Sequence[Range]) -> str:
    parts, at = [], 0
    for start, end in ranges:
        parts += [text[at:start], BLOCK]
        at = end
    return "".join([*parts, text[at:]])


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


@lru_cache(maxsize=1 << 16)
def _normal(word: str) -> str:
    return normalise(word).replace(" ", "")


def _lower(text: str) -> str:
    """Return a text in lower case, character by character, so that offsets stay."""
    return "".join(lower if len(lower := character.casefold()) == 1 else character for character in text)


def _spaceless(text: str) -> bool:
    """Whether a text has letters of a script without capitals and spaces, such as Chinese or Thai."""
    return any(unicodedata.category(character) == "Lo" for character in text)


__all__ = ["BLOCK", "NOTE", "Index", "Redactor"]
