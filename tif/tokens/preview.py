"""An annotation set under a tokenizer, for people: tokens with their kinds, and how much is covered."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tif.errors import UsageError
from tif.spans import UNTRAINED, AnnotationSet
from tif.tokens.masks import NOWHERE, Kind, Template, check, encode
from tif.tokens.models import load_tokenizer


def preview(
    examples: AnnotationSet,
    tokenizer: str | Path,
    *,
    template: str = "auto",
    limit: int | None = None,
    labels: Collection[str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Masks as plain JSON values.

    Args:
        examples: the set; all that would be trained on is encoded, checked and counted.
        tokenizer: model folder or hub id.
        template: as `Template.of`.
        limit: how many examples are spelt out.
        labels: spans of these labels are unwanted; all spans where None.
        options: `max_length`, `truncation_side`, `punctuation`, `supervise_eos` of `encode`.

    Returns:
        `coverage` (counts) and `examples` (`id`, `lost_spans`, `tokens` with `text`, `kind`, `start`, `end`).

    Raises:
        MaskError: as `check`.
        UsageError: for an option that `encode` does not know.
    """
    for name, known in {
        "truncation_side": ("left", "right"),
        "punctuation": ("gw", "uw"),
    }.items():
        if options.get(name, known[0]) not in known:
            raise UsageError(f"{name} is {options[name]!r}", hint=f"Known: {', '.join(known)}.")
    words = load_tokenizer(tokenizer)
    resolved = Template.of(words, template)
    chosen = [example for example in examples if example.status not in UNTRAINED]
    # As in training: plain text is cut into windows and loses nothing, only an answer is cut off.
    whole = {**options, "max_length": None}
    encoded = [encode(e, words, resolved, labels=labels, **(options if e.prompt else whole)) for e in chosen]
    check(chosen, encoded, words, labels=labels)
    shown = []
    for example, item in list(zip(chosen, encoded, strict=True))[:limit]:
        tokens = []
        at = 0
        for token, kind, (start, end) in zip(item.input_ids, item.kinds, item.offsets, strict=True):
            # Tokens that share a character are shown once, by the first; text is cut from the sample, not decoded.
            text = words.decode([token]) if (start, end) == NOWHERE else example.text[max(start, at) : end]
            at = max(at, end)
            tokens.append({"text": text, "kind": kind.name.lower(), "start": start, "end": end})
        shown.append({"id": example.id, "lost_spans": list(item.lost_spans), "tokens": tokens})
    coverage = {"examples": len(encoded), "left_out": len(examples) - len(encoded)}
    coverage |= {f"{kind.name.lower()}_tokens": sum(item.count(kind) for item in encoded) for kind in Kind}
    coverage["without_uw"] = sum(not item.count(Kind.UW) for item in encoded)
    coverage["lost_spans"] = sum(len(item.lost_spans) for item in encoded)
    coverage["spans"] = sum(len(example.unwanted(labels)) for example in chosen)
    return {"template": resolved.spec, "coverage": coverage, "examples": shown}


__all__ = ["preview"]
