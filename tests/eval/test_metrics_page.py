"""docs/metrics.md: each definition with its source, in sentences of at most 27 words."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
LONGEST = 27


def tables() -> list[list[list[str]]]:
    """The page's tables, as rows of cells."""
    groups = groupby(PAGE.splitlines(), key=lambda line: line.startswith("|"))
    return [[[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] for table, lines in groups if table]


def test_every_definition_names_its_source() -> None:
    defined = [table for table in tables() if table[0][0] in ("number", "attack")]
    assert len(defined) > 12
    assert [table[0] for table in defined if table[0][-1] != "source"] == []
    assert [row[0] for head, _, *rows in defined for row in rows if len(row) != len(head) or not row[-1]] == []


def test_no_sentence_is_too_long() -> None:
    text = re.sub("```.*?```", "", PAGE, flags=re.S)
    units = [cell for table in tables() for row in table for cell in row]
    units += [part for part in re.split(r"\n\s*\n|\n(?=[-#|] ?)", text) if not part.lstrip().startswith("|")]
    sentences = [sentence for unit in units for sentence in re.split(r"(?<=[.!?])\s+", " ".join(unit.split()))]
    assert len(sentences) > 300
    assert [sentence for sentence in sentences if len(re.findall(r"[\w`'.-]+", sentence)) > LONGEST] == []
