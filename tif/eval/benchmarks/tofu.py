"""The TOFU benchmark, local benchmarks of the same form, and annotation sets: numbers per example and aggregated.

    splits = {"forget": rows, "retain": rows, ...}           tif.eval.benchmarks.questions
    result = evaluate(model, tokenizer, splits)
    result.examples["forget"][0]["uw_probability"]           one example's number,
    result.parts["forget"]["uw_probability"]                 the mean over a part,
    result.model_utility                                     and one of the benchmark's two numbers

A number is None if the data does not allow it. `reasons` explains why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tif.eval import processes
from tif.eval.benchmarks.continuing import Continuation, continuations
from tif.eval.benchmarks.questions import UTILITY_PARTS, Row, annotate
from tif.eval.completions import cached_completions
from tif.eval.measure import leakage, measures, memorization
from tif.eval.measure.complete import rouge
from tif.eval.measure.leakage import Leakage
from tif.eval.measure.score import Scored, score
from tif.eval.measure.verbatim import SpanLikelihood, Verbatim, verbatim
from tif.eval.parts import PartsCache
from tif.eval.record import Means
from tif.eval.settings import Scoring
from tif.spans import AnnotationSet, Example, of_labels, united
from tif.tokens.encoding import Encoder
from tif.tokens.generate import Asked, ask, end_ids, prompt_text, text_ids
from tif.tokens.masks import Kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OPTIONS: Final = ("real_authors", "world_facts")
"""Parts with multiple-choice options. Probability is normalised over the options; the answer is its own paraphrase."""

MEANS: Final = (
    "probability",
    "normalised_probability",
    "rouge1_recall",
    "rougeL_recall",
    "rougeL_f1",
    "loss",
    "exact_memorization",
    "extraction_strength",
    "paraphrase_probability",
    "uw_probability",
    "gw_probability",
    "uw_loss",
    "gw_loss",
    "uw_exact_memorization",
    "gw_exact_memorization",
    "uw_rank",
)
"""Per-example columns whose mean is in `parts`."""

_NO_PHRASE: Final = "no unwanted phrase is marked, or the questions or the words before already give all of them"

ExampleRow = dict[str, Any]
"""One example: id, question, answer, completion and every number. A missing number is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The numbers of one model."""

    examples: Mapping[str, list[ExampleRow]]
    """Rows by part."""
    parts: Mapping[str, Means]
    """By part: the number of examples `n` and the mean of each number."""
    model_utility: float | None
    utility_parts: Mapping[str, float]
    scores: Mapping[str, Scored] = field(repr=False)
    """Per-token scores by text id (see `Row.texts`), for heat maps and membership inference."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a number is None, by its name."""
    template: str = ""
    """The template in use, also if the options give `auto`."""
    prompt: str = ""
    """How the model sees a question, without special tokens; `{prompt}` stands for the question."""
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """By part: how many unwanted phrases the model writes when asked."""
    verbatim: Mapping[str, Verbatim] = field(default_factory=dict)
    """By part: how likely a sample contains unwanted phrases exactly as in the right answer."""


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Mapping[str, Sequence[Row]],
    *,
    annotations: AnnotationSet | None = None,
    settings: Scoring | None = None,
    cache: PartsCache | None = None,
) -> Evaluation:
    """Score and complete all rows, and compute all numbers.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        splits: rows by part. `forget`, `retain`, `real_authors` and `world_facts` have their own metrics; other parts
            are measured too.
        annotations: the rows' spans, matched by question and answer. Not needed for rows that have spans.
        settings: how to score.
        cache: keeps finished parts; None keeps nothing.
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
    """Evaluate like `evaluate`, but load the model only if a part is not in the cache."""
    settings, cache = settings or Scoring(), cache or PartsCache(None, "")
    encoder = Encoder.of(tokenizer, settings.encoding)
    if annotations is not None:
        splits = {part: annotate(rows, annotations) for part, rows in splits.items()}
    examples: dict[str, list[ExampleRow]] = {}
    scores: dict[str, Scored] = {}
    exact: dict[str, Verbatim] = {}
    for part, rows in splits.items():
        own = score_part(load, encoder, rows, part, settings, cache)
        scores |= own
        completions: Sequence[str | None] = [None] * len(rows)
        if settings.completions:
            completions = _completions(load, encoder, rows, part, settings, cache)
        continued = continuations(load, encoder, rows, part, settings, cache) if settings.completions else {}
        examples[part] = [
            _example(row, own, text, part, settings) | _continued(row, continued.get(row.id))
            for row, text in zip(rows, completions, strict=True)
        ]
        if (numbers := Verbatim.of(_likelihoods(row, own[row.id], settings) for row in rows)) is not None:
            exact[part] = numbers
    seen = prompt_text(tokenizer, encoder.template)
    evaluation = aggregated(examples, scores, settings)
    return replace(evaluation, template=encoder.template.spec, prompt=seen, verbatim=exact)


def score_part(
    load: Callable[[], PreTrainedModel],
    encoder: Encoder,
    rows: Sequence[Row],
    part: str,
    settings: Scoring,
    cache: PartsCache,
    *,
    digest: str | None = None,
) -> dict[str, Scored]:
    """Return the scores of a part's texts by id. The tokens are in the key: they depend on more than the settings.

    `digest` is that of a model other than the evaluated one.
    """
    groups = [row.texts() for row in rows]
    encoded = [encoder.encode(text) for group in groups for text in group]

    def work(groups: Sequence[Sequence[Example]]) -> list[list[Scored]]:
        share = [text for group in groups for text in group]
        light = {text.id for group in groups for text in group[1:]}
        with processes.shown(f"scoring {part}", len(share)) as advance:
            done = iter(score(load(), encoder, share, light=light, budget=settings.budget, advance=advance))
        return [[next(done) for _ in group] for group in groups]

    def make() -> list[Scored]:
        return [one for group in processes.split(groups, work) for one in group]

    key: list[object] = [[e.id, e.input_ids, e.kinds, e.offsets] for e in encoded]
    return cache.scores(f"{part}.scores", key if digest is None else [*key, digest], make)


def _completions(
    load: Callable[[], PreTrainedModel],
    encoder: Encoder,
    rows: Sequence[Row],
    part: str,
    settings: Scoring,
    cache: PartsCache,
) -> list[str | None]:
    """Return a part's completions in the order of its rows; None for plain text, which asks no question."""
    asking = [row.texts()[0] for row in rows if not row.plain]
    if not asking:
        return [None] * len(rows)
    if settings.continues_prompt:
        prompts = tuple(text_ids(example.prompt, encoder.tokenizer) for example in asking)
        asked = Asked(prompts, end_ids(encoder.tokenizer))
    else:
        asked = ask(asking, encoder.tokenizer, encoder.template)
    texts = cached_completions(
        load, encoder.tokenizer, asked.prompts, name=f"{part}.completions", doing=f"completing {part}",
        tokens=settings.max_new_tokens, ends=asked.ends, cache=cache,
    )  # fmt: skip
    in_order = iter(texts)
    return [None if row.plain else next(in_order) for row in rows]


def _continued(row: Row, continued: Sequence[Continuation] | None) -> ExampleRow:
    """Return the columns of a plain text's continuations. Its general words are not counted: none is asked for."""
    columns: ExampleRow = {"continuations": None}
    if row.plain:
        columns |= {"general_words": None, "general_words_written": None}
    if continued is not None:
        columns["continuations"] = [asdict(each) for each in continued]
        columns["phrases"] = len(continued)
        columns["phrases_written"] = sum(each.written for each in continued)
    return columns


def _likelihoods(row: Row, answer: Scored, settings: Scoring) -> tuple[SpanLikelihood, ...]:
    """Return the likelihoods of the unwanted spans that the question does not give."""
    marked = united(of_labels(row.spans, settings.labels))
    spans = [span for span in marked if leakage.phrases(row.question, [row.answer[span.start : span.end]])]
    return verbatim(answer, [(span.start, span.end) for span in spans], [span.label for span in spans])


def _example(
    row: Row, scores: Mapping[str, Scored], completion: str | None, part: str, settings: Scoring
) -> ExampleRow:
    answer = scores[row.id]
    wrong = [scores[f"{row.id}#w{i}"].loss for i in range(len(row.perturbed))]
    right = [scores[f"{row.id}#p{i}"].loss for i in range(len(row.paraphrased))]
    if not right and part in OPTIONS:
        right = [answer.loss]
    columns: ExampleRow = {
        "id": row.id,
        "question": row.question,
        "answer": row.answer,
        "subject": row.subject,
        "completion": completion,
        "phrases": None,
        "phrases_written": None,
        "general_words": None,
        "general_words_written": None,
        "tokens": len(answer),
        "loss": answer.loss,
        "probability": float(measures.probability(answer.loss)),
        "normalised_probability": None,
        "truth_ratio": None,
        "paraphrase_probability": float(measures.probability(np.mean(right))) if right else None,
        "exact_memorization": memorization.exact_memorization(answer),
        "extraction_strength": memorization.extraction_strength(answer),
        "rouge1_recall": None,
        "rougeL_recall": None,
        "rougeL_f1": None,
    }
    if wrong:
        columns["normalised_probability"] = float(measures.normalised_probability([answer.loss], [wrong])[0])
    if wrong and right:
        columns["truth_ratio"] = float(measures.truth_ratio([np.mean(right)], [wrong], average=settings.average)[0])
    if completion is not None:
        columns |= rouge(row.answer, completion)
    annotated = row.annotated or bool(row.spans)
    if annotated:
        marked = [(span.start, span.end) for span in united(of_labels(row.spans, settings.labels))]
        phrases = leakage.phrases(row.question, [row.answer[start:end] for start, end in marked])
        words = leakage.general_words(row.answer, marked)
        columns["phrases"], columns["general_words"] = len(phrases), len(words)
        if completion is not None:
            columns["phrases_written"] = sum(leakage.written(completion, phrases))
            columns["general_words_written"] = leakage.kept(completion, words)
    for name, kind in (("uw", Kind.UW), ("gw", Kind.GW)):
        tokens = answer.of(kind)
        known = annotated and len(tokens) > 0
        columns[f"{name}_tokens"] = len(tokens) if annotated else None
        columns[f"{name}_loss"] = tokens.loss if known else None
        columns[f"{name}_probability"] = float(measures.probability(tokens.loss)) if known else None
        columns[f"{name}_exact_memorization"] = memorization.exact_memorization(tokens) if known else None
    likelihoods = _likelihoods(row, answer, settings)
    columns["verbatim_any"] = likelihoods[0].begins if likelihoods else None
    columns["verbatim_all"] = likelihoods[-1].begins if likelihoods else None
    columns["verbatim_cloze"] = max(likelihood.given for likelihood in likelihoods) if likelihoods else None
    uw = answer.of(Kind.UW)
    columns["uw_rank"] = float(uw.rank.mean()) if columns["uw_tokens"] else None
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in columns.items()}


def aggregated(examples: dict[str, list[ExampleRow]], scores: Mapping[str, Scored], settings: Scoring) -> Evaluation:
    """Return the numbers that the rows of all parts give together."""
    parts: dict[str, dict[str, float | int | None]] = {}
    reasons: dict[str, str] = {}
    leaks: dict[str, Leakage] = {}
    for part, rows in examples.items():
        if (counts := _leakage(rows)) is not None:
            leaks[part] = counts
        elif any(row["phrases"] for row in rows):
            reasons[f"{part}_leakage"] = "the evaluation ran without completions"
        else:
            reasons[f"{part}_leakage"] = _NO_PHRASE
        parts[part] = {"n": len(rows)} | {name: mean_of(rows, name) for name in MEANS}
        ratios = [row["truth_ratio"] for row in rows if row["truth_ratio"] is not None]
        summary = measures.truth_ratio_forget if part == "forget" else measures.truth_ratio_utility
        parts[part]["truth_ratio"] = summary(ratios) if ratios else None
        parts[part]["truth_ratio_prob_mean"] = measures.truth_ratio_prob_mean(ratios) if ratios else None
        if not ratios:
            reasons[f"{part}_truth_ratio"] = "the data has no paraphrased and perturbed answers"
        elif len(ratios) < len(rows):
            reasons[f"{part}_truth_ratio"] = f"over {len(ratios)} of {len(rows)} rows; the other rows lack such answers"
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
        reasons["model_utility"] = f"{why}missing: {', '.join(absent)}"
    return Evaluation(
        examples=examples,
        parts=parts,
        model_utility=None if absent else measures.model_utility(list(utility.values())),
        utility_parts=utility,
        scores=scores,
        reasons=reasons,
        leakage=leaks,
    )


def _leakage(rows: Sequence[ExampleRow]) -> Leakage | None:
    return Leakage.of(
        leakage.Answer(
            phrases=row["phrases"],
            written=row["phrases_written"],
            general_words=row["general_words"] or 0,
            general_words_written=row["general_words_written"] or 0,
            subject=row["subject"],
        )
        for row in rows
        if row["phrases_written"] is not None
    )


def mean_of(rows: Sequence[ExampleRow], column: str) -> float | None:
    """Return the mean over the examples that have this number; None if no example has it."""
    values = [row[column] for row in rows if row[column] is not None]
    return float(np.mean(values)) if values else None


__all__ = [
    "MEANS",
    "OPTIONS",
    "Evaluation",
    "ExampleRow",
    "aggregated",
    "evaluate",
    "evaluate_lazily",
    "mean_of",
    "score_part",
]
