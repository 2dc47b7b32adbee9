"""How general the rules of `--method ner` for answers are: five-fold selection of the rules over authors.

    python benchmarks/ner_folds.py GOLD.jsonl [--folds 5] [--rows-per-author 20]

GOLD is our own JSONL, the rows of an author next to each other, as in TOFU. For each fold, rules are dropped one by one
as long as this raises character F1 on the other folds' authors. The rules that remain are measured on the fold's own
authors. The last figure adds the counts of all folds. It also lists how often each rule was dropped.

Rules and points were written with all rows in view, so the figure is still above that of rows which nobody saw.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.scorecard import BASE, RULES, candidates
from tif.sets import exchange
from tif.spans import Example


def table(gold: list[Example]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    annotator = NerAnnotator()
    applies, letters, hits, rows, wanted = [], [], [], [], []
    for row, (example, parsed) in enumerate(annotator.parsed(gold)):
        if isinstance(parsed, str):
            raise SystemExit(f"{example.id}: {parsed}")
        marked = {i for span in gold[row].spans for i in range(span.start, span.end) if example.text[i].isalnum()}
        wanted.append(len(marked))
        for candidate in candidates(*parsed):
            inside = [i for i in range(candidate.phrase.start, candidate.phrase.end) if example.text[i].isalnum()]
            applies.append([rule(candidate) for _, rule in RULES])
            letters.append(len(inside))
            hits.append(len(marked.intersection(inside)))
            rows.append(row)
    return np.array(applies, float), np.array(letters), np.array(hits), np.array(rows), np.array(wanted)


def counts(
    applies: np.ndarray, letters: np.ndarray, hits: np.ndarray, wanted: int, points: np.ndarray
) -> tuple[int, int, int]:
    chosen = BASE + applies @ points > 0
    return int(hits[chosen].sum()), int(letters[chosen].sum()), wanted


def f1(hit: int, predicted: int, gold: int) -> float:
    return 2 * hit / (predicted + gold)


def selected(applies: np.ndarray, letters: np.ndarray, hits: np.ndarray, wanted: int) -> np.ndarray:
    """Return the points of the rules, with 0 for each rule whose loss raises F1, the most harmful first."""
    points = np.array([points for points, _ in RULES])
    best = f1(*counts(applies, letters, hits, wanted, points))
    while True:
        trials = []
        for number in np.flatnonzero(points):
            fewer = points.copy()
            fewer[number] = 0
            trials.append((f1(*counts(applies, letters, hits, wanted, fewer)), number))
        most, number = max(trials)
        if most <= best:
            return points
        best = most
        points[number] = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows-per-author", type=int, default=20)
    given = parser.parse_args()
    gold = list(exchange.load(given.gold))
    applies, letters, hits, rows, wanted = table(gold)
    fold_of = np.arange(len(gold)) // given.rows_per_author % given.folds
    everything = np.array([points for points, _ in RULES])
    print(f"all rules, all rows: F1 {f1(*counts(applies, letters, hits, int(wanted.sum()), everything)):.3f}")
    total = np.zeros(3, int)
    dropped: Counter[str] = Counter()
    for fold in range(given.folds):
        mine, own = fold_of == fold, fold_of[rows] == fold
        points = selected(applies[~own], letters[~own], hits[~own], int(wanted[~mine].sum()))
        gone = [rule.__name__ for (_, rule), kept in zip(RULES, points, strict=True) if not kept]
        dropped.update(gone)
        here = counts(applies[own], letters[own], hits[own], int(wanted[mine].sum()), points)
        total += here
        print(f"fold {fold + 1}: F1 {f1(*here):.3f}, without {', '.join(gone) or 'no rule'}")
    print(f"cross-validated: P {total[0] / total[1]:.3f}, R {total[0] / total[2]:.3f}, F1 {f1(*map(int, total)):.3f}")
    for name, times in dropped.most_common():
        print(f"  {name}: dropped in {times} of {given.folds}")


if __name__ == "__main__":
    main()
