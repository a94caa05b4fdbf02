"""Packing against Python's integers of any size, which are the definition of a beat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.packing import Packer, pack, packed_bytes, unpack, value_range


@st.composite
def beats(draw):
    bits = draw(st.one_of(st.integers(1, 64), st.sampled_from([2, 4])))
    signed = draw(st.booleans())
    low, high = value_range(bits, signed)
    elems = draw(st.integers(0, 40))
    element = st.one_of(st.integers(low, high), st.sampled_from([low, high]))
    row = st.lists(element, min_size=elems, max_size=elems)
    rows = draw(st.lists(row, max_size=4))
    return np.array(rows, np.int64 if signed else np.uint64).reshape(len(rows), elems), bits, signed


def as_bytes(row, bits, length):
    word = sum((int(v) % 2**bits) << (i * bits) for i, v in enumerate(row))
    return word.to_bytes(length, "little")


@given(beats())
def test_a_beat_is_the_number_whose_digits_are_its_elements(beat):
    values, bits, signed = beat
    length = packed_bytes(values.shape[1], bits)
    packed = pack(values, bits, signed)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(values), length)
    for row, got in zip(values, packed, strict=True):
        assert got.tobytes() == as_bytes(row, bits, length)


@given(beats(), st.integers(0, 2**32 - 1))
def test_unpack_undoes_pack_and_ignores_the_padding(beat, seed):
    values, bits, signed = beat
    elems = values.shape[1]
    packed = pack(values, bits, signed)
    padding = packed_bytes(elems, bits) * 8 - elems * bits
    if padding:
        noise = np.random.default_rng(seed).integers(0, 2**padding, len(packed))
        packed[:, -1] |= (noise << (8 - padding)).astype(np.uint8)
    got = unpack(packed, elems, bits, signed)
    np.testing.assert_array_equal(got, values)
    smallest = next(size for size in (8, 16, 32, 64) if bits <= size)
    assert got.dtype == np.dtype(f"{'int' if signed else 'uint'}{smallest}")


@given(beats(), st.integers(0, 2**32 - 1))
def test_a_packer_gives_the_same_again_and_again(beat, seed):
    values, bits, signed = beat
    packer = Packer(values.shape, bits, signed)
    smallest = next(size for size in (8, 16, 32, 64) if bits <= size)
    narrow = f"{'int' if signed else 'uint'}{smallest}"
    rng = np.random.default_rng(seed)
    batches = [rng.permuted(values).astype(dtype) for dtype in (values.dtype, narrow, narrow)]
    results = [packer(batch) for batch in batches]
    for batch, got in zip(batches, results, strict=True):  # each has memory of its own
        np.testing.assert_array_equal(got, pack(batch, bits, signed))


def test_a_packer_refuses_other_shapes_and_goes_on_after_an_error():
    for bits in (3, 4):
        packer = Packer((2, 4), bits, True)
        with pytest.raises(ValueError, match=r"shape \(2, 4\), not \(4, 2\)"):
            packer(np.zeros((4, 2), np.int8))
        with pytest.raises(TypeError, match="float64"):
            packer(np.full((2, 4), np.nan))
        with pytest.raises(ValueError, match=r"9 \(beat 0, element 0\) does not fit"):
            packer(np.full((2, 4), 9, np.int8))
        ones = np.ones((2, 4), np.int8)
        np.testing.assert_array_equal(packer(ones), pack(ones, bits, True))


@pytest.mark.parametrize("elems", [5, 6])
@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_a_packer_keeps_the_dimensions_of_the_beats(elems, dtype):
    values = np.random.default_rng(2).integers(-8, 8, (3, 4, elems)).astype(dtype)
    got = Packer(values.shape, 4, True)(values)
    assert got.shape == (3, 4, 3)
    np.testing.assert_array_equal(got.reshape(12, 3), pack(values.reshape(12, elems), 4, True))
    values[2, 1, 3] = -9
    with pytest.raises(ValueError, match=r"-9 \(beat 9, element 3\)"):
        Packer(values.shape, 4, True)(values)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4])
def test_exactly_the_values_of_the_type_are_taken(bits, signed, dtype):
    """In either place of a byte, every value of eight bits and some beyond."""
    low, high = value_range(bits, signed)
    least, greatest = max(np.iinfo(dtype).min, -300), min(np.iinfo(dtype).max, 300)
    for value in range(least, greatest + 1):
        for place in range(8 // bits):
            row = np.zeros((1, 8 // bits), dtype)
            row[0, place] = value
            if low <= value <= high:
                assert pack(row, bits, signed)[0, 0] == value % 2**bits << place * bits
            else:
                with pytest.raises(ValueError, match=rf"^{value} \(beat 0, element {place}\)"):
                    pack(row, bits, signed)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("signed", [False, True])
def test_every_byte_comes_apart_and_together(bits, signed):
    every = np.arange(256, dtype=np.uint8).reshape(64, 4)
    for data in (every, np.asfortranarray(every)):
        elements = unpack(data, 32 // bits, bits, signed)
        np.testing.assert_array_equal(pack(elements, bits, signed), every)
        np.testing.assert_array_equal(pack(np.asfortranarray(elements), bits, signed), every)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, bool])
def test_any_integer_type_and_layout_packs_the_same(dtype):
    values = np.random.default_rng(1).integers(0, 2, (6, 14)).astype(dtype)
    want = pack(values.astype(np.int64), 3, False)
    np.testing.assert_array_equal(pack(values, 3, False), want)
    strided = np.asfortranarray(np.repeat(values, 2, axis=1))[:, ::2]
    np.testing.assert_array_equal(pack(strided, 3, False), want)
    np.testing.assert_array_equal(unpack(np.asfortranarray(want), 14, 3, False), values)


@pytest.mark.parametrize("bits", [4, 8, 24])
def test_results_do_not_share_memory_with_the_input(bits):
    values = np.arange(8, dtype=np.uint8).reshape(1, 8)
    packed = pack(values, bits, False)
    assert not np.shares_memory(packed, values)
    back = unpack(packed, 8, bits, False)
    assert not np.shares_memory(back, packed)


@pytest.mark.parametrize(
    ("value", "bits", "signed"), [(8, 4, True), (-9, 4, True), (-1, 4, False), (16, 4, False)]
)
def test_a_value_that_does_not_fit_is_named(value, bits, signed):
    values = np.zeros((3, 5), np.int64)
    values[2, 1] = value
    with pytest.raises(ValueError, match=rf"{value} \(beat 2, element 1\) does not fit 4"):
        pack(values, bits, signed)


def test_what_is_no_beat_of_integers_is_refused():
    with pytest.raises(TypeError, match="float64"):
        pack(np.zeros((1, 2)), 4, True)
    with pytest.raises(ValueError, match="shape"):
        pack(np.zeros(4, np.int8), 4, True)
    with pytest.raises(ValueError, match="1 to 64 bits, not 65"):
        pack(np.zeros((1, 1), np.int8), 65, True)
    with pytest.raises(ValueError, match=r"\(beats, 3\), not uint8 of shape \(2, 4\)"):
        unpack(np.zeros((2, 4), np.uint8), 6, 4, False)
    with pytest.raises(ValueError, match="not int8"):
        unpack(np.zeros((2, 3), np.int8), 6, 4, False)
