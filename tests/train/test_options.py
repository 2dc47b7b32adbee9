"""The options of a training run: read once, checked against the objective, and written so that they come back."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.errors import UsageError
from tif.train.floor import Floor
from tif.train.objectives import OBJECTIVES
from tif.train.options import TrainOptions
from tif.train.stop_rule import StopRule

NAMES = {"masks": "set.parquet", "model": "m", "out": "o"}


def options(**changes):
    return TrainOptions(**(NAMES | changes))


def test_options_and_their_help_need_no_torch():
    code = (
        "import sys\nfrom tif.train.options import TrainOptions\n"
        "TrainOptions(masks='a', model='m', out='o', objective='anchored', base_model='b')\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'spacy', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.sampled_from(["uw", "gw", "floor"]), st.floats(1e-12, 1))
def test_a_stop_rule_is_the_same_after_it_was_written(what, level):
    assert StopRule.of(str(StopRule(what, level))) == StopRule(what, level)


@given(st.floats(allow_nan=False, allow_infinity=False).filter(bool))
def test_a_floor_is_the_same_after_it_was_written(nats):
    floor = Floor.of(str(nats))
    assert floor.nats == nats
    assert floor.kind == ("level" if nats < 0 else "drop")
    assert Floor.of(str(floor)) == floor


def test_text_becomes_a_value_once_and_text_again_in_the_record():
    written = {"early_stop": "uw:0.05", "floor": "-8", "frames": ["It is {words}.", "{words}"]}
    made = options(**written)
    assert made.early_stop == StopRule("uw", 0.05)
    assert made.floor == Floor("level", -8.0)
    assert [frame.after for frame in made.frames] == [".", ""]
    assert made == options(early_stop=made.early_stop, floor=-8, frames=made.frames)
    stored = json.loads(json.dumps(made.to_json()))
    assert {name: stored[name] for name in written} == written


def test_the_anchored_objective_needs_a_base_model_and_brings_its_floor():
    anchored = OBJECTIVES["anchored"]
    with pytest.raises(UsageError, match=r"anchored needs a base model, which never saw .* --base-model"):
        options(objective="anchored")
    assert options(objective="anchored", base_model="b").floor_of(anchored) == Floor("base")
    assert options(objective="anchored", base_model="b", floor="-8").floor_of(anchored) == Floor("level", -8.0)
    assert options(objective="anchored", base_model="b", early_stop="floor:0.9").early_stop == StopRule("floor", 0.9)
    assert options().floor_of(OBJECTIVES["tpo"]) is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"base_model": "b"}, "--base-model does nothing here (tpo reads it with --floor base, primed or proxy only"),
        ({"floor": "base"}, "--floor: base needs a base model. Add --base-model MODEL."),
        ({"early_stop": "floor:0.9"}, "--early-stop does nothing here (no token has a floor; add --floor)"),
        ({"retain_loss": "ce"}, "--retain-loss does nothing here (without samples to keep: add --retain SOURCE)"),
        ({"limit_retain": 3}, "--limit-retain does nothing here (without samples to keep"),
        ({"objective": "graddiff"}, "--objective: graddiff needs samples to keep. Add --retain SOURCE"),
        ({"validation": "v"}, "--validation does nothing here (it needs --early-stop)"),
        ({"seed": 2**32}, "--seed: 4294967296 is not below 4294967296"),
        ({"template": "{prompt}"}, "--template: '{prompt}' is no template. Known: auto, chat, qa, text, an "),
        ({"frames": ["no words"]}, "--frame: 'no words' is no frame."),
        ({"scheduler": "reduce_lr_on_plateau"}, "--scheduler: reduce_lr_on_plateau cannot be used"),
        ({"zero_uw": "skip"}, "no option 'zero_uw'"),
    ],
)
def test_what_contradicts_or_does_nothing_is_refused_by_its_flag(changes, line):
    with pytest.raises(UsageError) as raised:
        options(**changes)
    assert str(raised.value).startswith(line)


def test_a_plugins_objective_is_checked_when_it_is_known():
    given_ = options(objective="gentle", beta2=3.0, space="logprob")
    gentle = replace(OBJECTIVES["tpo"], name="gentle", reads=frozenset({"space"}))
    with pytest.raises(UsageError, match="--beta2 does nothing here"):
        given_.check_for(gentle)
    given_.check_for(replace(gentle, reads=None))
    with pytest.raises(UsageError, match="gentle needs a base model"):
        given_.check_for(replace(gentle, reads=None, needs=frozenset({"base"})))


def test_what_may_change_when_a_run_is_continued():
    one = options(save_steps=5, log_steps=2, keep_checkpoints=3, report_to=["tensorboard"], data_dir="d")
    assert one.outcome() == options(masks="other", model="other", out="other").outcome()
    assert one.outcome() != options(lr=1e-3).outcome()
