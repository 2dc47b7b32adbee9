"""In what order samples are seen: all of them, anew each epoch, and by the seed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.errors import UsageError
from tif.train.data import PairSampler
from tif.train.options import TrainOptions
from tif.train.run import train


def epochs(forget, retain, seed, count):
    sampler = PairSampler(forget, retain, seed)
    found = []
    for epoch in range(count):
        sampler.epoch = epoch
        found.append(list(sampler))
    return found


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_each_epoch_has_every_forget_sample_and_retain_samples_go_round(forget, retain, seed):
    found = epochs(forget, retain, seed, 4)
    assert all(sorted(i for i, _ in pairs) == list(range(forget)) for pairs in found)
    seen = [j for pairs in found for _, j in pairs]
    size = max(retain, 1)
    for lap in range(len(seen) // size):
        assert sorted(seen[lap * size : (lap + 1) * size]) == list(range(size))


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=8, unique=True))
def test_orders_differ_by_epoch_and_by_seed(seeds):
    orders = [
        tuple(column) for seed in seeds for pairs in epochs(40, 40, seed, 2) for column in zip(*pairs, strict=True)
    ]
    assert all(a != b for a, b in itertools.combinations(orders, 2))


def test_the_same_seed_gives_the_same_order():
    assert epochs(9, 5, 3, 3) == epochs(9, 5, 3, 3)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(UsageError, match="seed"):
        TrainOptions(masks="m", model="m", out="o", seed=seed)


def test_another_seed_is_another_run_and_the_same_one_is_the_same(workshop):
    first, again, other = (
        [r["loss"] for r in train(workshop.config(name, seed=seed)).history if "loss" in r]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first != other
