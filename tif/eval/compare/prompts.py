"""Were two logs' questions the same, and asked in the same way?

A log of tif stores each question, and one prompt with a placeholder. Other projects store complete prompts, decoded
without special tokens. Prompts are compared without special tokens and white space, since decoders differ in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tif.eval.compare.log import Log

PLACEHOLDER: Final = "{prompt}"
_SPECIAL: Final = re.compile(r"<\|[^|]*\|>|</?s>|<bos>|<eos>|<(?:start|end)_of_turn>|<pad>|\s+")


def difference(a: Log, b: Log) -> str | None:
    """Return why the logs' questions differ in content or in their prompts; None if they do not."""
    if all(a.questions) and all(b.questions):
        return _of_prompts(a, b)
    if all(a.answers) and all(b.answers):
        return _of_texts(a.answers, b.answers, "answer")
    return None


def unknown(a: Log, b: Log) -> str | None:
    """Return what the logs do not store, so that `difference` cannot compare it; None if it compares all."""
    if all(a.questions) and all(b.questions):
        mute = [log for log in (a, b) if _mute(log)]
        if not mute or a.format == b.format:
            return None
        return f"{mute[0].path} does not store its prompts, so tif cannot check that both logs have the same template"
    if all(a.answers) and all(b.answers):
        return "one log has no questions, so tif cannot check that they were asked in the same way"
    return "one log has neither questions nor answers, so tif cannot check that they are the same"


def _of_prompts(a: Log, b: Log) -> str | None:
    mute = _mute(a) or _mute(b)
    if a.format == b.format == "tif":
        by_question = _of_texts(a.questions, b.questions, "question")
        same_template = mute or _bare(str(a.prompt)) == _bare(str(b.prompt))
        return by_question if by_question or same_template else _templates(str(a.prompt), str(b.prompt))
    left, right = _prompts(a), _prompts(b)
    mine, theirs = list(map(_bare, left)), list(map(_bare, right))
    if sorted(mine) == sorted(theirs):
        return None
    questions = [list(map(_bare, log.questions)) for log in (a, b)]
    if not (_wrap(questions[0], theirs) or _wrap(questions[1], mine) or _same_questions(a, b, mine, theirs)):
        return _of_texts(left, right, "question")
    return None if mute else _templates(left[0], right[0])


def _mute(log: Log) -> bool:
    return log.format == "tif" and log.prompt is None


def _prompts(log: Log) -> list[str]:
    if log.prompt is None:
        return list(log.questions)
    return [log.prompt.replace(PLACEHOLDER, question) for question in log.questions]


def _wrap(questions: Sequence[str], texts: Sequence[str]) -> bool:
    """Return whether the texts are these questions, each within the same words."""
    expected = sorted(texts)
    for question in questions:
        if question in texts[0]:
            before, _, after = texts[0].partition(question)
            if sorted(before + each + after for each in questions) == expected:
                return True
    return False


def _same_questions(a: Log, b: Log, mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Return whether two logs under different templates have the same questions, by their answers if possible."""
    if all(a.answers) and all(b.answers):
        return _of_texts(a.answers, b.answers, "answer") is None
    return sorted(_cores(mine)) == sorted(_cores(theirs))


def _cores(texts: Sequence[str]) -> list[str]:
    """Return the texts without their common beginning and end. Templates are part of these two."""
    before = _common(texts)
    rests = [text[before:] for text in texts]
    after = _common([rest[::-1] for rest in rests])
    return [rest[: len(rest) - after] for rest in rests]


def _common(texts: Sequence[str]) -> int:
    """Return the length of the common beginning. That of the first and the last in order is that of all."""
    first, last = min(texts), max(texts)
    return next((i for i, (x, y) in enumerate(zip(first, last, strict=False)) if x != y), min(len(first), len(last)))


def _of_texts(a: Sequence[str], b: Sequence[str], name: str) -> str | None:
    remaining = Counter(map(_bare, b))
    for text in a:
        if not remaining[_bare(text)]:
            return f"the {name} {_short(text, 60)} is not in both"
        remaining[_bare(text)] -= 1
    return None


def _templates(a: str, b: str) -> str:
    return f"the templates differ: {_short(a, 80)} against {_short(b, 80)}"


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}")


def _bare(text: str) -> str:
    return _SPECIAL.sub("", text)


__all__ = ["PLACEHOLDER", "difference", "unknown"]
