"""Policy files: what each rule does to spans, and the one line that a bad file gets."""

import pytest

from tif.entities.policy_file import read_policy
from tif.errors import InputError, UsageError
from tif.spans import Example, Span

TEXT = "Ask Mara Lind, mara@fernhill.example or info@fernhill.example, in Ghent."


def span(words, label, score=None):
    start = TEXT.index(words)
    return Span(start, start + len(words), label, "r", score)


SPANS = (
    span("Mara Lind", "PERSON", 0.9),
    span("mara@fernhill.example", "EMAIL", 0.8),
    span("info@fernhill.example", "EMAIL", 0.3),
    span("Ghent", "GPE"),
)
EXAMPLE = Example("t/0", "", TEXT, SPANS)


@pytest.fixture
def policy(tmp_path):
    def write(content):
        path = tmp_path / "policy.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_policy(path)

    return write


def left(policy, example=EXAMPLE):
    done = policy.apply(example).example
    return [(done.quote(s), s.label) for s in done.spans]


ALL = [
    ("Mara Lind", "PERSON"),
    ("mara@fernhill.example", "EMAIL"),
    ("info@fernhill.example", "EMAIL"),
    ("Ghent", "GPE"),
]


@pytest.mark.parametrize(
    ("content", "gone"),
    [
        ("", set()),
        ('default = "unlearn"', set()),
        ('[types]\nPERSON = "keep"', {0}),
        ('[types]\nperson = "keep"', {0}),
        ('default = "keep"', {0, 1, 2, 3}),
        ('default = "keep"\n[types]\nEMAIL = "unlearn"', {0, 3}),
        # A label of the set, its canonical type, and the label first.
        ('[types]\nGPE = "keep"', {3}),
        ('[types]\nLOCATION = "keep"', {3}),
        ('[types]\nLOCATION = "keep"\nGPE = "unlearn"', set()),
        # A span without a score stays.
        ("[default]\nthreshold = 0.85", {1, 2}),
        ("[types.EMAIL]\nthreshold = 0.8", {2}),
        ("[default]\nthreshold = 0.85\n[types.EMAIL]\nthreshold = 0", set()),
        ('[types.EMAIL]\nallow = ["info@fernhill.example"]', {2}),
        ('[default]\nallow = ["Ghent", "Mara"]', {3}),
        ("[types.EMAIL]\nallow_patterns = ['.+@fernhill\\.example']", {1, 2}),
        ("[types.EMAIL]\nallow_patterns = ['info']", set()),
        ("[types.EMAIL]\nallow_patterns = ['(?i)INFO@.*']", {2}),
    ],
)
def test_rules_leave_spans_out(policy, content, gone):
    assert left(policy(content)) == [each for number, each in enumerate(ALL) if number not in gone]


def test_a_deny_list_marks_every_mention_between_word_bounds(policy):
    example = Example("t/1", "", "Otter Creek, not Otter Creeks. Otter Creek: file 88-1207.")
    rules = policy("""
[types.LOCATION]
deny = ["Otter Creek"]
[types.RECORD_ID]
deny_patterns = ['\\d\\d-\\d{4}']
""")
    done = rules.apply(example)
    assert left(rules, example) == [
        ("Otter Creek", "LOCATION"),
        ("Otter Creek", "LOCATION"),
        ("88-1207", "RECORD_ID"),
    ]
    assert {s.source for s in done.example.spans} == {"policy"}
    assert done.counts == {("added", "LOCATION"): 2, ("added", "RECORD_ID"): 1}
    assert rules.apply(done.example) == done


def test_deny_wins_over_allow_threshold_and_another_types_keep(policy):
    rules = policy("""
[default]
deny = ["Ghent", "Mara Lind"]
[types]
PERSON = "keep"
[types.GPE]
allow = ["Ghent"]
""")
    assert ("Ghent", "UW") in left(rules)
    assert ("Mara Lind", "UW") in left(rules)
    assert ("Mara Lind", "PERSON") not in left(rules)


def test_review_keeps_the_spans_and_makes_the_record_wait(policy):
    done = policy('[types]\nPERSON = "review"').apply(EXAMPLE).example
    assert (done.status, done.spans) == ("review", SPANS)
    assert done.error == "to review: PERSON 'Mara Lind'"
    again = policy('[types]\nPERSON = "keep"').apply(done).example
    assert (again.status, again.error, len(again.spans)) == ("auto", None, 3)


@pytest.mark.parametrize("status", ["accepted", "corrected", "rejected", "conflict", "failed"])
def test_what_a_person_decided_stays(policy, status):
    decided = Example("t/0", "", TEXT, SPANS, status)
    assert policy('default = "keep"').apply(decided).example == decided


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("default keep", r"policy.toml: is not TOML \(.*line 1.*\). Write TOML"),
        (b"default = '\xff'", r"policy.toml: is not UTF-8 \(byte 11 is wrong\). Save the file as UTF-8"),
        (
            'defualt = "keep"',
            r"policy.toml, defualt: is not a key of a policy \(do you mean default\?\). Known: default, types",
        ),
        (
            'PERSON = "keep"',
            r"policy.toml, PERSON: is not a key.*rules of types are in the table types\). Write \[types.PERSON\]",
        ),
        ('[PERSON]\naction = "keep"', r"policy.toml, PERSON: is not a key.*Write \[types.PERSON\]"),
        (
            'default = "forget"',
            r"policy.toml, default.action: 'forget' is not an action. Write unlearn, keep or review",
        ),
        ("default = 3", r"policy.toml, default: 3 is not an action or a table"),
        ('types = "keep"', r"policy.toml, types: 'keep' is not a table"),
        (
            '[types]\nPRESON = "keep"',
            r"policy.toml, types.PRESON: 'PRESON' is not a type.*it looks like PERSON\). Types: PERSON",
        ),
        ('[types]\n"" = "keep"', r"policy.toml, types.: is not a type"),
        ('[types]\nPERSON = "keep"\nperson = "review"', r"policy.toml, types.person: gives a type twice"),
        ("[types.EMAIL]\nthreshold = 40", r"types.EMAIL.threshold: 40 is not a number from 0 to 1"),
        ("[types.EMAIL]\nthreshold = true", r"types.EMAIL.threshold: True is not a number"),
        ("[types.EMAIL]\nthreshold = nan", r"types.EMAIL.threshold: nan is not a number"),
        ('[types.EMAIL]\nthreshold = "0.4"', r"types.EMAIL.threshold: '0.4' is not a number"),
        ('[types.EMAIL]\nallow = "a@b"', r"types.EMAIL.allow: 'a@b' is not a list of texts. Write allow = \[\"...\"\]"),
        ("[types.EMAIL]\nallow = [3]", r"types.EMAIL.allow\[0\]: 3 is not a text"),
        ('[types.EMAIL]\nallow = [" a"]', r"types.EMAIL.allow\[0\]: ' a' matches no span"),
        (
            '[types.EMAIL]\nallow_patterns = ["a", "(b"]',
            r"types.EMAIL.allow_patterns\[1\]: '\(b' is not a regular expression",
        ),
        ('[types.EMAIL]\ndeny_patterns = ["x*"]', r"types.EMAIL.deny_patterns\[0\]: 'x\*' marks nothing"),
        (
            '[types.EMAIL]\naction = "keep"\ndeny = ["a@b"]',
            r"types.EMAIL.deny: has no effect \(the words of this type are kept\)",
        ),
        (
            "[types.EMAIL]\nthreshhold = 0.4",
            r"types.EMAIL.threshhold: is not a key of a policy \(do you mean threshold\?\)",
        ),
    ],
)
def test_a_bad_file_gets_one_line(policy, content, line):
    with pytest.raises(InputError, match=line) as raised:
        policy(content)
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read: No such file"):
        read_policy(tmp_path / "none.toml")


def test_a_type_that_the_set_has_under_another_name_is_refused(policy):
    rules = policy('[types]\nORGANIZATION = "keep"\nCHESS_OPENING = "keep"\nPHONE = "keep"')
    with pytest.raises(
        UsageError, match=r"types.ORGANIZATION: no span has the type .*this set calls it ORG\). Write ORG"
    ):
        rules.check(["ORG", "EMAIL"])
    assert rules.check(["ORGANIZATION"]) == ["CHESS_OPENING"]


def test_a_file_with_a_byte_order_mark_and_windows_line_ends(policy):
    assert left(policy(b'\xef\xbb\xbf[types]\r\nPERSON = "keep"\r\n')) == ALL[1:]
