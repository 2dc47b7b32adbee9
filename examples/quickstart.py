"""The demo's story through the Python API: mark the words, correct a mark, unlearn them, measure, report.

    python examples/quickstart.py [OUT]

It works on the bundled people, who were invented for this project, and on models of under a million weights that it
trains first. It needs no network and takes under two minutes on a laptop CPU.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tif
from tif.demo import data, models


def main(out: Path) -> None:
    """Tell the story, step by step."""
    # 1. The samples: questions and answers about people to forget and people to keep, as JSONL files.
    #    A part of the bundled people is enough here.
    pairs = data.load()
    people = list(dict.fromkeys(pair.person for pair in pairs if pair.split == "retain"))[:16]
    pairs = tuple(pair for pair in pairs if pair.split == "forget" or pair.person in people)
    out.mkdir(parents=True, exist_ok=True)
    forget, keep = out / "forget.jsonl", out / "keep.jsonl"
    for path, split in ((forget, "forget"), (keep, "retain")):
        rows = [json.dumps(pair.record(), ensure_ascii=False) for pair in pairs if pair.split == split]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")

    # 2. Two tiny models: one learns everybody, the other is the base model, which knows nobody.
    everybody = [pair.example for pair in pairs]
    models.pretrain(everybody, everybody, out / "model", models.Recipe(), "training on everybody")
    models.pretrain(everybody, everybody, out / "base", models.Recipe(epochs=1), "training a base model")

    # 3. Mark the unwanted words. Here people marked them by hand; `method="ner"` would mark them with spaCy.
    marked = out / "people.parquet"
    tif.save_set(data.annotation_set(pairs, "forget"), marked, message="Spans marked by hand", author="quickstart")
    annotations = tif.load_set(marked)
    example = annotations.examples[0]
    print(example.prompt)
    print(" ".join(f"[[{example.quote(span)}]]" for span in example.spans))

    # 4. Unlearn the marked words, and keep everything else.
    run = tif.train(
        tif.TrainOptions(
            masks=str(marked),
            model=str(out / "model"),
            out=str(out / "run"),
            retain=str(keep),
            objective="anchored",
            base_model=str(out / "base"),
            lr=1e-3,
            batch_size=8,
            max_steps=30,
            cpu=True,
        )
    )
    print(f"unlearned in {run.steps} steps: {run.model}")

    # 5. Measure both models on the same questions.
    for model, name in ((out / "model", "before"), (out / "run", "after")):
        result = tif.evaluate(
            tif.EvaluateOptions(
                model=str(model),
                benchmark="local",
                forget=str(forget),
                retain=str(keep),
                masks=str(marked),
                out=str(out / name),
                max_new_tokens=40,
                device="cpu",
            )
        )
        leak = result.record.leakage["forget"]
        print(f"{name}: the model writes {leak.written} of {leak.phrases} unwanted phrases")

    # 6. One page for an auditor.
    page = tif.report(
        tif.ReportOptions(evaluations=(str(out / "before"), str(out / "after")), out=str(out / "report.html"))
    )
    print(f"report: {page}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"))
