"""Frames to beats and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from qonnx.core.datatype import DataType

from finn_builds.stitch.streams import StreamFormat


@given(
    st.sampled_from(["UINT1", "UINT2", "INT2", "UINT3", "INT5", "UINT8", "INT8", "INT17"]),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_round_trip(datatype, elements, beats, seed):
    form = StreamFormat(datatype, elements, beats)
    kind = DataType[datatype]
    rng = np.random.default_rng(seed)
    x = rng.integers(int(kind.min()), int(kind.max()) + 1, size=(4, elements * beats))
    packed = form.to_beats(x)
    assert packed.shape == (4 * beats, form.width // 8)
    assert form.frame_bytes * 4 == packed.size
    np.testing.assert_array_equal(form.from_beats(packed), x)


def test_element_0_is_least_significant():
    form = StreamFormat("INT4", 3, 1)
    assert form.to_beats(np.array([[1, -2, 7]])).tolist() == [[0xE1, 0x07]]
    assert form.description()["frame_bytes"] == 2
