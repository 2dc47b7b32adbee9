"""Mixtures of samples to keep: read and written, drawn by weight, the same in every run, recorded and resumed."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tif import seal
from tif.errors import UsageError
from tif.sources import Keep
from tif.train import run as run_module
from tif.train.data import PairSampler
from tif.train.options import TrainOptions
from tif.train.prepare import prepare
from tif.train.run import train
from tif.train.tune import tune
from tif.train.tune_options import TuneOptions


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("tofu:retain95", Keep("tofu:retain95")),
        ("tofu:retain95=3", Keep("tofu:retain95", 3.0)),
        ("a=b.jsonl", Keep("a=b.jsonl")),
        ("a=b.jsonl=0.5", Keep("a=b.jsonl", 0.5)),
        ("=3", Keep("=3")),
    ],
)
def test_a_source_and_its_weight(text, keep):
    assert Keep.of(text) == keep
    assert str(keep) == text


@given(st.text(min_size=1), st.floats(1e-6, 1e6))
def test_a_source_is_the_same_after_it_was_written(source, weight):
    assert Keep.of(str(Keep(source, weight))) == Keep(source, weight)


@pytest.mark.parametrize("weight", ["0", "-1", "inf"])
def test_a_weight_that_draws_nothing_or_all_is_refused(weight):
    with pytest.raises(UsageError, match=f"'a={weight}' has a weight that is not above 0"):
        TrainOptions(masks="m", model="m", out="o", retain=(f"a={weight}",))


def test_one_source_may_stand_alone_as_in_older_config_files():
    assert TrainOptions(masks="m", model="m", out="o", retain="a").retain == (Keep("a"),)
    assert TrainOptions(masks="m", model="m", out="o", retain=None).retain == ()


@given(
    st.lists(st.tuples(st.integers(1, 7), st.floats(0.1, 10)), min_size=2, max_size=4),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_sources_are_drawn_by_weight_and_go_round(parts, forget, seed):
    sampler = PairSampler(forget, sum(size for size, _ in parts), seed, parts=parts)
    drawn = []
    for sampler.epoch in range(6):
        drawn += [j for _, j in sampler]
    source = [k for k, (size, _) in enumerate(parts) for _ in range(size)]
    total = sum(weight for _, weight in parts)
    for k, (size, weight) in enumerate(parts):
        mine = [j for j in drawn if source[j] == k]
        assert abs(len(mine) - len(drawn) * weight / total) < len(parts)
        for lap in range(len(mine) // size):
            assert len(set(mine[lap * size : (lap + 1) * size])) == size
    again = PairSampler(forget, len(source), seed, parts=parts)
    again.epoch = 5
    assert [j for _, j in again] == drawn[5 * forget :]


def second(workshop):
    """Another source, of two samples."""
    file = workshop.root / "facts.jsonl"
    rows = [{"question": f"What is {i} and {i}?", "answer": f"It is {2 * i}."} for i in range(2)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_run_records_its_mixture(workshop):
    mixture = [str(workshop.retain), f"{second(workshop)}=3"]
    config = workshop.config("run", retain=mixture, max_steps=2)
    prepared = prepare(config, "uw")
    assert prepared.parts == ((5, 1.0), (2, 3.0))
    record = train(config).record
    assert record.config["retain"] == mixture
    assert record.counts["retain"] == 7
    assert record.counts[f"retain {second(workshop)}"] == 2
    with pytest.raises(UsageError, match="retain was"):
        train(workshop.config("run", retain=[mixture[0], f"{second(workshop)}=2"], max_steps=2))


def test_a_run_of_an_older_tif_with_one_source_is_known(workshop):
    train(workshop.config("run", max_steps=2))
    file = workshop.root / "run" / "run.json"
    content = json.loads(file.read_text())
    content["config"]["retain"] = str(workshop.retain)
    file.write_text(json.dumps(seal.sealed({k: v for k, v in content.items() if k != "seal"})))
    assert train(workshop.config("run", max_steps=2)).resumed_from == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"settle": "2"},
        {"objective": "npo", "floor": "proxy", "base_model": "same"},
        {"objective": "npo", "floor": "primed", "base_model": "same"},
        {"objective": "graddiff"},
    ],
)
@pytest.mark.parametrize("command", [train, tune])
def test_a_run_that_needs_samples_to_keep_is_refused_when_none_is_left(workshop, changes, command):
    question = "What grows there, and there, " * 20
    rows = [{"question": f"{question}{i}?", "answer": f"Beans {i}."} for i in range(3)]
    (workshop.root / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {name: str(workshop.model) if value == "same" else value for name, value in changes.items()}
    config = workshop.config("run", retain=str(workshop.root / "long.jsonl"), max_length=60, beta=None, **changes)
    user = {train: "--(settle 2|floor proxy|floor primed|objective graddiff)", tune: "a search"}[command]
    if command is tune:
        given = {name: getattr(config, name) for name in config.model_fields_set}
        config = TuneOptions(**given, aim=str(workshop.model))
    with pytest.raises(UsageError, match=rf"--retain: {user} needs samples to keep, and none is left \(all lose"):
        command(config)
    assert not (workshop.root / "run").exists()


def test_a_killed_run_draws_on(workshop, monkeypatch):
    def config(out):
        mixture = (Keep(str(workshop.retain)), Keep(str(second(workshop)), 3.0))
        return workshop.config(out, retain=mixture, max_steps=6, save_steps=2)

    whole = train(config("whole"))
    with monkeypatch.context() as patch:
        patch.setattr(run_module.Unlearner, "check_finite", _fail_from(4))
        with pytest.raises(KeyboardInterrupt):
            train(config("broken"))
    broken = train(config("broken"))
    assert broken.resumed_from == 2
    a, b = (load_file(result.model / "model.safetensors") for result in (whole, broken))
    assert all(bool((a[key] == b[key]).all()) for key in a)


def _fail_from(step):
    def check(trainer):
        if trainer.state.global_step >= step:
            raise KeyboardInterrupt

    return check


def test_weights_change_what_is_drawn(workshop):
    prepared = prepare(workshop.config("run", retain=[str(workshop.retain), f"{second(workshop)}=3"]), "uw")
    sampler = PairSampler(40, len(prepared.retain), 0, parts=prepared.parts)
    counts = Counter(j >= 5 for _, j in sampler)
    assert counts == {False: 10, True: 30}
