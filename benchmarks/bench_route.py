"""Models placed and routed on open boards: clock, cells, and the estimates beside them.

    python benchmarks/bench_route.py [--boards ULX3S-25F ...] [--models jets_tiny ...]

Each model is built for each board with ``--route``, in a process of its own that is stopped after
``--limit`` seconds; what does not fit and what was stopped are rows that say so. ``large`` is a
random 784-128-128-10 network of 2 bits, 95 % pruned. Rows are kept in
``benchmarks/results/route.json`` as they come, and ``route.md`` is the table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import onnx

from benchmarks.bench_sparse_large import random_model
from finn_builds import BuildConfig, UserError, build
from finn_builds.config.boards import load_board
from finn_builds.files import read_json

RESULTS = Path(__file__).parent / "results"
BOARDS = ("ULX3S-25F", "OrangeCrab", "Tang-Primer-20K", "Tang-Nano-9K")
MODELS = ("jets_weights_tiny", "digits", "jets_weights")
LARGE = "large"


def row(board: str, model: str, folder: Path, seeds: int) -> dict[str, Any]:
    """Return what one build reached, or why there is nothing."""
    file = model
    if model == LARGE:
        file = str(folder / "large.onnx")
        onnx.save(random_model([784, 128, 128, 10], 2, 0.95, 1), file)
    config = BuildConfig(
        board=board,
        model=file,
        style="sparse",
        output_dir=str(folder / "build"),
        route=True,
        seeds=seeds,
        verify_frames=200,
    )
    began = time.monotonic()
    try:
        build(config)
    except UserError as error:
        return {"board": board, "model": model, "why": str(error)}
    seconds = round(time.monotonic() - began)
    return {**figures(board, model, folder / "build"), "seconds": seconds}


def figures(board: str, model: str, built: Path) -> dict[str, Any]:
    """Return what a finished build with ``--route`` reached."""
    report = built / "report"
    found = read_json(report / "route.json")
    counted = read_json(report / "synth_resources.json")["(top)"]["LUT"]
    # A carry takes the place of a LUT; on Gowin the two have names of their own.
    kinds = [kind for kind in ("TRELLIS_COMB", "LUT4", "ALU") if kind in found["cells"]]
    cells = [found["cells"][kind] for kind in kinds]
    return {
        "board": board,
        "model": model,
        "part": found["part"],
        "asked_mhz": found["asked_mhz"],
        "made_mhz": found["made_mhz"],
        "routed_mhz": found["routed_mhz"],
        "planned_ns": found["planned_ns"],
        "estimated_ns": found["estimated_ns"],
        "logic_ns": found["logic_ns"],
        "wire_ns": found["wire_ns"],
        "counted": counted,
        "placed": sum(kind["accelerator"] or 0 for kind in cells),
        "device": sum(kind["used"] for kind in cells),
        "available": cells[0]["available"],
        "latency_cycles": read_json(report / "summary.json")["latency_cycles"],
        "frames": found["gate_level"]["frames"],
        "version": f"{found['tool']} {found['version']}",
    }


def alone(board: str, model: str, seeds: int, limit: float) -> dict[str, Any]:
    """Return a row that a process of its own made, with its processor's seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, __file__, "--one", board, model, folder, "--seeds", str(seeds)]
        process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return {"board": board, "model": model, "why": f"stopped after {limit:g} s"}
        made = Path(folder) / "row.json"
        if not made.is_file():
            return {"board": board, "model": model, "why": "failed: see the terminal"}
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**json.loads(made.read_text()), "cpu_seconds": round(cpu)}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "# Placed and routed",
        "",
        "Written by `benchmarks/bench_route.py`. The clock is that of the whole device with its "
        "serial shell, by nextpnr;",
        "cells are LUT positions: counted in the accelerator's mapped netlist, placed of it, and "
        "of the whole device.",
        "Gowin's timing is optimistic, see `docs/open_tools.md`. Nothing has run on a board.",
        "",
        "| model | board | part | asked, MHz | routed, MHz | path, ns (wires) | estimated, ns | "
        "counted | placed | device | latency, cycles | CPU, s |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        if "why" in r:
            part = load_board(r["board"]).part
            why = r["why"].replace("|", "\\|")
            lines.append(f"| {r['model']} | {r['board']} | {part} | {why} |||||||||")
            continue
        path = r["logic_ns"] + r["wire_ns"]
        lines.append(
            f"| {r['model']} | {r['board']} | {r['part']} | {r['made_mhz']:g} | "
            f"{r['routed_mhz']:g} | {path:.2f} ({r['wire_ns']:.2f}) | {r['estimated_ns']:g} | "
            f"{r['counted']:,} | {r['placed'] or 0:,} | {r['device']:,} of {r['available']:,} | "
            f"{r['latency_cycles']} | {r.get('cpu_seconds', '-')} |"
        )
    versions = sorted({r["version"] for r in rows if "version" in r})
    return "\n".join([*lines, "", f"Versions: {', '.join(versions)}.", ""])


def main(argv: list[str] | None = None) -> int:
    """Build, and write the rows after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3600, help="seconds for each row")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        board, model, folder = args.one
        found = row(board, model, Path(folder), args.seeds)
        (Path(folder) / "row.json").write_text(json.dumps(found))
        return 0
    path = RESULTS / "route.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    for board in args.boards:
        for model in args.models:
            new = alone(board, model, args.seeds, args.limit)
            rows = [r for r in rows if (r["board"], r["model"]) != (board, model)] + [new]
            path.write_text(json.dumps(rows, indent=2) + "\n")
            (RESULTS / "route.md").write_text(table(rows))
            print(new, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
