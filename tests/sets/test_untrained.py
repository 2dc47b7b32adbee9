"""Spans that training leaves out are shown and counted, wherever a person looks."""

import json

import pytest

from tests.tokens import tiny
from tif.sets import store
from tif.sets.untrained import span_counts, untrained
from tif.spans import AnnotationSet, Example, Provenance, Span
from tif.train.options import TrainOptions
from tif.train.prepare import prepare

TEXT = "Ilse Vandaele was born in Kortrijk in 1958."


def span(quote, label="UW"):
    return Span(TEXT.index(quote), TEXT.index(quote) + len(quote), label, "ner:x")


ROWS = (
    Example("p/0", "Who?", TEXT, (span("Ilse Vandaele"), span("Vandaele", "NAME"), span("Kortrijk in", "PLACE"))),
    Example("p/1", "Who?", TEXT, (span("Kortrijk", "PLACE"), span("1958"))),
    Example("p/2", "Who?", TEXT, (span("Ilse"), span("1958", "DATE")), "rejected"),
    Example("p/3", "Who?", TEXT, (span("Ilse"),), "conflict", "theirs"),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.parquet"
    provenance = Provenance(method={"name": "ner", "model": "xx_core"})
    store.save(AnnotationSet(ROWS, provenance), path, message="first", author="ada")
    return path


def test_a_span_is_left_out_for_its_label_or_for_its_record_and_counted_once():
    counts = span_counts(ROWS)
    every = untrained(counts)
    assert (every.spans, every.count, every.labels) == (8, 3, {})
    assert every.statuses == {"rejected": 2, "conflict": 1}
    some = untrained(counts, ("UW", "PLACE"))
    assert (some.labels, some.statuses, some.count) == ({"DATE": 1, "NAME": 1}, {"rejected": 1, "conflict": 1}, 4)
    assert some.line == (
        "4 of 8 spans will not be trained: 1 DATE (not in --labels), 1 NAME (not in --labels), "
        "1 in rejected records, 1 in records with a conflict"
    )
    assert untrained(span_counts(ROWS[:2])).line == ""


def test_show_shows_spans_of_every_label_and_counts_those_left_out(cli, path):
    shown = cli("spans", "show", path, "--labels", "UW,DATE")
    assert "[[Ilse Vandaele|UW]] was born in [[Kortrijk in|PLACE]] 1958." in shown.out
    assert "overlapping: [[Vandaele|NAME]] at 5-13" in shown.out
    assert "6 of 8 spans will not be trained: 1 NAME (not in --labels), 2 PLACE (not in --labels)" in shown.err
    assert "3 of 8 spans will not be trained: 2 in rejected" in cli("spans", "show", path).err


def test_check_names_labels_that_are_not_trained(cli, path):
    found = json.loads(cli("spans", "check", path, "--labels", "PLACE,NAEM", "--json").out)["findings"]
    told = [(f["kind"], f["where"], f["what"]) for f in found if "label" in f["where"]]
    assert told == [
        ("not-trained", "label 'DATE'", "1 span will not be trained"),
        ("not-trained", "label 'NAME'", "1 span will not be trained"),
        ("not-trained", "label 'UW'", "4 spans will not be trained"),
        ("no-such-label", "label 'NAEM'", "no span has it"),
    ]
    assert "not-trained" not in cli("spans", "check", path).out


def test_training_and_masks_name_labels_that_are_not_trained(cli, path, tmp_path, capfd):
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    options = TrainOptions(
        masks=str(path), model=str(model), out="x", labels=("UW", "DATE"), unmarked="skip", skip_failed=True
    )
    prepare(options, "uw")
    told = " ".join(capfd.readouterr().err.split())
    assert "3 spans are not trained, because --labels leaves them out: 1 NAME, 2 PLACE" in told
    prepare(TrainOptions(masks=str(path), model=str(model), out="x", unmarked="skip", skip_failed=True), "uw")
    assert "not trained" not in capfd.readouterr().err
    shown = json.loads(cli("masks", path, "--tokenizer", model, "--labels", "UW,PLACE", "--json").out)["coverage"]
    assert (shown["spans"], shown["other_spans"]) == (4, 1)
    line = cli("masks", path, "--tokenizer", model, "--labels", "UW,PLACE").out
    assert "1 spans of labels that are not in --labels, not trained" in " ".join(line.split())


def test_the_log_has_author_and_method_of_each_version(cli, path):
    head = store.load(path)
    method = {"name": "vote", "need": 2}
    store.save(AnnotationSet(ROWS[:3], Provenance(method=method), head.version), path, message="two of three")
    rows = json.loads(cli("spans", "log", path, "--json").out)
    assert [(r["author"], r["method"]) for r in rows] == [("ada", {"name": "ner", "model": "xx_core"}), ("", method)]
    first, second = cli("spans", "log", path).out.splitlines()
    assert first.endswith("ada  ner xx_core  first")
    assert second.endswith("  -  vote  two of three")


def test_annotate_records_who_ran_it(cli, tmp_path, monkeypatch):
    monkeypatch.delenv("TIF_AUTHOR", raising=False)
    monkeypatch.setenv("USER", "ada")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": TEXT, "spans": [{"start": 0, "end": 4}]}) + "\n")
    for out, more, author in (("b", [], "ada"), ("c", ["--author", "ivo"], "ivo")):
        done = cli("annotate", "-d", rows, "--method", "manual", "--out", tmp_path / f"{out}.parquet", *more)
        assert done.code == 0, done.err
        assert store.load(tmp_path / f"{out}.parquet").version.author == author
