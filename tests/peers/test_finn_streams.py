"""The grids of FINN's tests of thresholding, width conversion and label selection.

Only the numbers are FINN's: types, sizes, parallelism, narrow and per-tensor thresholds.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from deploy.packing import pack
from finn_builds.network import Linear, Requantise, Tensor, chain
from finn_builds.network.ops import Thresholds, affine_form
from finn_builds.network.types import bits_of, range_of
from finn_builds.sim import SimDesign, Simulator, compile_designs
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.interpret import evaluate
from tests.finn_builds.flow.networks import simulators, stitch
from tests.finn_builds.network.networks import random_inputs
from tests.finn_builds.rtl.conftest import HERE as ADAPTERS
from tests.finn_builds.rtl.conftest import RTL
from tests.finn_builds.sparse.sparse_networks import on_stream

pytestmark = pytest.mark.peers


# --- thresholding: types of the codes and of what comes in, channels, narrow, per tensor
def codes(datatype: str, narrow: bool) -> tuple[int, int, int]:
    """Return the smallest code, its step, and the number of thresholds."""
    low, high = range_of(datatype)
    if datatype == "BIPOLAR":
        return -1, 2, 1
    low += int(narrow and low < 0)
    return low, 1, high - low


def thresholds(rng: np.random.Generator, shape: tuple[int, int], datatype: str) -> np.ndarray:
    """Return sorted thresholds, among them ones that no input and that every input reaches."""
    low, high = range_of(datatype)
    return np.sort(rng.integers(low, high + 2, size=shape), axis=1)


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("into", ["INT8", "UINT5", "INT12", "UINT16", "INT16"])
@pytest.mark.parametrize("out", ["BIPOLAR", "INT4", "UINT4", "INT2"])
@pytest.mark.parametrize("channels", [1, 6, 16])
def test_thresholding(channels, out, into, narrow, per_tensor, network_seed):
    rng = np.random.default_rng(network_seed)
    bias, step, count = codes(out, narrow)
    rows = thresholds(rng, (1 if per_tensor else channels, count), into)
    rows = np.broadcast_to(rows, (channels, count))
    network = chain(
        Tensor.of_type("x", into, channels),
        [("codes", Requantise(Thresholds(rows), bias, step))],
    )
    x = random_inputs(network, 200, network_seed)
    # numpy: how many thresholds a value reaches
    expected = bias + step * (x[:, :, None] >= rows[None]).sum(axis=2)
    np.testing.assert_array_equal(network.execute(x), expected)
    compiled = compile_network(network, "grid", clock_ns=10.0)
    found = evaluate(compiled.pipeline.graph, on_stream(x, network.input.datatype))
    np.testing.assert_array_equal(found, on_stream(expected, network.output.datatype))


# --- width conversion: PE of one folded layer against SIMD of the next, up, down and neither
PAIRS = [(1, 24), (24, 1), (4, 6), (6, 4), (8, 12), (12, 8), (3, 3)]
CODES = ["BIPOLAR", "INT2", "INT4"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory, network_seed):
    folder = tmp_path_factory.mktemp("converters")
    rng = np.random.default_rng(network_seed)
    built = []
    for datatype, (pe, simd) in itertools.product(CODES, PAIRS):
        bias, step, count = codes(datatype, narrow=False)
        first = Linear(rng.integers(-7, 8, size=(4, 24)))
        source = Tensor.of_type("x", "INT4", 4)
        sums = chain(source, [("sums0", first)])
        held = sums.execute(random_inputs(sums, 300, network_seed))
        rows = np.sort(rng.permuted(held, axis=0)[:count].T, axis=1)
        form = affine_form(rows, *first.range(*(np.full(4, b) for b in (-8, 7)))) or Thresholds(
            rows
        )
        network = chain(
            source,
            [
                ("sums0", first),
                ("codes0", Requantise(form, bias, step)),
                ("sums1", Linear(rng.integers(-7, 8, size=(24, 6)))),
            ],
        )
        name = f"{datatype}_{pe}_{simd}".lower()
        file = folder / f"{name}.json"
        layers = {"MVAU_rtl_0": {"PE": pe, "SIMD": 4}, "MVAU_rtl_1": {"PE": 6, "SIMD": simd}}
        file.write_text(json.dumps(layers | {"Thresholding_rtl_0": {"PE": pe}}))
        built.append(
            stitch(name, network, folder / name, board="ZCU104", folding_config_file=str(file))
        )
    return built, simulators(built, folder / "sim")


@pytest.mark.timeout(3600)  # the fixture compiles a design of every pair and type
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_width_conversion(converted, stalls):
    built, sims = converted
    kinds = [{block.kind for block in item.hardware.blocks} for item in built]
    converters = ["StreamingDataWidthConverter_rtl" in kind for kind in kinds]
    assert converters == [pe != simd for _, (pe, simd) in itertools.product(CODES, PAIRS)]
    for item in built:
        x = random_inputs(item.network, 40, seed=5)
        result = sims[item.name].run(
            item.design.input.to_beats(x), len(x) * item.design.output.beats,
            stall_in=stalls, stall_out=stalls, seed=3, drain=50,
        )  # fmt: skip
        found = item.design.output.from_beats(result.outputs)
        np.testing.assert_array_equal(found, item.network.execute(x), err_msg=item.name)


# --- label selection: types, labels and parallelism; the one best label
LABELS = [
    (labels, fold, datatype)
    for labels in (10, 100)
    for fold in (1, 2, labels)
    for datatype in ("UINT8", "UINT16", "INT8", "INT16")
]


def label_name(labels: int, fold: int, datatype: str) -> str:
    return f"n{labels}_f{fold}_{datatype}".lower()


@pytest.fixture(scope="module")
def selectors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    designs = []
    for labels, fold, datatype in LABELS:
        pe, width = labels // fold, bits_of(datatype)
        params = {"N": labels, "PE": pe, "WIDTH": width, "SIGNED": int(datatype[0] == "I")}
        designs.append(
            SimDesign(
                label_name(labels, fold, datatype),
                [RTL / "top1.sv", ADAPTERS / "top1_adapter.sv"],
                "top1_adapter",
                -(-pe * width // 8) * 8,
                8,
                params=params,
            )
        )
    return compile_designs(designs, build_dir=folder)


@pytest.mark.parametrize(("labels", "fold", "datatype"), LABELS)
def test_label_selection(selectors, tmp_path, labels, fold, datatype, network_seed):
    rng = np.random.default_rng(network_seed)
    low, high = range_of(datatype)
    x = rng.integers(low, high + 1, size=(60, labels))
    x[::3] = rng.choice([low, low + 1, high], size=x[::3].shape)  # ties: the first one wins
    beats = pack(x.reshape(-1, labels // fold), bits_of(datatype), datatype[0] == "I")
    name = label_name(labels, fold, datatype)
    with Simulator(selectors, tmp_path, design=name) as simulator:
        result = simulator.run(beats, len(x), stall_in=0.3, stall_out=0.3, seed=1, drain=64)
    np.testing.assert_array_equal(result.outputs[:, 0], x.argmax(axis=1))
