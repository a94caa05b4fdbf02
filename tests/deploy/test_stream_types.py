"""The types of a driver's streams behave as qonnx's of the same names do."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.registers import DriverError
from deploy.stream_types import StreamType

NAMES = ("BIPOLAR", "BINARY", "TERNARY", "UINT4", "INT4", "INT17", "UINT32", "INT2")


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_qonnx_s(name):
    datatype = pytest.importorskip("qonnx.core.datatype").DataType[name]
    mine = StreamType(name)
    assert mine == datatype and datatype == mine and hash(mine) == hash(datatype)
    assert mine != StreamType("INT3") and datatype != StreamType("INT3")
    for question in (
        "name", "bitwidth", "min", "max", "signed", "get_num_possible_values", "is_integer",
        "is_fixed_point", "get_canonical_name", "to_numpy_dt",
    ):  # fmt: skip
        expected, found = getattr(datatype, question), getattr(mine, question)
        assert (found() if callable(found) else found) == (
            expected() if callable(expected) else expected
        ), question
    for value in (-9, -2, -1, 0, 1, 7, 8, 15, 16, 1.5):
        assert bool(mine.allowed(value)) == bool(datatype.allowed(value)), value
    values = np.array([-1, 0, 1])
    assert (mine.allowed(values) == datatype.allowed(values)).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_from_all_three_forms(name):
    assert StreamType(f"DataType['{name}']") == StreamType(f'DataType["{name}"]') == name
    datatype = pytest.importorskip("qonnx.core.datatype").DataType[name]
    assert StreamType(datatype) == name


def test_how_an_element_is_stored():
    assert StreamType("UINT4").stored() == (4, False)
    assert StreamType("INT20").stored() == (20, True)
    assert StreamType("TERNARY").stored() == (2, True)
    assert StreamType("UINT1") == "BINARY"
    assert StreamType("BINARY").stored() == StreamType("BIPOLAR").stored() == (1, False)


@pytest.mark.parametrize(
    "given", ["FLOAT32", "INT0", "bipolar", "UINT", "INT8x", "DataType[INT8", 4]
)
def test_other_types_are_refused(given):
    with pytest.raises(DriverError, match="datatype"):
        StreamType(given)
