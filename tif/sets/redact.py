"""Redacted texts: each marked word is a placeholder such as `[PERSON_1]`, the same one for the same words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator

from tif.spans import AnnotationSet, Example, of_labels, united
from tif.text import divides


def redacted_lines(annotations: AnnotationSet, labels: Collection[str] | None = None) -> Iterator[str]:
    """Yield one JSON object for each record: id, prompt and text with placeholders, and status.

    Args:
        annotations: the set.
        labels: only the spans of these labels; None for all.
    """
    for example in annotations:
        prompt, text = redacted(example, labels)
        row = {"id": example.id, "prompt": prompt, "text": text, "status": example.status}
        yield json.dumps(row, ensure_ascii=False)


def redacted(example: Example, labels: Collection[str] | None = None) -> tuple[str, str]:
    """Return prompt and text with placeholders. Marked words are also replaced where the prompt repeats them.

    Case and white space do not count for `the same words`. Overlapping spans of several labels get one placeholder.
    """
    taken = example.prompt + example.text
    numbers: Counter[str] = Counter()
    names: dict[tuple[str, str], str] = {}
    quotes: dict[str, str] = {}
    parts: list[str] = []
    at = 0
    for span in united(of_labels(example.spans, labels)):
        words = example.quote(span)
        label = re.sub(r"\W+", "_", span.label).strip("_").upper() or "WORDS"
        key = (label, " ".join(words.split()).casefold())
        if key not in names:
            numbers[label] += 1
            while (name := f"[{label}_{numbers[label]}]") in taken:
                numbers[label] += 1
            names[key] = name
        quotes.setdefault(words, names[key])
        parts += [example.text[at : span.start], names[key]]
        at = span.end
    return _replaced(example.prompt, quotes), "".join([*parts, example.text[at:]])


def _replaced(prompt: str, quotes: dict[str, str]) -> str:
    """Return the prompt with placeholders for the words that the text marks, longer ones first.

    As between the words of the text, case and white space do not count.
    """
    places: list[tuple[int, int, str]] = []
    for words in sorted(quotes, key=len, reverse=True):
        # A lookahead, so that a match inside a word does not hide the next one.
        spaced = r"\s+".join(map(re.escape, words.split()))
        pattern = re.compile(f"(?=({spaced}))", re.IGNORECASE)
        for start, end in (match.span(1) for match in pattern.finditer(prompt)):
            cuts_word = divides(prompt, start) or divides(prompt, end)
            if not cuts_word and all(end <= a or b <= start for a, b, _ in places):
                places.append((start, end, quotes[words]))
    parts: list[str] = []
    at = 0
    for start, end, name in sorted(places):
        parts += [prompt[at:start], name]
        at = end
    return "".join([*parts, prompt[at:]])


__all__ = ["redacted", "redacted_lines"]
