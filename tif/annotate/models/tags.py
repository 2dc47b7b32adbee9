"""Decode the tags of a token-classification model into entities.

Three schemes are in use, and a model's config does not name its own:

| scheme | tags of one entity |
|---|---|
| bare | `PER PER PER` |
| BIO (IOB1, IOB2) | `B-PER I-PER I-PER`; in IOB1 an entity may begin with `I-` |
| BIOES, BILOU, BMES | `B-PER I-PER E-PER`, or `S-PER` for a single token; `L` means `E`, `U` means `S`, `M` means `I` |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tif.text import Range, divides, trimmed

if TYPE_CHECKING:
    import numpy as np

Place = Literal["outside", "begin", "inside", "end", "single", "bare"]
"""Where in its entity a token stands. `bare`: the tag does not say."""

Scheme = Literal["bare", "BIO", "BIOES"]

_PLACES: Final[Mapping[str, Place]] = {
    "B": "begin", "I": "inside", "M": "inside", "E": "end", "L": "end", "S": "single", "U": "single",
}  # fmt: skip
_OUTSIDE: Final = frozenset(("O", "OUTSIDE", "PAD", "[PAD]", "[CLS]", "[SEP]"))


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a model."""

    place: Place
    type: str = ""
    """The entity type in the model's own words; "" outside of entities."""


@dataclass(frozen=True, slots=True)
class Run:
    """The tokens of one entity."""

    first: int
    end: int
    """One past the last token."""
    type: str


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity in a text."""

    start: int
    end: int
    type: str
    score: float
    """Mean probability of its tokens' tags."""


@dataclass(frozen=True, slots=True)
class TagSet:
    """The tags of a model, by number."""

    tags: tuple[Tag, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> TagSet:
        """Read the tags' names. `E-MAIL` is a type of its own where no tag is `B-MAIL` or `I-MAIL`.

        Args:
            names: `id2label` of the model's config, in order.
        """
        split = [_split(name) for name in names]
        begun = {rest for letter, rest in split if letter in ("B", "I")}
        singles = any(letter in ("S", "U") and rest in begun for letter, rest in split)
        tags = []
        for name, (letter, rest) in zip(names, split, strict=True):
            if name.strip().upper() in _OUTSIDE:
                tags.append(Tag("outside"))
            elif letter in ("B", "I") or rest in begun or (singles and letter in ("S", "U")):
                tags.append(Tag(_PLACES[letter] if letter else "bare", rest))
            else:
                tags.append(Tag("bare", name.strip()))
        return cls(tuple(tags))

    @property
    def scheme(self) -> Scheme:
        """How the tags mark the bounds of an entity."""
        places = {tag.place for tag in self.tags}
        if places & {"end", "single"}:
            return "BIOES"
        return "BIO" if places & {"begin", "inside"} else "bare"

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types, in the order of the tags."""
        return tuple(dict.fromkeys(tag.type for tag in self.tags if tag.place != "outside"))

    def best(self, logprobs: np.ndarray) -> list[int]:
        """Return each token's tag: the likeliest sequence that the scheme allows.

        Only BIOES forbids sequences. There this is the Viterbi path; elsewhere each token has its likeliest tag.

        Args:
            logprobs: log-probability of each tag, [tokens, tags].
        """
        import numpy as np

        if self.scheme != "BIOES" or not len(logprobs):
            return [int(tag) for tag in logprobs.argmax(-1)]
        moves = np.array([[0.0 if _follows(a, b) else -np.inf for b in self.tags] for a in self.tags])
        outside = Tag("outside")
        sums = logprobs[0] + np.array([0.0 if _follows(outside, tag) else -np.inf for tag in self.tags])
        sources = np.zeros(logprobs.shape, dtype=np.int64)
        columns = np.arange(len(self.tags))
        for at in range(1, len(logprobs)):
            paths = sums[:, None] + moves
            sources[at] = paths.argmax(0)
            sums = paths[sources[at], columns] + logprobs[at]
        sums = sums + np.array([0.0 if _follows(tag, outside) else -np.inf for tag in self.tags])
        path = [int(sums.argmax())]
        for at in range(len(logprobs) - 1, 0, -1):
            path.append(int(sources[at, path[-1]]))
        return path[::-1]


def runs(tags: Iterable[Tag]) -> list[Run]:
    """Return the entities of a sequence of tags: each is as long as the tags allow.

    Ill-formed sequences have entities, too: a tag that continues nothing begins an entity, and an entity without an
    end tag ends before the next token of another kind.
    """
    entities: list[Run] = []
    running = False
    for at, tag in enumerate(tags):
        if tag.place == "outside":
            running = False
            continue
        if running and entities[-1].type == tag.type and tag.place not in ("begin", "single"):
            entities[-1] = Run(entities[-1].first, at + 1, tag.type)
        else:
            entities.append(Run(at, at + 1, tag.type))
        running = tag.place not in ("end", "single")
    return entities


def decode(text: str, offsets: Sequence[Range], logprobs: np.ndarray, tags: TagSet) -> list[Entity]:
    """Return the entities of a text, in order and without overlaps.

    Many models learned the tag of each word's first token only. So an entity that ends inside a word takes all of it,
    up to the next entity.

    Args:
        text: the text.
        offsets: each token's range. Tokens without a character may be among them.
        logprobs: log-probability of each tag, [tokens, tags].
        tags: the model's tags.
    """
    import numpy as np

    # A token without a character has no tag of its own: it would only cut entities.
    tokens = [number for number, (start, end) in enumerate(offsets) if trimmed(text, start, end)[0] < end]
    offsets, logprobs = [offsets[number] for number in tokens], logprobs[tokens]
    best = tags.best(logprobs)
    entities: list[Entity] = []
    for run in runs(tags.tags[tag] for tag in best):
        chosen = [logprobs[at, best[at]] for at in range(run.first, run.end)]
        score = float(np.exp(np.array(chosen, dtype=np.float64)).mean())
        # The bytes of one character may be several tokens with the same range, and two entities may share it.
        least = entities[-1].end if entities else 0
        start, end = trimmed(text, max(offsets[run.first][0], least), offsets[run.end - 1][1])
        if start < end:
            entities.append(Entity(start, end, run.type, min(1.0, score)))
    return _to_word_bounds(text, entities)


def _to_word_bounds(text: str, entities: Sequence[Entity]) -> list[Entity]:
    """Let entities end where words end. Those of one type that meet inside a word are one."""
    joined: list[Entity] = []
    for entity in entities:
        last = joined[-1] if joined else None
        if last and last.type == entity.type and _in_one_word(text, last.end, entity.start):
            length = entity.end - last.start
            share = (last.end - last.start) / length
            joined[-1] = Entity(last.start, entity.end, last.type, last.score * share + entity.score * (1 - share))
        else:
            joined.append(entity)
    ends = [0, *(entity.end for entity in joined)]
    starts = [*(entity.start for entity in joined[1:]), len(text)]
    grown: list[Entity] = []
    for entity, least, most in zip(joined, ends, starts, strict=False):
        start, end = entity.start, entity.end
        least = max(least, grown[-1].end if grown else 0)
        while start > least and divides(text, start):
            start -= 1
        while end < most and divides(text, end):
            end += 1
        grown.append(Entity(start, end, entity.type, entity.score))
    return grown


def _in_one_word(text: str, end: int, start: int) -> bool:
    return all(divides(text, at) for at in range(end, start + 1))


def _split(name: str) -> tuple[str, str]:
    """Return a tag's first letter, if it says a place, and the rest; or "" and the name."""
    name = name.strip()
    if len(name) > 2 and name[0].upper() in _PLACES and name[1] in "-_" and (name[1] == "-" or name[0] in "BI"):
        return name[0].upper(), name[2:].strip()
    return "", name


def _follows(before: Tag, after: Tag) -> bool:
    """Return whether BIOES allows one tag after another."""
    if before.place in ("begin", "inside"):
        return after.place in ("inside", "end") and after.type == before.type
    return after.place not in ("inside", "end")


__all__ = ["Entity", "Place", "Run", "Scheme", "Tag", "TagSet", "decode", "runs"]
