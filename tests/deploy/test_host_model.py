"""The host's arithmetic: float32, to the bit, and nothing but numpy."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qonnx.custom_op.general.intquant import int_quant, max_int, min_int

from deploy import class_heads, host_model, host_operations, host_ports
from deploy.errors import HostModelError
from deploy.host_model import HostModel
from deploy.host_operations import ROUNDING, evaluate, level_range, with_dtype
from tests.host_descriptions import described

RNG = np.random.default_rng(9)


def parts(**changes):
    base = {
        "input": {"name": "x", "shape": [3], "n": 3, "datatype": "INT4", "values": None},
        "before": [
            {"op": "sub", "value": [0.1, -0.2, 3.0]},
            {"op": "div", "value": [1.0, 0.3, 2.0]},
            {
                "op": "quant",
                "scale": 0.25,
                "zero_point": 0.0,
                "bits": 4,
                "signed": True,
                "narrow": False,
                "rounding": "ROUND",
                "wide": False,
            },
        ],
        "codes": {"scale": 0.25, "divisor": 1, "zero_point": 0, "min": -8, "max": 7},
        "output": {"name": "y", "n": 2, "datatype": "INT12", "kind": "probabilities"},
        "after": [
            {"op": "mul", "value": 0.125},
            {"op": "add", "value": [0.5, -0.5]},
            {"op": "softmax"},
        ],
        "feature_names": ["mass", "width", "count"],
        "class_names": ["a", "b"],
    }
    return {**base, **changes}


def description(version=2, **changes):
    given = parts(**changes)
    into, out = given.pop("input"), given.pop("output")
    before, codes, after = (given.pop(name) for name in ("before", "codes", "after"))
    return {**described(into, before, codes, out, after, **given), "version": version}


def test_before_standardises_and_quantises_in_float32():
    host = HostModel.from_dict(description())
    x = RNG.normal(size=(200, 3)) * 4
    f = np.float32
    y = (x.astype(f) - f([0.1, -0.2, 3])) / f([1, 0.3, 2]) / f(0.25)
    codes = host.before(x)
    assert codes.dtype == np.int64
    np.testing.assert_array_equal(codes, np.clip(np.round(y), -8, 7))


def test_after_and_classify():
    host = HostModel.from_dict(description())
    y = RNG.integers(-100, 100, size=(50, 2))
    z = y.astype(np.float32) * np.float32(0.125) + np.float32([0.5, -0.5])
    e = np.exp(z - z.max(axis=1, keepdims=True))
    probabilities = host.after(y)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, e / e.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(host.classify(y), z.argmax(axis=1))


def test_a_saturated_softmax_does_not_hide_the_class():
    host = HostModel.from_dict(description(after=[{"op": "mul", "value": -1}, {"op": "softmax"}]))
    y = np.array([[-500, -501], [-501, -500], [7, 7]])
    # exp(-1) is not lost, but 500 apart it would be; classes come from before the softmax.
    np.testing.assert_array_equal(host.classify(y), [1, 0, 0])
    np.testing.assert_array_equal(host.classify(y * 1000), [1, 0, 0])


def test_one_output_is_a_yes_or_no():
    out = {"name": "y", "n": 1, "datatype": "INT8", "kind": "probabilities"}
    after = [{"op": "add", "value": 0.5}, {"op": "sigmoid"}]
    host = HostModel.from_dict(description(output=out, after=after))
    y = np.array([[-1], [0], [1]])
    np.testing.assert_array_equal(host.classify(y), [0, 1, 1])
    np.testing.assert_allclose(host.after(y), 1 / (1 + np.exp(-(y + 0.5))), rtol=1e-6)


def test_an_argmax_at_the_end():
    out = {"name": "y", "n": 2, "datatype": "INT8", "kind": "argmax"}
    host = HostModel.from_dict(description(output=out, after=[]))
    y = np.array([[1, 2], [2, 1], [3, 3]])
    np.testing.assert_array_equal(host.after(y), [[1], [0], [0]])
    np.testing.assert_array_equal(host.classify(y), [1, 0, 0])


def test_images_come_flat_or_in_their_shape():
    into = {"name": "x", "shape": [1, 3, 1], "n": 3, "datatype": "INT4", "values": None}
    host = HostModel.from_dict(description(input=into))
    x = RNG.normal(size=(5, 3))
    np.testing.assert_array_equal(host.before(x), host.before(x.reshape(5, 1, 3, 1)))
    expected = r"shape \(5, 3, 1\); expected \(frames, 1, 3, 1\) or \(frames, 3\)"
    with pytest.raises(HostModelError, match=expected):
        host.before(x.reshape(5, 3, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64, bool])
def test_any_real_type_is_taken_as_float32(dtype):
    host = HostModel.from_dict(description())
    x = RNG.integers(0, 2, size=(4, 3)).astype(dtype)
    np.testing.assert_array_equal(host.before(x), host.before(x.astype(np.float32)))


def test_no_frames():
    host = HostModel.from_dict(description())
    assert host.before(np.zeros((0, 3))).shape == (0, 3)
    assert host.after(np.zeros((0, 2), dtype=int)).shape == (0, 2)
    assert host.classify(np.zeros((0, 2), dtype=int)).shape == (0,)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\); expected \(frames, 3\)"),
        (np.zeros(3), r"shape \(3,\); expected"),
        (np.float32(1), r"shape \(\); expected"),
        (np.array([["a", "b", "c"]]), "must hold real numbers"),
        (np.zeros((1, 3), dtype=complex), "must hold real numbers"),
        (np.full((1, 3), None), "must hold real numbers"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), r"NaN in frame 1, feature 1 \(width\)"),
    ],
)
def test_data_that_before_refuses(x, match):
    with pytest.raises(HostModelError, match=match):
        HostModel.from_dict(description()).before(x)


def test_infinities_and_what_float32_cannot_hold_saturate():
    host = HostModel.from_dict(description())
    x = np.array([[np.inf, -np.inf, 1e300]])
    np.testing.assert_array_equal(host.before(x), [[7, -8, 7]])


def test_a_nan_that_arises_on_the_way_is_refused():
    before = [{"op": "mul", "value": [0.0, 1, 1]}, *parts()["before"]]
    host = HostModel.from_dict(description(before=before))
    with pytest.raises(HostModelError, match=r"frame 0, feature 0 \(mass\) becomes NaN"):
        host.before(np.array([[np.inf, 0, 0]]))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.zeros((2, 3), dtype=int), r"shape \(2, 3\); expected \(frames, 2\)"),
        (np.zeros(2, dtype=int), "expected"),
        (np.full((1, 2), 0.5), "must be integers"),
        (np.full((1, 2), np.nan), "must be integers"),
    ],
)
def test_integers_that_after_refuses(y, match):
    with pytest.raises(HostModelError, match=match):
        HostModel.from_dict(description()).after(y)


def test_json_keeps_every_bit(tmp_path):
    values = RNG.normal(size=3).astype(np.float32) * np.float32(1e-20)
    d = description(before=[{"op": "sub", "value": values.tolist()}, *parts()["before"][1:]])
    text = json.dumps(d)
    path = tmp_path / "host_model.json"
    path.write_text(text)
    x = (RNG.normal(size=(50, 3)) * 1e-20).astype(np.float32)
    expected = HostModel.from_dict(d).before(x)
    np.testing.assert_array_equal(HostModel.from_json(text).before(x), expected)
    np.testing.assert_array_equal(HostModel.from_json(path).before(x), expected)
    np.testing.assert_array_equal(
        np.float32(json.loads(text)["inputs"][0]["before"][0]["value"]), values
    )
    assert HostModel.from_json(text).to_dict() == d


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "can't read the host model"),
        ("[]", "not a host model description"),
        ("{}", "not a host model description"),
        (json.dumps(description(version=99)), "format version 99; this code reads version 2"),
        (json.dumps(description(after=[{"op": "cosine"}])), "operation 'cosine'"),
        (json.dumps(description(output={**parts()["output"], "kind": "tea"})), "'tea'"),
        (json.dumps(description(before=[{"op": "mul", "value": ["a"]}])), "not a host model"),
        (json.dumps(description(before=["mul"])), "not a host model"),
        (json.dumps(description(after=[{"value": 1}])), "not a host model"),
    ],
)
def test_descriptions_that_are_none(text, match):
    with pytest.raises(HostModelError, match=match):
        HostModel.from_json(text)


def test_a_description_that_is_not_there(tmp_path):
    with pytest.raises(HostModelError, match="can't read the host model"):
        HostModel.from_json(tmp_path / "missing.json")


@settings(max_examples=200, deadline=None)
@given(
    bits=st.integers(1, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    mode=st.sampled_from(sorted(ROUNDING)),
    scale=st.floats(2.0**-10, 10, width=32),
    zero_point=st.integers(-3, 200),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_quant_is_qonnx_quant_to_the_bit(
    bits, signed, narrow, mode, scale, zero_point, dtype, seed
):
    rng = np.random.default_rng(seed)
    scale = dtype(scale)
    low, high = level_range(bits, signed, narrow)
    # Values on ties and a bit beside them, and outside the range.
    halves = rng.integers(2 * low - 4, 2 * high + 5, size=(40, 3)) / 2 - zero_point
    x = (halves * scale).astype(dtype)
    x = np.concatenate([x, np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf))])
    op = {
        "op": "quant",
        "scale": scale,
        "zero_point": zero_point,
        "bits": bits,
        "signed": signed,
        "narrow": narrow,
        "rounding": mode,
        "wide": False,
    }
    parameters = (scale, dtype(zero_point), np.asarray(bits, dtype), signed, narrow, mode)
    got = evaluate(with_dtype(op, dtype), x)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, int_quant(x, *parameters))


@given(bits=st.integers(2, 16), signed=st.booleans(), narrow=st.booleans())
def test_level_ranges_are_those_of_qonnx(bits, signed, narrow):
    expected = (min_int(signed, narrow, bits), max_int(signed, narrow, bits))
    assert level_range(bits, signed, narrow) == expected


@pytest.mark.parametrize("module", [host_model, host_operations, host_ports, class_heads])
def test_nothing_but_numpy_and_the_standard_library(module):
    tree = ast.parse(Path(module.__file__).read_text(), feature_version=(3, 10))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    foreign = {n.split(".")[0] for n in names} - set(sys.stdlib_module_names)
    assert foreign == {"numpy", "deploy"}
