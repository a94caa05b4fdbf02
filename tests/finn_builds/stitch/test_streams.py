"""Frames to beats and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finn_builds.network.types import range_of, step_of
from finn_builds.stitch.streams import StreamFormat

TYPES = ["BIPOLAR", "UINT1", "UINT2", "INT2", "UINT3", "INT5", "UINT8", "INT8", "INT17"]


@given(st.sampled_from(TYPES), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_round_trip(datatype, elements, beats, seed):
    form = StreamFormat(datatype, elements, beats)
    (low, high), step = range_of(datatype), step_of(datatype)
    rng = np.random.default_rng(seed)
    x = low + step * rng.integers(0, (high - low) // step + 1, size=(4, elements * beats))
    packed = form.to_beats(x)
    assert packed.dtype == np.uint8
    assert packed.shape == (4 * beats, form.width // 8)
    assert form.frame_bytes * 4 == packed.size
    np.testing.assert_array_equal(form.from_beats(packed), x)


def test_element_0_is_least_significant():
    form = StreamFormat("INT4", 3, 1)
    assert form.to_beats(np.array([[1, -2, 7]])).tolist() == [[0xE1, 0x07]]
    assert form.description()["frame_bytes"] == 2


def test_a_bipolar_element_is_one_bit_0_for_minus_1():
    form = StreamFormat("BIPOLAR", 6, 1)
    assert form.to_beats(np.array([[-1, 1, 1, -1, -1, 1]])).tolist() == [[0b100110]]
    description = form.description()
    assert (description["datatype"], description["bits"], description["width"]) == ("BIPOLAR", 1, 8)
    assert description["signed"] is False, "as it travels"


@pytest.mark.parametrize("value", [0, -2, 2, 3])
def test_other_values_are_not_bipolar(value):
    with pytest.raises(ValueError, match=rf"{value} at \(0, 1\).*expected -1 or 1"):
        StreamFormat("BIPOLAR", 3, 1).to_beats(np.array([[1, value, -1]]))
