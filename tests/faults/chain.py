"""A chain of all files that tif writes: a set of two versions, journals, a run with checkpoints, an evaluation."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from tests.eval.conftest import make_llama, make_row, make_tokenizer
from tif.annotate.journal import AnnotationJournal
from tif.annotate.judge.cache import JudgeCache, Usage
from tif.edit.desk import open_desk
from tif.edit.edits import Op
from tif.eval.sample_journal import SampleJournal
from tif.sets import store
from tif.spans import AnnotationSet

CHAT = (
    "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}</s>{% else %} {% endif %}{% endfor %}"
)
ROWS = [make_row(index, plain=True) for index in range(4)]
METHOD = {"name": "invented"}
SPENT = Usage(requests=5, prompt_tokens=1234, completion_tokens=321, cached_replies=2)
PROMPTS = [row.question for row in ROWS]


def build(root: Path) -> None:
    """Write the chain into an empty folder, which must be the current one."""
    from tif.eval.evaluate import evaluate
    from tif.eval.options import EvaluateOptions
    from tif.train.options import TrainOptions
    from tif.train.run import train

    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    tokenizer = make_tokenizer()
    tokenizer.chat_template = CHAT
    make_llama(len(tokenizer)).save_pretrained("start")
    tokenizer.save_pretrained("start")
    examples = [row.texts()[0] for row in ROWS]
    first = store.save(AnnotationSet(tuple(examples)), "people.parquet", author="ada")
    corrected = first.replaced([replace(first.examples[0], status="accepted")])
    store.save(corrected, "people.parquet", author="bo", message="looked at one")
    options = {"masks": "people.parquet", "model": "start", "out": "run", "objective": "npo", "cpu": True}
    train(TrainOptions(**options, max_steps=2, save_steps=1, keep_checkpoints=2))
    with AnnotationJournal(Path("journals"), METHOD) as journal:
        for example in examples:
            journal.add(example)
    with open_desk(Path("people.parquet"), "mara") as desk:
        for number, example in enumerate(examples):
            desk.do(example.id, 0, Op("toggle", number, number))
            desk.do(example.id, 1, Op("accept"))
    Path("samples").mkdir()
    samples = SampleJournal(Path("samples"), "leak", PROMPTS)
    for number, row in enumerate(ROWS):
        samples.add(number, [row.answer, row.answer.upper()])
    cache = JudgeCache(Path("judge.sqlite"), "run")
    for row in ROWS:
        cache.put(row.question, row.answer, "stop")
    cache.count(SPENT)
    cache.flush()
    cache.close()
    lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in ROWS]
    Path("forget.jsonl").write_text("\n".join(lines))
    evaluate(EvaluateOptions(model="run", benchmark="local", forget="forget.jsonl", max_new_tokens=4))


__all__ = ["METHOD", "PROMPTS", "ROWS", "SPENT", "build"]
