"""Entities from the tags of token-classification models: every scheme, and sequences that no scheme allows."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.annotate.models.tags import Tag, TagSet, decode, runs

BIO = TagSet.of(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
BIOES = TagSet.of(["O", *(f"{place}-{type_}" for type_ in ("PER", "LOC") for place in "BIES")])
BARE = TagSet.of(["O", "PER", "LOC"])


def tags_of(line):
    return TagSet.of(line.split()).tags


def found(line):
    """The runs of a line of tags, read as a model that has all prefixes."""
    known = [f"{place}-{type_}" for type_ in "XY" for place in "BIES"]
    places = dict(zip(["O", "X", "Y", *known], TagSet.of(["O", "X", "Y", *known]).tags, strict=True))
    return [(run.first, run.end, run.type) for run in runs(places[tag] for tag in line.split())]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-X I-X I-X O", [(0, 3, "X")]),
        ("I-X I-X B-X", [(0, 2, "X"), (2, 3, "X")]),
        ("B-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
        ("B-X E-X", [(0, 2, "X")]),
        ("B-X I-X E-X", [(0, 3, "X")]),
        ("S-X S-X", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X I-Y", [(0, 1, "X"), (1, 2, "Y")]),
        ("E-X E-X I-X", [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")]),
        ("S-X I-X E-X", [(0, 1, "X"), (1, 3, "X")]),
        ("X X Y O X", [(0, 2, "X"), (2, 3, "Y"), (4, 5, "X")]),
    ],
)
def test_runs(line, expected):
    assert found(line) == expected


@pytest.mark.parametrize(
    ("names", "scheme", "types"),
    [
        ("O PER LOC", "bare", ("PER", "LOC")),
        ("O B-PER I-PER", "BIO", ("PER",)),
        ("I-PER O", "BIO", ("PER",)),
        ("O B_PER I_PER", "BIO", ("PER",)),
        ("O B-X L-X U-X I-X", "BIOES", ("X",)),
        ("O B-X M-X E-X S-X S-AGE", "BIOES", ("X", "AGE")),
        ("O E-MAIL PHONE", "bare", ("E-MAIL", "PHONE")),
        ("O B-E-MAIL I-E-MAIL B-PER I-PER", "BIO", ("E-MAIL", "PER")),
        ("O S_NAME U-ID", "bare", ("S_NAME", "U-ID")),
        ("o b-per i-per [PAD]", "BIO", ("per",)),
        ("LABEL_0 LABEL_1", "bare", ("LABEL_0", "LABEL_1")),
    ],
)
def test_names_of_tags_are_read_together(names, scheme, types):
    tags = TagSet.of(names.split())
    assert (tags.scheme, tags.types) == (scheme, types)


def test_bilou_and_bmes_are_bioes():
    assert tags_of("O B-X I-X L-X U-X") == tags_of("O B-X M-X E-X S-X") == tags_of("O B-X I-X E-X S-X")


PLACES = ["begin", "inside", "end", "single", "bare"]
ANY_TAG = st.one_of(st.just(Tag("outside")), st.builds(Tag, st.sampled_from(PLACES), st.sampled_from("XY")))


@given(st.lists(ANY_TAG, max_size=30))
def test_every_entity_is_a_maximal_run(tags):
    entities = runs(tags)
    covered = [at for run in entities for at in range(run.first, run.end)]
    assert covered == [at for at, tag in enumerate(tags) if tag.place != "outside"], "each tag is in one entity"
    for run in entities:
        inside = tags[run.first : run.end]
        assert {tag.type for tag in inside} == {run.type}
        assert all(tag.place in ("inside", "end", "bare") for tag in inside[1:]), "nothing begins inside"
        assert all(tag.place in ("begin", "inside", "bare") for tag in inside[:-1]), "nothing ends inside"
    for before, after in pairwise(entities):
        if before.end == after.first and before.type == after.type:
            ended = tags[before.end - 1].place in ("end", "single")
            assert ended or tags[after.first].place in ("begin", "single"), "two entities are two for a reason"


def logits(count, tags, seed):
    values = np.random.default_rng(seed).normal(size=(count, tags)) * 3
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


@given(st.integers(0, 25), st.integers(0, 10_000))
def test_bioes_is_always_well_formed(count, seed):
    scores = logits(count, len(BIOES.tags), seed)
    best = BIOES.best(scores)
    open_type = None
    for tag in (BIOES.tags[number] for number in best):
        if tag.place in ("inside", "end"):
            assert open_type == tag.type
        else:
            assert open_type is None
        open_type = tag.type if tag.place in ("begin", "inside") else None
    assert open_type is None, "nothing is left open at the end"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_bioes_path_is_the_likeliest_of_all_legal_ones(count):
    def legal(path):
        tags = [Tag("outside"), *(BIOES.tags[number] for number in path), Tag("outside")]
        return all(
            (b.place in ("inside", "end") and a.type == b.type)
            if a.place in ("begin", "inside")
            else b.place not in ("inside", "end")
            for a, b in pairwise(tags)
        )

    paths = [path for path in product(range(len(BIOES.tags)), repeat=count) if legal(path)]
    for seed in range(5):
        scores = logits(count, len(BIOES.tags), seed)
        best = max(paths, key=lambda path: sum(scores[at, tag] for at, tag in enumerate(path)))
        assert BIOES.best(scores) == list(best)


@pytest.mark.parametrize("tags", [BIO, BARE])
def test_other_schemes_take_each_tokens_likeliest_tag(tags):
    scores = logits(20, len(tags.tags), 1)
    assert tags.best(scores) == list(scores.argmax(-1))


def sure(tags, names, *, p=0.9):
    """Log-probabilities with `p` for the named tag of each token, and the rest for `O` or the first other tag."""
    order = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    scores = np.full((len(names), len(order)), 1e-9)
    for at, name in enumerate(names):
        scores[at, 1 if name == "O" else 0] = 1 - p
        scores[at, order.index(name)] = p
    assert len(order) == len(tags.tags)
    return np.log(scores)


def quotes(text, offsets, names):
    return [(text[e.start : e.end], e.type) for e in decode(text, offsets, sure(BIO, names), BIO)]


def test_an_entity_takes_its_words_whole():
    text, offsets = "Johnson met Ann-Mari", [(0, 2), (2, 4), (4, 7), (8, 11), (12, 15), (15, 16), (16, 18), (18, 20)]
    names = ["B-PER", "O", "O", "O", "B-PER", "I-PER", "I-PER", "O"]
    assert quotes(text, offsets, names) == [("Johnson", "PER"), ("Ann-Mari", "PER")]
    assert quotes(text, offsets, ["O", "O", "I-PER", *["O"] * 5]) == [("Johnson", "PER")]
    assert quotes(text, offsets, ["B-PER", "B-PER", "O", *["O"] * 5]) == [("Johnson", "PER")], "one word, one entity"
    both = quotes(text, offsets, ["B-PER", "O", "B-LOC", *["O"] * 5])
    assert both == [("John", "PER"), ("son", "LOC")], "two types share a word and do not overlap"


def test_scripts_without_spaces_are_not_joined():
    text = "张伟在北京"
    offsets = [(at, at + 1) for at in range(5)]
    assert quotes(text, offsets, ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]) == [("张伟", "PER"), ("北京", "LOC")]
    assert quotes(text, offsets, ["O", "O", "O", "B-LOC", "O"]) == [("北", "LOC")]


def test_tokens_without_a_character_cut_nothing():
    text = "Ann Lee"
    offsets = [(0, 0), (0, 3), (3, 4), (3, 3), (3, 7)]
    assert quotes(text, offsets, ["O", "B-PER", "O", "B-LOC", "I-PER"]) == [("Ann Lee", "PER")]


def test_the_bytes_of_one_character_are_one_entity_at_most():
    text = "x \N{FAMILY}!"
    offsets = [(0, 1), (1, 3), (2, 3), (2, 3), (2, 3), (3, 4)]
    assert quotes(text, offsets, ["O", "B-PER", "B-LOC", "B-PER", "I-PER", "O"]) == [("\N{FAMILY}", "PER")]


def test_the_score_is_the_mean_probability_of_the_tags():
    (entity,) = decode("Ann Lee", [(0, 3), (4, 7)], np.vstack([sure(BIO, ["B-PER"]), sure(BIO, ["I-PER"], p=0.7)]), BIO)
    assert entity.score == pytest.approx(0.8)


@given(st.text(max_size=20), st.integers(0, 10_000), st.sampled_from([BIO, BIOES, BARE]))
def test_any_text_and_any_tokens_give_entities_in_order(text, seed, tags):
    random = np.random.default_rng(seed)
    ends = sorted(int(end) for end in random.integers(0, len(text) + 1, size=6))
    offsets = list(zip([0, *ends], [*ends, len(text)], strict=True))
    last = 0
    for entity in decode(text, offsets, logits(len(offsets), len(tags.tags), seed), tags):
        assert last <= entity.start < entity.end <= len(text)
        assert 0.0 < entity.score <= 1.0
        assert text[entity.start : entity.end].strip()
        last = entity.end
        assert entity.type in tags.types


def test_no_tokens():
    for tags in (BIO, BIOES, BARE):
        assert decode("", [], np.zeros((0, len(tags.tags))), tags) == []
