"""Find the reasoning in a judge's reply, by its tags, channels and openings, so that no draft counts as the answer.

Models and servers mark reasoning in many ways: `<think>`, `[THINK]`, `<|channel|>analysis`, `<|begin_of_thought|>`.
Many replies contain only the closing mark, because the chat template wrote the opening one into the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from tif.text import Range

Mark = Literal["open", "close", "answer"]
"""`open` and `close`: reasoning begins or ends. `answer`: the answer begins, so all before it is reasoning."""

_MARKS: Final = re.compile(
    # Channels: <|channel|>analysis, <|channel>thought, and <channel|> at the end of one.
    r"<\|channel\|?>\s{0,2}(?P<channel>\w{1,20})"
    r"|(?P<end><channel\|>)"
    # Tags: <think>, </Reasoning>, <antThinking depth="2">, <|begin_of_thought|>, <seed:think>, ◁/think▷.
    r"|[<＜◁][|｜]?\s{0,2}+(?P<slash>/?)\s{0,2}+(?P<tag>[^\W\d][\w:.▁-]{0,40}+)(?:\s[^<>＜＞◁▷|｜]{0,80}+)?[|｜]?[>＞▷]"
    r"|\[(?P<slash2>/?)(?P<tag2>think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|analysis|scratchpad|draft)\]"
    # A server that removes special tokens leaves the names of the channels: `analysisWe look ... assistantfinal{`.
    r"|(?P<bare>\A\s*+(?-i:analysis(?=[A-Z])))"
    r"|(?P<final>(?-i:assistantfinal)(?![a-z])|\bhere is my (?:response|answer|final answer):)"
    r"|(?P<process>\bhere is my (?:thought process|thinking|reasoning)(?: process)?:)",
    re.IGNORECASE,
)

_REASONING: Final = (
    "think", "thought", "reason", "reflect", "scratch", "draft", "analy", "ponder", "delib", "monolog", "rational",
    "brainstorm", "cot", "inner", "plan", "critique", "muse", "musing", "explan", "explain", "consider", "working",
    "note", "verif", "review", "chain",
)  # fmt: skip
"""Beginnings of the words that name reasoning in a tag."""

_CLOSING: Final = frozenset({"end", "close", "stop", "suffix"})
_ANSWER: Final = frozenset({"final", "answer", "response", "reply", "output", "solution", "result"})


def reasoning(content: str, values: list[Range]) -> list[Range]:
    """Return the ranges of a reply that are reasoning.

    A closing mark without an opening one ends reasoning that began with the reply. An opening mark without a closing
    one begins reasoning that broke off with the reply.

    Args:
        content: the reply.
        values: the ranges of its complete JSON values. A mark inside one of them is text that the judge quotes.
    """
    ranges: list[Range] = []
    opened: int | None = None
    for (start, end), mark in _marks(content, values):
        if mark == "open":
            opened = start if opened is None else opened
        elif mark == "close":
            ranges.append((0 if opened is None else opened, end))
            opened = None
        else:
            ranges.append((0, end))
            opened = None
    if opened is not None:
        ranges.append((opened, len(content)))
    return ranges


def _marks(content: str, values: list[Range]) -> Iterator[tuple[Range, Mark]]:
    index = 0
    for match in _MARKS.finditer(content):
        while index < len(values) and values[index][1] <= match.start():
            index += 1
        if index < len(values) and values[index][0] <= match.start():
            continue
        if (mark := _mark(match)) is not None:
            yield match.span(), mark


def _mark(match: re.Match[str]) -> Mark | None:
    """Return what a match marks; None for the tag of something else, such as `<answer>` or `<b>`."""
    if match["channel"] is not None:
        return "answer" if match["channel"].casefold() in _ANSWER else "open"
    if match["final"] is not None:
        return "answer"
    if match["end"] is not None:
        return "close"
    if match["bare"] is not None or match["process"] is not None:
        return "open"
    name, slash = match["tag"] or match["tag2"], match["slash"] or match["slash2"]
    words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    if not any(word.startswith(_REASONING) for word in words):
        return None
    return "close" if slash or not _CLOSING.isdisjoint(words) else "open"


__all__ = ["Mark", "reasoning"]
