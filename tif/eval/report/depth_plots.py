"""The report's figures of depth: by layer, how much of the unwanted words a model's hidden states no longer hold."""

from __future__ import annotations

from tif.eval.measure.depth import LayerDepth
from tif.eval.report import figures
from tif.eval.report.evaluations import Evaluations

_RETAIN = "retain model"


def depth_plots(evaluations: Evaluations) -> list[tuple[str, str]]:
    """Return one figure for activation patching and one for the logit lens, each with its caption.

    Models that were compared with other starting or retain models than the first one are left out.
    """
    measured = {entry.label: entry.record.depth for entry in evaluations.entries if entry.record.depth}
    if not measured:
        return []
    first = next(iter(measured.values()))
    pair = (first.starting_model.digest, first.retain_model.digest)
    same = {k: d for k, d in measured.items() if (d.starting_model.digest, d.retain_model.digest) == pair}
    scale = (
        "The line is the drop of the log-probability of the unwanted words (UW), in nats: the mean over a question's "
        f"UW tokens, then over {first.examples} questions. At 0, the layer holds the words as in the starting model. "
        "The retain model's line is the drop for a model that never saw them."
    )
    patching = f"Activation patching: a model's hidden state replaces the starting model's at one layer. {scale}"
    lens = f"Logit lens: the starting model's last norm and head read a model's hidden state at one layer. {scale}"
    return [
        _figure(evaluations, {k: d.patching for k, d in same.items()}, "drop when patched", patching),
        _figure(evaluations, {k: d.lens for k, d in same.items()}, "drop in the logit lens", lens),
    ]


def _figure(evaluations: Evaluations, measured: dict[str, LayerDepth], ylabel: str, caption: str) -> tuple[str, str]:
    layers = range(1, 1 + len(next(iter(measured.values())).lost))
    lines = {label: (list(layers), list(depth.lost)) for label, depth in measured.items()}
    never_saw = evaluations.never_saw
    if never_saw is None or never_saw.label not in measured:
        lines[_RETAIN] = (list(layers), list(next(iter(measured.values())).could_lose))
    return figures.curves(lines, "layer", ylabel, order=evaluations.labels), caption


__all__ = ["depth_plots"]
