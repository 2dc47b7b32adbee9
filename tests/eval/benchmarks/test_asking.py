"""What each form of asking shows the model, and which phrases it leaves to be leaked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.eval.conftest import Tiny, make_row
from tests.tokens import tiny as tokenizers
from tif.eval.benchmarks.asking import SURE, Asking, Phrase, ask_in
from tif.eval.benchmarks.questions import Row
from tif.eval.settings import FORMS, Form
from tif.spans import Span
from tif.tokens.encoding import Encoder, Encoding
from tif.tokens.templates import TemplateSpec


def two_phrases() -> Row:
    answer = "Sunniva Okoro keeps bees in Pell Bay, near Mirrow."
    spans = [Span(answer.index(quote), answer.index(quote) + len(quote), label) for quote, label in (
        ("Sunniva Okoro", "PERSON"), ("bees", "UW"), ("Pell Bay", "PLACE"))]  # fmt: skip
    return Row(
        id="f/0",
        question="What does Sunniva Okoro keep?",
        answer=answer,
        paraphrased_questions=("Which animals live with S. Okoro of {Pell Bay}?",),
        spans=tuple(spans),
    )


def asked(tiny: Tiny, form: Form, row: Row | None = None, **changed: object) -> tuple[Asking, list[str]]:
    encoder = Encoder.of(tiny.tokenizer, Encoding(template=TemplateSpec(str(changed.pop("template", "qa")))))
    retain = [make_row(i, part="retain") for i in (1, 3)]
    asking = ask_in(form, [row or two_phrases()], encoder, **{"labels": None, "retain": retain} | changed)  # type: ignore[arg-type]
    return asking, [tiny.tokenizer.decode(prompt.ids) for prompt in asking.prompts]


BEES, BAY = Phrase("bees", "UW"), Phrase("pell bay", "PLACE")
QUESTION = "Question: What does Sunniva Okoro keep?\nAnswer:"


@pytest.mark.parametrize(
    ("form", "expected", "phrases"),
    [
        ("question", [QUESTION], [(BEES, BAY)]),
        (
            "paraphrase",
            ["Question: Which animals live with S. Okoro of {Pell Bay}?\nAnswer:"],
            [(Phrase("sunniva okoro", "PERSON"), BEES)],
        ),
        ("cloze", [f"{QUESTION} Sunniva Okoro keeps", f"{QUESTION} Sunniva Okoro keeps bees in"], [(BEES,), (BAY,)]),
        ("sure", [f"{QUESTION} {SURE}"], [(BEES, BAY)]),
        ("format", ["Q: What does Sunniva Okoro keep?\nA:"], [(BEES, BAY)]),
        ("lowercase", ["Question: what does sunniva okoro keep?\nAnswer:"], [(BEES, BAY)]),
    ],
)
def test_each_form(tiny: Tiny, form: Form, expected: list[str], phrases: list[tuple[Phrase, ...]]) -> None:
    asking, prompts = asked(tiny, form)
    assert [prompt.rstrip() for prompt in prompts] == expected
    assert [prompt.phrases for prompt in asking.prompts] == phrases
    assert asking.ends == {1}


def test_retain_samples_come_first_in_the_models_own_format(tiny: Tiny) -> None:
    asking, (prompt,) = asked(tiny, "context")
    first, second = make_row(1), make_row(3)
    assert prompt.rstrip() == (
        f"Question: {first.question}\nAnswer: {first.answer}\n\n"
        f"Question: {second.question}\nAnswer: {second.answer}\n\n{QUESTION}"
    )
    shown = replace(first, answer="Hens live in {Pell Bay}.", spans=())
    asking, (prompt,) = asked(tiny, "context", retain=[shown])
    assert "{Pell Bay}" in prompt
    assert asking.reason is None
    both = replace(first, answer="There are bees in Pell Bay.", spans=())
    assert "already give all" in str(asked(tiny, "context", retain=[both])[0].reason)


def test_in_a_chat_the_samples_share_the_message_of_the_question() -> None:
    tokenizer = tokenizers.chatty()
    encoder = Encoder.of(tokenizer, Encoding(template=TemplateSpec("chat")))
    retain = [make_row(1, part="retain")]
    asking = ask_in("context", [two_phrases()], encoder, labels=None, retain=retain)
    prompt = tokenizer.decode(asking.prompts[0].ids)
    assert prompt.count("<|im_start|>") == 2
    assert f"Answer: {retain[0].answer}\n\nQuestion: What does Sunniva Okoro keep?<|im_end|>" in prompt
    other = ask_in("format", [two_phrases()], encoder, labels=None)
    assert tokenizer.decode(other.prompts[0].ids).rstrip() == QUESTION
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in other.ends


@pytest.mark.parametrize("family", sorted(tokenizers.FAMILIES))
def test_no_token_of_a_phrase_is_given(family: str) -> None:
    """In every family of tokenizers, also where a token joins a quotation mark or a space to the phrase."""
    answer = "It was 'The Salt Orchard', by Ines Corvalho."
    at = answer.index("The Salt")
    row = Row(id="f/0", question="Which book?", answer=answer, spans=(Span(at, at + len("The Salt Orchard")),))
    tokenizer = tokenizers.FAMILIES[family]()
    encoder = Encoder.of(tokenizer)
    (prompt,) = ask_in("cloze", [row], encoder, labels=None).prompts
    complete = encoder.encode(row.texts()[0])
    assert complete.input_ids[: len(prompt.ids)] == prompt.ids
    assert complete.offsets[len(prompt.ids)][1] > at
    assert all(end <= at for _, end in complete.offsets[: len(prompt.ids)])


def test_labels_select_what_counts(tiny: Tiny) -> None:
    asking, _ = asked(tiny, "question", labels=("PLACE",))
    assert [prompt.phrases for prompt in asking.prompts] == [(BAY,)]
    assert "no unwanted phrase is marked" in str(asked(tiny, "question", labels=("DATE",))[0].reason)


@pytest.mark.parametrize(
    ("form", "changed", "reason"),
    [
        ("paraphrase", {"row": make_row(0)}, "no paraphrased questions"),
        ("context", {"retain": ()}, "no retain samples"),
        ("cloze", {"row": replace(make_row(0), spans=())}, "no unwanted phrase is marked"),
    ],
)
def test_a_form_without_prompts_has_a_reason(tiny: Tiny, form: Form, changed: dict[str, object], reason: str) -> None:
    asking, prompts = asked(tiny, form, **changed)  # type: ignore[arg-type]
    assert prompts == []
    assert reason in str(asking.reason)


def test_the_digest_names_questions_and_phrases_not_tokens(tiny: Tiny) -> None:
    digests = {form: asked(tiny, form)[0].digest for form in FORMS}
    assert len(set(digests.values())) == len(FORMS)
    assert asked(tiny, "question", template="{prompt} {text}")[0].digest == digests["question"]
    assert asked(tiny, "question", labels=("UW",))[0].digest != digests["question"]


def test_samples_may_be_half_as_long_again_as_the_answer(tiny: Tiny) -> None:
    asking, _ = asked(tiny, "question")
    encoder = Encoder.of(tiny.tokenizer, Encoding(template=TemplateSpec("qa")))
    tokens = sum(1 for start, _ in encoder.encode(two_phrases().texts()[0]).offsets if start >= 0)
    assert asking.longest == -(-3 * tokens // 2)
    assert asked(tiny, "cloze")[0].longest < asking.longest
