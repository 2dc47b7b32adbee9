"""Two processes must be one process with twice the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.train.conftest import Workshop
from tif.train.run import train

RUN = """
import json, sys
from tif.train.options import TrainOptions
from tif.train.run import train
train(TrainOptions(**json.loads(sys.argv[1])))
"""


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(workshop: Workshop) -> None:
    rule = {"early_stop": "uw:1e-9", "early_stop_every": 2}
    config = workshop.config("two", batch_size=1, max_steps=4, **rule)
    given = {name: value for name, value in config.to_json().items() if name in config.model_fields_set}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--no-python",
               sys.executable, "-c", RUN, json.dumps(given)]  # fmt: skip
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    one = train(workshop.config("one", batch_size=2, max_steps=4, **rule))
    log = [json.loads(line) for line in (workshop.root / "two" / "log.jsonl").read_text().splitlines()]
    for name in ("loss", "lpl", "pl", "retain", "uw_probability", "grad_norm"):
        a, b = ([record[name] for record in records if "loss" in record] for records in (one.history, log))
        assert b == pytest.approx(a, rel=1e-3), name
    for name in ("validation_uw_probability", "validation_gw_probability"):
        a, b = ([record[name] for record in records if name in record] for records in (one.history, log))
        assert len(a) == 2
        assert b == pytest.approx(a, rel=1e-3), name
    run = json.loads((workshop.root / "two" / "run.json").read_text())
    assert run["sessions"][-1]["processes"] == 2
