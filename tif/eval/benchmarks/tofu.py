"""The TOFU benchmark, and any local one of the same form: which numbers, of what, how put together.

    splits = {"forget": rows, "retain": rows, ...}           tif.eval.benchmarks.questions
    found = evaluate(model, tokenizer, splits)
    found.examples["forget"][0]["uw_probability"]            per example first,
    found.parts["forget"]["uw_probability"]                  means second,
    found.model_utility                                      and the benchmark's two numbers.

A number that the data cannot give is None, and `reasons` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tif.eval import processes
from tif.eval.benchmarks.questions import UTILITY_PARTS, Row, annotate
from tif.eval.measure import leakage, measures, memorization
from tif.eval.measure.complete import complete, prompt_ids, rouge
from tif.eval.measure.leakage import Leakage
from tif.eval.measure.score import Scored, score
from tif.eval.parts import PartsCache
from tif.eval.record import Means
from tif.eval.settings import Scoring
from tif.spans import AnnotationSet, Example, canonical, of_labels, united
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OPTIONS: Final = ("real_authors", "world_facts")
"""Parts of questions with options: probability is normalised over these, and the answer is its own paraphrase."""

MEANS: Final = (
    "probability",
    "normalised_probability",
    "rouge1_recall",
    "rougeL_recall",
    "rougeL_f1",
    "loss",
    "exact_memorization",
    "extraction_strength",
    "uw_probability",
    "gw_probability",
    "uw_loss",
    "gw_loss",
    "uw_exact_memorization",
    "gw_exact_memorization",
    "uw_rank",
)
"""Columns of the per-example frames whose mean stands in `parts`."""


ExampleRow = dict[str, Any]
"""One example's columns: id, question, answer, completion and every number; None where there is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The numbers of one model."""

    examples: Mapping[str, list[ExampleRow]]
    """Rows by part."""
    parts: Mapping[str, Means]
    """Per part, the number of examples `n` and the mean of each number."""
    model_utility: float | None
    utility_parts: Mapping[str, float]
    scores: Mapping[str, Scored] = field(repr=False)
    """Per-token scores by text id (`Row.texts`), for heat maps and membership inference."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a number is None, by its name."""
    template: str = ""
    """What `auto` came to."""
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """Per part, how many unwanted phrases the model writes when asked."""


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Mapping[str, Sequence[Row]],
    *,
    annotations: AnnotationSet | None = None,
    settings: Scoring | None = None,
    cache: PartsCache | None = None,
) -> Evaluation:
    """Score and complete all rows, and compute every number.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        splits: rows by part. `forget`, `retain`, `real_authors` and `world_facts` have a meaning; others are measured
            all the same.
        annotations: spans of rows, matched by question and answer. Rows that carry spans need none.
        settings: see `Scoring`.
        cache: where finished parts are kept; None keeps nothing.
    """
    return evaluate_lazily(lambda: model, tokenizer, splits, annotations=annotations, settings=settings, cache=cache)


def evaluate_lazily(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    splits: Mapping[str, Sequence[Row]],
    *,
    annotations: AnnotationSet | None = None,
    settings: Scoring | None = None,
    cache: PartsCache | None = None,
) -> Evaluation:
    """`evaluate`, with a model that is loaded only if some part is not on the cache."""
    settings, cache = settings or Scoring(), cache or PartsCache(None, "")
    encoder = Encoder.of(tokenizer, settings.encoding)
    template = encoder.template
    if annotations is not None:
        splits = {part: annotate(rows, annotations) for part, rows in splits.items()}
    examples: dict[str, list[ExampleRow]] = {}
    scores: dict[str, Scored] = {}
    for part, rows in splits.items():
        groups = [row.texts() for row in rows]
        texts = [text for group in groups for text in group]
        key = [template.spec, settings.encoding.to_json(), [canonical(text).decode() for text in texts]]

        def scored(groups: Sequence[Sequence[Example]], part: str = part) -> list[list[Scored]]:
            some = [text for group in groups for text in group]
            light = {text.id for text in some if "#" in text.id}
            with processes.shown(f"scoring {part}", len(some)) as advance:
                done = iter(score(load(), encoder, some, light=light, budget=settings.budget, advance=advance))
            return [[next(done) for _ in group] for group in groups]

        def completed(rows: Sequence[Row], part: str = part) -> list[str]:
            prompts = [prompt_ids(row.texts()[0], tokenizer, template) for row in rows]
            with processes.shown(f"completing {part}", len(rows)) as advance:
                return complete(load(), tokenizer, prompts, max_new_tokens=settings.max_new_tokens, advance=advance)

        def all_scored(groups: Any = groups, scored: Any = scored) -> list[Scored]:
            return [one for group in processes.split(groups, scored) for one in group]

        def all_completed(rows: Any = rows, completed: Any = completed) -> list[str]:
            return processes.split(rows, completed)

        found = cache.scores(f"{part}.scores", key, all_scored)
        scores |= found
        said: Sequence[str | None] = [None] * len(rows)
        if settings.completions:
            asked = [template.spec, settings.max_new_tokens, [[row.question, row.answer] for row in rows]]
            said = cache.texts(f"{part}.completions", asked, all_completed)
        examples[part] = [_example(row, found, text, part, settings) for row, text in zip(rows, said, strict=True)]
    return replace(_put_together(examples, scores, settings), template=template.spec)


def _example(row: Row, scores: Mapping[str, Scored], said: str | None, part: str, settings: Scoring) -> ExampleRow:
    answer = scores[row.id]
    wrong = [scores[f"{row.id}#w{i}"].loss for i in range(len(row.perturbed))]
    right = [scores[f"{row.id}#p{i}"].loss for i in range(len(row.paraphrased))]
    if not right and part in OPTIONS:
        right = [answer.loss]
    found: ExampleRow = {
        "id": row.id,
        "question": row.question,
        "answer": row.answer,
        "subject": row.subject,
        "completion": said,
        "phrases": None,
        "phrases_written": None,
        "tokens": len(answer),
        "loss": answer.loss,
        "probability": float(measures.probability(answer.loss)),
        "normalised_probability": None,
        "truth_ratio": None,
        "exact_memorization": memorization.exact_memorization(answer),
        "extraction_strength": memorization.extraction_strength(answer),
        "rouge1_recall": None,
        "rougeL_recall": None,
        "rougeL_f1": None,
    }
    if wrong:
        found["normalised_probability"] = float(measures.normalised_probability([answer.loss], [wrong])[0])
    if wrong and right:
        found["truth_ratio"] = float(measures.truth_ratio([np.mean(right)], [wrong], average=settings.average)[0])
    if said is not None:
        found |= rouge(row.answer, said)
    there = row.annotated or bool(row.spans)
    if there:
        quotes = [row.answer[span.start : span.end] for span in united(of_labels(row.spans, settings.labels))]
        phrases = leakage.phrases(row.question, quotes)
        found["phrases"] = len(phrases)
        found["phrases_written"] = None if said is None else sum(leakage.written(said, phrases))
    for name, kind in (("uw", Kind.UW), ("gw", Kind.GW)):
        some = answer.of(kind)
        known = there and len(some) > 0
        found[f"{name}_tokens"] = len(some) if there else None
        found[f"{name}_loss"] = some.loss if known else None
        found[f"{name}_probability"] = float(measures.probability(some.loss)) if known else None
        found[f"{name}_exact_memorization"] = memorization.exact_memorization(some) if known else None
    uw = answer.of(Kind.UW)
    found["uw_rank"] = float(uw.rank.mean()) if found["uw_tokens"] else None
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in found.items()}


def _put_together(examples: dict[str, list[ExampleRow]], scores: Mapping[str, Scored], settings: Scoring) -> Evaluation:
    parts: dict[str, dict[str, float | int | None]] = {}
    reasons: dict[str, str] = {}
    leaks: dict[str, Leakage] = {}
    for part, rows in examples.items():
        if (counts := _leakage(rows)) is not None:
            leaks[part] = counts
        elif any(row["phrases"] for row in rows):
            reasons[f"{part}_leakage"] = "the model was not asked: the evaluation ran without completions"
        else:
            reasons[f"{part}_leakage"] = "no unwanted phrase is marked that the question does not already give"
        parts[part] = {"n": len(rows)} | {name: mean_of(rows, name) for name in MEANS}
        ratios = [row["truth_ratio"] for row in rows if row["truth_ratio"] is not None]
        summary = measures.truth_ratio_forget if part == "forget" else measures.truth_ratio_utility
        parts[part]["truth_ratio"] = summary(ratios) if ratios else None
        if not ratios:
            reasons[f"{part}_truth_ratio"] = "the data has no paraphrased and perturbed answers"
        elif len(ratios) < len(rows):
            reasons[f"{part}_truth_ratio"] = f"over {len(ratios)} of {len(rows)} rows: the others have no such answers"
        if parts[part]["uw_probability"] is None:
            reasons[f"{part}_uw_probability"] = "no row has unwanted words marked"
    utility: dict[str, float] = {}
    absent: list[str] = []
    for part in UTILITY_PARTS:
        chosen = "normalised_probability" if part in OPTIONS else "probability"
        for name, column in (("probability", chosen), ("rougeL_recall",) * 2, ("truth_ratio",) * 2):
            value = parts.get(part, {}).get(column)
            if value is None:
                absent.append(f"{part} {name}")
            else:
                utility[f"{part}_{name}"] = value
    if absent:
        why = "needs completions; " if not settings.completions else ""
        reasons["model_utility"] = f"{why}without {', '.join(absent)}"
    whole = None if absent else measures.model_utility(list(utility.values()))
    return Evaluation(
        examples=examples,
        parts=parts,
        model_utility=whole,
        utility_parts=utility,
        scores=scores,
        reasons=reasons,
        leakage=leaks,
    )


def _leakage(rows: Sequence[ExampleRow]) -> Leakage | None:
    return Leakage.of(
        leakage.Answer(phrases=row["phrases"], written=row["phrases_written"], subject=row["subject"])
        for row in rows
        if row["phrases_written"] is not None
    )


def mean_of(rows: Sequence[ExampleRow], column: str) -> float | None:
    """Mean over the examples that have this number; None if none has."""
    values = [row[column] for row in rows if row[column] is not None]
    return float(np.mean(values)) if values else None


__all__ = ["MEANS", "OPTIONS", "Evaluation", "ExampleRow", "evaluate", "evaluate_lazily", "mean_of"]
