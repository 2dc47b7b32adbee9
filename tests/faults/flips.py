"""Flip random bits in every kind of file that tif writes, and count what each reader makes of it.

    python -m tests.faults.flips --flips 10000

A flip is **noticed** if the reader reports damage, leaves the damaged part out, or computes it again. It is
**survived** if the reader returns what was written, for example because the bit is padding. It is **silent** if the
reader returns anything else without a word. A file that a finished work needs must also be named by `tif verify`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pyarrow.parquet as pq

from tests.faults.chain import METHOD, PROMPTS, ROWS, build
from tif.annotate.journal import AnnotationJournal
from tif.annotate.judge.cache import JudgeCache
from tif.edit.journal import Journal
from tif.edit.session import Session
from tif.errors import TifError
from tif.eval import parts
from tif.eval.record import EVAL_FILE, EvalRecord
from tif.eval.sample_journal import SampleJournal
from tif.eval.verify import verify_evaluation, verify_run
from tif.records import COMPLETE, RUN_FILE, RunRecord
from tif.seal import Check, compare, damage
from tif.sets import metadata, store
from tif.sets.verify import verify_set
from tif.train import reference

Outcome = Literal["noticed", "survived", "silent"]

RUN: Final = Path("run")
EVALUATION: Final = Path("run/eval")
HEAD: Final = Path("people.parquet")


@dataclass(frozen=True)
class Target:
    """One file, and how tif reads it."""

    kind: str
    path: Path
    read: Callable[[], object]
    """Returns everything that tif takes from the file."""
    verify: Callable[[], Sequence[Check]] | None = None
    """What `tif verify` does for the work that needs the file; None for journals, caches and checkpoints."""


def targets() -> list[Target]:
    """Return every file of the chain in the current folder that tif reads again."""
    run, evaluation = RunRecord.read(RUN / RUN_FILE), EvalRecord.read(EVALUATION)
    newest = Path("run/checkpoints/checkpoint-2")
    listed = [
        Target("set", HEAD, lambda: _set(str(HEAD)), lambda: verify_set(HEAD)),
        Target("sidecar", metadata.sidecar(HEAD), _sidecar, lambda: verify_set(HEAD)),
        Target("run record", RUN / RUN_FILE, lambda: RunRecord.read(RUN / RUN_FILE), lambda: verify_run(RUN)),
        Target("evaluation record", EVALUATION / EVAL_FILE, lambda: EvalRecord.read(EVALUATION),
               lambda: verify_evaluation(EVALUATION)),
        Target("annotation journal", next(Path("journals").glob("*.jsonl")), _annotated),
        Target("edit journal", store.folder(HEAD) / "edit.jsonl", _edited),
        Target("samples", next(Path("samples").glob("*.jsonl")), _sampled),
        Target("judge's replies", Path("judge.sqlite"), _replied),
        Target("judge's counts", Path("judge.sqlite"), _counted),
    ]  # fmt: skip
    for number, file in enumerate(store.version_files(HEAD), start=1):
        listed.append(Target("version", file, lambda n=number: _set(f"{HEAD}@{n}"), lambda: verify_set(HEAD)))
    for name in run.outputs:
        listed.append(Target("model and log", RUN / name, lambda n=name: _listed(RUN, run.outputs, n),
                             lambda: compare(RUN, run.outputs)))  # fmt: skip
    for name in evaluation.files:
        listed.append(Target("evaluation's files", EVALUATION / name,
                             lambda n=name: _listed(EVALUATION, evaluation.files, n),
                             lambda: compare(EVALUATION, evaluation.files)))  # fmt: skip
    for part in sorted((EVALUATION / "parts").glob("*.parquet")):
        key = pq.read_schema(part).metadata[b"tif.eval.key"].decode()
        listed.append(Target("parts", part, lambda part=part, key=key: _part(part, key)))
    listed += [Target("checkpoint", path, lambda: _checkpoint(newest)) for path in sorted(newest.iterdir())]
    listed += [Target("reference scores", path, lambda path=path: _scores(path))
               for path in sorted(Path("cache/tif/reference").glob("*.safetensors"))]  # fmt: skip
    return listed


def _set(ref: str) -> object:
    saved = store.load(ref)
    return saved.examples, saved.version, saved.provenance


def _sidecar() -> object:
    path = metadata.sidecar(HEAD)
    return metadata.parse(path.read_bytes(), path)


def _listed(folder: Path, files: Mapping[str, str], name: str) -> object:
    if named := [check for check in compare(folder, files) if not check.passed]:
        raise TifError(named[0].line())
    return name


def _annotated() -> object:
    samples = [row.texts()[0] for row in ROWS]
    with AnnotationJournal(Path("journals"), METHOD) as journal:
        return journal.read(samples)


def _edited() -> object:
    journal = Journal(store.folder(HEAD) / "edit.jsonl")
    recorded = journal.read()
    if recorded is None:
        raise TifError("no line can be read")
    session = Session(store.load(HEAD), recorded.header.flagged)
    count = journal.replay(recorded, session)
    return recorded.header, count, session.result().examples


def _sampled() -> object:
    samples = SampleJournal(Path("samples"), "leak", PROMPTS).samples
    if not all(samples):
        raise TifError("is sampled again")
    return samples


def _replied() -> object:
    with closing(JudgeCache(Path("judge.sqlite"), "run")) as cache:
        replies = [cache.get(row.question) for row in ROWS]
    if not all(replies):
        raise TifError("is requested again")
    return replies


def _counted() -> object:
    with closing(JudgeCache(Path("judge.sqlite"), "run")) as cache:
        return cache.usage()


def _part(path: Path, key: str) -> object:
    stored = parts._stored(path, key)
    if stored is None:
        raise TifError("is computed again")
    return stored.to_pydict()


def _checkpoint(folder: Path) -> object:
    if (named := damage(folder, COMPLETE)) is not None:
        raise TifError(named)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != COMPLETE}


def _scores(path: Path) -> object:
    scores = reference._stored(path)
    if scores is None:
        raise TifError("is computed again")
    return scores.dtype, scores.tolist()


def flip(target: Target, written: object, dice: random.Random) -> tuple[Outcome, bool | None]:
    """Flip one bit of a file, read it, and put the file back as it was.

    Args:
        target: the file.
        written: what its reader returns for the undamaged file.
        dice: chooses the bit.

    Returns:
        What the reader made of it, and whether `tif verify` names it; None if verify does not look at the file.
    """
    whole = target.path.read_bytes()
    around = {path: path.read_bytes() for path in target.path.parent.glob("*.jsonl")}
    damaged = bytearray(whole)
    damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    target.path.write_bytes(damaged)
    told = io.StringIO()
    named = None
    try:
        if target.verify is not None:
            named = any(not check.passed for check in target.verify())
        with contextlib.redirect_stderr(told):
            try:
                read = target.read()
            except TifError:
                return "noticed", named
        if told.getvalue():
            return "noticed", named
        return ("survived" if read == written else "silent"), named
    finally:
        for path in target.path.parent.glob("*"):
            if "damaged" in path.name:
                path.unlink()
        for path, data in around.items():
            path.write_bytes(data)
        target.path.write_bytes(whole)


def run(flips: int, seed: int) -> Iterator[tuple[Target, Outcome, bool | None]]:
    """Build the chain in the current folder and flip bits, every kind of file equally often."""
    build(Path.cwd())
    kinds: dict[str, list[Target]] = {}
    for target in targets():
        if target.path.stat().st_size:
            kinds.setdefault(target.kind, []).append(target)
    written = {target: target.read() for group in kinds.values() for target in group}
    dice = random.Random(seed)
    for number in range(flips):
        target = dice.choice(kinds[list(kinds)[number % len(kinds)]])
        yield (target, *flip(target, written[target], dice))


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of the counts. The exit code is 1 if any flip was taken in silence, or not named by verify."""
    parser = argparse.ArgumentParser(description="Flip random bits in every kind of file that tif writes.")
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop earlier, after so many seconds")
    given = parser.parse_args(argv)
    counts: dict[str, Counter[str]] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for target, outcome, named in run(given.flips, given.seed):
            count = counts.setdefault(target.kind, Counter())
            count.update(["tried", outcome])
            if outcome == "silent" or (named is False and outcome != "survived"):
                count["unnamed"] += named is False
                print(f"{target.path}: {outcome}, named by verify: {named}", file=sys.stderr)
            if time.monotonic() - began > given.seconds:
                break
        os.chdir("/")
    columns = ("tried", "noticed", "survived", "silent", "unnamed")
    print(f"{'':<22}" + "".join(f"{column:>10}" for column in columns))
    total: Counter[str] = Counter()
    for kind, count in counts.items():
        total.update(count)
        print(f"{kind:<22}" + "".join(f"{count[column]:>10}" for column in columns))
    print(f"{'all':<22}" + "".join(f"{total[column]:>10}" for column in columns))
    return int(bool(total["silent"] or total["unnamed"]))


if __name__ == "__main__":
    sys.exit(main())
