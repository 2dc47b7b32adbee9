"""Other answers with a sample's unwanted words: a model that forgets them in one sentence may write them in another."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tif.errors import UsageError
from tif.options import Written
from tif.spans import Example, Span, united

WORDS: Final = "{words}"


@dataclass(frozen=True, slots=True)
class Frame(Written):
    """An answer with a place for a sample's unwanted words. `Frame.of` reads one."""

    before: str
    after: str

    @classmethod
    def of(cls, text: str) -> Frame:
        """`{words}.` or `The answer is {words}.`, with `{words}` once.

        Raises:
            UsageError: for a text without `{words}`, or with more than one.
        """
        if text.count(WORDS) != 1:
            raise UsageError(
                f"{text!r} is no frame",
                hint="Write {words} once, where the unwanted words go: 'The answer is {words}.'",
            )
        before, _, after = text.partition(WORDS)
        return cls(before, after)

    def __str__(self) -> str:
        return f"{self.before}{WORDS}{self.after}"

    def around(self, example: Example, *, labels: Collection[str] | None = None) -> Example:
        """The same question with another answer: the frame with the spans' words in it, in their order, each once.

        Args:
            example: a sample with a question and spans.
            labels: labels of the unwanted spans; None for every label. Other spans are left out.

        Returns:
            The sample under another id, its words marked again.
        """
        words: dict[str, str] = {}
        for span in united(example.unwanted(labels)):
            words.setdefault(example.quote(span), span.label)
        text, marked = self.before, []
        for n, (word, label) in enumerate(words.items()):
            text += ", " if n else ""
            marked.append(Span(len(text), len(text) + len(word), label=label, source="frame"))
            text += word
        return replace(example, id=f"{example.id} in {str(self)!r}", text=text + self.after, spans=()).with_spans(
            marked
        )


def framed(
    examples: Sequence[Example], frames: Sequence[Frame], *, labels: Collection[str] | None = None
) -> list[Example]:
    """Each example in one of the frames, which are used in turn. Examples without a question or spans are left out."""
    turn = itertools.cycle(frames)
    answers = []
    for example in examples:
        # Only examples with a frame advance the turn, so that the others do not change who gets which frame.
        if example.prompt and example.unwanted(labels):
            answers.append(next(turn).around(example, labels=labels))
    return answers


__all__ = ["WORDS", "Frame", "framed"]
