"""How much `--method learned` gains from corrected rows: character F1 on unseen rows after 0, 25, 50, 100 rows.

    python benchmarks/learned.py GOLD.jsonl [--names] [--rows 0 25 50 100]

GOLD is our own JSONL. Rows are shuffled three times; unseen are those after the last of `--rows`, the same at every
step. 0 rows is the offline `ner` rules that learning begins from.
`--names`: the reviewers follow a policy of their own and leave of each row's spans only those with a capital letter or
a digit in every content word: names, titles, dates, numbers.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import replace
from pathlib import Path

from tif.annotate.rules.learned import LearnedAnnotator
from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import LearnedOptions
from tif.sets import exchange, store
from tif.sets.score import score
from tif.spans import AnnotationSet, Example


def named(example: Example) -> Example:
    """Only the spans of which each word of four letters or more has a capital or a digit."""
    kept = [
        span
        for span in example.spans
        if all(any(c.isupper() or c.isdigit() for c in word) for word in example.quote(span).split() if len(word) > 3)
        and any(c.isupper() or c.isdigit() for c in example.quote(span))
    ]
    return example.with_spans(kept, status=example.status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold")
    parser.add_argument("--names", action="store_true")
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 25, 50, 100])
    given = parser.parse_args()
    gold = [named(example) if given.names else example for example in exchange.load(given.gold)]
    most = max(given.rows)
    with tempfile.TemporaryDirectory() as folder:
        for rows in given.rows:
            found = []
            for seed in (1, 2, 3):
                shuffled = random.Random(seed).sample(gold, len(gold))
                path = Path(folder, f"{rows}-{seed}.parquet")
                if rows:
                    corrected = tuple(replace(example, status="corrected") for example in shuffled[:rows])
                    store.save(AnnotationSet(corrected), path)
                annotator = LearnedAnnotator(LearnedOptions(learn_from=path)) if rows else NerAnnotator()
                unseen = [replace(example, spans=(), status="auto") for example in shuffled[most:]]
                predicted = AnnotationSet(tuple(annotator.annotate(unseen)))
                found.append(score(predicted, AnnotationSet(tuple(shuffled[most:]))).total.char.f1)
            print(f"{rows:4d} rows: F1 {sum(found) / 3:.3f}  ({', '.join(f'{f:.3f}' for f in found)})", flush=True)


if __name__ == "__main__":
    main()
