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

from benchmarks.sparse_netlists import Ports
from finn_builds.network import IntegerNetwork, Layer, Lookup
from finn_builds.sparse.nodes import width_of
from finn_builds.sparse.thresholds import clip_shape, reachable

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
    ports: Ports


def _rows(layer: Layer) -> list[list[int]]:
    """Return the thresholds of each neuron."""
    assert layer.requantise is not None
    sums = layer.accumulators
    rows: list[list[int]] = layer.requantise.form.thresholds(sums.low, sums.high).tolist()
    return rows


def _range(layer: Layer, neuron: int) -> tuple[int, int]:
    """Return the range of an accumulator."""
    return int(layer.accumulators.low[neuron]), int(layer.accumulators.high[neuron])


def _activate(acc: FVArray, layer: Layer, lookup: bool) -> FVArray:
    """Return a layer's thresholds over accumulators in alkaid's symbols."""
    out = []
    rows = _rows(layer)
    bits = len(rows[0]).bit_length()
    for j, a in enumerate(np.asarray(acc)):
        thresholds = rows[j]
        if not hasattr(a, "quantize"):
            out.append(float(np.searchsorted(thresholds, a, side="right")))
            continue
        lo, hi = _range(layer, j)
        always, rest = reachable(thresholds, lo, hi)
        if not rest:
            out.append(float(always))
            continue
        shape = clip_shape(rest, lo, hi)
        if shape is not None:
            k, top = shape.shift, shape.top
            inside = lo + shape.const >= 0 and (hi + shape.const) >> k <= top
            y = (a + float(shape.const)).quantize(
                0,
                top.bit_length() + k,
                -k,
                overflow_mode="WRAP" if inside else "SAT",
                round_mode="TRN",
            )
            out.append(y * 2.0**-k + float(always - shape.surplus))
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


def _look_up(codes: FVArray, edges: Lookup) -> FVArray:
    """Return table edges of codes in alkaid's symbols, a lookup each."""
    out = []
    for at, first, row in zip(edges.source, edges.first, edges.tables.astype(float), strict=True):
        low, high = int(row.min()), int(row.max())
        if low == high:
            out.append(float(low))  # a pruned edge
            continue
        one = FVArray(np.array([np.asarray(codes)[at]]), codes.solver_options, hwconf=codes.hwconf)
        # Codes beyond the table are never taken; alkaid's ranges may hold some.
        found = one.apply(
            lambda v, t=row, f=first: t[np.clip(v - f, 0, len(t) - 1).astype(np.int64)]
        )
        k = int(low < 0)
        out.append(np.asarray(found.quantize(k, max(1, width_of(low, high)) - k, 0))[0])
    return FVArray(np.array(out, dtype=object), codes.solver_options, hwconf=codes.hwconf)


def _trace(network: IntegerNetwork, options: dict[str, object], lookup: bool) -> CombLogic:
    low, high = network.input.bounds
    shape = (network.input.size,)
    x = FVArrayInput(shape, HWConfig(1, -1, -1), options)
    k, i = int(low < 0), width_of(low, high) - int(low < 0)
    v = x.quantize(np.full(shape, k), np.full(shape, i), np.zeros(shape, dtype=int))
    for layer in network.layers():
        first = layer.nodes[0].op
        if isinstance(first, Lookup):
            v = _look_up(v, first)
            if not layer.linears:
                continue
        v = v @ layer.linear.weights.astype(np.float64) + layer.linear.bias.astype(np.float64)
        if layer.requantise is not None:
            v = _activate(v, layer, lookup)
            v = v * float(layer.requantise.step) + float(layer.requantise.bias)
    return trace(x, v)


def _settings(uniform: bool) -> Iterator[tuple[dict[str, object], bool]]:
    for method, hard_dc in product(("wmc", "wmc-dc"), (-1, 2)):
        yield {"method0": method, "method1": "auto", "hard_dc": hard_dc}, True
    if not uniform:
        yield {"method0": "wmc", "method1": "auto", "hard_dc": 2}, False


def _is_uniform(layer: Layer) -> bool:
    """Return whether every neuron's thresholds are an added constant, a shift and a clip."""
    if layer.requantise is None:
        return True
    for j, row in enumerate(_rows(layer)):
        lo, hi = _range(layer, j)
        rest = reachable(row, lo, hi)[1]
        if rest and clip_shape(rest, lo, hi) is None:
            return False
    return True


@dataclass(frozen=True)
class AlkaidSolution:
    """What alkaid's solver found: logic without registers, and how."""

    logic: CombLogic
    settings: str
    seconds: float

    def design(self, latency: int, name: str) -> Rival:
        """Return Verilog with `latency` clocks from input to output, registers at both ends."""
        costs = {}
        files: dict[str, str] = {}
        for fuse in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                model = RTLModel(
                    self.logic,
                    folder,
                    name,
                    "verilog",
                    n_stages=max(1, latency - 1),
                    ternary_fuse=fuse,
                )
                model.write()
                costs[fuse] = json.loads((Path(folder) / "metadata.json").read_text())["cost"]
                if not fuse:
                    for path in sorted(Path(folder).rglob("*.v")):
                        if not path.stem.endswith("_wrapper"):
                            files[path.name] = path.read_text()
        kifs = self.logic.inp_kifs, self.logic.out_kifs
        in_widths, out_widths = (found.sum(axis=0).tolist() for found in kifs)
        zeros = (-kifs[1][2]).tolist()
        if kifs[0][2].any() or min(zeros) < 0:
            raise AssertionError("alkaid's logic has fractions where all numbers are integers")
        ports = Ports("model_inp", "model_out", in_widths, out_widths, zeros, latency)
        return Rival(files, name, latency, costs[True], self.seconds, self.settings, ports)


def alkaid_solution(network: IntegerNetwork, x: np.ndarray) -> AlkaidSolution:
    """Return alkaid's logic of a network, the best by its own cost of several settings.

    Settings tried: the first solver method wmc and wmc-dc, latency unbounded (-1) and bounded to
    2 extra adder levels, thresholds looked up in tables or compared. Uniform thresholds are given
    to it as an added constant, a shift and a saturation, the form that it was made for. Its
    estimate is of the design with ternary adders fused, which Vivado is expected to map to single
    chains; the Verilog is without, because Yosys makes two chains of each and finds fewer LUTs that
    way.

    Parameters
    ----------
    network : IntegerNetwork
    x : int64 array (n, n_in)
        Frames on which the traced logic must equal the network.
    """
    start = time.perf_counter()
    uniform = all(_is_uniform(layer) for layer in network.layers())
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
    seconds = time.perf_counter() - start
    found = best[1].predict(x.astype(np.float64))
    if not np.array_equal(found.astype(np.int64), network.execute(x)):
        raise AssertionError("alkaid's logic differs from the network")
    return AlkaidSolution(best[1], best[2], seconds)


def plain_design(network: IntegerNetwork, name: str) -> Rival:
    """Return a network as the expressions one would write by hand, registers at the ends only."""
    in_width = max(1, width_of(*network.input.bounds))
    signed = network.input.bounds[0] < 0
    out_width = max(1, width_of(*network.output.bounds))
    lines = [
        f"module {name} (input clk, input [{network.input.size * in_width - 1}:0] x,",
        f"    output reg [{network.output.size * out_width - 1}:0] y);",
        f"  reg [{network.input.size * in_width - 1}:0] r;",
        "  always @(posedge clk) r <= x;",
    ]
    names = []
    for i in range(network.input.size):
        pick = f"r[{(i + 1) * in_width - 1}:{i * in_width}]"
        kind = f"$signed({pick})" if signed else f"$signed({{1'b0, {pick}}})"
        lines.append(f"  wire signed [{in_width}:0] v0_{i} = {kind};")
        names.append(f"v0_{i}")
    for k, layer in enumerate(network.layers()):
        out = []
        for j in range(layer.n_out):
            width = max(2, width_of(*_range(layer, j)) + 1)
            terms = "".join(
                f" {'-' if w < 0 else '+'} {abs(int(w))} * {n}"
                for w, n in zip(layer.linear.weights[:, j], names, strict=True)
                if w
            )
            lines.append(f"  wire signed [{width - 1}:0] a{k}_{j} = 0{terms};")
            if layer.requantise is None:
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
        {f"{name}.v": "\n".join([*lines, "endmodule", ""])},
        name,
        2,
        float("nan"),
        0.0,
        "",
        Ports(
            "x",
            "y",
            [in_width] * network.input.size,
            [out_width] * network.output.size,
            [0] * network.output.size,
            2,
        ),
    )


def _plain_thresholds(k: int, j: int, layer: Layer) -> list[str]:
    counted = layer.requantise
    assert counted is not None
    width = width_of(*layer.output.bounds) + 1
    head = f"  wire signed [{width - 1}:0] v{k + 1}_{j} = "
    low, high = _range(layer, j)
    always, rest = reachable(_rows(layer)[j], low, high)
    if not rest:
        return [f"{head}{counted.bias + counted.step * always};"]
    shape = clip_shape(rest, low, high)
    if shape is not None and counted.step == 1:
        offset = counted.bias + always - shape.surplus
        lines = [f"  wire signed [31:0] s{k}_{j} = (a{k}_{j} + {shape.const}) >>> {shape.shift};"]
        clipped = f"(s{k}_{j} < 0 ? 0 : s{k}_{j} > {shape.top} ? {shape.top} : s{k}_{j})"
        return [*lines, f"{head}{clipped} + {offset};"]
    count = " + ".join(f"(a{k}_{j} >= {t})" for t in rest)
    return [f"{head}{counted.bias + counted.step * always} + {counted.step} * ({count});"]
