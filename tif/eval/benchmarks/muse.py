"""The MUSE benchmark: VerbMem, KnowMem and PrivLeak (arXiv 2407.06460, section 3 and `metrics/` of its code).

    VerbMem   ROUGE-L F1 of 128 greedy tokens against the text that really follows, cut to 128 tokens
    KnowMem   ROUGE-L F1 of 32 greedy tokens after ten solved examples, cut where the next question would begin
    PrivLeak  min-k 40% AUC of forget against holdout texts, relative to the retain model's

MUSE's own code leaves words unstemmed; open-unlearning stems them. Both are given: `rougeL_f1` and `rougeL_f1_stemmed`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tif.errors import InputError, MissingError
from tif.eval import processes
from tif.eval.benchmarks.tofu import mean_of
from tif.eval.measure import privacy
from tif.eval.measure.complete import complete, rouge
from tif.eval.measure.score import Scored, score
from tif.eval.parts import PartsCache
from tif.sources import find_local, read_records
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VERBATIM_TOKENS: Final = 128
KNOWLEDGE_TOKENS: Final = 32
STOP: Final = ("\n\n", "\nQuestion", "Question:")
WINDOW: Final = 2048
"""Tokens of a text that membership inference looks at."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Inference:
    """Membership inference attacks that need more than the scores: another model, or a backward pass a text."""

    reference: Callable[[], PreTrainedModel] | None = None
    """Gives a model of the same tokenizer that never saw the texts."""
    digest: str = ""
    """That model's digest."""
    gradnorm: bool = False


def evaluate(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    data_dir: str | Path | None,
    *,
    cache: PartsCache | None = None,
    limit: int | None = None,
    inference: Inference | None = None,
) -> tuple[dict[str, Any], dict[str, Rows]]:
    """All of MUSE.

    Args:
        load: gives the model; asked only for what is not in the parts cache.
        tokenizer: its tokenizer.
        data_dir: folder with MUSE's `verbmem`, `knowmem` and `privleak`, or with `muse_news` of them.
        cache: where finished parts are kept.
        limit: at most so many rows of each file.
        inference: membership inference that costs more than scores.

    Returns:
        The numbers (PrivLeak is `leak`), and per-example rows by part.

    Raises:
        MissingError: if a file is not there.
        InputError: for a record without the fields it needs.
    """
    cache, inference = cache or PartsCache(None, ""), inference or Inference()
    frames: dict[str, Rows] = {"verbmem_forget": _verbatim(load, tokenizer, data_dir, cache, limit)}
    for part in ("forget", "retain"):
        frames[f"knowmem_{part}"] = _knowledge(load, tokenizer, data_dir, cache, limit, part)
    for part in ("forget", "holdout", "retain"):
        frames[f"privleak_{part}"] = _membership(load, tokenizer, data_dir, cache, limit, part, inference)
    names = [name for name in frames["privleak_forget"][0] if name != "id"]
    found: dict[str, Any] = {}
    for part in ("verbmem_forget", "knowmem_forget", "knowmem_retain"):
        found[part] = {"n": len(frames[part])}
        found[part] |= {name: mean_of(frames[part], name) for name in ("rougeL_f1", "rougeL_f1_stemmed")}
    found["attacks"] = {
        name: privacy.auc(*([r[name] for r in frames[f"privleak_{part}"]] for part in ("forget", "holdout")))
        for name in names
    }
    parts = ("forget", "holdout")
    asked = [[r["text"] for r in _read(part, "privleak", ("text",), data_dir, limit)] for part in parts]
    found["privleak_texts_sha256"] = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    return found, frames


def leak(
    found: Mapping[str, Any], retain: Mapping[str, Any] | None, *, where: str = "", force: bool = False
) -> dict[str, Any]:
    """PrivLeak of what `evaluate` found against a retain model's numbers, or without these against MUSE's 0.5.

    Raises:
        InputError: for a retain model's numbers on other texts, unless `force`d.
    """
    mine, theirs = found["privleak_texts_sha256"], None if retain is None else retain.get("privleak_texts_sha256")
    if retain is not None and theirs != mine and not force:
        raise InputError(
            "PrivLeak compares areas over the same texts, and this log does not hold the same",
            where=where,
            why="--limit or the data differ" if theirs else "it does not say which texts it is of",
            hint="Evaluate the retain model with the same options, or --force.",
        )
    base = 0.5 if retain is None else retain["attacks"]["min_k"]
    area, reason = found["attacks"]["min_k"], None
    if area is None or base is None:
        reason = "no text has two tokens or more, so min-k has no area"
    elif base == 1:
        reason = "the retain model's own area is 1: nothing can be said relative to it"
    return {
        "privleak": privacy.privleak(area, base) if reason is None else None,
        "privleak_reason": reason,
        "privleak_retain_auc": base,
    }


def few_shot(examples: Sequence[tuple[str, str]], question: str) -> str:
    """Solved examples, then the question, as MUSE's `metrics/knowmem.py` puts them, with the blank at the end."""
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
    said = _say(load, tokenizer, cache, "verbmem_forget", [r["prompt"] for r in rows], VERBATIM_TOKENS, ())
    truths = []
    for row in rows:
        ids = tokenizer(row["gt"], add_special_tokens=False)["input_ids"][:VERBATIM_TOKENS]
        truths.append(str(tokenizer.decode(ids, skip_special_tokens=True)))
    return [_compared(row["prompt"], truth, text) for row, truth, text in zip(rows, truths, said, strict=True)]


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
    said = _say(load, tokenizer, cache, f"knowmem_{part}", prompts, KNOWLEDGE_TOKENS, STOP)
    return [_compared(row["question"], row["answer"], text) for row, text in zip(rows, said, strict=True)]


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

    def work(model: PreTrainedModel, some: Sequence[Example]) -> list[Scored]:
        with processes.shown(f"scoring privleak {part}", len(some)) as advance:
            return score(model, encoder, some, advance=advance)

    def scores(model: Callable[[], PreTrainedModel], name: str, key: Any) -> list[Scored]:
        def make() -> list[Scored]:
            return processes.split(examples, lambda some: work(model(), some))

        found = cache.scores(f"{name}.scores", key, make)
        return [found[e.id] for e in examples]

    def norms() -> dict[str, list[float]]:
        def work(some: Sequence[Example]) -> list[float]:
            found = []
            with processes.shown(f"gradients of privleak {part}", len(some)) as advance:
                for example in some:
                    found.append(privacy.gradnorm(load(), encoder, example))
                    advance()
            return found

        return {"gradnorm": processes.split(examples, work)}

    mine = scores(load, f"privleak_{part}", [options, texts])
    columns = privacy.attacks(mine, texts)
    if inference.reference is not None:
        model, digest = inference.reference, inference.digest
        base = scores(model, f"privleak_{part}.reference", [options, texts, digest])
        columns["reference"] = [privacy.reference(a, b) for a, b in zip(mine, base, strict=True)]
    if inference.gradnorm:
        columns |= cache.values(f"privleak_{part}.gradnorm", [options, texts], norms)
    return [{"id": e.id} | {name: values[i] for name, values in columns.items()} for i, e in enumerate(examples)]


def _say(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    cache: PartsCache,
    name: str,
    prompts: Sequence[str],
    tokens: int,
    stop: tuple[str, ...],
) -> list[str]:
    def make() -> list[str]:
        def work(ids: Sequence[Sequence[int]]) -> list[str]:
            with processes.shown(f"completing {name}", len(ids)) as advance:
                return complete(load(), tokenizer, ids, max_new_tokens=tokens, stop=stop, advance=advance)

        return processes.split([tokenizer(prompt)["input_ids"] for prompt in prompts], work)

    return cache.texts(f"{name}.completions", [tokens, list(stop), list(prompts)], make)


def _compared(question: str, truth: str, said: str) -> dict[str, Any]:
    return {
        "question": question,
        "answer": truth,
        "completion": said,
        "rougeL_f1": rouge(truth, said, stemmer=False)["rougeL_f1"],
        "rougeL_f1_stemmed": rouge(truth, said)["rougeL_f1"],
    }


def _read(
    name: str, folder: str, fields: Sequence[str], data_dir: str | Path | None, limit: int | None
) -> list[dict[str, str]]:
    path = find_local(name, data_dir, folder, f"muse_news/{folder}", f"muse_books/{folder}")
    # `forget.json` lies in several of MUSE's folders; only the one that was asked for will do.
    if path is None or path.parent.name != folder:
        raise MissingError(f"{folder}/{name}.json is not in the data folder", hint="Give MUSE's folder as --data-dir.")
    found = []
    for place, record in read_records(path):
        for field in fields:
            if not isinstance(record.get(field), str):
                raise InputError(f"no text in field {field!r}", where=place)
        found.append({field: record[field] for field in fields})
    return found[:limit]


__all__ = ["KNOWLEDGE_TOKENS", "STOP", "VERBATIM_TOKENS", "Inference", "evaluate", "few_shot"]
