"""Unwanted phrases: which tokens they hold, and how probable they are, by hand."""

import math

import pytest
import torch

from tif.tokens.masks import Encoded, Kind
from tif.train.phrases import Level, at_floor, fallen, level, numbered, sums

P, G, U = Kind.PROMPT, Kind.GW, Kind.UW


def encoded(*kinds):
    return Encoded("x", tuple(range(len(kinds))), kinds, ((-1, -1),) * len(kinds))


def test_a_phrase_ends_at_a_general_word_a_gap_and_another_example():
    pushed = torch.tensor([True, True, False, True, True, True, True])
    row = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    position = torch.tensor([1, 2, 3, 4, 5, 6, 8])
    assert numbered(pushed, row, position).tolist() == [0, 0, -1, 1, 2, 2, 3]
    assert numbered(pushed[:0], row[:0], position[:0]).tolist() == []


def test_a_phrase_has_the_sum_of_its_tokens():
    phrase = torch.tensor([0, 0, -1, 1])
    assert sums(torch.tensor([1.0, 2.0, 100.0, 4.0]), phrase).tolist() == [3, 4]
    assert sums(torch.tensor([1.0]), torch.tensor([-1])).tolist() == []


def test_a_phrase_is_at_its_floor_by_the_sum_of_its_tokens():
    phrase = torch.tensor([0, 0, -1, 1, 1])
    logprob = torch.tensor([-9.0, -1.0, -5.0, -3.0, -1.5])
    floor = torch.tensor([-4.0, -4.0, -torch.inf, -4.0, -1.0])
    # The first lies at -10 below -8, though one token is above its floor; the second at -4.5 above -5.
    assert at_floor(logprob, floor, phrase).tolist() == [True, False]
    assert fallen(logprob, floor, phrase).tolist() == [True, True, False, False, False]
    without = torch.full((5,), -torch.inf)
    assert not fallen(logprob, without, phrase).any()


def test_a_level_is_the_mean_over_phrases_of_products_and_over_tokens():
    one, two = encoded(P, U, U, G, U), encoded(P, G, U, P, U)
    logprobs = [torch.tensor([0.2, 0.9, 0.5, 0.4]).log(), torch.tensor([0.3, 0.6, 0.8]).log()]
    there = level([one, two], logprobs)
    # A token that is not supervised stands between the last two.
    assert there.phrase == pytest.approx((0.2 * 0.9 + 0.4 + 0.6 + 0.8) / 4, rel=1e-6)
    assert there.token == pytest.approx((0.2 + 0.9 + 0.4 + 0.6 + 0.8) / 5, rel=1e-6)


def test_a_name_that_follows_from_its_first_token_is_no_memory():
    """A model that never saw a name of four tokens has .01 on the first and .8 on the others."""
    never = level([encoded(P, U, U, U, U)], [torch.tensor([0.01, 0.8, 0.8, 0.8]).log()])
    assert never.token == pytest.approx(0.6025, rel=1e-6)
    assert never.phrase == pytest.approx(0.01 * 0.512, rel=1e-6)


def test_the_distance_is_symmetric_and_bounded_where_phrases_are_rare():
    aim = Level(0.04, 0.35)
    assert Level(0.09, 0.1).distance(aim) == pytest.approx(math.log(2))
    assert Level(0.015, 0.1).distance(aim) == pytest.approx(math.log(2))
    assert Level(0.0, 0.0).distance(aim) == pytest.approx(math.log(5))
    assert Level(1e-12, 0.0).distance(Level(1e-4, 0.3)) < 0.01
    assert aim.distance(aim) == 0
