"""A record with many spans takes time in proportion to its spans: measured as a ratio, in the time of this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.annotate.align import Quote, align
from tif.edit import edits, view
from tif.sets import agreement, check, compare, formats, queue, score, show, vote
from tif.sets.formats.recognise import FormatName
from tif.sets.overlaps import Overlaps, OverlapsByLabel
from tif.spans import AnnotationSet, Example, Span
from tif.text import all_mentions, mentions

GROWTH = 4
MOST = 2.5
"""A linear function takes GROWTH times as long, a quadratic one GROWTH squared. This is the factor on GROWTH."""
LEAST = 0.05
"""Shorter times, in seconds, are noise. A quadratic function takes several times as long on the longer record."""
SIZE = 600


def many(size: int, *, shift: int = 0, label: str = "UW", equal: bool = False) -> Example:
    """A record with a span for every other word; every other span begins `shift` characters later."""
    spans, text = [], ""
    for i in range(size):
        word = "Odalys" if equal else f"Oda{i:06}"
        start = len(text) + (shift if i % 2 else 0)
        spans.append(Span(start, len(text) + len(word), label if i % 3 else "X", "s", 0.5))
        text += f"{word} met "
    return Example("a", "Who?", text, tuple(spans))


def bare(size: int, *, equal: bool = False) -> Example:
    return many(size, equal=equal).with_spans(())


def one(example: Example) -> AnnotationSet:
    return AnnotationSet((example,))


def op(kind: str, last: int = 0, **more: Any) -> Callable[[Example], object]:
    return lambda example: edits.apply(example, edits.Op(kind, 0, last, **more), example, "mara")


SINGLE: dict[str, Callable[[Example], object]] = {
    "check": lambda e: list(check._look_at(e)),
    "show": lambda e: (show.bracketed(e), show.coloured(e, show.styles(one(e)))),
    "align many": lambda e: align(e.text, [Quote(e.quote(s)) for s in e.spans], source="x"),
    "align unmatched": lambda e: align("Ada met Bo. " * 50, [Quote(f"Zor {i}") for i in range(len(e.spans) // 5)],
                                       source="x", fuzzy=True),
    "all mentions": lambda e: align(e.text, [Quote("met")] * len(e.spans), source="x", mentions="all"),
    "page": view.with_gaps,
    "page mentions": op("mentions"),
    "page mark": op("mark", 100),
    "page label": op("label", 100, label="Q"),
    "page edge": op("edge"),
    **{f"export {name}": lambda e, name=name: list(formats.write(one(e), name)) for name in get_args(FormatName)},
}  # fmt: skip
PAIR: dict[str, Callable[[Example, Example], object]] = {
    "diff": lambda a, b: list(compare.lines(compare.diff(one(a), one(b)))),
    "score": lambda a, b: score.score(one(a), one(b)),
    "agree": lambda a, b: agreement.agreement([one(a), one(b)]),
    "queue": lambda a, b: queue.queue([one(a), one(b)]),
    "vote": lambda a, b: vote.vote([one(a), one(b)], 2),
    "struck": view.struck,
    "merge": lambda a, b: compare.merge(one(bare(len(a.spans))), one(a), one(b)),
    "merge removed": lambda a, b: compare.merge(one(a), one(b), one(bare(len(a.spans)))),
}


def seconds(call: Callable[[], object]) -> float:
    """The least time of five calls, without garbage collection; of one call if it is short."""
    times = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            began = time.process_time()
            call()
            times.append(time.process_time() - began)
            if times[0] < LEAST:
                break
    finally:
        gc.enable()
    return min(times)


def grows(call: Callable[[int], Callable[[], object]]) -> bool:
    longer = seconds(call(GROWTH * SIZE))
    return longer >= LEAST and longer > MOST * GROWTH * seconds(call(SIZE))


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("name", SINGLE)
def test_one_record(name: str, equal: bool) -> None:
    def prepared(size: int) -> Callable[[], object]:
        example = many(size, equal=equal)
        return lambda: SINGLE[name](example)

    assert not grows(prepared)


@pytest.mark.parametrize("other", [{"shift": 1}, {"label": "Z"}])
@pytest.mark.parametrize("name", PAIR)
def test_two_versions_of_one_record(name: str, other: dict[str, Any]) -> None:
    def prepared(size: int) -> Callable[[], object]:
        a, b = many(size), many(size, **other)
        return lambda: PAIR[name](a, b)

    assert not grows(prepared)


def test_the_measure_notices_a_quadratic_function() -> None:
    def prepared(size: int) -> Callable[[], object]:
        spans = many(size).spans
        return lambda: [any(a.overlaps(b) for b in spans) for a in spans]

    assert grows(prepared)


RANGES = st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from("UV"))


@given(st.lists(RANGES, max_size=12), RANGES)
def test_overlaps_are_those_of_every_pair(ranges: list[tuple[int, int, str]], at: tuple[int, int, str]) -> None:
    spans = sorted({Span(start, start + length, label) for start, length, label in ranges})
    wanted = Span(at[0], at[0] + at[1], at[2])
    assert Overlaps(spans).at(wanted.start, wanted.end) == [s for s in spans if s.overlaps(wanted)]
    same = [s for s in spans if s.overlaps(wanted) and s.label == wanted.label]
    assert OverlapsByLabel(spans).of(wanted) == same


@given(st.text("aA_é \n1", max_size=40), st.sets(st.text("aA_é \n1", max_size=4), max_size=80))
def test_many_quotes_are_found_where_each_is(text: str, quotes: set[str]) -> None:
    quotes |= {f"{i} a" for i in range(60)}
    assert all_mentions(text, quotes) == {quote: list(mentions(text, quote)) for quote in quotes}
