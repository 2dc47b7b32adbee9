"""Examples as text for the terminal, with styles or with brackets."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tif.console import Styled
from tif.errors import UsageError
from tif.escape import visible_line
from tif.spans import UW, AnnotationSet, Example, Span, Status

_STYLES = ("bold black on yellow", "bold black on cyan", "bold black on magenta", "bold black on green")
"""A style for each label, in order of appearance; UW always has the first."""

_UNTRAINED = "underline"


def styles(annotations: AnnotationSet, trained: Collection[str] | None = None) -> dict[str, str]:
    """Return a terminal style for every label in the set. Labels that are not in `trained` are only underlined."""
    labels = dict.fromkeys([UW, *(s.label for e in annotations for s in e.spans)])
    style_of = {label: _STYLES[i % len(_STYLES)] for i, label in enumerate(labels)}
    return {label: s if trained is None or label in trained else _UNTRAINED for label, s in style_of.items()}


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


def coloured(example: Example, style_of: dict[str, str]) -> list[Styled]:
    """Return an example as styled text: id and status, the dimmed prompt, the text with its spans.

    A line below the text lists the spans that overlap a span before them.
    """
    pieces: list[Styled] = [(visible_line(example.id), "bold"), (f"  {example.status}", "")]
    if example.error:
        pieces.append((f"  ({' '.join(example.error.split())})", "red"))
    if example.prompt:
        pieces.append((f"\n{example.prompt}", "dim"))
    pieces.append(("\n", ""))
    apart, overlapping = _split(example)
    at = 0
    for span in apart:
        pieces += [(example.text[at : span.start], ""), (example.quote(span), style_of[span.label])]
        at = span.end
    pieces.append((example.text[at:], ""))
    if overlapping:
        pieces.append((f"\n{_listed(example, overlapping)}", ""))
    return pieces


def bracketed(example: Example) -> str:
    """Return the text with spans as `[[words|LABEL]]`, for pipes and files without colours.

    A line below the text lists the spans that overlap a span before them: crossing brackets could not be read.
    """
    apart, overlapping = _split(example)
    out, at = [], 0
    for span in apart:
        out += [example.text[at : span.start], f"[[{example.quote(span)}|{span.label}]]"]
        at = span.end
    out.append(example.text[at:])
    if overlapping:
        out.append("\n" + _listed(example, overlapping))
    return "".join(out)


def _split(example: Example) -> tuple[list[Span], list[Span]]:
    """Return the spans that follow one another, and those that overlap one of these."""
    apart: list[Span] = []
    overlapping: list[Span] = []
    for span in example.spans:
        (overlapping if apart and apart[-1].overlaps(span) else apart).append(span)
    return apart, overlapping


def _listed(example: Example, spans: Iterable[Span]) -> str:
    return "overlapping: " + ", ".join(f"[[{example.quote(s)}|{s.label}]] at {s.start}-{s.end}" for s in spans)


__all__ = ["bracketed", "choose", "coloured", "counts_line", "styles"]
