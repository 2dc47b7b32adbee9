"""Compute membership inference on the forget set against holdout questions, which no model was trained on.

TOFU has the splits holdout01, holdout05 and holdout10 for forget01, forget05 and forget10. The attacks score only the
answers, as open-unlearning does. So do its end tokens: loss, zlib and reference keep the end token of an answer, and
min-k, min-k++ and gradnorm leave it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tif import sources
from tif.errors import UsageError
from tif.eval.benchmarks import questions
from tif.eval.benchmarks.lume_files import LumeFiles
from tif.eval.benchmarks.questions import Row
from tif.eval.benchmarks.texts import Inference
from tif.eval.benchmarks.tofu import score_part
from tif.eval.measure import privacy
from tif.eval.measure.membership import AttackArea, Membership
from tif.eval.measure.score import Scored
from tif.eval.options import EvaluateOptions
from tif.eval.parts import PartsCache
from tif.eval.settings import Scoring
from tif.tokens.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check(options: EvaluateOptions) -> None:
    """Refuse options for membership inference if there is nothing to infer from.

    Raises:
        UsageError: for `base_model` or `gradnorm` without a holdout set.
    """
    given = [f"--{name.replace('_', '-')}" for name in ("base_model", "gradnorm") if getattr(options, name)]
    if not given or possible(options):
        return
    lume = options.benchmark == "lume"
    own = "put SemEval's member.jsonl and nonmember.jsonl" if lume else "put TOFU's holdoutNN.json"
    raise UsageError(
        f"{given[0]} is for membership inference, which needs samples that no model saw",
        hint=f"Give them as --holdout FILE, or {own} into the data folder.",
    )


def possible(options: EvaluateOptions) -> bool:
    """Return whether there are samples that no model saw. MUSE always has them."""
    if options.benchmark == "muse" or source(options) is not None:
        return True
    return options.benchmark == "lume" and LumeFiles(options.data_dir, 1).documents() is not None


def source(options: EvaluateOptions) -> str | None:
    """Return the holdout set that the options name, or TOFU's own if its file is in the data folder; else None."""
    if options.holdout is not None or options.benchmark != "tofu":
        return options.holdout
    if options.question_key != "question":
        return None  # the holdout questions would be asked as written, and so the two sides differently
    name = options.forget.replace("forget", "holdout")
    return f"tofu:{name}" if sources.find_local(name, options.data_dir, "tofu") else None


def measure(
    load: Callable[[], PreTrainedModel],
    encoder: Encoder,
    forget: Sequence[Row],
    scores: Mapping[str, Scored],
    holdout: str,
    options: EvaluateOptions,
    settings: Scoring,
    cache: PartsCache,
    inference: Inference | None = None,
) -> Membership:
    """Score the holdout answers, and return each attack's AUC.

    Args:
        load: loads the evaluated model.
        encoder: encodes questions and answers.
        forget: rows of the forget set.
        scores: their scores by id.
        holdout: from `source`.
        options: the data folder and the limit.
        settings: how to score.
        cache: the evaluation's parts cache.
        inference: the attacks that need more than the scores.

    Raises:
        InputError, MissingError: if the holdout set cannot be read.
    """
    plain = options.benchmark == "set"
    rows = questions.read(holdout, "holdout", data_dir=options.data_dir, limit=options.limit, plain=plain)
    rows = tuple(replace(row, paraphrased=(), perturbed=()) for row in rows)
    scored = score_part(load, encoder, rows, "holdout", settings, cache)
    inference = inference or Inference()
    sides = []
    for part, side, own in (("forget", forget, scores), ("holdout", rows, scored)):
        answers = [replace(row, paraphrased=(), perturbed=()) for row in side]
        mine = [own[row.id] for row in side]
        columns = privacy.attacks(mine, [row.answer for row in side], end_token=True)
        if inference.base is not None:
            base = score_part(
                inference.base, encoder, answers, f"{part}.reference", settings, cache, digest=inference.digest
            )
            columns["reference"] = [
                privacy.reference(one, base[row.id], end_token=True) for row, one in zip(side, mine, strict=True)
            ]
        if inference.gradnorm:
            examples = [row.texts()[0] for row in answers]
            columns["gradnorm"] = inference.norms(load, encoder, examples, part, cache)
        sides.append(columns)
    areas = {name: privacy.auc(sides[0][name], sides[1][name]) for name in sides[0]}
    texts = [[row.question, row.answer] for row in (*forget, *rows)]
    return Membership(
        holdout=holdout,
        forget_questions=len(forget),
        holdout_questions=len(rows),
        texts_sha256=hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest(),
        attacks={name: AttackArea(auc=area) for name, area in areas.items() if area is not None},
    )


__all__ = ["check", "measure", "source"]
