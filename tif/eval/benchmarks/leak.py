"""Leakage of a forget set in several forms of asking, by greedy completions and by samples.

    result = measure(load, encoder, rows, retain=retain_rows, labels=None, how=Leaking(samples=16), cache=cache)
    result.counts["paraphrase"].summary()     the numbers of one form
    result.rows                               one row for each form and prompt, with all texts

`tif.eval.benchmarks.asking` makes the prompts. Definitions: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tif.eval import processes
from tif.eval.benchmarks.asking import Asking, Prompt, ask_in
from tif.eval.benchmarks.questions import Row
from tif.eval.measure import leakage
from tif.eval.measure.complete import complete
from tif.eval.measure.leak_at_k import CORES, Core, LeakCounts, PhraseCounts
from tif.eval.measure.sample import Sampling, sample
from tif.eval.parts import PartsCache
from tif.eval.sample_journal import SampleJournal
from tif.eval.settings import FORMS, Form
from tif.tokens.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LeakRow = dict[str, Any]
"""One prompt: form, id, question, opening, phrases, labels, greedy completion, samples and counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaking:
    """How to measure leakage."""

    samples: int
    """Samples of each prompt."""
    forms: tuple[Form, ...] = FORMS
    max_new_tokens: int = 200
    """The longest greedy completion, in tokens. Samples are limited by the longest right answer as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """Leakage of one model."""

    counts: Mapping[Form, LeakCounts]
    reasons: Mapping[Form, str]
    """Why a form has no counts."""
    rows: Sequence[LeakRow]


@dataclass(frozen=True, slots=True)
class _Text:
    """One completion against the phrases of its prompt."""

    written: tuple[bool, ...]
    recall: float

    @classmethod
    def of(cls, completion: str, phrases: Sequence[str]) -> _Text:
        return cls(leakage.written(completion, phrases), round(leakage.word_recall(completion, phrases), 4))

    def leaks(self, core: Core) -> bool:
        match core:
            case "leak_any":
                return any(self.written)
            case "leak_all":
                return all(self.written)
            case "leak_words":
                return self.recall >= leakage.ENOUGH_WORDS


def measure(
    load: Callable[[], PreTrainedModel],
    encoder: Encoder,
    rows: Sequence[Row],
    *,
    retain: Sequence[Row] = (),
    labels: Sequence[str] | None = None,
    how: Leaking,
    cache: PartsCache,
) -> Leaks:
    """Ask in every form, greedily and with samples, and count the phrases.

    Args:
        load: loads the model; called only if a completion is not in the cache.
        encoder: the model's tokenizer and template.
        rows: questions with the unwanted spans of their answers.
        retain: retain samples for the form `context`.
        labels: labels of the spans that count; None for all.
        how: how to measure.
        cache: keeps finished completions and samples.
    """
    counts: dict[Form, LeakCounts] = {}
    reasons: dict[Form, str] = {}
    table: list[LeakRow] = []
    for form in how.forms:
        asking = ask_in(form, rows, encoder, labels=labels, retain=retain)
        if asking.reason is not None:
            reasons[form] = asking.reason
            continue
        greedy = _greedy(load, encoder, asking, how, cache)
        samples = _samples(load, encoder, asking, how, cache)
        texts = [
            [_Text.of(text, prompt.texts) for text in each]
            for prompt, each in zip(asking.prompts, samples, strict=True)
        ]
        answers = [_Text.of(text, prompt.texts) for text, prompt in zip(greedy, asking.prompts, strict=True)]
        counts[form] = _counts(asking, answers, texts, how)
        for index, prompt in enumerate(asking.prompts):
            table.append(_row(form, prompt, counts[form], index) | {"greedy": greedy[index], "samples": samples[index]})
    return Leaks(counts=counts, reasons=reasons, rows=table)


def _greedy(
    load: Callable[[], PreTrainedModel], encoder: Encoder, asking: Asking, how: Leaking, cache: PartsCache
) -> list[str]:
    def work(prompts: Sequence[Sequence[int]]) -> list[str]:
        with processes.shown(f"completing leak {asking.form}", len(prompts)) as advance:
            return complete(
                load(), encoder.tokenizer, prompts, max_new_tokens=how.max_new_tokens, ends=asking.ends, advance=advance
            )

    ids = [prompt.ids for prompt in asking.prompts]
    key = [how.max_new_tokens, sorted(asking.ends), ids]
    return cache.texts(f"forget.leak.{asking.form}", key, lambda: processes.split(ids, work))


def _samples(
    load: Callable[[], PreTrainedModel], encoder: Encoder, asking: Asking, how: Leaking, cache: PartsCache
) -> list[list[str]]:
    sampling = Sampling(samples=how.samples, max_new_tokens=min(how.max_new_tokens, asking.longest), ends=asking.ends)
    settings = [cache.model, sampling.max_new_tokens, sorted(sampling.ends), sampling.seed]
    ids = [prompt.ids for prompt in asking.prompts]
    journal = SampleJournal(cache.folder, f"forget.leak.{asking.form}", [[*settings, prompt] for prompt in ids])

    def work(indices: Sequence[int]) -> list[list[str]]:
        missing = [i for i in indices if len(journal.samples[i]) < how.samples]
        if missing:
            with processes.shown(f"sampling leak {asking.form}", len(missing)) as advance:

                def finish(at: int, texts: list[str]) -> None:
                    journal.add(missing[at], texts)
                    advance()

                first = [len(journal.samples[i]) for i in missing]
                prompts = [ids[i] for i in missing]
                sample(load(), encoder.tokenizer, prompts, sampling, first=first, finish=finish)
        return [journal.samples[i][: how.samples] for i in indices]

    return processes.split(range(len(ids)), work)


def _counts(asking: Asking, greedy: Sequence[_Text], samples: Sequence[Sequence[_Text]], how: Leaking) -> LeakCounts:
    return LeakCounts(
        digest=asking.digest,
        samples=how.samples,
        greedy={core: tuple(int(text.leaks(core)) for text in greedy) for core in CORES},
        greedy_recall=tuple(text.recall for text in greedy),
        sampled={core: tuple(sum(text.leaks(core) for text in each) for each in samples) for core in CORES},
        sampled_recall=tuple(tuple(text.recall for text in each) for each in samples),
        phrases=tuple(
            PhraseCounts(
                prompt=index,
                label=phrase.label,
                greedy=greedy[index].written[at],
                sampled=sum(text.written[at] for text in samples[index]),
            )
            for index, prompt in enumerate(asking.prompts)
            for at, phrase in enumerate(prompt.phrases)
        ),
    )


def _row(form: Form, prompt: Prompt, counts: LeakCounts, index: int) -> LeakRow:
    return {
        "form": form,
        "id": prompt.id,
        "question": prompt.question,
        "opening": prompt.opening,
        "phrases": list(prompt.texts),
        "labels": [phrase.label for phrase in prompt.phrases],
        **{f"greedy_{core}": bool(counts.greedy[core][index]) for core in CORES},
        **{f"samples_{core}": counts.sampled[core][index] for core in CORES},
    }


__all__ = ["LeakRow", "Leaking", "Leaks", "measure"]
