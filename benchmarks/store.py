"""A large annotation set: seconds and peak memory of opening it, comparing two versions, and saving one change.

    python benchmarks/store.py [--examples 1000000] [--json]

Samples are random words of TOFU's lengths, two spans each. Each task runs in a process of its own; its peak memory is
the process's peak resident set less what importing tif takes, as a multiple of the parquet file's size.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tif.console import say
from tif.sets import compare, store
from tif.spans import AnnotationSet, Example, Span

TASKS = ("open", "diff", "save")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", choices=("make", *TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        print(json.dumps(run(given.task, given.path, given.examples)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.parquet"

        def do(task: str) -> dict[str, float]:
            say(task)
            command = [sys.executable, __file__, "--task", task, "--path", str(path), "--examples", str(given.examples)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            found: dict[str, float] = json.loads(done.stdout)
            return found

        do("make")
        size = path.stat().st_size
        tasks = {task: do(task) for task in TASKS}
    found = {
        "examples": given.examples,
        "file_bytes": size,
        "tasks": tasks,
        "ratios": {task: round(values["peak_bytes"] / size, 1) for task, values in tasks.items()},
    }
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{given.examples:,} examples, {size / 2**20:.0f} MiB of parquet")
    for task, values in tasks.items():
        peak = values["peak_bytes"] / 2**20
        print(f"{task:5} {values['seconds']:6.1f} s {peak:8.0f} MiB {found['ratios'][task]:6.1f} times the file")


def run(task: str, path: Path, count: int) -> dict[str, float]:
    before, began = _peak(), time.perf_counter()
    if task == "make":
        made = store.save(AnnotationSet(tuple(samples(count))), path, message="one")
        store.save(changed(made), path, message="two")
    elif task == "open":
        assert len(store.load(path)) == count
    elif task == "diff":
        assert len(compare.diff(store.load(f"{path}@1"), store.load(path))) == 1
    else:
        saved = store.save(changed(store.load(path)), path, message="three")
        assert saved.version.number == 3
    return {"seconds": round(time.perf_counter() - began, 2), "peak_bytes": _peak() - before}


def changed(annotations: AnnotationSet) -> AnnotationSet:
    """The set with one span less."""
    one = annotations.examples[len(annotations) // 2]
    return annotations.replaced([one.with_spans(one.spans[1:], status="corrected")])


def samples(count: int) -> Iterator[Example]:
    draw = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 10))) for _ in range(20_000)]
    for index in range(count):
        prompt = " ".join(draw.choices(words, k=14)) + "?"
        answer = draw.choices(words, k=30)
        starts = [sum(len(word) + 1 for word in answer[:at]) for at in (3, 17)]
        spans = [Span(start, start + len(answer[at])) for start, at in zip(starts, (3, 17), strict=True)]
        yield Example(f"large/{index:07d}", prompt, " ".join(answer) + ".", tuple(spans))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
