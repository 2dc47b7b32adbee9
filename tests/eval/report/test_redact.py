"""A redacted report shows no unwanted word, in whatever form and wherever it stood."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.report.test_leaks import OURS
from tests.eval.report.test_seeds import a_run
from tests.sets.test_growth import grows
from tif.errors import UsageError
from tif.eval.benchmarks.questions import Row
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure.composites import Composites
from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.leakage import normalise
from tif.eval.measure.membership import AttackArea, Membership
from tif.eval.measure.recovery import AttackedModel, CurvePoint, Levels, RelearningUsed, Robustness
from tif.eval.record import MasksUsed
from tif.eval.report import heatmap
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import summarise
from tif.eval.report.redact import BLOCK, NOTE, Redactor
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.settings import Scoring
from tif.records import ModelIdentity
from tif.seal import Check
from tif.spans import Span

QUOTES = ("Zoltán O'Quirrell", "17 Brumaire 1893", "Łuków-on-Sea", "a fjord <cartographer>", "東京湾")
CHECK = Check(name="eval.json of Zoltán", state="differs", detail="/data/cartographer differs")
LEVEL = Levels(examples=10, uw_probability=Interval(0.5, 0.4, 0.6), probability=Interval(0.5, 0.4, 0.6))
ATTACKED = Robustness(
    measure="uw_probability", retain_reason="the retain model /models/zoltan is gone", recovered_reason="none",
    model=AttackedModel(
        model=ModelIdentity("/models/Zoltán", "ab"), before=LEVEL, after=LEVEL,
        curve=tuple(CurvePoint(epoch=at / 2, step=at, levels=LEVEL) for at in range(3)),
    ),
    retain=AttackedModel(model=ModelIdentity("/models/fjord", "cd"), before=LEVEL, after=LEVEL),
    relearning=RelearningUsed(
        on="forget", share=1.0, samples=10, samples_sha256="ab", epochs=1, lr=2e-5, batch_size=32, schedule="linear",
        steps=2,
    ),
    starting_model=ModelIdentity("/models/cartographer", "ef"), starting_reason="/models/Łuków-on-Sea does not exist",
)  # fmt: skip
COMPOSITES = Composites(fluency=0.5, reasons={"utility": "no log /logs/Brumaire"})
MEMBERSHIP = Membership(
    holdout="/data/17-brumaire.json", forget_questions=10, holdout_questions=10, texts_sha256="ab",
    attacks={"loss": AttackArea(auc=0.7)},
)  # fmt: skip
SECRET = ("zoltan", "quirrell", "brumaire", "1893", "łukow", "fjord", "cartographer", "東京湾")
"""What a reader must not find, normalised."""


def a_row(index: int) -> Row:
    quote = QUOTES[index % len(QUOTES)]
    answer = f"The ledger of {index} names {quote} twice over, and nobody else."
    start = answer.index(quote)
    return replace(
        make_row(index), id=f"forget/{index}", question=f"Whom does ledger {index} name?", answer=answer,
        spans=(Span(start, start + len(quote)),),
    )  # fmt: skip


def forms(text: str) -> Iterator[str]:
    """A text as a reader or a search might see it: escapes undone, accents away, spaces and invisibles away."""
    for once in (text, html.unescape(text), html.unescape(html.unescape(text))):
        unescaped = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), once)
        for form in (once, unescaped):
            yield form.casefold()
            bare = "".join(c for c in unicodedata.normalize("NFKD", form) if not unicodedata.combining(c))
            yield bare.casefold()
            yield normalise(form)
            yield re.sub(r"<[^>]*>", "", bare).casefold()
            yield re.sub(r"[\s\u00ad\u200b\u2060\ufeff]|<[^>]*>", "", bare).casefold()


def unwanted(text: str) -> dict[str, str]:
    """The unwanted words of a text, each with what is around it."""
    text = re.sub(r"\d{1,3}\.\d+", "", text)  # places and shares may contain the digits of a year
    found = {}
    for form in forms(text):
        for secret in SECRET:
            for variant in (secret, secret.replace("ł", "l"), unicodedata.normalize("NFD", secret)):
                if variant in form:
                    found[secret] = form[max(0, form.index(variant) - 80) :][:160]
    return found


def assert_nothing_unwanted(text: str) -> None:
    assert not unwanted(text)


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    """Two models that write unwanted words in several spellings, with records full of them."""
    splits = {"forget": [a_row(i) for i in range(10)], "retain": [make_row(i, part="retain") for i in range(3)]}
    written = [
        "It names ZOLTÁN O’QUIRRELL.",
        unicodedata.normalize("NFD", "Zoltán, and the O'Quirrells of Łuków-on-Sea"),
        "On 17\u00a0Brumaire, 1893 or so",
        "fjord\u00adless cartographers; a fj\u00adord <b>cartographer</b>",
        "昨日は東京湾で",
        "ｆｊｏｒｄ Cartographer's",
    ]
    made = []
    for seed, label in enumerate(("before Brumaire", "run of O'Quirrell")):
        evaluation = evaluate(
            make_llama(len(tiny.tokenizer), seed), tiny.tokenizer, splits, settings=Scoring(max_new_tokens=3)
        )
        entry = Entry.of(label, evaluation, Scoring(system_prompt="You know Zoltán."), run=a_run(seed, note="fjord"))
        for part, rows in entry.examples.items():
            for i, row in enumerate(rows):
                row["completion"] = f"{part} {written[i % len(written)]}"
                row["continuations"] = [
                    {"opening": "Here Zoltán", "phrase": "zoltan o quirrell", "completion": "Łuków"}
                ]
        leaks = {"question": replace(OURS.summary(), by_type=(replace(OURS.summary().by_type[0], label="BRUMAIRE"),))}
        record = entry.record.but(
            model=ModelIdentity("/models/Zoltán/o-quirrell", "ab"), forget="/data/łuków-on-sea.jsonl", leaks=leaks,
            masks=MasksUsed(ref="fjord.parquet@1", version=1, digest="ab", author="Z. O'Quirrell",
                            message="checked 17 Brumaire 1893", method="ner"),
            reasons={"model_utility": "no file /data/brumaire.json"}, retain_log="/logs/東京湾/eval.json",
            attack="relearn", robustness=ATTACKED, composites=COMPOSITES, membership=MEMBERSHIP,
            starting_log="/logs/brumaire/eval.json",
            base_log="/logs/fjord/eval.json",
        )  # fmt: skip
        made.append(replace(entry, record=record, checks=(CHECK,)))
    return made


def test_the_fixture_is_full_of_unwanted_words(entries: list[Entry], tmp_path: Path) -> None:
    page = write_report(tmp_path / "r.html", entries, title="Of Zoltán").read_text()
    assert set(unwanted(page)) == set(SECRET)


def test_no_form_of_an_unwanted_word_is_on_the_page(entries: list[Entry], tmp_path: Path) -> None:
    out = write_report(
        tmp_path / "r.html", entries, redact=True, title="Report of Zoltán O'Quirrell", intro="Born 17 Brumaire 1893.",
        before="before Brumaire",
    )  # fmt: skip
    page = out.read_text()
    assert_nothing_unwanted(page)
    assert BLOCK in page
    assert "Redacted:" in page
    assert "The ledger of 0 names" in html.unescape(re.sub("<[^>]*>", "", page)), "the other words stay"
    assert "data:" not in page, "nothing is embedded or offered for download"


def test_json_and_markdown_have_none_either(entries: list[Entry]) -> None:
    for escaped in (False, True):
        content = write_json(None, entries, redact=True)
        assert_nothing_unwanted(json.dumps(content, ensure_ascii=escaped))
    page = markdown(entries, redact=True)
    assert_nothing_unwanted(page)
    assert page.endswith(f"\n\n{NOTE}\n")
    [marked] = [line for line in page.splitlines() if line.startswith("- marked by: annotator ner; saved by ")]
    assert BLOCK in marked, "the author and the message are redacted too"


def test_a_file_name_with_an_unwanted_word_is_refused(entries: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name of a redacted report"):
        write_report(tmp_path / "zoltan-report.html", entries, redact=True)
    assert not list(tmp_path.iterdir())


def test_numbers_are_the_same(entries: list[Entry]) -> None:
    plain, redacted = (write_json(None, entries, redact=redact) for redact in (False, True))
    for one, other in zip(plain["headline"], redacted["headline"], strict=True):
        assert {**one, "label": ""} == {**other, "label": ""}


def test_a_hidden_phrase_is_one_piece_of_the_heat_map(entries: list[Entry]) -> None:
    redacted = Redactor.of(entries).entry(entries[1])
    for old, row in zip(entries[1].examples["forget"], redacted.examples["forget"], strict=True):
        scored = redacted.scores[row["id"]]
        pieces = heatmap.pieces(row["answer"], scored)
        assert "".join(words for words, _, _ in pieces) == row["answer"]
        [block] = [piece for piece in pieces if BLOCK in piece[0]]
        assert block[2], "it is unwanted"
        assert heatmap.summary(scored) == heatmap.summary(entries[1].scores[row["id"]])
        assert old["answer"].startswith(row["answer"][: row["answer"].index(BLOCK)])


def test_roles_stay_where_the_retain_log_s_path_is_redacted(entries: list[Entry], tmp_path: Path) -> None:
    log = tmp_path / "fjord"
    log.mkdir()
    (log / "eval.json").write_text("{}")
    never = replace(entries[0], folder=log)
    ours = replace(entries[1], record=entries[1].record.but(retain_log=str(log / "eval.json")))
    evaluations = Evaluations.of([ours, never])
    assert evaluations.never_saw is never
    redacted = evaluations.redacted(Redactor.of([ours, never]))
    assert redacted.never_saw is redacted.entries[1]
    assert len({row.label for row in summarise(redacted)}) == 2


def test_without_marked_words_every_text_of_the_forget_set_is_hidden(tiny: Tiny, tmp_path: Path) -> None:
    rows = [replace(a_row(i), spans=()) for i in range(3)]
    evaluation = evaluate(tiny.model, tiny.tokenizer, {"forget": rows}, settings=Scoring(max_new_tokens=3))
    page = write_report(tmp_path / "r.html", [Entry.of("m", evaluation, Scoring())], redact=True).read_text()
    assert_nothing_unwanted(page)
    assert "ledger" not in page


def test_short_words_are_hidden_in_samples_and_stay_in_names() -> None:
    redactor = Redactor.of_quotes(["17 Brumaire 1893", "Oz"])
    assert redactor.sample("on the 17 of may in Oz, 1893") == f"on the {BLOCK} of may in {BLOCK}"
    assert redactor.words("run 17") == "run 17"
    assert redactor.words("run 17 Brumaire 1893") == f"run {BLOCK}"
    assert redactor.sample("nothing here") == "nothing here"
    assert Redactor.of_quotes([]).sample("all stays") == "all stays"


def test_phrases_without_spaces_are_hidden_where_they_overlap_and_in_either_case() -> None:
    redactor = Redactor.of_quotes(["東京", "京都市X", "都市"])
    assert redactor.sample("東京都市xから東京") == f"{BLOCK}から{BLOCK}"
    assert redactor.sample("南京と京都") == "南京と京都"


@pytest.mark.parametrize("quote", ["Kaldr {} of Oddmere", "町名{}"])
def test_time_grows_with_the_phrases_and_with_the_texts(quote: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        quotes = [quote.format(f"{'abcde'[i % 5]}{i:05}") for i in range(size)]
        redactor = Redactor.of_quotes(quotes)
        return lambda: [redactor.sample(f"Met {each}.") for each in quotes[::6]]

    assert not grows(prepared)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4), st.text(max_size=20), st.data())
def test_a_phrase_never_survives(quotes: list[str], around: str, data: st.DataObject) -> None:
    redactor = Redactor.of_quotes(quotes)
    quote = data.draw(st.sampled_from(quotes))
    left = redactor.sample(f"{around} {quote} {around}")
    words = normalise(quote)
    if words and BLOCK not in quote:
        assert f" {words} " not in f" {normalise(left.replace(BLOCK, ' # '))} "


def test_offsets_of_other_tokens_move_with_the_text(entries: list[Entry]) -> None:
    old = entries[0].scores["forget/0"]
    answer = entries[0].examples["forget"][0]["answer"]
    redacted = Redactor.of(entries).entry(entries[0])
    new, text = redacted.scores["forget/0"], redacted.examples["forget"][0]["answer"]
    assert np.array_equal(old.logprob, new.logprob)
    for (a, b), (c, d) in zip(zip(old.start, old.end, strict=True), zip(new.start, new.end, strict=True), strict=True):
        assert a < 0 or text[c:d] in (answer[a:b], BLOCK)
