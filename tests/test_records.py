"""The record of a run: written and read by one class, from this version of the layout and the one before."""

import json
from dataclasses import replace

import pytest

from tif import seal
from tif.errors import InputError
from tif.records import MasksIdentity, ModelIdentity, RunRecord, Session, Stopped
from tif.spans import Dataset, Provenance

RUN = RunRecord(
    status="finished",
    config={"objective": "tpo", "lr": 1e-5, "seed": 3, "frames": ["{words}."], "labels": ["PERSON"], "beta": None}
    | {"out": "runs/a", "model": "m", "base_model": "/a/base", "punctuation": "uw"},
    incidental=("out", "model", "base_model"),
    masks=MasksIdentity(path="set.parquet", digest="ab", version=2),
    model=ModelIdentity("m", "cd"),
    base_model=ModelIdentity("/a/base", "ef"),
    sessions=(Session(started="2026-01-01", seconds=2.0), Session(started="2026-01-02", code_sha256="12")),
    provenance=Provenance(Dataset(id="tofu"), {"name": "ner"}),
    counts={"examples": 6},
    steps=4,
    early_stop=Stopped(
        rule="uw:0.5",
        step=4,
        validation_uw_probability=0.4,
        validation_gw_probability=0.9,
        validation_at_floor=0.0,
    ),
)
OLD = {
    "schema": 1,
    "status": "finished",
    "tif": "0.1.0",
    "config": {"objective": "tif", "zero_uw": "skip", "eos": "none", "label": "PII", "floor_model": "b", "lr": 1e-5},
    "masks": {"path": "a.parquet", "version": 2, "digest": "ab", "fingerprint": "cd"},
    "model": {"path": "m", "digest": "cd"},
    "floor_model": {"path": "b", "digest": "ef"},
    "sessions": [{"started": "2026-01-01", "seconds": 2.0, "device": "cpu (x)", "code_sha256": "1", "finished": None}],
    "steps": 4,
}


def stored(record):
    return json.loads(json.dumps(record.to_json()))


def unsealed(content):
    return {name: value for name, value in content.items() if name != seal.SEAL}


def test_a_record_comes_back_as_it_was_written(tmp_path):
    RUN.write(tmp_path)
    assert RunRecord.of_folder(tmp_path) == RUN
    assert RunRecord.of_folder(tmp_path / "model") is None


def test_what_others_ask_of_a_record():
    assert (RUN.seed, RUN.labels, RUN.punctuation, RUN.code_sha256) == (3, ("PERSON",), "uw", "12")
    assert RUN.main_options() == {"objective": "tpo", "lr": 1e-5, "seed": 3}
    bare = replace(RUN, config={}, sessions=())
    assert (bare.seed, bare.labels, bare.punctuation, bare.code_sha256) == (0, None, "gw", None)


def test_the_first_layout_is_read_under_the_names_of_this_one():
    record = RunRecord.from_json(OLD)
    assert record.config == {
        "objective": "anchored", "unmarked": "skip", "supervise_eos": False, "labels": ["PII"], "base_model": "b",
        "lr": 1e-5,
    }  # fmt: skip
    assert record.base_model == ModelIdentity("b", "ef")
    assert record.labels == ("PII",)
    assert "base_model" in record.incidental
    assert RunRecord.from_json(stored(record)) == record


def test_a_record_of_the_second_layout_counts_the_layers_of_rmu_from_one():
    old = unsealed(stored(RUN)) | {"schema": 2}
    assert RunRecord.from_json(old | {"config": {"objective": "rmu", "rmu_layer": 7}}).config["rmu_layer"] == 6
    # Every record lists the option. Only RMU reads it.
    assert RunRecord.from_json(old | {"config": {"objective": "npo", "rmu_layer": 7}}).config["rmu_layer"] == 7
    assert RunRecord.from_json(old) == RUN


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema": 5}, "has schema version 5; this tif reads 1 to 4. Install the tif that wrote it"),
        ({"schema": 0}, "has schema version 0; this tif reads 1 to 4. Install the tif that wrote it"),
        ({"schema": None}, "is not the record of a run"),
        ({"steps": None}, "lacks its number of steps"),
        ({"steps": "4"}, r"steps: Input should be a valid integer"),
        ({"sessions": {}}, "sessions: Input should be a valid array"),
        ({"masks": {"path": "a"}}, r"masks\.digest: Field required"),
        ({"status": "done"}, "status: Input should be 'running' or 'finished'"),
    ],
)
def test_what_is_no_record_is_refused_with_the_field(tmp_path, changes, why):
    (tmp_path / "run.json").write_text(json.dumps(seal.sealed(stored(RUN) | changes)))
    with pytest.raises(InputError, match=rf"run\.json: .*{why}"):
        RunRecord.of_folder(tmp_path)


@pytest.mark.parametrize("change", ["objective", "steps", "provenance", "seal", "no seal"])
def test_a_record_that_was_edited_is_refused(tmp_path, change):
    content = stored(RUN)
    if change == "no seal":
        content = unsealed(content)
    else:
        content |= {
            "objective": {"objective": {"beta": 9.0}},
            "steps": {"steps": 400},
            "provenance": {"provenance": {"method": {"name": "manual"}}},
            "seal": {"seal": "0" * 64},
        }[change]
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"run\.json: was changed or damaged after tif wrote it \(.*seal\)"):
        RunRecord.of_folder(tmp_path)


def with_options(**changes):
    return replace(RUN, config={**RUN.config, **changes})


@pytest.mark.parametrize(
    "other",
    [
        with_options(seed=4),
        with_options(out="runs/b"),
        replace(with_options(base_model="/b/base"), base_model=ModelIdentity("/b/base", "ef")),
        replace(RUN, masks=replace(RUN.masks, path="elsewhere.parquet")),
    ],
)
def test_seeds_of_one_training_are_one_group(other):
    assert other.same_but_seed() == RUN.same_but_seed()


@pytest.mark.parametrize(
    "other",
    [
        with_options(lr=2e-5),
        replace(RUN, base_model=ModelIdentity("/a/base", "other")),
        replace(RUN, model=ModelIdentity("m", "other")),
        replace(RUN, masks=replace(RUN.masks, digest="other")),
        replace(RUN, validation_digest="other"),
    ],
)
def test_another_training_is_another_group(other):
    assert other.same_but_seed() != RUN.same_but_seed()
