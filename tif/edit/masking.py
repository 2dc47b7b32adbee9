"""What the trainer would make of a record: its tokens under a chosen tokenizer, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tif.edit.edits import pieces_of
from tif.spans import UNTRAINED, Example
from tif.tokens.masks import NOWHERE, Encoded, Kind, check, encode
from tif.tokens.models import load_tokenizer
from tif.tokens.templates import Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Masker:
    """A tokenizer and a template. Made by `Masker.load`."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    template: Template

    @classmethod
    def load(cls, spec: str, template: str = "auto") -> Masker:
        """The tokenizer of a model folder or hub id.

        Raises:
            MissingError, InputError: as `load_tokenizer`.
            UsageError: as `Template.of`.
        """
        tokenizer = load_tokenizer(spec)
        return cls(Path(spec).name, tokenizer, Template.of(tokenizer, template))

    def shown(self, example: Example, first: int, last: int) -> dict[str, Any]:
        """The tokens of the pieces `first` to `last`, as plain JSON values.

        Args:
            example: the record as it is.
            first: first piece, as `pieces_of` cuts the text.
            last: last piece, itself included; beyond the end, all of the text's.

        Returns:
            `tokens`: text in its order, each with `text` (cut from the record, white space included), `kind` (`uw`,
            `gw`, `prompt`), `part` (unwanted, though no span holds all of its characters), and `count`: how many tokens
            stand for it, more than one where a character takes several. A last one that ends the text has `end`.
            `uw`, `gw`: tokens of each kind in the whole record. `trained`: False where training leaves the record out.

        Raises:
            MaskError: as `encode` and `check`.
            UsageError: for a tokenizer without an end token.
        """
        item = encode(example, self.tokenizer, self.template)
        check([example], [item], self.tokenizer)
        cut = pieces_of(example)
        low = cut[first - 1][1] if 0 < first <= len(cut) else 0
        high = cut[last][1] if 0 <= last < len(cut) else len(example.text)
        return {
            "tokenizer": self.name,
            "tokens": self._tokens(example, item, low, high),
            "uw": item.count(Kind.UW),
            "gw": item.count(Kind.GW),
            "trained": example.status not in UNTRAINED,
        }

    def _tokens(self, example: Example, item: Encoded, low: int, high: int) -> list[dict[str, Any]]:
        marked = {i for span in example.unwanted() for i in range(span.start, span.end)}
        text = example.text
        found: list[dict[str, Any]] = []
        at = low
        for token, kind, (start, end) in zip(item.input_ids, item.kinds, item.offsets, strict=True):
            if (start, end) == NOWHERE:
                if kind == Kind.GW and high == len(text):
                    found.append({"text": self.tokenizer.decode([token]), "kind": "gw", "count": 1, "end": True})
                continue
            if end <= low or start >= high:
                continue
            if end <= at and found:
                # A byte-level tokenizer may give one character several tokens: it is shown once.
                found[-1]["count"] += 1
                if kind == Kind.UW:
                    found[-1]["kind"] = "uw"
                continue
            part = kind == Kind.UW and not all(i in marked or text[i].isspace() for i in range(start, end))
            # What no token holds, such as white space that the tokenizer drops, is shown with the next one.
            found.append({"text": text[at:end], "kind": kind.name.lower(), "count": 1, "part": part})
            at = end
        return found


__all__ = ["Masker"]
