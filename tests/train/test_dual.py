"""PDU's dual variable: its formula, its course in a run, and that a checkpoint keeps it."""

import pytest
from safetensors.torch import load_file

from tif.errors import UsageError
from tif.train import run as run_module
from tif.train.dual import ascend
from tif.train.objectives import find
from tif.train.run import train
from tif.train.settings import ObjectiveSettings
from tif.train.trainer import LossPlan


def losses(result):
    return [record for record in result.history if "loss" in record]


@pytest.mark.parametrize(
    ("weight", "loss", "bound", "step", "expected"),
    [(1.0, 3.0, 2.0, 0.5, 1.5), (1.0, 1.0, 2.0, 0.5, 0.5), (0.2, 0.0, 2.0, 0.5, 0.0)],
)
def test_the_weight_follows_the_distance_to_the_bound(weight, loss, bound, step, expected):
    assert ascend(weight, loss, bound=bound, step=step) == pytest.approx(expected)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_log_shows_the_weight_after_each_step(workshop, accumulate):
    changes = {"objective": "pdu", "retain_bound": 5.5, "dual_step": 0.5, "retain_weight": 2.0, "beta": None}
    result = train(workshop.config("run", **changes, accumulate=accumulate, max_steps=3))
    weight = 2.0
    for record in losses(result):
        # The logged term has the weight of its own step.
        weight = ascend(weight, record["retain"] / weight, bound=5.5, step=0.5)
        assert record["retain_weight"] == pytest.approx(weight, rel=1e-5)
    assert result.record.objective["retain_bound"] == 5.5


def test_a_continued_run_has_the_weight_of_its_checkpoint(workshop, monkeypatch):
    def config(out):
        changes = {"objective": "pdu", "retain_bound": 5.0, "dual_step": 0.5, "beta": None}
        return workshop.config(out, **changes, save_steps=2, max_steps=4)

    whole = train(config("whole"))
    with monkeypatch.context() as patch:
        patch.setattr(run_module.Unlearner, "check_finite", _fail_at(3))
        with pytest.raises(KeyboardInterrupt):
            train(config("broken"))
    broken = train(config("broken"))
    assert broken.resumed_from == 2
    assert [r["retain_weight"] for r in losses(broken)] == [r["retain_weight"] for r in losses(whole)]
    a, b = (load_file(result.model / "model.safetensors") for result in (whole, broken))
    assert all(bool((a[key] == b[key]).all()) for key in a)


def _fail_at(step):
    def check(trainer):
        if trainer.state.global_step >= step:
            raise KeyboardInterrupt

    return check


def test_a_bound_is_for_pdu_and_pdu_needs_samples_to_keep(workshop):
    with pytest.raises(UsageError, match=r"--retain-bound does nothing here .npo has no bound of the retain loss"):
        workshop.config("run", objective="npo", retain_bound=1.0)
    with pytest.raises(UsageError, match="pdu needs samples to keep"):
        workshop.config("run", objective="pdu", beta=None, retain=None)


def test_ceu_unlearns_without_a_second_model(workshop):
    assert not LossPlan(objective=find("ceu"), settings=ObjectiveSettings()).needs_frozen
    changes = {"objective": "ceu", "beta": None, "retain": None, "skip_tokens": 0}
    history = losses(train(workshop.config("run", **changes, max_steps=8, batch_size=6, lr=3e-3)))
    assert history[-1]["forget"] < history[0]["forget"]
    assert history[-1]["uw_probability"] < history[0]["uw_probability"]
