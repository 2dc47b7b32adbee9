"""The page's colours can be told from one another, and read, in light and in dark: computed from the style sheet."""

import re
from importlib.resources import files

import pytest

STATIC = files("tif.edit") / "static"
CSS = (STATIC / "edit.css").read_text(encoding="utf-8")


def colours(scheme):
    """Every custom property, and the background and line of each source's pattern."""
    pick = {"light": 1, "dark": 2}[scheme]
    pair = r"light-dark\((#\w{6}), (#\w{6})\)"
    found = {m[1]: m[1 + pick] for m in re.finditer(rf"--([\w-]+): {pair};", CSS)}
    for m in re.finditer(rf"^\.(s\d) \{{ background: {pair}; border-color: {pair};", CSS, re.MULTILINE):
        found[m[1]] = m[1 + pick]
        found[f"{m[1]}-line"] = m[3 + pick]
    return found


def luminance(colour):
    """WCAG 2.2, relative luminance of an sRGB colour."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """WCAG 2.2, contrast ratio, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_what_the_standard_says():
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


SOURCES = [f"s{i}" for i in range(6)]
TEXT = [
    *(("ink", ground) for ground in ("ground", "sheet", "chosen", "unwanted", "hatch", *SOURCES)),
    *(("faint", ground) for ground in ("ground", "sheet")),
    *(("good", ground) for ground in ("ground", "sheet")),
    *(("bad", ground) for ground in ("ground", "sheet", "unwanted")),
    ("on-main", "main"),
    ("sheet", "ink"),
]
LINES = [*((f"{s}-line", ground) for s in SOURCES for ground in ("sheet", s)), ("main", "sheet"), ("bad", "unwanted")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("above", "below"), TEXT)
def test_text_can_be_read(scheme, above, below):
    known = colours(scheme)
    assert contrast(known[above], known[below]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("above", "below"), LINES)
def test_lines_that_mean_something_can_be_seen(scheme, above, below):
    known = colours(scheme)
    assert contrast(known[above], known[below]) >= 3


def test_every_source_has_a_line_of_its_own_besides_its_colour():
    patterns = re.findall(r"^\.s\d \{.*?border-style: ([\w ]+);", CSS, re.MULTILINE)
    assert len(patterns) == len(set(patterns)) == 6


def test_no_text_is_made_fainter_than_its_colour():
    """Opacity would lower the contrast that is computed here; what is disabled or loading is exempt."""
    faint = [line for line in CSS.splitlines() if re.search(r"[^-]opacity: ", line)]
    assert all("disabled" in line or "loading" in line for line in faint)
