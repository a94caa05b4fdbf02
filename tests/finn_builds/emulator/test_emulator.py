"""The C++ header: equal to the network on random graphs, strict C++11, host steps, errors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from deploy.host_model import HostModel
from finn_builds.emulator import FLAGS, header_text, run_header
from finn_builds.emulator.host import host_functions
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.network import (
    Affine,
    ArgMax,
    IntegerNetwork,
    Linear,
    Node,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)
from finn_builds.network.ops import ROUNDINGS
from tests.finn_builds.network.networks import random_graph, random_inputs, random_network
from tests.host_descriptions import described

ZOO = Path(__file__).resolve().parents[3] / "brevitas_models" / "zoo"


def run(network, x: np.ndarray, folder: Path, name: str = "net") -> np.ndarray:
    header = folder / f"{name}.h"
    header.write_text(header_text(network, name))
    n_out = sum(network.tensor(n).size for n in network.outputs)
    return run_header(header, x, n_out, folder)


@pytest.mark.parametrize("seed", range(12))
def test_it_computes_what_a_random_graph_does(seed: int, tmp_path: Path) -> None:
    network = random_graph(seed, inputs=3, outputs=3)
    x = random_inputs(network, 200, seed)
    np.testing.assert_array_equal(run(network, x, tmp_path), network.execute(x))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_mode_on_every_value(rounding: str, tmp_path: Path) -> None:
    """Shifts of 0 to 4 bits, a zero in the middle, values on both sides of it, ties included."""
    source = Tensor.of_type("x", "INT8", 5)
    form = Affine([1, 1, 1, 3, 5], [60, 61, 62, 64, 67], [0, 1, 2, 3, 4], 15, rounding, 7)
    network = chain(source, [("y", Requantise(form, -7))])
    x = np.repeat(np.arange(-128, 128)[:, None], 5, axis=1)
    np.testing.assert_array_equal(run(network, x, tmp_path), network.execute(x))


def test_many_thresholds_are_searched(tmp_path: Path) -> None:
    rows = np.sort(np.random.default_rng(0).integers(-400, 400, (2, 200)), axis=1)
    network = chain(Tensor.of_type("x", "INT9", 2), [("y", Requantise(Thresholds(rows), -3, 2))])
    x = np.repeat(np.arange(-256, 256)[:, None], 2, axis=1)
    assert "reached(" in header_text(network, "net")
    np.testing.assert_array_equal(run(network, x, tmp_path), network.execute(x))


def test_sums_beyond_32_bits_are_of_64(tmp_path: Path) -> None:
    weights = [[1 << 20, -1], [-(1 << 20), 1]]
    network = chain(Tensor.of_type("x", "INT16", 2), [("y", Linear(weights))])
    text = header_text(network, "net")
    assert "typedef std::int64_t output_t;" in text and "typedef std::int32_t input_t;" in text
    x = np.array([[-32768, 32767], [32767, -32768], [5, 5]])
    np.testing.assert_array_equal(run(network, x, tmp_path), network.execute(x))


def test_the_class_is_the_first_of_the_largest(tmp_path: Path) -> None:
    network = random_network((6, 8, 4), 3, head=True)
    x = random_inputs(network, 300)
    np.testing.assert_array_equal(run(network, x, tmp_path), network.execute(x))
    ties = chain(Tensor.of_type("x", "INT3", 3), [("y", ArgMax(2, [0, -4, 4]))])
    x = np.array([[0, 1, -1], [0, 1, 0], [1, 1, 0], [-4, 3, -4]])
    assert run(ties, x, tmp_path, "ties").ravel().tolist() == [0, 2, 0, 1]


def test_constants_say_sizes_widths_and_fixed_point(tmp_path: Path) -> None:
    split = split_host(tidy(load_model(ZOO / "jets_weights.onnx")))
    ports = [("features", "INT8"), ("logits", "INT11")]
    text = header_text(split.network, "jets", split.description, ports)
    program = tmp_path / "constants.cpp"
    (tmp_path / "jets.h").write_text(text)
    program.write_text(
        '#include "jets.h"\n'
        'static_assert(jets::n_in == 16 && jets::n_out == 5, "");\n'
        'static_assert(jets::inputs::features::bits == 8, "");\n'
        'static_assert(jets::inputs::features::is_signed, "");\n'
        'static_assert(jets::inputs::features::fraction_bits == 0, "");\n'
        'static_assert(jets::outputs::logits::bits == 11, "");\n'
        'static_assert(jets::outputs::logits::fraction_bits == 6, "");\n'
        'static_assert(jets::outputs::logits::scale == 1.0 / 64, "");\n'
    )
    subprocess.run(["g++", *FLAGS, "-fsyntax-only", program], check=True, cwd=tmp_path)


def compiled_host(text: str, folder: Path, x: np.ndarray, y: np.ndarray, results: int = 0):
    """Return what `prepare` and `finish` of a header give for features and integers."""
    (folder / "net.h").write_text(text)
    n_in, n_out, n_r = x.shape[1], y.shape[1], results or y.shape[1]
    (folder / "host.cpp").write_text(
        '#include <cstdio>\n#include "net.h"\n'
        "int main() {\n"
        f"  float f[{n_in}], r[{n_r}]; net::input_t x[{n_in}]; net::output_t y[{n_out}];\n"
        "  while (std::fread(f, sizeof f, 1, stdin) == 1) {\n"
        "    if (std::fread(y, sizeof y, 1, stdin) != 1) return 1;\n"
        "    net::prepare(f, x); net::finish(y, r);\n"
        "    std::fwrite(x, sizeof x, 1, stdout); std::fwrite(r, sizeof r, 1, stdout);\n  }\n}\n"
    )
    subprocess.run(["g++", *FLAGS, "host.cpp", "-o", "host"], check=True, cwd=folder)
    given = b"".join(
        a.astype("<f4").tobytes() + b.astype("<i4").tobytes() for a, b in zip(x, y, strict=True)
    )
    found = subprocess.run(["./host"], input=given, capture_output=True, check=True, cwd=folder)
    words = np.frombuffer(found.stdout, "<u4").reshape(len(x), n_in + n_r)
    return words[:, :n_in].view("<i4"), words[:, n_in:].view("<f4")


def test_the_hosts_part_gives_the_same_bits(tmp_path: Path) -> None:
    split = split_host(tidy(load_model(ZOO / "jets_weights.onnx")))
    network = split.network
    rng = np.random.default_rng(0)
    x = rng.normal(0, 30, (500, 16)).astype(np.float32)
    y = rng.integers(-900, 500, (500, 5))
    text = header_text(network, "net", split.description)
    prepared, finished = compiled_host(text, tmp_path, x, y)
    np.testing.assert_array_equal(prepared, split.host.before(x))
    np.testing.assert_array_equal(finished, split.host.after(y))


def quantised(**changes) -> dict:
    quant = {"op": "quant", "scale": 0.25, "zero_point": 0.0, "bits": 5, "signed": True}
    quant |= {"narrow": False, "rounding": "ROUND", "wide": False, **changes}
    return described(
        {"name": "x", "shape": [3], "n": 3, "datatype": "INT6"},
        [{"op": "mul", "value": [1.0, 0.5, 2.0]}, quant],
        {"scale": 0.25, "divisor": 1, "zero_point": 0, "min": -16, "max": 15},
        {"name": "y", "n": 3, "datatype": "INT9", "kind": "logits"},
        AFTER,
    )


AFTER = [
    {"op": "mul", "value": 0.125},
    {"op": "clip", "min": -2.0, "max": None},
    {"op": "relu"},
    {"op": "rsub", "value": [1.0, 2.0, 3.0]},
    {"op": "sign"},
]


def with_after(*ops: dict) -> dict:
    description = quantised()
    description["outputs"][0]["after"] = list(ops)
    return description


@pytest.mark.parametrize(
    "changes",
    [
        *({"rounding": mode} for mode in (*ROUNDINGS, "HALF_EVEN")),
        {"zero_point": 3.0, "wide": True},
        {"signed": False, "narrow": True},
        {"signed": True, "bits": 1},
    ],
    ids=str,
)
def test_quantisers_of_every_kind_give_the_same_bits(changes: dict, tmp_path: Path) -> None:
    description = quantised(**changes)
    network = chain(Tensor.of_type("x", "INT6", 3), [("y", Linear(np.eye(3, dtype=int)))])
    ticks = np.repeat(np.arange(-48, 49)[:, None] / 16, 3, axis=1).astype(np.float32)
    y = np.arange(-60, 37)[:, None] + np.array([0, 7, 9])
    text = header_text(network, "net", description)
    prepared, finished = compiled_host(text, tmp_path, ticks, y)
    model = HostModel(description)
    np.testing.assert_array_equal(prepared, model.before(ticks))
    np.testing.assert_array_equal(finished, model.after(y))


def test_several_tensors_lie_side_by_side(tmp_path: Path) -> None:
    """Two parts of one input of the model, taken in another order; two outputs that share one."""
    description = quantised()
    part = description["inputs"][0] | {"shape": [4], "n": 2, "before": []}
    moved = part | {"take": [3, 0], "before": [{"op": "add", "value": [1.0, 2.0]}]}
    description["inputs"] = [moved, part | {"take": [1, 2]}]
    out = description["outputs"][0]
    first = out | {"name": "a", "take": [3, 1], "after": [{"op": "mul", "value": [2.0, 0.5]}]}
    description["outputs"] = [first, out | {"name": "b", "take": [1], "after": []}]
    description["n_out"] = 4
    inputs = (Tensor.of_type("a", "INT6", 2), Tensor.of_type("b", "INT6", 2))
    node = Node(Linear(np.eye(4, dtype=int)), ("a", "b"), Tensor.of_type("y", "INT6", 4))
    text = header_text(IntegerNetwork(inputs, (node,), ("y",)), "net", description)
    features = np.array([[0.25, 0.5, 0.75, 1.0], [-1.0, 1.25, 2.0, -3.0]], dtype=np.float32)
    y = np.array([[1, 2, 3, 4], [-5, 6, 7, 8]])
    prepared, finished = compiled_host(text, tmp_path, features, y, results=3)
    model = HostModel(description)
    np.testing.assert_array_equal(prepared, model.before(features))
    after = model.after(y)
    np.testing.assert_array_equal(finished, np.concatenate([after["a"], after["b"]], axis=1))


def test_softmax_is_close_to_numpy(tmp_path: Path) -> None:
    description = with_after({"op": "mul", "value": 0.125}, {"op": "softmax"})
    network = chain(Tensor.of_type("x", "INT6", 3), [("y", Linear(np.eye(3, dtype=int)))])
    y = np.arange(-60, 37)[:, None] + np.array([0, 7, 9])
    text = header_text(network, "net", description)
    _, finished = compiled_host(text, tmp_path, np.zeros((97, 3)), y)
    np.testing.assert_allclose(finished, HostModel(description).after(y), rtol=1e-6)


def test_a_host_operation_it_does_not_know_is_left_out() -> None:
    text = host_functions(with_after({"op": "erf"}))
    assert "void prepare" in text and "void finish" not in text and "not in this header" in text


def test_large_layers_are_split_into_functions(tmp_path: Path) -> None:
    network = random_network((64, 40, 3), 1)
    text = header_text(network, "net")
    assert len(re.findall(r"inline void node_0_\d", text)) > 1
    x = random_inputs(network, 50)
    np.testing.assert_array_equal(run(network, x, tmp_path), network.execute(x))


def test_two_headers_live_in_one_program(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        (tmp_path / f"{name}.h").write_text(header_text(random_network((4, 4, 2), seed), name))
    both = '#include "one.h"\n#include "two.h"\n#include "one.h"\nint main() { return 0; }\n'
    (tmp_path / "both.cpp").write_text(both)
    subprocess.run(["g++", *FLAGS, "-fsyntax-only", "both.cpp"], check=True, cwd=tmp_path)


def test_the_adapter_in_the_docs_compiles(tmp_path: Path) -> None:
    page = (ZOO.parents[1] / "docs" / "firmware.md").read_text()
    blocks = re.findall(r"```cpp\n(.*?)```", page, flags=re.S)
    calls, adapter = blocks
    split = split_host(tidy(load_model(ZOO / "jets_tiny.onnx")))
    text = header_text(split.network, "jets_tiny", split.description)
    (tmp_path / "jets_tiny.h").write_text(text)
    (tmp_path / "adapter.cpp").write_text(
        "#include <any>\n"
        "struct Model {\n"
        "  virtual ~Model() = default;\n"
        "  virtual void prepare_input(std::any) = 0;\n"
        "  virtual void predict() = 0;\n"
        "  virtual void read_result(std::any) = 0;\n"
        "};\n" + adapter
    )
    includes, _, body = calls.partition("\n\n")
    (tmp_path / "calls.cpp").write_text(
        f"{includes}\nint main() {{\n  float features[16] = {{}}, logits[5];\n{body}}}\n"
    )
    for source, standard in (("adapter.cpp", "c++17"), ("calls.cpp", "c++11")):
        flags = [f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
        subprocess.run(["g++", *flags, source], check=True, cwd=tmp_path)


def test_a_name_that_is_not_an_identifier_is_refused() -> None:
    with pytest.raises(ValueError, match="identifier"):
        header_text(random_network((4, 4, 2), 0), "2nd")
