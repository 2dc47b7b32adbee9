"""Words that a model scores one by one, and the spans that they form."""

from __future__ import annotations

from collections.abc import Iterable

from tif.spans import UW, Span, tidy
from tif.text import Range, words


def word_bounds(text: str) -> list[Range]:
    """Return the words to score. Hyphens and apostrophes inside a word belong to it; other punctuation does not."""
    return list(words(text, inside_words="'’-"))


def joined(text: str, scored: Iterable[tuple[Range, float]], *, source: str) -> tuple[Span, ...]:
    """Return the spans of scored words. Words with only white space between them form one span, with the mean score."""
    runs: list[tuple[int, int, list[float]]] = []
    for (start, end), score in scored:
        if runs and not text[runs[-1][1] : start].strip():
            runs[-1] = (runs[-1][0], end, [*runs[-1][2], score])
        else:
            runs.append((start, end, [score]))
    spans = [Span(a, b, UW, source, min(1.0, max(0.0, sum(s) / len(s)))) for a, b, s in runs]
    return tidy(text, spans)


__all__ = ["joined", "word_bounds"]
