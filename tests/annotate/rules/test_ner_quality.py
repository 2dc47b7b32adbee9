"""How good the offline identifier's spans are, on text that nobody fitted a rule to and on text of other kinds."""

from pathlib import Path

import pytest

from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import NerOptions
from tif.sets import formats
from tif.sets.score import Counts, score
from tif.spans import AnnotationSet, tidy

OTHER60 = Path(__file__).parents[2] / "data" / "other60.jsonl"


def read(path):
    return AnnotationSet(tuple(formats.resolve([_tidied(record) for record in formats.read(path)])))


def _tidied(record):
    from dataclasses import replace

    return replace(record, spans=tidy(record.text, record.spans))


def characters(gold, **options) -> Counts:
    bare = [example.with_spans(()) for example in gold]
    return score(AnnotationSet(tuple(NerAnnotator(NerOptions(**options)).annotate(bare))), gold).total.char


def test_other60_holds_what_it_says():
    gold = read(OTHER60)
    kinds = [example.id.partition("/")[0] for example in gold]
    assert {kind: kinds.count(kind) for kind in kinds} == {"news": 20, "e-mail": 20, "medical": 20}
    assert all(example.spans for example in gold)


def test_news_mail_and_notes():
    gold = read(OTHER60)
    ours, entities = characters(gold), characters(gold, all_entities=True)
    assert ours.f1 >= 0.84
    assert ours.precision >= 0.93
    assert ours.f1 > entities.f1 + 0.10


@pytest.mark.real
def test_forget05(shared):
    gold = read(shared / "gold" / "tofu_forget05_gold.jsonl")
    assert len(gold) == 200
    ours, entities = characters(gold), characters(gold, all_entities=True)
    assert ours.f1 >= 0.775
    assert ours.f1 > entities.f1 + 0.30


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "f1", "recall"),
    [
        ("presidio_dev", 0.87, 0.90),
        ("pii_anon_legal_dev", 0.87, 0.97),
        ("pii_anon_adversarial_dev", 0.97, 0.97),
        ("lume_task2_forget_bios", 0.97, 0.97),
        ("lume_task2_forget_qa", 0.97, 0.97),
    ],
)
def test_personal_data(shared, name, f1, recall):
    ours = characters(read(shared / "pii" / f"{name}.jsonl"))
    assert ours.f1 >= f1
    assert ours.recall >= recall
