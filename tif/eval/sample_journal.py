"""Finished samples on disk, prompt by prompt: a killed evaluation continues with the next prompt.

One JSON line has the samples of one prompt, from the first that was missing, and a seal. A line that is incomplete or
damaged is skipped, and its prompt sampled again. Several processes write files of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from tif import files
from tif.errors import InputError
from tif.eval import processes
from tif.seal import sealed, unsealed_line


class SampleJournal:
    """The samples of some prompts.

    Args:
        folder: the folder of the parts cache; None keeps nothing.
        name: name of the part.
        keys: for each prompt, everything that determines its samples, except their number.
    """

    def __init__(self, folder: Path | None, name: str, keys: Sequence[object]) -> None:
        self._folder, self._name = folder, name
        self._keys = [hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest() for key in keys]
        stored = processes.agree(self._read() if processes.main() else {})
        self.samples: list[list[str]] = [list(stored.get(key, ())) for key in self._keys]

    def add(self, prompt: int, texts: Sequence[str]) -> None:
        """Keep further samples of a prompt, given by its index."""
        line = {"key": self._keys[prompt], "first": len(self.samples[prompt]), "texts": list(texts)}
        self.samples[prompt] += texts
        if self._folder is None:
            return
        path = self._folder / f"{self._name}.{os.environ.get('RANK', '0')}.jsonl"
        with files.writing(path), path.open("ab") as lines:
            # A line that a kill left incomplete must not swallow this one.
            lines.write(b"\n" + json.dumps(sealed(line)).encode() + b"\n")

    def _read(self) -> dict[str, list[str]]:
        samples: dict[str, list[str]] = {key: [] for key in self._keys}
        if self._folder is None:
            return samples
        for path in sorted(self._folder.glob(f"{self._name}.*.jsonl")):
            for line in path.read_bytes().split(b"\n"):
                try:
                    row = unsealed_line(line)
                    own, first, texts = samples[row["key"]], row["first"], row["texts"]
                except (InputError, KeyError, TypeError):
                    continue  # incomplete, damaged, or of other prompts
                # A prompt that two evaluations sampled at the same time has the same samples twice.
                if first <= len(own):
                    own += texts[len(own) - first :]
        return samples


__all__ = ["SampleJournal"]
