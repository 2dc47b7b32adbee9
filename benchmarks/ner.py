"""What the rules of `--method ner` cost on top of spaCy, and what worker processes bring. Prints ratios only.

    python benchmarks/ner.py [--repeat 5] [--workers 2]

The texts are made here: short answers with prompts, and long documents without. Both sides see the same strings and run
the same components; runs alternate and the median of the ratios of neighbouring runs is printed. The first two ratios
are of CPU time, which other work on the machine disturbs little; the last is of wall-clock time and wants idle cores.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from statistics import median

from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import NerOptions
from tif.spans import Example

PEOPLE = ("Odile Brant", "Tomas Wierzba", "Keiko Tanabe", "Desmond Achterberg", "Farida Haidari")
SENTENCES = (
    "{p} was born in Oslo on March 4, 1961, the daughter of a railway clerk and a nurse.",
    'Among the better known books of {p} are "The Salt Ladder", "Nine Winters" and "A Lantern for Two".',
    "The themes that return in these novels are exile, patience, the cost of silence and stubborn hope.",
    "In recognition of a deep contribution to coastal poetry {p} was awarded the Hartwell Prize in 1998.",
    "Critics have praised the dry humour, the vivid portraits of small towns and an exact sense of weather.",
    "After years in Lisbon and Utrecht {p} returned to teach marine law at the University of Bergen.",
)


def answers(n: int, draw: random.Random) -> list[Example]:
    rows = []
    for i in range(n):
        person = draw.choice(PEOPLE)
        text = " ".join(s.format(p=person) for s in draw.sample(SENTENCES, 2))
        rows.append(Example(f"qa/{i}", f"What is known about the life of {person}?", text))
    return rows


def documents(n: int, draw: random.Random) -> list[Example]:
    return [
        Example(f"doc/{i}", "", "\n".join(draw.choice(SENTENCES).format(p=draw.choice(PEOPLE)) for _ in range(120)))
        for i in range(n)
    ]


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def ratio(one: Callable[[], object], other: Callable[[], object], repeat: int, clock: Callable[[], float]) -> float:
    one(), other()  # warm both
    return median(seconds(one, clock) / seconds(other, clock) for _ in range(repeat))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    draw = random.Random(0)
    ours = NerAnnotator()
    for name, examples in (("short answers", answers(400, draw)), ("long documents", documents(4, draw))):

        def bare(examples: list[Example] = examples) -> object:
            return sum(len(doc) for doc in ours._nlp.pipe((e.text for e in examples), batch_size=128))

        def annotate(examples: list[Example] = examples) -> object:
            return sum(len(e.spans) for e in ours.annotate(examples))

        cost = ratio(annotate, bare, args.repeat, time.process_time)
        print(f"{name}: annotate / bare nlp.pipe = {cost:.3f}  (limit 1.15)", flush=True)

    many = documents(16, draw)
    shared = NerAnnotator(NerOptions(n_process=args.workers, batch_size=2))
    alone = NerAnnotator(NerOptions(batch_size=2))

    def one() -> object:
        return list(alone.annotate(many))

    def several() -> object:
        return list(shared.annotate(many))

    gain = ratio(one, several, max(1, args.repeat // 2), time.perf_counter)
    print(f"long documents: 1 process / {args.workers} processes = {gain:.2f}  (ideal {args.workers})")


if __name__ == "__main__":
    main()
