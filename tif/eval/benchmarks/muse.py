"""The MUSE benchmark: VerbMem, KnowMem and PrivLeak (arXiv 2407.06460, section 3 and `metrics/` of its code).

    VerbMem   ROUGE-L F1 of 128 greedy tokens against the first 128 tokens of the true continuation, BOS included
    KnowMem   ROUGE-L F1 of 32 greedy tokens after ten solved examples, cut before the next question
    PrivLeak  min-k 40% AUC of forget against holdout texts, relative to the retain model's AUC

MUSE's own code does not stem words; open-unlearning does. tif computes both: `rougeL_f1` and `rougeL_f1_stemmed`. For
VerbMem, open-unlearning compares with the complete continuation, and so does `rougeL_f1_stemmed`. Extraction strength
and exact memorization of that continuation are open-unlearning's, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif.console import warn
from tif.errors import InputError
from tif.eval.benchmarks.muse_files import MuseFiles
from tif.eval.benchmarks.texts import Inference, TextModel
from tif.eval.benchmarks.tofu import ExampleRow, mean_of
from tif.eval.measure import memorization, privacy
from tif.eval.measure.complete import rouge
from tif.eval.measure.privacy import RetainArea
from tif.eval.parts import PartsCache
from tif.eval.record import Means, MuseNumbers, PrivLeakReference
from tif.eval.settings import Corpus
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding
from tif.tokens.templates import TemplateSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VERBATIM_TOKENS: Final = 128
KNOWLEDGE_TOKENS: Final = 32
STOP: Final = ("\n\n", "\nQuestion", "Question:")

_ROUGE: Final = ("rougeL_f1", "rougeL_f1_stemmed")
_VERBATIM: Final = (*_ROUGE, "exact_memorization", "extraction_strength")

Rows = list[ExampleRow]


def evaluate(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: str | Path | None,
    *,
    cache: PartsCache | None = None,
    limit: int | None = None,
    inference: Inference | None = None,
    corpus: Corpus | None = None,
) -> tuple[MuseNumbers, dict[str, Rows]]:
    """Compute MUSE's numbers. `with_privleak` adds PrivLeak.

    Args:
        load: returns the model. Called only for parts that are not in the cache.
        tokenizer: its tokenizer.
        data_dir: folder that contains MUSE's `verbmem`, `knowmem` and `privleak`, or `muse_news` with these folders.
        cache: keeps finished parts.
        limit: use only the first `limit` rows of each file.
        inference: additional membership inference attacks.
        corpus: the corpus of the files; None for the one that their folder names.

    Returns:
        The numbers, and per-example rows by part.

    Raises:
        MissingError: if a file does not exist.
        InputError: if a record lacks a field.
    """
    files = MuseFiles(data_dir, limit, corpus)
    model = TextModel(load, tokenizer, cache or PartsCache(None, ""))
    inference = inference or Inference()
    frames: dict[str, Rows] = {"verbmem_forget": _verbatim(model, files)}
    for part in ("forget", "retain"):
        frames[f"knowmem_{part}"] = _knowledge(model, files, part)
    for part in ("forget", "holdout", "retain"):
        frames[f"privleak_{part}"] = _membership(model, files, part, inference)
    names = [name for name in frames["privleak_forget"][0] if name != "id"]
    areas = {
        name: privacy.auc(*([r[name] for r in frames[f"privleak_{part}"]] for part in ("forget", "holdout")))
        for name in names
    }
    numbers = replace(
        _named_texts(files),
        verbmem_forget=_means(frames["verbmem_forget"], *_VERBATIM),
        knowmem_forget=_means(frames["knowmem_forget"], *_ROUGE),
        knowmem_retain=_means(frames["knowmem_retain"], *_ROUGE),
        attacks=areas,
    )
    return numbers, frames


def with_privleak(
    numbers: MuseNumbers, retain: RetainArea | None, *, where: str = "", force: bool = False
) -> MuseNumbers:
    """Return the numbers with PrivLeak relative to the retain model's AUC.

    Without a retain model, the AUC is that of MUSE's own retain model of the corpus. If no corpus is named, it is
    open-unlearning's 0.5.

    Args:
        numbers: the model's numbers.
        retain: the retain model's AUC.
        where: path of the retain log, for errors.
        force: compare AUCs of different texts.

    Raises:
        InputError: if the retain model's AUC is of other texts, unless `force` is given.
    """
    if retain is not None:
        problem = _refuse_other_texts(numbers, retain, where, force=force)
        if not retain.named and not problem:
            warn(f"{where} does not name its texts, so tif cannot check that they are the same")
    area, (retain_area, reference) = numbers.attacks["min_k"], _compared_with(numbers, retain)
    leak = reason = None
    if area is None or retain_area is None:
        reason = "min-k has no AUC, because no text has at least two tokens"
    elif retain_area == 1:
        reason = "the retain model's AUC is 1, so PrivLeak would divide by zero"
    else:
        leak = privacy.privleak(area, retain_area)
    return replace(
        numbers,
        privleak=leak,
        privleak_reason=reason,
        privleak_retain_auc=retain_area,
        privleak_reference=reference,
    )


def check_texts(files: MuseFiles, retain: RetainArea, *, where: str, force: bool = False) -> None:
    """Refuse a retain log of other texts before any text is scored.

    Args:
        files: MUSE's files.
        retain: the retain model's AUC.
        where: path of the retain log, for errors.
        force: allow other texts.

    Raises:
        InputError: if the retain model's AUC is of other texts, unless `force` is given.
    """
    _refuse_other_texts(_named_texts(files), retain, where, force=force)


def _named_texts(files: MuseFiles) -> MuseNumbers:
    """Return the number and the digest of the texts of membership inference."""
    texts = {part: [r["text"] for r in files.rows(part, "privleak", "text")] for part in ("forget", "holdout")}
    return MuseNumbers(
        corpus=files.corpus,
        privleak_texts_sha256=hashlib.sha256(json.dumps(list(texts.values())).encode()).hexdigest(),
        privleak_texts={part: len(rows) for part, rows in texts.items()},
    )


def _refuse_other_texts(numbers: MuseNumbers, retain: RetainArea, where: str, *, force: bool) -> str | None:
    problem = _other_texts(numbers, retain)
    if problem and not force:
        raise InputError(
            "is a retain log of other texts; PrivLeak compares AUCs of the same texts",
            where=where,
            why=problem,
            hint="Evaluate the retain model with the same options, or give --force.",
        )
    return problem


def _other_texts(numbers: MuseNumbers, retain: RetainArea) -> str | None:
    """Return why the retain model's AUC is of other texts; None if nothing shows that."""
    if retain.named:
        if retain.texts_sha256 is None:
            return "the log does not name its texts"
        return "--limit or the data differ" if retain.texts_sha256 != numbers.privleak_texts_sha256 else None
    for part, count in retain.texts.items():
        if count != numbers.privleak_texts.get(part):
            return f"it has {count} {part} texts, this evaluation has {numbers.privleak_texts.get(part)}"
    return None


def _compared_with(numbers: MuseNumbers, retain: RetainArea | None) -> tuple[float | None, PrivLeakReference]:
    if retain is not None:
        return retain.area, "retain log"
    if numbers.corpus is None:
        return 0.5, "chance"
    return privacy.MUSE_RETAIN_AREA[numbers.corpus], "muse news" if numbers.corpus == "news" else "muse books"


def few_shot(examples: Sequence[tuple[str, str]], question: str) -> str:
    """Return solved examples, then the question, as in MUSE's `metrics/knowmem.py`, with its trailing space."""
    solved = "".join(f"Question: {q}\nAnswer: {a}\n\n" for q, a in examples)
    return f"{solved}Question: {question}\nAnswer: "


def _verbatim(model: TextModel, files: MuseFiles) -> Rows:
    rows = files.rows("forget", "verbmem", "prompt", "gt")
    texts = model.completions("verbmem_forget", [r["prompt"] for r in rows], VERBATIM_TOKENS, ())
    # MUSE counts the tokenizer's BOS among the first 128 tokens. A Llama then has 127 tokens of text.
    truths = [model.tokenizer(r["gt"], verbose=False)["input_ids"][:VERBATIM_TOKENS] for r in rows]
    examples = [Example(f"verbmem/{i:04d}", f"{r['prompt']} ", r["gt"]) for i, r in enumerate(rows)]
    encoder = Encoder.of(model.tokenizer, Encoding(supervise_eos=False, template=TemplateSpec.of("{prompt}{text}")))
    scores = model.scores("verbmem_forget", encoder, examples)
    return [
        {
            "question": row["prompt"],
            "answer": (truth := str(model.tokenizer.decode(ids, skip_special_tokens=True))),
            "completion": text,
            "rougeL_f1": rouge(truth, text, stemmer=False)["rougeL_f1"],
            "rougeL_f1_stemmed": rouge(row["gt"], text)["rougeL_f1"],
            "exact_memorization": _number(memorization.exact_memorization(scored)),
            "extraction_strength": _number(memorization.extraction_strength(scored)),
        }
        for row, ids, text, scored in zip(rows, truths, texts, scores, strict=True)
    ]


def _knowledge(model: TextModel, files: MuseFiles, part: str) -> Rows:
    rows = files.rows(f"{part}_qa", "knowmem", "question", "answer")
    examples = files.rows(f"{part}_qa_icl", "knowmem", "question", "answer", complete=True)
    solved = [(r["question"], r["answer"]) for r in examples]
    prompts = [few_shot(solved, r["question"]) for r in rows]
    texts = model.completions(f"knowmem_{part}", prompts, KNOWLEDGE_TOKENS, STOP)
    return [
        {
            **row,
            "completion": text,
            "rougeL_f1": rouge(row["answer"], text, stemmer=False)["rougeL_f1"],
            "rougeL_f1_stemmed": rouge(row["answer"], text)["rougeL_f1"],
        }
        for row, text in zip(rows, texts, strict=True)
    ]


def _membership(model: TextModel, files: MuseFiles, part: str, inference: Inference) -> Rows:
    texts = [r["text"] for r in files.rows(part, "privleak", "text")]
    return model.membership(f"privleak_{part}", {f"privleak/{part}/{i:04d}": text for i, text in enumerate(texts)},
                            inference)  # fmt: skip


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _means(rows: Rows, *names: str) -> Means:
    return {"n": len(rows)} | {name: mean_of(rows, name) for name in names}


__all__ = ["KNOWLEDGE_TOKENS", "STOP", "VERBATIM_TOKENS", "check_texts", "evaluate", "few_shot", "with_privleak"]
