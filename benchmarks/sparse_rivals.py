"""The same integer network as alkaid and as plain Verilog write it, for `bench_sparse.py`."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from alkaid.codegen.rtl.rtl_model import RTLModel
from alkaid.trace import FVArray, FVArrayInput, HWConfig, trace
from alkaid.types import CombLogic

from finn_builds.sparse.ir import width_of
from finn_builds.sparse.network import SparseLayer, SparseNetwork
from finn_builds.sparse.thresholds import uniform_step

# Accumulators of more bits than this are compared with each threshold; below, alkaid looks up.
LOOKUP_BITS = 10


@dataclass(frozen=True)
class Rival:
    """A design of somebody else's: Verilog, the estimate it comes with, and its making."""

    files: dict[str, str]
    top: str
    latency: int
    estimate: float
    seconds: float
    settings: str


def _activate(acc: FVArray, layer: SparseLayer, lookup: bool) -> FVArray:
    """Return a layer's thresholds over accumulators in alkaid's symbols."""
    out = []
    bits = layer.thresholds.shape[1].bit_length()
    for j, a in enumerate(np.asarray(acc)):
        thresholds = [int(t) for t in layer.thresholds[j]]
        if not hasattr(a, "quantize"):
            out.append(float(np.searchsorted(thresholds, a, side="right")))
            continue
        k = uniform_step(thresholds)
        if k is not None:
            moved = a + float((1 << k) - thresholds[0])
            y = moved.quantize(0, bits + k, -k, overflow_mode="SAT", round_mode="TRN")
            out.append(y * 2.0**-k)
        elif lookup and sum(int(v) for v in a.kif) <= LOOKUP_BITS:
            one = FVArray(np.array([a]), acc.solver_options, hwconf=acc.hwconf)
            table = one.apply(
                lambda v, t=thresholds: np.searchsorted(t, v, side="right").astype(float)
            )
            out.append(np.asarray(table.quantize(0, bits, 0))[0])
        else:
            total = 0.0
            for t in thresholds:
                total = total + (a >= float(t))
            out.append(total)
    return FVArray(np.array(out, dtype=object), acc.solver_options, hwconf=acc.hwconf)


def _trace(network: SparseNetwork, options: dict[str, object], lookup: bool) -> CombLogic:
    first = network.layers[0]
    shape = (network.n_in,)
    x = FVArrayInput(shape, HWConfig(1, -1, -1), options)
    k, i = int(first.in_lo < 0), width_of(first.in_lo, first.in_hi) - int(first.in_lo < 0)
    v = x.quantize(np.full(shape, k), np.full(shape, i), np.zeros(shape, dtype=int))
    for layer in network.layers:
        v = v @ layer.weights.astype(np.float64)
        if layer.thresholds is not None:
            v = _activate(v, layer, lookup)
            v = v * float(layer.out_step) + float(layer.out_bias)
    return trace(x, v)


def _settings(uniform: bool) -> Iterator[tuple[dict[str, object], bool]]:
    for method, hard_dc in product(("wmc", "wmc-dc"), (-1, 2)):
        yield {"method0": method, "method1": "auto", "hard_dc": hard_dc}, True
    if not uniform:
        yield {"method0": "wmc", "method1": "auto", "hard_dc": 2}, False


def alkaid_design(network: SparseNetwork, latency: int, name: str, x: np.ndarray) -> Rival:
    """Return alkaid's design of a network, the best by its own cost of several settings.

    Settings tried: the first solver method wmc and wmc-dc, latency unbounded (-1) and bounded to
    2 extra adder levels, thresholds looked up in tables or compared. Its estimate is of the design
    with ternary adders fused, which Vivado would map to single chains; the Verilog is without,
    because Yosys makes two chains of each and finds fewer LUTs that way.

    Parameters
    ----------
    network : SparseNetwork
    latency : int
        Clocks from input to output, registers at both ends included.
    name : str
    x : int64 array (n, n_in)
        Frames on which the traced logic must equal the network.
    """
    start = time.perf_counter()
    uniform = all(
        layer.thresholds is None
        or all(uniform_step([int(t) for t in r]) is not None for r in layer.thresholds)
        for layer in network.layers
    )
    best: tuple[float, CombLogic, str] | None = None
    for options, lookup in _settings(uniform):
        comb = _trace(network, options, lookup)
        if best is None or comb.cost < best[0]:
            best = (
                comb.cost,
                comb,
                f"{options['method0']}, hard_dc {options['hard_dc']}"
                + ("" if uniform else ", lookups" if lookup else ", comparisons"),
            )
    assert best is not None
    comb = best[1]
    seconds = time.perf_counter() - start
    found = comb.predict(x.astype(np.float64))
    if not np.array_equal(found.astype(np.int64), network.evaluate(x)):
        raise AssertionError("alkaid's logic differs from the network")
    costs = {}
    files: dict[str, str] = {}
    for fuse in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            model = RTLModel(
                comb, folder, name, "verilog", n_stages=max(1, latency - 1), ternary_fuse=fuse
            )
            model.write()
            costs[fuse] = json.loads((Path(folder) / "metadata.json").read_text())["cost"]
            if not fuse:
                for path in sorted(Path(folder).rglob("*.v")):
                    if not path.stem.endswith("_wrapper"):
                        files[path.name] = path.read_text()
    return Rival(files, name, latency, costs[True], seconds, best[2])


def plain_design(network: SparseNetwork, name: str) -> Rival:
    """Return a network as the expressions one would write by hand, registers at the ends only."""
    in_width = max(1, width_of(network.layers[0].in_lo, network.layers[0].in_hi))
    signed = network.layers[0].in_lo < 0
    out_width = max(1, width_of(*network.layers[-1].output_range()))
    lines = [
        f"module {name} (input clk, input [{network.n_in * in_width - 1}:0] x,",
        f"    output reg [{network.n_out * out_width - 1}:0] y);",
        f"  reg [{network.n_in * in_width - 1}:0] r;",
        "  always @(posedge clk) r <= x;",
    ]
    names = []
    for i in range(network.n_in):
        pick = f"r[{(i + 1) * in_width - 1}:{i * in_width}]"
        kind = f"$signed({pick})" if signed else f"$signed({{1'b0, {pick}}})"
        lines.append(f"  wire signed [{in_width}:0] v0_{i} = {kind};")
        names.append(f"v0_{i}")
    for k, layer in enumerate(network.layers):
        out = []
        for j in range(layer.n_out):
            width = max(2, width_of(*layer.accumulator_range(j)) + 1)
            terms = "".join(
                f" {'-' if w < 0 else '+'} {abs(int(w))} * {n}"
                for w, n in zip(layer.weights[:, j], names, strict=True)
                if w
            )
            lines.append(f"  wire signed [{width - 1}:0] a{k}_{j} = 0{terms};")
            if layer.thresholds is None:
                out.append(f"a{k}_{j}")
                continue
            lines += _plain_thresholds(k, j, layer)
            out.append(f"v{k + 1}_{j}")
        names = out
    for j, n in enumerate(names):
        lines.append(
            f"  always @(posedge clk) y[{(j + 1) * out_width - 1}:{j * out_width}] <= {n};"
        )
    return Rival(
        {f"{name}.v": "\n".join([*lines, "endmodule", ""])}, name, 2, float("nan"), 0.0, ""
    )


def _plain_thresholds(k: int, j: int, layer: SparseLayer) -> list[str]:
    thresholds = [int(t) for t in layer.thresholds[j]]
    lo, hi = layer.output_range()
    width = width_of(lo, hi) + 1
    step = uniform_step(thresholds)
    head = f"  wire signed [{width - 1}:0] v{k + 1}_{j} = "
    if step is not None and layer.out_step == 1 and layer.out_bias == 0:
        moved = f"(a{k}_{j} + {(1 << step) - thresholds[0]})"
        lines = [f"  wire signed [31:0] s{k}_{j} = {moved} >>> {step};"]
        top = len(thresholds)
        return [*lines, f"{head}s{k}_{j} < 0 ? 0 : s{k}_{j} > {top} ? {top} : s{k}_{j};"]
    count = " + ".join(f"(a{k}_{j} >= {t})" for t in thresholds)
    return [f"{head}{layer.out_bias} + {layer.out_step} * ({count});"]
