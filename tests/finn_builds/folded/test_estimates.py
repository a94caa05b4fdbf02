"""Folded estimates against what Yosys 0.70 counted for FINN's units (finn-plus 1.6.1)."""

import pytest

from finn_builds.folded.estimates import MvauShape, Resources, ThresholdShape, width_converter

#: (mw, mh, weight bits, activation bits, accumulator bits, narrow, DSP port), (PE, SIMD), LUT, DSP.
MVAUS = [
    ((16, 16, 3, 2, 5, True, 25), (2, 16), 480, 16),
    ((16, 32, 3, 2, 6, True, 25), (4, 2), 228, 2),
    ((32, 48, 3, 2, 7, True, 25), (24, 2), 1150, 8),
    ((12, 24, 2, 2, 6, False, 27), (12, 2), 526, 4),
    ((24, 16, 2, 5, 10, False, 27), (4, 12), 918, 12),
    ((16, 4, 2, 5, 9, False, 27), (1, 2), 86, 2),
]

#: (channels, steps, input bits, threshold bits), PE, LUT.
THRESHOLDS = [
    ((16, 3, 5, 5), 2, 54),
    ((32, 3, 6, 5), 4, 122),
    ((24, 31, 6, 6), 12, 639),
    ((16, 31, 10, 9), 4, 394),
    ((48, 7, 10, 10), 16, 733),
]

#: Input bits, output bits, LUT.
CONVERTERS = [(8, 4, 30), (20, 10, 48), (48, 24, 90), (32, 96, 51), (48, 18, 236)]


@pytest.mark.parametrize(("shape", "folding", "luts", "dsps"), MVAUS)
def test_matrix_vector_units(shape, folding, luts, dsps):
    found = MvauShape(*shape).resources(*folding).rounded()
    assert found["LUT"] == pytest.approx(luts, rel=0.15)
    assert found["DSP"] == dsps


@pytest.mark.parametrize(("shape", "pe", "luts"), THRESHOLDS)
def test_thresholds(shape, pe, luts):
    assert ThresholdShape(*shape).resources(pe).rounded()["LUT"] == pytest.approx(luts, rel=0.15)


@pytest.mark.parametrize(("in_bits", "out_bits", "luts"), CONVERTERS)
def test_width_converters(in_bits, out_bits, luts):
    assert width_converter(in_bits, out_bits).rounded()["LUT"] == pytest.approx(luts, rel=0.15)


def test_no_converter_where_the_width_stays():
    assert width_converter(8, 8) == Resources()


def test_lanes_share_the_sum_of_a_dsp():
    # Six lanes of 4 bits leave 2 of 25 bits, which go to the lanes on the right.
    assert MvauShape(8, 8, 3, 2, 7, True, 25).lane_widths() == [5, 5, 4, 4, 4, 7]
    # The leftmost lane ends with the DSP.
    assert MvauShape(8, 8, 8, 8, 40, True, 25).lane_widths() == [17, 31]


def test_deep_weights_go_to_block_ram():
    shape = MvauShape(64, 64, 4, 4, 14, True, 25)
    assert shape.resources(1, 1).BRAM_18K > 0
    assert shape.resources(64, 1).BRAM_18K == 0


@pytest.mark.parametrize(("pe", "simd"), [(1, 1), (8, 1), (1, 8), (8, 8), (5, 4)])
def test_more_parallel_is_larger(pe, simd):
    shape = MvauShape(80, 80, 4, 4, 14, True, 25)
    double = shape.resources(2 * pe, 2 * simd)
    assert double.LUT > shape.resources(pe, simd).LUT
    assert double.DSP >= shape.resources(pe, simd).DSP
