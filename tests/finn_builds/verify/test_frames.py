"""Verification frames, comparison and accuracy."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deploy.host_model import HostModel
from finn_builds.errors import VerificationError
from finn_builds.verify.accuracy import Accuracy, share_right
from finn_builds.verify.data import GivenData
from finn_builds.verify.exactness import check_equal, mismatching_frames
from finn_builds.verify.frames import (
    corner_frames,
    random_frames,
    verification_frames,
)
from tests.host_descriptions import described


def host(datatype="INT4", low=-7, high=7, n=3, classes=("a", "b")) -> HostModel:
    return HostModel(
        described(
            {"name": "x", "shape": [n], "n": n, "datatype": datatype},
            [],
            {"scale": 0.5, "divisor": 1, "zero_point": 0, "min": low, "max": high},
            {"name": "y", "n": len(classes), "datatype": "INT8", "kind": "logits"},
            [],
            feature_names=[],
            class_names=list(classes),
        )
    )


def test_random_frames_use_every_level_and_no_other():
    x = random_frames(host(), 400, np.random.default_rng(0))
    assert sorted(np.unique(x)) == list(range(-7, 8)), "narrow: -8 is not legal"
    bipolar = random_frames(host("BIPOLAR", -1, 1), 50, np.random.default_rng(0))
    assert sorted(np.unique(bipolar)) == [-1, 1]


def test_corners_hold_each_extreme_alone():
    corners = corner_frames(host()).tolist()
    assert [-7, -7, -7] in corners and [7, 7, 7] in corners
    assert [-7, 7, -7] in corners and [7, -7, 7] in corners
    assert [7, -7, -7] in corners and [-7, 7, 7] in corners


def test_frames_without_data_are_corners_and_random():
    frames = verification_frames(host(), None, count=100, seed=3)
    assert frames.x.shape == (100, 3)
    assert "corners" in frames.source and "random" in frames.source
    again = verification_frames(host(), None, count=100, seed=3)
    np.testing.assert_array_equal(frames.x, again.x)
    assert verification_frames(host(), None, count=2, seed=3).x.shape == (2, 3)


@pytest.mark.parametrize(("rows", "says"), [(40, "40 frames of .* and 60 random"), (200, "^100 ")])
def test_frames_of_data_are_filled_up(rows, says):
    x = np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32)
    data = GivenData(x, np.zeros(rows, dtype=np.int64), None, "somewhere", False)
    frames = verification_frames(host(), data, count=100, seed=0)
    assert frames.x.shape == (100, 3)
    assert frames.x.dtype == np.int64
    assert re.search(says, frames.source)
    quantised = {tuple(row) for row in host().before(x).tolist()}
    assert all(tuple(row) in quantised for row in frames.x[: min(rows, 100)].tolist())


def test_the_first_difference_is_named():
    expected = np.array([[1, 2], [3, 4], [5, 6]])
    found = np.array([[1, 2], [3, 5], [5, 7]])
    assert mismatching_frames(expected, found).tolist() == [1, 2]
    with pytest.raises(VerificationError, match=r"2 of 3 frames.*frame 1.*\[3, 4\].*\[3, 5\]"):
        check_equal(expected, found, "the RTL")
    check_equal(expected, expected.copy(), "the RTL")


def test_accuracy_and_its_standard_error():
    share, error = share_right(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))
    assert share == 0.75
    assert error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)


@pytest.mark.parametrize("answer", [0, 1])
def test_an_accuracy_of_all_or_none_has_an_error_too(answer):
    share, error = share_right(np.full(30, answer), np.zeros(30, np.int64))
    assert (share, error) == (1 - answer, pytest.approx((31 / 32 * 1 / 32 / 30) ** 0.5))


def test_surrogate_is_said_in_the_report():
    accuracy = Accuracy(0.75, 0.1, 4, "made up", True)
    plain = accuracy.as_json()
    assert (plain["accuracy"], plain["surrogate"], plain["frames"]) == (0.75, True, 4)
    assert plain["kind"].startswith("measured")
    assert "accuracy_without_input_quantizer" not in plain
    both = replace(accuracy, accuracy_without_input_quantizer=0.0)
    assert both.as_json()["accuracy_without_input_quantizer"] == 0.0
    assert Accuracy(**both.as_json()) == both and Accuracy(**plain) == accuracy
