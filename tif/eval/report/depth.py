"""The report's section on depth: how much of the unwanted words a model's hidden layers no longer hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tif.eval.measure.depth import Depth, LayerDepth
from tif.eval.measure.leak_at_k import Interval
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import DEPTH_COLUMNS, definition
from tif.eval.report.section import Curve, Curves, Section, not_measured
from tif.eval.report.tables import Line, Table, cell

HEADING: Final = "Is it still inside?"
GLOSS: Final = (
    "A model can stop writing words that its hidden layers still hold. First, by layer, what the layer lost of the "
    "unwanted words. Then the score: the share of the retain model's loss that a model reaches. It is 0 for the "
    "starting model and 1 for the retain model. n: questions behind a score. Ranges are 95% intervals over questions."
)
_RETAIN: Final = "retain model"


def section(evaluations: Evaluations) -> Section | None:
    """Return the curves and the scores; None if no evaluation has depth."""
    measured = {entry.label: entry.record.depth for entry in evaluations.entries if entry.record.depth}
    if not measured:
        return None
    fixed = {each.label for each in (evaluations.before, evaluations.never_saw) if each}
    others = [each.label for each in evaluations.unattacked if each.label not in {*measured, *fixed}]
    return Section(
        heading=HEADING,
        gloss=GLOSS,
        parts=[*_curves(evaluations, measured), _scores(evaluations)],
        remarks=not_measured(others),
    )


def uds(entry: Entry) -> Interval | float | None:
    """Return the Unlearning Depth Score, with its interval where the examples have it; None without depth."""
    depth = entry.record.depth
    return _score(entry, "depth", depth.patching) if depth else None


def _scores(evaluations: Evaluations) -> Table:
    entries = [entry for entry in evaluations.entries if entry.record.depth]
    lines = []
    for name, part, column in DEPTH_COLUMNS:
        readings = [_reading(entry.record.depth, column) for entry in entries if entry.record.depth]
        cells = [cell(_score(entry, column, each)) for entry, each in zip(entries, readings, strict=True)]
        sizes = [len(entry.values(part, column)) or each.n for entry, each in zip(entries, readings, strict=True)]
        lines.append(Line(name, cells, sizes=sizes, title=definition(name)))
    return Table(
        corner="score",
        columns=[entry.label for entry in entries],
        lines=lines,
        notes={name: definition(name) for name, _, _ in DEPTH_COLUMNS},
    )


def _score(entry: Entry, column: str, reading: LayerDepth) -> Interval | float | None:
    mean = entry.mean("forget", column)
    return reading.score if mean is None else Interval(*mean)


def _reading(depth: Depth, column: str) -> LayerDepth:
    return depth.patching if column == "depth" else depth.lens


def _curves(evaluations: Evaluations, measured: Mapping[str, Depth]) -> Iterator[Curves]:
    """Yield the curves of activation patching and of the logit lens.

    Models that were compared with other starting or retain models than the first one are left out.
    """
    first = next(iter(measured.values()))
    pair = (first.starting_model.digest, first.retain_model.digest)
    same = {k: d for k, d in measured.items() if (d.starting_model.digest, d.retain_model.digest) == pair}
    others = [label for label in measured if label not in same]
    scale = (
        "The line is the drop of the log-probability of the unwanted words (UW), in nats: the mean over a question's "
        f"UW tokens, then over {first.examples} questions. At 0, the layer holds the words as in the starting model. "
        "The retain model's line is the drop for a model that never saw them."
    )
    if others:
        scale += f" Not here, because of another starting or retain model: {', '.join(others)}."
    patching = "Activation patching: a model's hidden state replaces the starting model's at one layer."
    lens = "Logit lens: the starting model's last norm and head read a model's hidden state at one layer."
    for column, ylabel, caption in (
        ("depth", "drop when patched", patching),
        ("lens_depth", "drop in the logit lens", lens),
    ):
        lines = {label: _curve(_reading(depth, column).lost) for label, depth in same.items()}
        never_saw = evaluations.never_saw
        if never_saw is None or never_saw.label not in same:
            lines[_RETAIN] = _curve(_reading(first, column).could_lose)
        yield Curves(
            xlabel="layer",
            ylabel=ylabel,
            curves=lines,
            caption=f"{caption} {scale}",
            order=evaluations.labels,
            show="{:z.3f}".format,  # a drop near 0 is a rounding error
        )


def _curve(drops: Sequence[float]) -> Curve:
    return dict(enumerate(drops, start=1))


__all__ = ["HEADING", "section", "uds"]
