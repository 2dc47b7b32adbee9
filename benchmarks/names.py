"""Where the names of marks go in a figure, so that none covers a mark or another name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""One box a row, in pixels: left, bottom, right, top."""
_REACH: Final = 8.5
"""Half the side of the square that a mark takes up."""
_STEPS: Final = (2.0, 12.0, 22.0, 36.0, 52.0, 70.0, 90.0, 112.0, 136.0)
"""Distances of a name from its mark's square that are tried in turn."""
_SIDES: Final = (
    *((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)),
    *((1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5), (0.5, 1), (0.5, -1), (-0.5, 1), (-0.5, -1)),
)
"""Sides of its mark that a name may stand on: right, left, above and below, the corners, and between them."""
_GAP: Final = 2.0
"""Distance between two names."""


def place(marks: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], inside: Boxes) -> Boxes:
    """Return the boxes of the names, in the order of the marks. Each is at a near place that is free.

    Args:
        marks: the middle of each mark, in pixels.
        sizes: width and height of each name.
        inside: the box that no name should leave.
    """
    names, lines = np.empty((0, 4)), np.empty((0, 4))
    squares = np.vstack([_square(*mark, _REACH) for mark in marks])
    for mark, size in zip(marks, sizes, strict=True):
        taken = np.vstack([squares, lines, names + (-_GAP, -_GAP, _GAP, _GAP)])
        best = min(_places(mark, size), key=lambda box: _badness(mark, box, taken, names, inside))
        names, lines = np.vstack([names, best]), np.vstack([lines, _line(mark, best)])
    return names


def end(mark: tuple[float, float], name: Boxes) -> tuple[float, float] | None:
    """Return where the line from a mark to its name ends; None if the name is at the mark."""
    x, y = _nearest(mark, name)
    return None if max(abs(x - mark[0]), abs(y - mark[1])) < 2 * _REACH else (x, y)


def _nearest(point: tuple[float, float], box: Boxes) -> tuple[float, float]:
    """Return the point of a box that is nearest to a point."""
    left, bottom, right, top = map(float, box)
    return min(max(point[0], left), right), min(max(point[1], bottom), top)


def _places(mark: tuple[float, float], size: tuple[float, float]) -> Iterator[Boxes]:
    """Yield boxes of a size around a mark, the nearest ones first."""
    half = np.array(size) / 2
    for step, side in product(_STEPS, _SIDES):
        middle = np.array(mark) + np.array(side) * (_REACH + step + half)
        yield np.concatenate([middle - half, middle + half])


def _badness(mark: tuple[float, float], box: Boxes, taken: Boxes, names: Boxes, inside: Boxes) -> tuple[float, float]:
    """Return how much of a name is covered or outside. Then, how long its line is and how much of names it covers."""
    covered = _shared(box, box) - _shared(box, inside) + _shared(box, taken)
    return covered, float(np.hypot(*np.subtract(_nearest(mark, box), mark))) + _shared(_line(mark, box), names)


def _line(mark: tuple[float, float], name: Boxes) -> Boxes:
    """Return small squares along the line from a mark to its name."""
    if (to := end(mark, name)) is None:
        return np.empty((0, 4))
    start, way = np.array(mark), np.subtract(to, mark)
    length = float(np.hypot(*way))
    return np.vstack([_square(*(start + way * at / length), 1) for at in np.arange(_REACH, length, 2)])


def _square(x: float, y: float, reach: float) -> Boxes:
    return np.array([x - reach, y - reach, x + reach, y + reach])


def _shared(some: Boxes, others: Boxes) -> float:
    """Return the area that boxes share with others, each pair for itself."""
    one, other = some.reshape(-1, 1, 4), others.reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    return float(np.prod(np.maximum(sides, 0), axis=-1).sum())


__all__ = ["Boxes", "end", "place"]
