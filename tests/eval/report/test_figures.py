"""Figures: complete legends, whole ticks, and text that neither collides nor leaves the figure."""

from __future__ import annotations

import html
import itertools
import re
import warnings

import numpy as np
import pytest

from tif.eval.report import figures
from tif.eval.report.figures import PALETTE, Style


def texts(svg: str) -> list[tuple[str, float, float]]:
    """Every text of a figure, with its anchor."""
    found = []
    for attributes, words in re.findall(r"<text ([^>]*)>([^<]*)</text>", svg):
        place = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", attributes)
        if place is None:
            place = re.search(r' x="([-\d.]+)" y="([-\d.]+)"', f" {attributes}")
        assert place, attributes
        found.append((html.unescape(words), float(place[1]), float(place[2])))
    return found


def size(svg: str) -> tuple[float, float]:
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box
    return float(box[1]), float(box[2])


def draw(names: list[str], kind: str) -> str:
    match kind:
        case "bars":
            bar = {"unwanted words (UW)": (0.1, 0.05, 0.2), "general words (GW)": None, "keep": (0.9, 0.8, 1.0)}
            return figures.bars(dict.fromkeys(names, bar), "probability")
        case "pareto":
            return figures.pareto(dict.fromkeys(names, (0.9, 0.2)), "kept", "p", log=True, order=names)
        case "drops":
            return figures.drops(dict.fromkeys(names, (0.9, 0.2)), order=names)
        case "distributions":
            samples = {name: [1.0, 2.0, 3.0] for name in [*names, "retain model (log)"]}
            return figures.distributions(samples, "truth ratio", order=names)
        case _:
            return figures.curves({name: ([1, 2, 3], [0.1, 0.2, 0.3]) for name in names}, "step", "p", order=names)


KINDS = ("bars", "pareto", "drops", "distributions", "curves")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["m{}", "anchored TPO, learning rate 1e-5, seed {}"])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_figure_names_every_model_inside_its_edges(kind: str, name: str, count: int) -> None:
    names = [name.format(i) for i in range(count)]
    svg = draw(names, kind)
    written = " ".join(words for words, _, _ in texts(svg))
    for each in [*names, *(["retain model (log)"] if kind == "distributions" else [])]:
        assert " ".join(each.split()) in written, each
    width, height = size(svg)
    for _, x, y in texts(svg):
        assert 0 <= x <= width
        assert 0 <= y <= height


@pytest.mark.parametrize("kind", KINDS[1:])
def test_no_name_of_a_legend_covers_another(kind: str) -> None:
    names = [f"run {'x' * 3 * i} {i}" for i in range(8)]
    places = {words: (x, y) for words, x, y in texts(draw(names, kind)) if words in names}
    assert len(places) == 8
    for (one, (x, y)), (_, (other_x, other_y)) in itertools.permutations(places.items(), 2):
        # Half the font size a character is less than the text takes.
        assert y != other_y or other_x < x or other_x > x + len(one) * 4.0


def test_numbers_of_bars_have_lines_of_their_own() -> None:
    same = {f"bar {i}": (0.5, 0.5, 0.5) for i in range(3)}
    numbers = [y for words, _, y in texts(figures.bars({"a": same, "b": same}, "probability")) if words == "0.50"]
    assert len(numbers) == 6
    assert min(b - a for a, b in itertools.pairwise(sorted(numbers))) > 8, "the font is 8 points high"


@pytest.mark.parametrize("last", [1, 2, 3, 7, 100, 12_000])
def test_steps_are_whole_numbers(last: int) -> None:
    steps = sorted({1, *np.linspace(1, last, 5).astype(int).tolist()})
    svg = figures.curves({"run": (steps, [0.5] * len(steps))}, "step", "loss")
    axis = svg[svg.index('<g id="matplotlib.axis_1">') : svg.index('<g id="matplotlib.axis_2">')]
    ticks = [words for words, _, _ in texts(axis) if words != "step"]
    assert ticks
    assert all(re.fullmatch(r"\d+", tick) for tick in ticks), ticks
    assert len(set(ticks)) == len(ticks)


def test_quarters_of_an_epoch_keep_their_ticks() -> None:
    svg = figures.curves({"run": ([0.25, 0.5, 0.75, 1.0], [0.1, 0.2, 0.3, 0.4])}, "epoch", "UW probability")
    assert ">0.4<" in svg.replace("0.40", "0.4")


def test_a_log_that_is_no_model_of_the_report_takes_no_model_s_colour() -> None:
    order = [f"m{i}" for i in range(8)]
    styles = [Style.of(order, name, 0) for name in order]
    assert [style.color for style in styles] == list(PALETTE)
    log = Style.of(order, "retain model (log)", 8)
    assert log.dashed
    assert log.color not in PALETTE
    more = [f"m{i}" for i in range(16)]
    assert len({(s.color, s.marker) for s in (Style.of(more, name, 0) for name in more)}) == 16


def test_names_of_every_script_are_drawn_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = figures.curves({"日本語のモデル": ([1, 2], [1, 2]), "مدل": ([1, 2], [1, 2])}, "step", "loss")
    assert "日本語のモデル" in svg
    assert "مدل" in svg


def test_the_front_has_the_points_that_none_beats_on_both_axes() -> None:
    points = [(0.2, 0.9), (0.5, 0.5), (0.4, 0.4), (0.9, 0.1), (0.5, 0.5)]
    assert figures.front(points) == [(0.2, 0.9), (0.5, 0.5), (0.5, 0.5), (0.9, 0.1)]
    assert figures.front([(0.2, 0.2), (0.9, 0.9)]) == [(0.9, 0.9)]
