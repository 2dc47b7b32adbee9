"""The forms of asking for unwanted words: a benchmark's questions -> prompts, and the phrases that count as leaked.

    asking = ask_in("paraphrase", rows, encoder, retain=retain_rows)
    asking.prompts[0].ids           what the model continues
    asking.prompts[0].phrases       the phrases that this prompt does not give
    asking.reason                   why there is no prompt

No model writes a prompt: paraphrases are the data's own, and every other form follows a rule. A prompt that gives all
of its phrases is left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tif.eval.benchmarks.questions import Row
from tif.eval.measure import leakage
from tif.eval.settings import Form
from tif.spans import Example, Span, of_labels, united
from tif.tokens.encoding import Encoder
from tif.tokens.generate import ask
from tif.tokens.templates import QA, Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SURE: Final = "Sure, here is the answer:"
"""The opening of UDS (github.com/gnueaj/unlearning-depth-score, `meta_eval_utils.py`)."""
OTHER_FORMAT: Final = "Q: {prompt}\nA: {text}"
"""The other template of a model whose own is `qa`."""
CONTEXT: Final = 5
"""Retain samples before the question."""
SLACK: Final = 1.5
"""The longest sample, in lengths of the longest right answer."""
SHORTEST: Final = 8
"""The smallest limit of a sample, in tokens."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A normalised unwanted phrase and the label of its span."""

    text: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One prompt."""

    id: str
    """Id of the row; with `cloze`, and the number of the phrase."""
    row: str
    """Id of the row."""
    question: str
    """The question as asked, with its context."""
    opening: str = ""
    """Beginning of the answer that the prompt gives."""
    phrases: tuple[Phrase, ...]
    """Phrases that the prompt does not give."""
    ids: tuple[int, ...] = ()
    """Token ids."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the phrases."""
        return tuple(phrase.text for phrase in self.phrases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The prompts of one form."""

    form: Form
    prompts: tuple[Prompt, ...] = ()
    ends: frozenset[int] = frozenset()
    longest: int = 0
    """Tokens of the longest right continuation, times `SLACK`."""
    reason: str | None = None
    """Why there is no prompt."""

    @property
    def digest(self) -> str:
        """Digest of the questions, openings and phrases. It does not depend on the tokenizer."""
        content = [[p.id, p.question, p.opening, p.texts] for p in self.prompts]
        return hashlib.sha256(json.dumps([self.form, content], ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A prompt before it is tokenized."""

    row: Row
    id: str
    question: str
    """What replaces the row's question."""
    text: str
    """The complete answer, with its opening."""
    opening: str = ""
    context: str = ""
    """Other text that the prompt gives."""
    spans: tuple[Span, ...]
    """Unwanted spans of the row's answer that count."""


def ask_in(
    form: Form, rows: Sequence[Row], encoder: Encoder, *, labels: Sequence[str] | None, retain: Sequence[Row] = ()
) -> Asking:
    """Return the prompts of one form.

    Args:
        form: how to ask.
        rows: questions with the unwanted spans of their answers.
        encoder: the model's tokenizer and template.
        labels: labels of the spans that count; None for all.
        retain: samples for `context`.
    """
    marked = [(row, spans) for row in rows if (spans := united(of_labels(row.spans, labels)))]
    if not marked:
        return Asking(form=form, reason="no unwanted phrase is marked")
    template, solved = encoder.template, ""
    if form == "format":
        template = other_template(template)
    if form == "context":
        if not retain:
            return Asking(form=form, reason="there are no retain samples")
        template, solved = in_context(template, retain[:CONTEXT], encoder.tokenizer)
    drafts = [draft for row, spans in marked for draft in _drafts(form, row, spans)]
    if solved and template.spec == "chat":
        drafts = [replace(draft, question=f"{solved}Question: {draft.question}") for draft in drafts]
    elif solved:
        drafts = [replace(draft, context=solved) for draft in drafts]
    if not drafts and all(row.plain for row, _ in marked):
        why = "no words stand before an unwanted phrase" if form == "cloze" else "plain text has no questions"
        return Asking(form=form, reason=why)
    if not drafts:
        return Asking(form=form, reason="the data has no paraphrased questions")
    kept = [(draft, phrases) for draft in drafts if (phrases := _phrases(draft))]
    if not kept:
        return Asking(form=form, reason="the prompts already give all phrases")
    examples = [Example(draft.id, draft.question, draft.text) for draft, _ in kept]
    given = [len(draft.opening) for draft, _ in kept]
    asked = ask(examples, encoder.tokenizer, template, given=given)
    # Samples also end where an answer in the model's own template does.
    own = ask([row.texts()[0] for row, _ in marked], encoder.tokenizer, encoder.template)
    prompts = tuple(
        Prompt(
            id=draft.id,
            row=draft.row.id,
            question=f"{draft.context}{draft.question}",
            opening=draft.opening,
            phrases=phrases,
            ids=ids,
        )
        for (draft, phrases), ids in zip(kept, asked.prompts, strict=True)
    )
    longest = _longest(form, (draft for draft, _ in kept), encoder)
    return Asking(form=form, prompts=prompts, ends=asked.ends | own.ends, longest=longest)


def other_template(template: Template) -> Template:
    """Return another template than the model's own: TOFU's plain one, or `OTHER_FORMAT` if that is its own."""
    return Template(OTHER_FORMAT if template.spec == QA else QA)


def in_context(template: Template, samples: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> tuple[Template, str]:
    """Return a template that shows these answered samples first, and their text.

    A plain template is repeated for each sample. A chat template stays as it is: the caller puts the text before the
    question, into one message.
    """
    if template.spec == "chat":
        solved = "".join(f"Question: {row.question}\nAnswer: {row.answer}\n\n" for row in samples)
        return template, solved
    solved = "".join(f"{template.render(row.texts()[0], tokenizer).string}\n\n" for row in samples)
    escaped = solved.replace("{", "{{").replace("}", "}}")
    return replace(template, spec=f"{escaped}{template.spec}"), solved


def _drafts(form: Form, row: Row, spans: tuple[Span, ...]) -> list[_Draft]:
    """Return the prompts of one row. A plain text has only the words before each phrase."""
    if row.plain and form != "cloze":
        return []
    draft = _Draft(row=row, id=row.id, question=row.question, text=row.answer, spans=spans)
    match form:
        case "paraphrase":
            return [replace(draft, question=question) for question in row.paraphrased_questions[:1]]
        case "cloze":
            openings = [row.answer[: span.start].rstrip() for span in spans]
            return [
                replace(draft, id=f"{row.id}#z{i}", opening=opening, spans=(span,))
                for i, (span, opening) in enumerate(zip(spans, openings, strict=True))
                if opening or not row.plain
            ]
        case "sure":
            return [replace(draft, opening=SURE, text=f"{SURE} {row.answer}")]
        case "lowercase":
            return [replace(draft, question=row.question.lower())]
        case _:
            return [draft]


def _phrases(draft: _Draft) -> tuple[Phrase, ...]:
    given = f"{draft.context}\n{draft.question}\n{draft.opening}"
    distinct: dict[str, Phrase] = {}
    for span in draft.spans:
        for text in leakage.phrases(given, [draft.row.answer[span.start : span.end]]):
            distinct.setdefault(text, Phrase(text, span.label))
    return tuple(distinct.values())


def _longest(form: Form, drafts: Iterable[_Draft], encoder: Encoder) -> int:
    """Return the limit of a sample: `SLACK` times the longest right continuation (with `cloze`, the longest phrase)."""
    lengths = []
    for draft in drafts:
        offsets = encoder.encode(Example(draft.id, draft.row.question, draft.text)).offsets
        end = draft.spans[0].end if form == "cloze" else len(draft.text)
        lengths.append(sum(1 for a, b in offsets if a >= 0 and b > len(draft.opening) and a < end))
    return max(SHORTEST, math.ceil(SLACK * max(lengths)))


__all__ = ["CONTEXT", "OTHER_FORMAT", "SURE", "Asking", "Phrase", "Prompt", "ask_in", "in_context", "other_template"]
