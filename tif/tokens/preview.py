"""An annotation set as training sees it, for people: each token with its kind, and how much is covered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tif.options import Option
from tif.spans import UNTRAINED, AnnotationSet, Example
from tif.tokens.encoding import PANEL, Encoder, Encoding, see, warn_of_control
from tif.tokens.masks import NOWHERE, Encoded, Kind, KindName

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class MaskOptions(Encoding):
    """Options of `tif masks`."""

    masks: Annotated[
        str, Option("An annotation set; @N names a version.", positional=True, metavar="SET[@N]", outcome=False)
    ]
    tokenizer: Annotated[str, Option("Model folder or hub id whose tokenizer is used.")]
    limit: Annotated[int, Option("Show at most so many samples or windows. All are counted.", least=1)] = 10
    data_dir: Annotated[
        str | None, Option("Folder with the texts of a set that has spans only.", env="TIF_DATA_DIR")
    ] = None
    unmarked: Annotated[
        Literal["refuse", "skip"],
        Option("skip leaves out samples and windows without an unwanted word, as training would.", PANEL),
    ] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token of a row."""

    text: str
    """Cut from the sample; decoded where the token is not part of it."""
    kind: KindName
    start: int
    """First code point in the sample's text; -1 for a token outside it."""
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A sample or a window in tokens."""

    id: str
    lost_spans: tuple[int, ...]
    """Indices of the sample's spans that were cut off, in part or completely."""
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a set comes to in tokens."""

    examples: int
    """Samples that are trained on."""
    left_out: int
    windows: int
    """Rows that these samples are trained in: more than samples where plain texts are cut."""
    prompt_tokens: int
    gw_tokens: int
    uw_tokens: int
    without_uw: int
    """Samples without an unwanted word."""
    windows_without_uw: int
    """Windows without an unwanted word, of samples that have one."""
    spans: int
    """Spans to forget in the samples that are trained on."""
    other_spans: int
    """Spans of these samples whose labels are not in `labels`: not trained."""
    lost_spans: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A set under a tokenizer."""

    template: str
    coverage: Coverage
    examples: tuple[TokenRow, ...]

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        return asdict(self)


def preview(
    examples: AnnotationSet,
    tokenizer: PreTrainedTokenizerBase,
    encoding: Encoding,
    *,
    where: str = "the set",
    limit: int | None = None,
) -> Preview:
    """Show a set as training sees it.

    Args:
        examples: the set. Samples of a status that training leaves out are only counted.
        tokenizer: the tokenizer of the model to train.
        encoding: as for training. Samples without an unwanted word are shown unless `unmarked` is `skip`.
        where: the set's name in errors.
        limit: how many rows are spelt out; all are encoded, checked and counted.

    Raises:
        MaskError: for a span that did not become unwanted tokens.
        UsageError: for a template that the tokenizer cannot use, or a label that no span has.
    """
    encoding.check_labels(examples, where)
    encoder = Encoder.of(tokenizer, encoding)
    usable = [example for example in examples if example.status not in UNTRAINED]
    warn_of_control(usable, tokenizer)
    view = see(usable, encoder, skip_unmarked=encoding.unmarked == "skip")
    owners: dict[str, Example] = {}
    for example, item in zip(view.examples, view.items, strict=True):
        owners |= dict.fromkeys((row.id for row in encoder.windows(item)), example)
    tokens = {kind: sum(row.count(kind) for row in view.rows) for kind in Kind}
    return Preview(
        template=encoder.template.spec,
        coverage=Coverage(
            examples=len(view.examples),
            left_out=len(examples) - len(view.examples),
            windows=len(view.rows),
            prompt_tokens=tokens[Kind.PROMPT],
            gw_tokens=tokens[Kind.GW],
            uw_tokens=tokens[Kind.UW],
            without_uw=len(view.unmarked),
            windows_without_uw=len(view.unmarked_windows),
            spans=sum(len(example.unwanted(encoding.labels)) for example in view.examples),
            other_spans=sum(len(e.spans) - len(e.unwanted(encoding.labels)) for e in view.examples),
            lost_spans=view.lost_spans,
        ),
        examples=tuple(_row(owners[row.id], row, tokenizer) for row in view.rows[:limit]),
    )


def _row(example: Example, row: Encoded, tokenizer: PreTrainedTokenizerBase) -> TokenRow:
    tokens = []
    at = 0
    for token, kind, (start, end) in zip(row.input_ids, row.kinds, row.offsets, strict=True):
        # Tokens that share a character are shown once, by the first; text is cut from the sample, not decoded.
        text = str(tokenizer.decode([token])) if (start, end) == NOWHERE else example.text[max(start, at) : end]
        at = max(at, end)
        tokens.append(Token(text=text, kind=kind.word, start=start, end=end))
    return TokenRow(id=row.id, lost_spans=row.lost_spans, tokens=tuple(tokens))


__all__ = ["Coverage", "MaskOptions", "Preview", "Token", "TokenRow", "preview"]
