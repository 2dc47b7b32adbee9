"""No regular expression that runs over samples takes longer than in proportion to the text: measured as a ratio."""

from __future__ import annotations

import importlib
import re
import time
from typing import Any

import pytest
import regex

from tif import text as characters
from tif.annotate.rules.contacts import codes, contacts
from tif.annotate.rules.languages import LANGUAGES, age_pattern, date_pattern
from tif.annotate.rules.places import layered

MODULES = (
    "tif.annotate.judge.reasoning",
    "tif.annotate.judge.reply",
    "tif.annotate.judge.secrets",
    "tif.annotate.rules.addresses",
    "tif.annotate.rules.contacts",
    "tif.annotate.rules.fields",
    "tif.annotate.rules.forms",
    "tif.annotate.rules.identifiers",
    "tif.annotate.rules.names",
    "tif.annotate.rules.phrases",
    "tif.annotate.rules.plain",
    "tif.annotate.rules.questions",
    "tif.annotate.rules.scorecard",
    "tif.eval.compare.logs",
    "tif.eval.measure.leakage",
    "tif.sets.formats.inline",
)

GROWTH = 4
"""How many times longer the second text is."""
MOST = 2.5
"""A linear search takes GROWTH times as long, a quadratic one GROWTH squared. This is the factor on GROWTH."""
LEAST = 0.02
"""Shorter times, in seconds, are noise. A quadratic search of the longer text takes seconds."""
SIZE = 2_000

UNITS = (
    "a", "A", "1", "_", "-", ".", "!", "…", "@", "'", "’", '"', "“", "(", "[", "<", "{", "\u0600", "\u200d", "\u0301",
    "é", "字", " ", "\n", "a-", "a.", "a@", "@a", "a@a", "-@", "1-", "1,", "1.", "1 ", "+1", "A-", "A1-", "a_", "a a ",
    "http://", "https://.", "http://a,", "no ", "not only ", "n't ", "what ", "which a ", "who's ", "s' ", "'a",
    "'a s' ", '"a', "“a b", "<a ", "</", "<|", "[/", "<|channel|>", "final ", "draft ", "[INST]", "<|a", '{"', '["',
    "\\", "a1", "1 A ", "1 Rue ", "Rue A ", "A ", "A a ", "A: ", "A v. ", "Dr. A ", "Dear A ", "1 a, ", "1 Box ",
    "A\n", "?a=", "&a=b ", "1:1", "2020-01-01 ", "AB12 ", "aB+/", "[at]", "1 May ",
    "what type of ", "what aaaa bbbb ", "111111 ", "\r\n", "\u0d4e", "👩\u200d", "🇳",
)  # fmt: skip
ENDINGS = ("\x00", "@")


WHOLE = (
    "tif.annotate.judge.reply._ALONE", "tif.annotate.judge.reply._REST", "tif.annotate.rules.questions._ORDINAL",
    "tif.annotate.rules.identifiers._DATE", "tif.annotate.rules.identifiers._CLOCK",
    "tif.annotate.rules.identifiers._YEAR", "tif.annotate.rules.identifiers._SOCIAL",
    "tif.annotate.rules.addresses._CONTINUATION",
    "tif.annotate.rules.addresses._BETWEEN",
)  # fmt: skip
"""Patterns that are only matched at one place of a text. A search would try them from every place."""


def patterns() -> list[tuple[str, Any]]:
    """Every compiled pattern at the top of the modules, also inside tuples, and those of `tif.text`."""
    found: list[tuple[str, Any]] = []
    for name in MODULES:
        for key, value in vars(importlib.import_module(name)).items():
            stack = [value]
            while stack:
                each = stack.pop()
                if isinstance(each, tuple | list):
                    stack.extend(each)
                elif isinstance(each, re.Pattern | regex.Pattern) and f"{name}.{key}" not in WHOLE:
                    found.append((f"{name}.{key}", each))
    sources = {"sentence ends": characters._SENTENCE_END, "clusters": characters._CLUSTER}
    found += [(f"tif.text: {key}", regex.compile(source)) for key, source in sources.items()]
    found += [("tif.text: pieces", characters._pieces("'’-", ".,")), ("tif.text: words", characters._pieces("", ""))]
    for language in LANGUAGES:
        found += [(f"dates: {language}", date_pattern(language)), (f"ages: {language}", age_pattern(language))]
    return found


def seconds(pattern: Any, sample: str) -> float:
    def once() -> float:
        began = time.process_time()
        for _ in pattern.finditer(sample):
            pass
        return time.process_time() - began

    first = once()
    return first if first < LEAST else min(first, once(), once())


def grows(pattern: Any, unit: str, ending: str) -> bool:
    """Whether a search through a repeated unit takes longer than in proportion to the text."""
    long = seconds(pattern, unit * (GROWTH * SIZE // len(unit)) + ending)
    return long > LEAST and long > MOST * GROWTH * seconds(pattern, unit * (SIZE // len(unit)) + ending)


@pytest.mark.parametrize(("name", "pattern"), patterns(), ids=lambda value: value if isinstance(value, str) else "")
def test_time_grows_with_the_text(name: str, pattern: Any) -> None:
    slow = [(unit, ending) for unit in UNITS for ending in ENDINGS if grows(pattern, unit, ending)]
    assert not slow, name


@pytest.mark.parametrize("quadratic", [r"[\w.+-]+@\w+", r"\b(?=\w*-?\w*\d)\w+", r"\d+st"])
def test_the_measure_sees_a_quadratic_search(quadratic: str) -> None:
    assert grows(re.compile(quadratic), "1" if "st" in quadratic else "a", "")


@pytest.mark.parametrize(
    ("sample", "marked"),
    [
        ("Write to ann.lee+post@mail.example.org today.", ["ann.lee+post@mail.example.org"]),
        ("x@y", []),
        ("Call +49 151 1234567abc@x.de", ["+49 151 1234567", "abc@x.de"]),
        ("a" * 100 + "@mail.example.org", ["a" * 100 + "@mail.example.org"]),
        ("See https://a.example/x?y=1.", ["https://a.example/x?y=1"]),
        ("Take 5mg of B-12, flight LH-2044-a at 10:30.", ["5mg", "B-12", "LH-2044-a", "10:30"]),
        ("Room A1-b and x-a1 and ab-c1 and abc", ["A1-b"]),
        ("a-B2, word-X9", ["a-B2", "word-X9"]),
        ("7 of 9", ["7", "9"]),
    ],
)
def test_contact_data_and_codes_are_found_as_before(sample: str, marked: list[str]) -> None:
    assert [sample[place.start : place.end] for place in layered(sample, contacts(sample), codes(sample))] == marked


@pytest.mark.parametrize(
    ("sample", "ends"),
    [
        ("One.. Two!!! Three?! Four", [6, 13, 21]),
        ("Wait... what? 'Yes.' She left.", [8, 14, 21]),
        ("....... ....... a", [8, 16]),
    ],
)
def test_sentences_end_where_they_did(sample: str, ends: list[int]) -> None:
    assert characters.sentence_ends(sample, 0, len(sample)) == ends
    inside = sample.index("..") + 1
    assert characters.sentence_ends(sample, inside, len(sample)) == ends, "from inside a run too"
