"""Integers to the bytes of both streams and back, without a board."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.registers import DriverError
from deploy.stream_forms import StreamForms
from finn_builds.stitch.streams import StreamFormat

RNG = np.random.default_rng(23)


def forms(into: StreamFormat, out: StreamFormat) -> StreamForms:
    """Return the part of the driver that knows the streams."""
    shapes: dict = {}
    for side, form in (("i", into), ("o", out)):
        shapes[f"{side}dt"] = [form.datatype]
        shapes[f"{side}shape_normal"] = [[1, form.beats * form.elements]]
        shapes[f"{side}shape_folded"] = [[1, form.beats, form.elements]]
        shapes[f"{side}shape_packed"] = [[1, form.beats, form.width // 8]]
    made = StreamForms()
    made.batch_size, made._io_shape_dict, made._packers = 4, shapes, {}
    return made


@pytest.mark.parametrize("beats", [1, 3])
@pytest.mark.parametrize("elements", [1, 7, 8, 19])
@pytest.mark.parametrize("datatype", ["BIPOLAR", "UINT1", "BINARY", "INT2", "UINT4", "INT20"])
def test_a_frame_travels_as_the_build_simulated_it(datatype, elements, beats):
    built = StreamFormat(datatype.replace("BINARY", "UINT1"), elements, beats)
    driver = forms(built, built)
    driver._io_shape_dict |= {"idt": [datatype], "odt": [datatype]}
    low, high = driver.input_range()
    levels = [-1, 1] if datatype == "BIPOLAR" else [low, high, *range(max(low, -3), min(high, 3))]
    x = RNG.choice(levels, size=(4, elements * beats))
    packed = driver.pack_input(driver.fold_input(x))
    assert packed.shape == driver.ishape_packed()
    np.testing.assert_array_equal(packed.reshape(-1, packed.shape[-1]), built.to_beats(x))
    back = driver.unfold_output(driver.unpack_output(packed))
    np.testing.assert_array_equal(back, x)


def test_bipolar_values_are_bits():
    driver = forms(StreamFormat("BIPOLAR", 5, 2), StreamFormat("BIPOLAR", 5, 2))
    assert driver.input_range() == (-1, 1)
    x = np.array([[-1, 1, 1, -1, 1, 1, -1, -1, -1, -1]])
    packed = driver.pack_input(driver.fold_input(x))
    assert packed.tolist() == [[[0b10110], [0b00001]]]
    # Padding bits are of no account, as a DMA may leave anything there.
    found = driver.unpack_output(packed | 0b11100000)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(driver.unfold_output(found), x)
    # Floating point without fractions is taken, as for any other type.
    np.testing.assert_array_equal(driver.pack_input(driver.fold_input(x * 1.0)), packed)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.uint8, bool])
def test_zero_is_not_bipolar(dtype):
    driver = forms(StreamFormat("BIPOLAR", 3, 1), StreamFormat("INT8", 1, 1))
    x = np.array([[1, 1, 1], [1, 0, 1]]).astype(dtype)
    with pytest.raises(
        DriverError, match="value 0 in frame 1; expected BIPOLAR, -1 or 1: map 0 to one of these"
    ):
        driver.fold_input(x)
    assert driver.fold_input(x[:1]).shape == (1, 1, 3)


@pytest.mark.parametrize("value", [-2, 2])
def test_values_beyond_the_type_are_refused(value):
    driver = forms(StreamFormat("BIPOLAR", 3, 1), StreamFormat("INT8", 1, 1))
    with pytest.raises(DriverError, match="expected BIPOLAR from -1 to 1: clip or quantise it"):
        driver.fold_input(np.array([[1, value, -1]]))
