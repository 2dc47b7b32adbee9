"""Examples as coloured text for the terminal. rich and spans both count code points."""

from __future__ import annotations

from rich.text import Text

from tif.errors import UsageError
from tif.spans import UW, AnnotationSet, Example, Status

_STYLES = ("bold black on yellow", "bold black on cyan", "bold black on magenta", "bold black on green")
"""A style for each label, in order of appearance; UW always has the first."""


def styles(annotations: AnnotationSet) -> dict[str, str]:
    """Return a terminal style for every label in the set."""
    labels = dict.fromkeys([UW, *(s.label for e in annotations for s in e.spans)])
    return {label: _STYLES[i % len(_STYLES)] for i, label in enumerate(labels)}


def choose(annotations: AnnotationSet, *, id_: str | None = None, status: Status | None = None) -> list[Example]:
    """Return the examples with an id, or with a status.

    Raises:
        UsageError: for an id that is not in the set, or has another status.
    """
    chosen = [e for e in annotations if id_ in (None, e.id) and status in (None, e.status)]
    if id_ is not None and not chosen:
        raise UsageError(f"no record {id_!r} in this set", hint="`tif spans export SET` lists all ids.")
    return chosen


def counts_line(annotations: AnnotationSet) -> str:
    """Return one line with the counts of a set: examples, spans, statuses."""
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in annotations.counts().items())


def coloured(example: Example, style_of: dict[str, str]) -> Text:
    """Return an example as styled text: id and status, the dimmed prompt, the text with its spans."""
    head = Text.assemble((example.id, "bold"), f"  {example.status}")
    if example.error:
        head.append(f"  ({' '.join(example.error.split())})", "red")
    body = Text(example.text)
    for span in example.spans:
        body.stylize(style_of[span.label], span.start, span.end)
    parts = [head, Text(example.prompt, "dim"), body] if example.prompt else [head, body]
    return Text("\n").join(parts)


def bracketed(example: Example) -> str:
    """Return the text with spans as `[[words|LABEL]]`, for pipes and files without colours."""
    out, at = [], 0
    for span in example.spans:
        if span.start < at:
            continue  # Overlaps another label's span; brackets cannot nest readably.
        out += [example.text[at : span.start], f"[[{example.quote(span)}|{span.label}]]"]
        at = span.end
    return "".join([*out, example.text[at:]])


__all__ = ["bracketed", "choose", "coloured", "counts_line", "styles"]
