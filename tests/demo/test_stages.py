"""The two processes of the demo."""

import gc
import time
from concurrent.futures import Future

import pytest

from tif.demo import stages


def test_an_interrupt_does_not_wait_for_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_quiet", gc.collect)  # which imports no torch
    jobs: list[Future[None]] = []

    def interrupted() -> None:
        with stages.processes() as pool:
            assert pool.submit(abs, -1).result() == 1  # a process has started
            jobs.extend(pool.submit(time.sleep, 600) for _ in range(5))
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 60
    assert all(job.done() for job in jobs)
