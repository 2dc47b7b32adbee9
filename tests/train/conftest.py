"""A tiny pretrained model, an annotation set and samples to keep, on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tokens import tiny
from tif.sets import store
from tif.spans import AnnotationSet
from tif.train.objectives import OBJECTIVES
from tif.train.options import TrainOptions


@dataclass(frozen=True)
class Workshop:
    """Where everything lies."""

    root: Path
    model: Path
    masks: Path
    retain: Path

    def needed(self, objective: str) -> dict[str, Any]:
        """The changes with which an objective trains here."""
        needs = OBJECTIVES[objective].needs
        changes: dict[str, Any] = {"base_model": str(self.model)} if "base" in needs else {}
        if "alternates" in needs:
            changes["alternates"] = str(self.alternates())
        if objective in ("ga", "ceu"):
            changes["retain"] = None
        return changes | ({"rmu_layer": 1} if objective == "rmu" else {})

    def alternates(self) -> Path:
        """Another answer to each question of the forget set, in a file."""
        file = self.root / "alternates.jsonl"
        rows = [{"question": e.prompt, "answer": f"It was number {i}."} for i, e in enumerate(tiny.examples())]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    def config(self, out: str, **changes: Any) -> TrainOptions:
        """Four steps with samples to keep, unless changed."""
        usual = {"masks": self.masks, "model": self.model, "out": self.root / out, "retain": self.retain}
        given = {k: str(v) for k, v in usual.items()} | {
            "max_steps": 4,
            "batch_size": 2,
            "lr": 1e-3,
            "cpu": True,
            "beta": 0.3,
        }
        return TrainOptions(**(given | changes))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    masks = tmp_path / "people.parquet"
    store.save(AnnotationSet(tuple(tiny.examples())), masks)
    retain = tmp_path / "retain.jsonl"
    rows = [
        {"question": f"What grows in garden {i}?", "answer": f"In garden {i} grow {'tall ' * i}beans."}
        for i in range(5)
    ]
    retain.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Workshop(tmp_path, model, masks, retain)
