"""Votes of several annotators."""

from dataclasses import replace

import pytest

from tif.errors import UsageError
from tif.sets import store
from tif.sets.conflict import Other, note
from tif.sets.vote import vote
from tif.spans import AnnotationSet, Example, Span

TEXT = "Mara Ilves is a florist in Narva."


def one(*spans, status="auto", error=None):
    return AnnotationSet(
        (Example("a/1", "Who?", TEXT, tuple(Span(a, b, source="x") for a, b in spans), status, error),)
    )


NAME, SURNAME, JOB, TOWN = (0, 10), (5, 10), (16, 23), (27, 32)


@pytest.mark.parametrize(
    ("need", "kept"),
    [(1, ["Mara Ilves", "florist", "Narva"]), (2, ["Ilves", "florist"]), (3, ["Ilves"])],
)
def test_vote_counts_characters(need, kept):
    (voted,) = vote([one(NAME, JOB), one(SURNAME, JOB), one(SURNAME, TOWN)], need)
    assert [voted.quote(s) for s in voted.spans] == kept


def test_score_is_the_share_of_sets():
    (voted,) = vote([one(NAME, JOB), one(SURNAME, JOB), one(SURNAME, TOWN)], 2)
    assert [(s.source, s.score) for s in voted.spans] == [
        ("vote:2/3 of x", 1.0),
        ("vote:2/3 of x", pytest.approx(2 / 3)),
    ]


def test_a_voted_span_names_its_sources_and_can_keep_the_highest_score():
    def scored(source, *spans):
        return AnnotationSet((Example("a/1", "Who?", TEXT, tuple(Span(*p, "PERSON", source, s) for p, s in spans)),))

    sets = [
        scored("ner:en", (NAME, None)),
        scored("presidio:A", (SURNAME, 0.4), (JOB, 0.3)),
        scored("hf:m", (NAME, 0.9)),
    ]
    (voted,) = vote(sets, 1, "confidence")
    assert [(voted.quote(s), s.source, s.score) for s in voted.spans] == [
        ("Mara Ilves", "vote:1/3 of hf:m, ner:en, presidio:A", 0.9),
        ("florist", "vote:1/3 of presidio:A", 0.3),
    ]
    (unscored,) = vote([scored("ner:en", (TOWN, None)), one(TOWN)], 2, "confidence")
    assert [(s.source, s.score) for s in unscored.spans] == [("vote:2/2 of ner:en, x", None)]
    assert [s.score for s in vote(sets, 2)[0].spans] == [pytest.approx(1 / 3 * 2.5)]


def labelled(*spans):
    return AnnotationSet((Example("a/1", "Who?", TEXT, tuple(Span(a, b, label) for (a, b), label in spans)),))


def test_words_get_votes_whatever_their_label_and_types_are_elected():
    (voted,) = vote([one(JOB), labelled((JOB, "OCCUPATION"))], 2)
    assert [(s.start, s.end, s.label) for s in voted.spans] == [(*JOB, "OCCUPATION")]
    sets = [labelled((NAME, "ORG")), labelled((NAME, "PER")), labelled((SURNAME, "PERSON")), one(TOWN)]
    (voted,) = vote(sets, 1)
    # PER and PERSON are one type, with 15 characters against 10.
    assert [(s.start, s.end, s.label) for s in voted.spans] == [(*NAME, "PER"), (*TOWN, "UW")]
    assert [(s.start, s.end, s.label) for s in vote(sets, 3)[0].spans] == [(*SURNAME, "PER")]


def test_one_set_has_one_vote_for_a_character():
    twice = labelled((NAME, "PERSON"), (SURNAME, "ORG"))
    assert vote([twice, one(JOB)], 2)[0].spans == ()
    assert [s.score for s in vote([twice, one(JOB)], 1)[0].spans] == [0.5, 0.5]


def test_a_person_outvotes_machines():
    person = one(TOWN, status="corrected")
    assert vote([one(JOB), one(JOB), person], 2) == person.examples


def test_people_who_disagree_leave_a_conflict():
    people = [one(TOWN, status="corrected"), one(JOB, status="accepted"), one(JOB), one(TOWN, status="rejected")]
    (left,) = vote([*people, one(JOB, status="corrected")], 2)
    assert (left.status, [left.quote(s) for s in left.spans]) == ("conflict", ["Narva"])
    where = "{}-{}".format(*JOB[:2]), "{}-{}".format(*TOWN[:2])
    assert left.error == f"set 2 (accepted): {where[0]} 'florist'; set 4 (rejected): {where[1]} 'Narva'"


def test_a_vote_drops_no_side_of_an_older_conflict():
    older = one(JOB, status="conflict").examples[0]
    older = replace(older, error=note([Other("theirs", one(TOWN, status="corrected").examples[0])]))
    (left,) = vote([one(JOB, status="corrected"), AnnotationSet((older,))], 2)
    assert (left.status, left.error) == ("conflict", "set 2 (corrected): {}-{} 'Narva'".format(*TOWN[:2]))


def test_a_vote_tells_the_rejection_of_the_first_set():
    (left,) = vote([one(JOB, status="rejected"), one(JOB, status="accepted")], 2)
    where = "{}-{}".format(*JOB[:2])
    assert left.status == "conflict"
    assert left.error == f"set 1 (rejected): {where} 'florist'; set 2 (accepted): {where} 'florist'"
    (kept,) = vote([one(JOB, status="rejected"), one(JOB, status="rejected")], 2)
    assert kept.status == "rejected"


def test_a_failure_has_no_vote():
    (voted,) = vote([one(JOB), one(status="failed", error="no"), one(JOB, TOWN)], 2)
    assert [voted.quote(s) for s in voted.spans] == ["florist"]
    (lost,) = vote([one(JOB), one(status="failed", error="no")], 2)
    assert (lost.status, lost.error) == ("failed", "1 of 2 sets have an annotation, 2 votes are needed")


@pytest.mark.parametrize("need", [0, 3])
def test_votes_out_of_range(need):
    with pytest.raises(UsageError, match=f"{need} votes are not possible with 2 sets"):
        vote([one(JOB), one(JOB)], need)


def test_other_samples_are_refused():
    with pytest.raises(UsageError, match=r"sets 1 and 2 annotate different samples .*'a/2'"):
        vote([one(JOB), AnnotationSet((*one(JOB).examples, Example("a/2", "", "More.")))], 1)


@pytest.mark.parametrize(
    ("how", "kept"),
    [("--union", ["Mara Ilves", "florist", "Narva"]), ("--intersect", ["Ilves"])],
)
def test_union_and_intersection_by_command(tmp_path, cli, how, kept):
    paths = [tmp_path / f"{name}.parquet" for name in ("a", "b", "c")]
    for path, annotations in zip(paths, [one(NAME, JOB), one(SURNAME, JOB), one(SURNAME, TOWN)], strict=True):
        store.save(annotations, path)
    scored = ["--score", "confidence"]
    assert cli("spans", "merge", *paths, how, *scored, "--into", tmp_path / "merged.parquet").code == 0
    assert {s.score for e in store.load(tmp_path / "merged.parquet") for s in e.spans} == {None}
    edits = cli("spans", "merge", paths[0], *scored, "--from-version", f"{paths[0]}@1", "--into", paths[1])
    assert edits.code == 2
    assert "--score: is for a vote" in edits.err
    (merged,) = store.load(tmp_path / "merged.parquet")
    assert [merged.quote(s) for s in merged.spans] == kept


def test_merge_command_votes_and_keeps_people(tmp_path, cli):
    paths = [tmp_path / f"{name}.parquet" for name in ("a", "b", "c")]
    for path, annotations in zip(paths, [one(NAME, JOB), one(JOB), one(TOWN)], strict=True):
        store.save(annotations, path)
    out = tmp_path / "voted.parquet"
    assert cli("spans", "merge", *paths, "--vote", 2, "--into", out).code == 0
    voted = store.load(out)
    assert [voted.examples[0].quote(s) for s in voted.examples[0].spans] == ["florist"]
    assert [member["digest"] for member in voted.provenance.method["of"]] == [store.load(p).digest for p in paths]
    store.save(voted.replaced([replace(voted.examples[0], status="accepted")]), out)
    refused = cli("spans", "merge", *paths, "--union", "--into", out)
    assert refused.code == 2
    assert "people's decisions" in refused.err
    assert "--into" in refused.err
    assert cli("spans", "merge", *paths, "--into", out).code == 2
    assert cli("spans", "merge", *paths, "--vote", 2, "--union", "--into", out).code == 2
