"""The MUSE benchmark: VerbMem, KnowMem and PrivLeak (arXiv 2407.06460, section 3 and `metrics/` of its code).

    VerbMem   ROUGE-L F1 of 128 greedy tokens against the first 128 tokens of the true continuation
    KnowMem   ROUGE-L F1 of 32 greedy tokens after ten solved examples, cut before the next question
    PrivLeak  min-k 40% AUC of forget against holdout texts, relative to the retain model's AUC

MUSE's own code does not stem words; open-unlearning does. tif computes both: `rougeL_f1` and `rougeL_f1_stemmed`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tif.errors import InputError, MissingError
from tif.eval import processes
from tif.eval.benchmarks.tofu import ExampleRow, mean_of
from tif.eval.measure import privacy
from tif.eval.measure.complete import complete, rouge
from tif.eval.measure.score import Scored, score
from tif.eval.parts import PartsCache
from tif.eval.record import Means, MuseNumbers
from tif.readers import read_records
from tif.sources import find_local
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding
from tif.tokens.generate import end_ids, text_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VERBATIM_TOKENS: Final = 128
KNOWLEDGE_TOKENS: Final = 32
STOP: Final = ("\n\n", "\nQuestion", "Question:")
WINDOW: Final = 2048
"""Membership inference reads this many tokens of a text."""

Rows = list[ExampleRow]


@dataclass(frozen=True, slots=True)
class Inference:
    """Membership inference attacks that need more than scores: a base model, or a backward pass per text."""

    base: Callable[[], PreTrainedModel] | None = None
    """Returns the base model. It has the same tokenizer and never saw the texts."""
    digest: str = ""
    """Digest of the base model."""
    gradnorm: bool = False
    """Whether to compute the gradient norm."""


def evaluate(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: str | Path | None,
    *,
    cache: PartsCache | None = None,
    limit: int | None = None,
    inference: Inference | None = None,
) -> tuple[MuseNumbers, dict[str, Rows]]:
    """Compute MUSE's numbers. `with_privleak` adds PrivLeak.

    Args:
        load: returns the model. Called only for parts that are not in the cache.
        tokenizer: its tokenizer.
        data_dir: folder that contains MUSE's `verbmem`, `knowmem` and `privleak`, or `muse_news` with these folders.
        cache: keeps finished parts.
        limit: use only the first `limit` rows of each file.
        inference: additional membership inference attacks.

    Returns:
        The numbers, and per-example rows by part.

    Raises:
        MissingError: if a file does not exist.
        InputError: if a record lacks a field.
    """
    cache, inference = cache or PartsCache(None, ""), inference or Inference()
    frames: dict[str, Rows] = {"verbmem_forget": _verbatim(load, tokenizer, data_dir, cache, limit)}
    for part in ("forget", "retain"):
        frames[f"knowmem_{part}"] = _knowledge(load, tokenizer, data_dir, cache, limit, part)
    for part in ("forget", "holdout", "retain"):
        frames[f"privleak_{part}"] = _membership(load, tokenizer, data_dir, cache, limit, part, inference)
    names = [name for name in frames["privleak_forget"][0] if name != "id"]
    areas = {
        name: privacy.auc(*([r[name] for r in frames[f"privleak_{part}"]] for part in ("forget", "holdout")))
        for name in names
    }
    parts = ("forget", "holdout")
    texts = [[r["text"] for r in _read(part, "privleak", ("text",), data_dir, limit)] for part in parts]
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    numbers = MuseNumbers(
        verbmem_forget=_means(frames["verbmem_forget"]),
        knowmem_forget=_means(frames["knowmem_forget"]),
        knowmem_retain=_means(frames["knowmem_retain"]),
        attacks=areas,
        privleak_texts_sha256=digest,
    )
    return numbers, frames


def with_privleak(
    numbers: MuseNumbers, retain: MuseNumbers | None, *, where: str = "", force: bool = False
) -> MuseNumbers:
    """Return the numbers with PrivLeak relative to the retain model's AUC, or to MUSE's 0.5 without a retain model.

    Args:
        numbers: the model's numbers.
        retain: the retain model's numbers.
        where: path of the retain log, for errors.
        force: compare numbers of different texts.

    Raises:
        InputError: if the retain model's numbers are of other texts, unless `force` is given.
    """
    if retain is not None and retain.privleak_texts_sha256 != numbers.privleak_texts_sha256 and not force:
        raise InputError(
            "is a retain log of other texts; PrivLeak compares AUCs of the same texts",
            where=where,
            why="--limit or the data differ" if retain.privleak_texts_sha256 else "the log does not name its texts",
            hint="Evaluate the retain model with the same options, or give --force.",
        )
    area, retain_area = numbers.attacks["min_k"], 0.5 if retain is None else retain.attacks["min_k"]
    leak = reason = None
    if area is None or retain_area is None:
        reason = "min-k has no AUC, because no text has at least two tokens"
    elif retain_area == 1:
        reason = "the retain model's AUC is 1, so PrivLeak would divide by zero"
    else:
        leak = privacy.privleak(area, retain_area)
    return replace(numbers, privleak=leak, privleak_reason=reason, privleak_retain_auc=retain_area)


def few_shot(examples: Sequence[tuple[str, str]], question: str) -> str:
    """Return solved examples, then the question, as in MUSE's `metrics/knowmem.py`, with its trailing space."""
    solved = "".join(f"Question: {q}\nAnswer: {a}\n\n" for q, a in examples)
    return f"{solved}Question: {question}\nAnswer: "


def _verbatim(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: str | Path | None,
    cache: PartsCache,
    limit: int | None,
) -> Rows:
    rows = _read("forget", "verbmem", ("prompt", "gt"), data_dir, limit)
    texts = _completions(load, tokenizer, cache, "verbmem_forget", [r["prompt"] for r in rows], VERBATIM_TOKENS, ())
    truths = []
    for row in rows:
        ids = tokenizer(row["gt"], add_special_tokens=False)["input_ids"][:VERBATIM_TOKENS]
        truths.append(str(tokenizer.decode(ids, skip_special_tokens=True)))
    return [_compared(row["prompt"], truth, text) for row, truth, text in zip(rows, truths, texts, strict=True)]


def _knowledge(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: str | Path | None,
    cache: PartsCache,
    limit: int | None,
    part: str,
) -> Rows:
    rows = _read(f"{part}_qa", "knowmem", ("question", "answer"), data_dir, limit)
    solved = [
        (r["question"], r["answer"]) for r in _read(f"{part}_qa_icl", "knowmem", ("question", "answer"), data_dir, None)
    ]
    prompts = [few_shot(solved, r["question"]) for r in rows]
    texts = _completions(load, tokenizer, cache, f"knowmem_{part}", prompts, KNOWLEDGE_TOKENS, STOP)
    return [_compared(row["question"], row["answer"], text) for row, text in zip(rows, texts, strict=True)]


def _membership(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: str | Path | None,
    cache: PartsCache,
    limit: int | None,
    part: str,
    inference: Inference,
) -> Rows:
    texts = [r["text"] for r in _read(part, "privleak", ("text",), data_dir, limit)]
    examples = [Example(f"privleak/{part}/{i:04d}", "", text) for i, text in enumerate(texts)]
    encoder = Encoder.of(tokenizer, Encoding(supervise_eos=False, max_length=WINDOW))
    options = encoder.encoding.to_json()

    def work(model: PreTrainedModel, share: Sequence[Example]) -> list[Scored]:
        with processes.shown(f"scoring privleak {part}", len(share)) as advance:
            return score(model, encoder, share, advance=advance)

    def scores(model: Callable[[], PreTrainedModel], name: str, key: Any) -> list[Scored]:
        def make() -> list[Scored]:
            return processes.split(examples, lambda share: work(model(), share))

        by_id = cache.scores(f"{name}.scores", key, make)
        return [by_id[e.id] for e in examples]

    def norms() -> dict[str, list[float]]:
        def work(share: Sequence[Example]) -> list[float]:
            values = []
            with processes.shown(f"gradients of privleak {part}", len(share)) as advance:
                for example in share:
                    values.append(privacy.gradnorm(load(), encoder, example))
                    advance()
            return values

        return {"gradnorm": processes.split(examples, work)}

    mine = scores(load, f"privleak_{part}", [options, texts])
    columns = privacy.attacks(mine, texts)
    if inference.base is not None:
        model, digest = inference.base, inference.digest
        base = scores(model, f"privleak_{part}.reference", [options, texts, digest])
        columns["reference"] = [privacy.reference(a, b) for a, b in zip(mine, base, strict=True)]
    if inference.gradnorm:
        columns |= cache.values(f"privleak_{part}.gradnorm", [options, texts], norms)
    return [{"id": e.id} | {name: values[i] for name, values in columns.items()} for i, e in enumerate(examples)]


def _completions(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    cache: PartsCache,
    name: str,
    prompts: Sequence[str],
    tokens: int,
    stop: tuple[str, ...],
) -> list[str]:
    coded, ends = [text_ids(prompt, tokenizer) for prompt in prompts], end_ids(tokenizer)

    def work(ids: Sequence[Sequence[int]]) -> list[str]:
        with processes.shown(f"completing {name}", len(ids)) as advance:
            return complete(load(), tokenizer, ids, max_new_tokens=tokens, ends=ends, stop=stop, advance=advance)

    key = [tokens, sorted(ends), list(stop), coded]
    return cache.texts(f"{name}.completions", key, lambda: processes.split(coded, work))


def _compared(question: str, truth: str, completion: str) -> ExampleRow:
    return {
        "question": question,
        "answer": truth,
        "completion": completion,
        "rougeL_f1": rouge(truth, completion, stemmer=False)["rougeL_f1"],
        "rougeL_f1_stemmed": rouge(truth, completion)["rougeL_f1"],
    }


def _means(rows: Rows) -> Means:
    return {"n": len(rows)} | {name: mean_of(rows, name) for name in ("rougeL_f1", "rougeL_f1_stemmed")}


def _read(
    name: str, folder: str, fields: Sequence[str], data_dir: str | Path | None, limit: int | None
) -> list[dict[str, str]]:
    path = find_local(name, data_dir, folder, f"muse_news/{folder}", f"muse_books/{folder}")
    # Several of MUSE's folders contain a `forget.json`. Accept only the one in `folder`.
    if path is None or path.parent.name != folder:
        raise MissingError(f"{folder}/{name}.json is not in the data folder", hint="Give MUSE's folder as --data-dir.")
    rows = []
    for place, record in read_records(path):
        texts = {field: value for field in fields if isinstance(value := record.get(field), str)}
        if missing := [field for field in fields if field not in texts]:
            raise InputError(f"no text in field {missing[0]!r}", where=place)
        rows.append(texts)
    return rows[:limit]


__all__ = ["KNOWLEDGE_TOKENS", "STOP", "VERBATIM_TOKENS", "Inference", "evaluate", "few_shot", "with_privleak"]
