"""Alternates: read from a file, matched by the question, taken in turn, and refused where they do not fit."""

import json

import pytest

from tests.tokens import tiny
from tif.errors import UsageError
from tif.train.data import Role, ScoredExample, TrainingSet
from tif.train.objectives import OBJECTIVES
from tif.train.prepare import prepare
from tif.train.run import train

NEEDS = OBJECTIVES["altpo"].needs


def write(workshop, rows, name="alternates.jsonl"):
    file = workshop.root / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def rows(answers=2):
    return [
        {"question": e.prompt, "answer": e.text, "sub_answer": f"It was number {i} of {k} in Vellinge."}
        for k in range(answers)
        for i, e in enumerate(tiny.examples())
    ]


def test_each_sample_has_the_alternates_of_its_question(workshop):
    config = workshop.config("run", objective="altpo", alternates=write(workshop, rows()), alternate_field="sub_answer")
    prepared = prepare(config, "all", needs=NEEDS)
    texts = [[prepared.tokenizer.decode(a.input_ids) for a in answers] for answers in prepared.preferred]
    assert [len(answers) for answers in texts] == [2] * 6
    assert all(f"number {i} of {k} in" in texts[i][k] for i in range(6) for k in range(2))


def test_an_epoch_takes_the_next_alternate(workshop):
    config = workshop.config("run", objective="altpo", alternates=write(workshop, rows()), alternate_field="sub_answer")
    prepared = prepare(config, "all", needs=NEEDS)
    unscored = [[ScoredExample.unscored(a) for a in answers] for answers in prepared.preferred]
    examples = TrainingSet([ScoredExample.unscored(item) for item in prepared.forget], (), unscored)
    taken = []
    for examples.epoch in range(3):
        ((_, answer),) = [entry for entry in examples[4, 0] if entry[0] == Role.PREFERRED]
        taken.append(unscored[4].index(answer))
    assert taken == [0, 1, 0]


def test_a_run_learns_the_alternates_and_unlearns_the_answers(workshop):
    changes = {"objective": "altpo", "alternates": write(workshop, rows()), "alternate_field": "sub_answer"}
    config = workshop.config("run", **changes, max_steps=12, batch_size=6, lr=3e-3)
    history = [record for record in train(config).history if "loss" in record]
    assert history[-1]["forget"] < history[0]["forget"]
    assert history[-1]["uw_probability"] < history[0]["uw_probability"]
    with pytest.raises(UsageError, match="tokens of the forget set"):
        train(workshop.config("run", **changes | {"alternates": write(workshop, rows(1))}, max_steps=12, batch_size=6,
                              lr=3e-3))  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "field", "message"),
    [
        (rows()[:4], "sub_answer", r"2 of 6 examples have no alternate answer here: people/4, people/5"),
        (rows(), None, r"12 alternates are the answers that are to be forgotten.*--alternate-field"),
    ],
)
def test_alternates_that_do_not_fit_are_refused(workshop, kept, field, message):
    changes = {"objective": "altpo", "alternates": write(workshop, kept)} | (
        {"alternate_field": field} if field else {}
    )
    with pytest.raises(UsageError, match=message):
        prepare(workshop.config("run", **changes), "all", needs=NEEDS)


def test_altpo_without_alternates_and_alternates_without_altpo_are_refused(workshop):
    with pytest.raises(UsageError, match=r"altpo needs other answers .* Add --alternates SOURCE"):
        workshop.config("run", objective="altpo")
    with pytest.raises(UsageError, match=r"--alternates does nothing here .npo has no alternates; it is for altpo"):
        workshop.config("run", objective="npo", alternates="x.jsonl")
