"""A lack of memory is a known failure with a hint, however torch reports it."""

from __future__ import annotations

import pytest
import torch

from tif.errors import TifError
from tif.tokens.memory import fits_in_memory


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"), "Tried to allocate"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you"),
            "alloc",
        ),
        (MemoryError(), None),
    ],
)
def test_it_is_one_line(error: Exception, why: str | None) -> None:
    with (
        pytest.raises(TifError, match=r"^the memory is full.*Use a smaller one\.$") as caught,
        fits_in_memory("Use a smaller one."),
    ):
        raise error
    assert (caught.value.why or "").find(why or "") >= 0
    assert caught.value.exit_code == 1


def test_a_real_allocation_that_the_machine_refuses() -> None:
    with pytest.raises(TifError, match="the memory is full"), fits_in_memory("x"):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), fits_in_memory("x"):
        raise RuntimeError("shapes differ")
