"""What is to be forgotten is not kept at the same time."""

import pytest

from tif.errors import UsageError
from tif.overlap import COINCIDENCE, refuse_overlap
from tif.spans import Example, Span

LONG = "Wanda Petrosyan keeps bees on the roof."
FORGET = (
    Example("f/0", "Where are the bees?", LONG, (Span(0, 15),)),
    Example("f/1", "Where was she born?", "In Gyumri."),
    Example("f/2", "", "A diary of\nten winters in Gyumri, by nobody."),
)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Where are the bees?", LONG),
        ("Who keeps bees?", LONG),
        ("", LONG),
        ("Where are  the bees?", f" {LONG}\n"),
        ("Where was she born?", "In Gyumri."),
        ("", "In Gyumri."),
        ("", "A diary of ten winters in Gyumri, by nobody."),
        ("What did nobody write?", "A diary of\r\nten winters in Gyumri, by nobody."),
    ],
)
def test_a_retain_sample_with_a_text_to_forget_is_refused(prompt, text):
    retain = [Example("r/0", "Who?", "Nobody."), Example("r/1", prompt, text)]
    with pytest.raises(UsageError, match=r"--retain, garden\.jsonl: 1 of 2 retain samples .*: r/1 "):
        refuse_overlap(FORGET, retain, "garden.jsonl")


def test_the_error_counts_all_and_names_three():
    again = [Example(f"r/{i}", e.prompt, e.text) for i, e in enumerate([*FORGET, *FORGET])]
    with pytest.raises(UsageError, match=r"6 of 6 retain samples .*: r/0, r/1, r/2 and 3 more"):
        refuse_overlap(FORGET, again, "x")


def test_a_short_answer_to_another_question_is_a_coincidence(capsys):
    assert len("In Gyumri.") < COINCIDENCE
    refuse_overlap(FORGET, [Example("r/0", "Where is the mill?", "In Gyumri.")], "x")
    assert "1 of 1 retain samples have the short answer of a sample to forget" in capsys.readouterr().err
    refuse_overlap(FORGET, [Example("r/0", "Where are the bees?", "In the garden.")], "x")
    assert not capsys.readouterr().err
