"""The depth of an example by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tif.eval.measure.depth import depths, drops, summarise


def test_depth_is_the_lost_share_of_what_the_layers_could_lose() -> None:
    # Layer 0 is below the threshold; layer 1 lost half; layer 2 lost more than it could; layer 3 gained.
    could = np.array([[0.04, 1.0, 2.0, 1.0]])
    lost = np.array([[0.04, 0.5, 9.0, -3.0]])
    assert depths(could, lost) == pytest.approx([(0.5 + 2.0 + 0.0) / 4.0])


def test_an_example_without_a_layer_above_the_threshold_has_no_depth() -> None:
    could = np.array([[0.05, -1.0], [0.06, -1.0]])
    scores = depths(could, could)
    assert scores == [None, 1.0]
    result = summarise(could, could, scores)
    assert (result.score, result.n, result.counted) == (1.0, 1, (1, 0))
    assert result.could_lose == pytest.approx((0.055, -1.0))
    assert summarise(could[:1], could[:1], scores[:1]).score is None


def test_the_lens_compares_layer_with_layer() -> None:
    readings = np.array([[-1.0, -3.0]])
    assert drops(np.array([-2.0]), readings).tolist() == [[-1.0, 1.0]]
    assert drops(np.array([[-2.0, -3.5]]), readings).tolist() == [[-1.0, -0.5]]
