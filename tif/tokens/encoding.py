"""How samples become tokens and masks, for training, `tif masks`, the correction page and evaluation alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from tif.console import warn
from tif.errors import MaskError, UsageError, first_of
from tif.options import Option, Options
from tif.spans import Example
from tif.tokens.masks import Encoded, Kind, check, control_tokens, encode
from tif.tokens.templates import FIXED_DATE, TEMPLATE_HELP, ChatDate, Template, TemplateSpec
from tif.tokens.windows import windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PANEL: Final = "Tokens and masks"


class Encoding(Options):
    """How samples become tokens and masks."""

    template: Annotated[TemplateSpec, Option(TEMPLATE_HELP, PANEL)] = TemplateSpec()
    system_prompt: Annotated[
        str | None, Option("System message that each chat begins with.", PANEL, otherwise="the chat template's own")
    ] = None
    date: Annotated[
        ChatDate | None,
        Option("Date for a chat template that writes today's.", PANEL, metavar="YYYY-MM-DD", otherwise=str(FIXED_DATE)),
    ] = None
    max_length: Annotated[
        int | None, Option("Tokens a sample at most. A longer plain text is cut into windows.", PANEL, least=2)
    ] = None
    truncation_side: Annotated[Literal["right", "left"], Option("Which end of a long answer is cut off.", PANEL)] = (
        "right"
    )
    punctuation: Annotated[
        Literal["gw", "uw"], Option("Punctuation outside spans counts as general (gw) or unwanted (uw).", PANEL)
    ] = "gw"
    supervise_eos: Annotated[bool, Option("Supervise the token that ends the text.", PANEL)] = True
    labels: Annotated[
        tuple[str, ...] | None,
        Option("Labels of the spans to forget.", PANEL, split=True, otherwise="every label of the set"),
    ] = None
    unmarked: Annotated[
        Literal["refuse", "skip"], Option("Refuse or skip samples without an unwanted word.", PANEL)
    ] = "refuse"

    def check_labels(self, examples: Iterable[Example], where: str) -> None:
        """Make sure that the set has spans of every label in `labels`.

        Raises:
            UsageError: naming the first label that no span has, and those that there are.
        """
        present = sorted({span.label for example in examples for span in example.spans})
        for label in self.labels or ():
            if label not in present:
                raise UsageError(
                    f"no span has the label {label!r}", where=(where, "--labels"),
                    hint=f"The set has {', '.join(present)}." if present else "The set has no spans.",
                )  # fmt: skip


USUAL: Final = Encoding()
"""Every option at its default."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A tokenizer, and how samples become its tokens. Made by `Encoder.of`."""

    tokenizer: PreTrainedTokenizerBase
    template: Template
    """What `encoding.template` means for this tokenizer."""
    encoding: Encoding = USUAL

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, encoding: Encoding = USUAL) -> Encoder:
        """An encoder.

        Raises:
            UsageError: for a template, a system prompt or a date that this tokenizer cannot use.
        """
        template = Template.of(tokenizer, encoding.template, system_prompt=encoding.system_prompt, date=encoding.date)
        return cls(tokenizer, template, encoding)

    def encode(self, example: Example) -> Encoded:
        """One sample as tokens and their kinds, cut off at `max_length`.

        Raises:
            MaskError, UsageError: as `tif.tokens.masks.encode`.
        """
        return self._encode(example, self.encoding.max_length)

    def encode_for_training(self, example: Example) -> Encoded:
        """The same, but a plain text is never cut off: `windows` cuts it."""
        return self._encode(example, self.encoding.max_length if example.prompt else None)

    def windows(self, item: Encoded) -> list[Encoded]:
        """The rows that a sample is trained on: the sample, or its windows where it is longer than `max_length`."""
        return [item] if self.encoding.max_length is None else windows(item, self.encoding.max_length)

    def check(self, examples: Sequence[Example], items: Sequence[Encoded]) -> None:
        """Raise a `MaskError` unless every span to forget became unwanted tokens (`tif.tokens.masks.check`)."""
        check(examples, items, self.tokenizer, labels=self.encoding.labels)

    def _encode(self, example: Example, max_length: int | None) -> Encoded:
        return encode(
            example,
            self.tokenizer,
            self.template,
            max_length=max_length,
            truncation_side=self.encoding.truncation_side,
            punctuation=self.encoding.punctuation,
            supervise_eos=self.encoding.supervise_eos,
            labels=self.encoding.labels,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingView:
    """What training sees of a set's samples. Made by `see`."""

    examples: tuple[Example, ...]
    """The samples that are trained on."""
    items: tuple[Encoded, ...]
    """One for each of them; a plain text in one piece."""
    rows: tuple[Encoded, ...]
    """The same, plain texts cut into windows."""
    unmarked: tuple[str, ...]
    """Ids of the samples without an unwanted word, trained on or not."""
    unmarked_windows: tuple[str, ...]
    """Ids of the windows without one, of samples that have one elsewhere."""
    emptied: tuple[str, ...]
    """Ids of the samples left out because `max_length` cuts their complete answer off."""

    @property
    def lost_spans(self) -> int:
        """Spans that were cut off, in part or completely."""
        return sum(len(item.lost_spans) for item in self.items)


def see(examples: Sequence[Example], encoder: Encoder, *, skip_unmarked: bool) -> TrainingView:
    """Encode and check samples as training does.

    Args:
        examples: samples whose status lets training use them.
        encoder: the tokenizer and how to use it.
        skip_unmarked: leave out samples and windows without an unwanted word.

    Raises:
        MaskError: for a span that did not become unwanted tokens, among them one that nothing predicts.
    """
    encoded = [encoder.encode_for_training(example) for example in examples]
    _refuse_unpredicted(encoded)
    encoder.check(examples, encoded)
    unmarked = tuple(item.id for item in encoded if not item.count(Kind.UW))
    emptied = tuple(item.id for item in encoded if not item.supervised)
    left_out = {*emptied, *(unmarked if skip_unmarked else ())}
    pairs = [(e, item) for e, item in zip(examples, encoded, strict=True) if item.id not in left_out]
    rows: list[Encoded] = []
    unmarked_windows: list[str] = []
    for _, item in pairs:
        pieces = encoder.windows(item)
        if item.count(Kind.UW):
            unmarked_windows += [piece.id for piece in pieces if not piece.count(Kind.UW)]
            if skip_unmarked:
                pieces = [piece for piece in pieces if piece.count(Kind.UW)]
        rows += pieces
    return TrainingView(
        examples=tuple(example for example, _ in pairs),
        items=tuple(item for _, item in pairs),
        rows=tuple(rows),
        unmarked=unmarked,
        unmarked_windows=tuple(unmarked_windows),
        emptied=emptied,
    )


def _refuse_unpredicted(items: Sequence[Encoded]) -> None:
    if ids := [item.id for item in items if item.unpredicted]:
        raise MaskError(
            f"{len(ids)} samples begin with an unwanted word, which no token predicts: {first_of(ids)}",
            why="the tokenizer has no BOS token, and no chat template that begins with a control token",
            hint="Reject these samples, or put a general word before the first one.",
        )


def warn_of_control(examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> None:
    """Warn of samples that contain control tokens such as `</s>`, which the tokenizer does not read as text."""
    contents = control_tokens(tokenizer).values()
    if not contents:
        return
    pattern = re.compile("|".join(map(re.escape, sorted(contents, key=len, reverse=True))))
    seen: dict[str, None] = {}
    ids: list[str] = []
    for example in examples:
        if matches := [*pattern.findall(example.prompt), *pattern.findall(example.text)]:
            seen |= dict.fromkeys(matches)
            ids.append(example.id)
    if ids:
        warn(
            f"{len(ids)} samples contain {first_of(list(seen))}, which this tokenizer reads as control tokens, not as "
            f"text: {first_of(ids)}"
        )


__all__ = ["PANEL", "USUAL", "Encoder", "Encoding", "TrainingView", "see", "warn_of_control"]
