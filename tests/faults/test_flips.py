"""A fast share of `make test-faults`: no flipped bit is taken for data, and `tif verify` names it in finished work."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import flips


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("empty")
def test_no_flipped_bit_is_taken_in_silence() -> None:
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for target, outcome, named in flips.run(255, seed=7):
        assert outcome != "silent", target.path
        assert named is not False or outcome == "survived", f"verify does not name {target.path}"
        counts[outcome] += 1
        kinds[target.kind] += 1
    assert counts["noticed"] > 150
    assert min(kinds.values()) >= 15
    assert len(kinds) == 15
