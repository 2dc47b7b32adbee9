"""The study of MUSE News: articles as plain text.

Forty articles are forgotten, and forty passages of MUSE's retain texts are kept. MUSE names no article for a question,
so a question is taken if its answer and most of its words stand in one article.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.claim.columns import Cell, Column, Demand, Measured, alone, leak, mean
from benchmarks.claim.data import write_worlds
from benchmarks.claim.plan import Experiment, Measurement, Plan, Study, World
from benchmarks.claim.rows import RETAIN_WEIGHT, controls, recipe, rival, with_options
from tif import files
from tif.errors import InputError, MissingError
from tif.readers import read_json
from tif.sources import find_local

CHOSEN: Final = "plain-phrase-line"
"""Without frames, which are for questions."""
SHORTEST: Final = 500
"""Characters of an article, at least."""
CONTINUED: Final = 500
"""Characters at the end of an article that VerbMem asks for, about."""
LONGEST_ASKED: Final = 5_000
"""Characters of an article that a question is about, at most: few of them are shorter."""
WORDS: Final = 0.75
"""Share of a question's words that its article contains, at least."""
SAMPLED: Final = 8
"""Articles of `eval` that are continued with random answers: the first ones."""
WINDOW: Final = 2_048
"""Tokens of a text that a model reads in training."""
_COMMON: Final = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "by", "did", "do", "does", "for", "from", "had", "has", "have", "her",
    "his", "how", "in", "is", "it", "its", "many", "much", "of", "on", "than", "that", "the", "their", "to", "was",
    "were", "what", "when", "where", "which", "who", "why", "with",
))  # fmt: skip
_WORD: Final = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Question:
    """A question of KnowMem."""

    question: str
    answer: str

    def about(self, text: str) -> bool:
        """Whether a text contains the answer and most of the question's words."""
        lower = text.lower()
        if self.answer.lower().strip(" .") not in lower:
            return False
        own = {word for word in _WORD.findall(self.question.lower()) if word not in _COMMON}
        return len(own.intersection(_WORD.findall(lower))) >= WORDS * len(own)


def passage(text: str, longest: int, questions: Sequence[Question]) -> str:
    """Return the first passage of complete paragraphs that a question is about, or else the first one.

    Args:
        text: a text that begins and ends within paragraphs.
        longest: characters of the passage, at most.
        questions: the questions.
    """
    passages: list[str] = []
    for paragraph in text.split("\n\n")[1:-1]:
        if passages and len(passages[-1]) + 2 + len(paragraph) <= longest:
            passages[-1] += "\n\n" + paragraph
        elif len(paragraph) <= longest:
            passages.append(paragraph)
    of_question = (each for each in passages if any(question.about(each) for question in questions))
    return next(of_question, passages[0] if passages else text[:longest])


def cut(e: Experiment) -> dict[str, int]:
    """Cut articles and passages out of MUSE's files, and write MUSE's own files for them.

    Raises:
        InputError: for files with too few texts.
    """
    plan = e.plan
    questions = {part: _questions(e, part) for part in ("forget", "retain")}
    articles = [text for text in _texts(e, "raw/forget") if SHORTEST <= len(text) <= LONGEST_ASKED]
    about = [text for text in articles if any(question.about(text) for question in questions["forget"])]
    chosen = [*about, *(text for text in articles if text not in about and len(text) <= plan.longest)]
    # The shortest first: random continuations are drawn from the first ones alone.
    forget: dict[World, list[str]] = {
        "eval": sorted(chosen[: plan.forget_rows], key=len),
        "dev": chosen[plan.forget_rows :][: plan.dev_rows],
    }
    kept = [passage(text, plan.longest, questions["retain"]) for text in _texts(e, "privleak/retain")]
    kept.sort(key=lambda text: not any(question.about(text) for question in questions["retain"]))
    kept = kept[: plan.retain_rows]
    others = [passage(text, plan.longest, ()) for text in _texts(e, "privleak/holdout")][: plan.forget_rows]
    if len(forget["dev"]) < plan.dev_rows or len(kept) < plan.retain_rows:
        raise InputError("has too few texts", where=str(e.data))
    asked = {"forget": forget["eval"], "retain": kept}
    for part, texts in asked.items():
        own = [each for each in questions[part] if any(each.about(text) for text in texts)]
        if not own:
            raise InputError("no question is about these texts", where=f"knowmem/{part}_qa")
        _write(e, f"knowmem/{part}_qa", [{"question": each.question, "answer": each.answer} for each in own])
        solved = e.asked("eval") / "knowmem" / f"{part}_qa_icl.json"
        shutil.copy(_path(e, f"knowmem/{part}_qa_icl"), solved)
    _write(e, "verbmem/forget", [_continued(text) for text in forget["eval"]])
    for part, texts in {**asked, "holdout": others}.items():
        _write(e, f"privleak/{part}", texts)
    worlds = {world: [{"text": text} for text in texts] for world, texts in forget.items()}
    return write_worlds(e, worlds, [{"text": text} for text in kept], known_dev=False)


def _continued(text: str) -> dict[str, str]:
    """Return a row of VerbMem: the article, and its last words."""
    at = text.rfind(" ", 0, max(len(text) - CONTINUED, len(text) // 2))
    return {"prompt": text[:at], "gt": text[at:].lstrip()}


def _path(e: Experiment, name: str) -> Any:
    path = find_local(name, e.data, "muse_news", "news")
    if path is None:
        raise MissingError(f"{name}.json is not in the data folder", hint="Give the folder with MUSE News as --data.")
    return path


def _texts(e: Experiment, name: str) -> list[str]:
    return [str(text) for text in read_json(_path(e, name))]


def _questions(e: Experiment, part: str) -> list[Question]:
    return [Question(row["question"], row["answer"]) for row in read_json(_path(e, f"knowmem/{part}_qa"))]


def _write(e: Experiment, name: str, rows: Sequence[Any]) -> None:
    files.write(e.asked("eval") / f"{name}.json", json.dumps(rows, ensure_ascii=False))


def _privleak(measured: Measured) -> Cell | None:
    numbers = measured.record.muse
    return alone(numbers.privleak if numbers else None)


def _continuations(measured: Measured) -> Cell | None:
    leakage = measured.record.leakage.get("forget")
    return alone(leakage.written / leakage.phrases if leakage and leakage.phrases else None)


def _rouge(part: str) -> Callable[[Measured], Cell | None]:
    return mean(part, "rougeL_f1")


COLUMNS: Final = (
    Column("VerbMem", "measure", _rouge("verbmem_forget")),
    Column("KnowMem", "measure", _rouge("knowmem_forget")),
    Column("KnowMem kept", "measure", _rouge("knowmem_retain")),
    Column("PrivLeak", "measure", _privleak),
    Column("phrases continued", "continue", _continuations),
    Column("leak", "sample", leak("cloze")),
    Column("leak relearned", "relearn", leak("cloze")),
    Column("UW", "continue", mean("forget", "uw_probability")),
    Column("GW", "continue", mean("forget", "gw_probability")),
    Column("retain", "continue", mean("retain", "probability")),
)
DEMANDS: Final = (
    Demand("VerbMem", above=0.02),
    Demand("KnowMem", above=0.02),
    Demand("phrases continued", above=0.02),
    Demand("leak", above=0.02),
    Demand("leak relearned", above=0.05),
    Demand("GW", least=0.90),
    Demand("retain", share=0.98),
    Demand("KnowMem kept", share=0.98),
)


def _measurements(plan: Plan) -> tuple[Measurement, ...]:
    usual: dict[str, Any] = {"max_new_tokens": plan.max_new_tokens}
    few: dict[str, Any] = {
        **usual, "limit": SAMPLED, "leak": plan.samples, "leak_forms": ("cloze",), "completions": False
    }  # fmt: skip
    return (
        Measurement(
            name="measure", folder="measured-{world}", benchmark="muse", options={"corpus": "news"}, marks=None,
            against=True,
        ),
        Measurement(
            name="continue", folder="continued-{world}", benchmark="set", marks="ner",
            options={**usual, "limit": 2 * SAMPLED}, keeps=True,
        ),
        Measurement(name="sample", folder="sampled-{world}", benchmark="set", options=few, marks="ner"),
        Measurement(
            name="relearn", folder="relearned-{world}", benchmark="set", marks="ner",
            options={**few, "attack": "relearn", "relearn_epochs": 3, "relearn_batch_size": 4},
        ),
    )  # fmt: skip


def _notes(plan: Plan) -> Iterator[str]:
    yield (
        f"**Data**: MUSE News. {plan.forget_rows} articles of {SHORTEST:,} to {plan.longest:,} characters, or to "
        f"{LONGEST_ASKED:,} if a question is about them, are forgotten. {plan.retain_rows} passages of MUSE's retain "
        f"texts are kept, and {plan.dev_rows} more articles are forgotten in the searches. Each is one window of "
        f"at most {WINDOW:,} tokens."
    )
    yield ("**Target**: the base model, fine-tuned on all of them. **Retain-only** never saw the forgotten articles.")
    yield (
        "**VerbMem**: MUSE's measure, for the last words of each forgotten article. **KnowMem**: MUSE's questions "
        "whose answer, and most of whose words, stand in one of the texts. MUSE names no article for a question. "
        "**PrivLeak**: forgotten articles against passages of MUSE's holdout texts, relative to the retain-only model."
    )
    yield (
        f"**phrases continued**: the share of unwanted phrases that the model writes after the words before them, in "
        f"the {2 * SAMPLED} shortest articles; UW, GW and retain are of as many. **leak**: the share of these prompts "
        f"whose {plan.samples} random continuations contain it, in the shortest {SAMPLED}. **leak relearned**: the "
        "same after three epochs of relearning on these articles (2e-5, batches of 4)."
    )
    yield (
        "**Spans**: MUSE has no gold spans. Every row is measured on the spans of `--method ner`, and trained on them "
        "unless its name says otherwise. So nothing here shows whether these are the right spans."
    )
    yield (
        f"**Tuning**: `tif tune` tries {', '.join(plan.grid)} for each method, on articles that are not evaluated. "
        f"Every row has retain samples of weight {RETAIN_WEIGHT:g} and {plan.train['epochs']:g} epochs."
    )
    yield f"**anchored** is the recipe `{CHOSEN}` of `benchmarks/claim/rows.py`."


PLAN: Final = Plan(
    name="muse",
    seeds=(0,),
    forget_rows=40,
    dev_rows=8,
    retain_rows=40,
    measured_rows=40,
    gold=False,
    aim="proxy",
    learn_epochs=4,
    batch=4,
    micro=4,
    train={"epochs": 5.0, "max_length": WINDOW},
)
_BEST: Final = with_options(recipe(CHOSEN), floor_steps=10)
"""Ten steps of the floor's proxy read each passage twice, as many tokens as forty steps on questions."""
ROWS: Final = (
    _BEST,
    rival("npo", "NPO + retain"),
    rival("graddiff", "GradDiff"),
    rival("simnpo", "SimNPO + retain"),
    rival("tpo", "TPO + retain"),
    *controls(_BEST, gold=False),
)


def study(plan: Plan = PLAN) -> Study:
    """Return the study of MUSE News."""
    return Study(
        title="MUSE: news articles", plan=plan, cut=cut, rows=ROWS, chosen=CHOSEN, measurements=_measurements(plan),
        columns=COLUMNS, demands=DEMANDS, notes=_notes,
    )  # fmt: skip


__all__ = ["PLAN", "ROWS", "Question", "cut", "passage", "study"]
