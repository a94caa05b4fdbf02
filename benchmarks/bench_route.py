"""Models placed and routed on open boards: clock, cells, and the estimates beside them.

    python benchmarks/bench_route.py [--boards ULX3S-25F ...] [--models jets_tiny ...]
    python benchmarks/bench_route.py --again

Each row of `ROWS`, or those of the named boards and models, is a build with ``--route`` in a
process of its own that is stopped after ``--limit`` seconds; what does not fit and what was stopped
are rows that say so. The models of `LARGE` are random 784-128-128-10 networks of 2 bits, of which
50 MHz are asked. Rows are kept in ``benchmarks/results/route.json`` as they come, and ``route.md``
is the table, which ``--again`` writes from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
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
#: Share that is pruned, and bits of the inputs, of the random networks.
LARGE = {
    "large": (0.95, 8),
    "large_2bit": (0.95, 2),
    "large_2bit_97": (0.97, 2),
    "large_2bit_98": (0.98, 2),
}

#: Clock periods in ns where it is not the board's: asked for, and planned for.
CLOCKS = dict.fromkeys(LARGE, (20.0, 14.0))

#: Board and model. ULX3S carry speed grade 6, the OrangeCrab and the ECP5 Evaluation Board 8.
ROWS = (
    *itertools.product(
        ("ULX3S-25F", "OrangeCrab", "Tang-Primer-20K", "Tang-Nano-9K"), ("jets_tiny", "jets")
    ),
    *itertools.product(("ULX3S-25F", "Tang-Nano-9K"), ("jets_weights_tiny", "jets_weights")),
    ("ULX3S-25F", "digits"),
    ("OrangeCrab", "digits"),
    ("Tang-Primer-20K", "digits"),
    *(("ULX3S-85F", name) for name in LARGE),
)


def row(board: str, model: str, folder: Path, seeds: int) -> dict[str, Any]:
    """Return what one build reached, or why there is nothing."""
    file = model
    if model in LARGE:
        file = str(folder / "large.onnx")
        pruned, input_bits = LARGE[model]
        onnx.save(random_model([784, 128, 128, 10], 2, pruned, 1, input_bits), file)
    clock_ns, plan_ns = CLOCKS.get(model, (None, None))
    config = BuildConfig(
        board=board,
        synth_clk_period_ns=clock_ns,
        plan_ns=plan_ns,
        model=file,
        style="sparse",
        output_dir=str(folder / "build"),
        route=True,
        seeds=seeds,
        verify_frames=200,
    )
    began = time.monotonic()
    try:
        result = build(config)
    except UserError as error:
        return {"board": board, "model": model, "why": str(error)}
    seconds = round(time.monotonic() - began)
    turns = {"turns": result.summary["turns"]} if "turns" in result.summary else {}
    return {**figures(board, model, folder / "build"), **turns, "seconds": seconds}


def figures(board: str, model: str, built: Path) -> dict[str, Any]:
    """Return what a finished build with ``--route`` reached."""
    report = built / "report"
    found = read_json(report / "route.json")
    counted = read_json(report / "synth_resources.json")["(top)"]["LUT"]
    summary = read_json(report / "summary.json")
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
        "estimated": summary["resources"]["LUT"],
        "counted": counted,
        "placed": sum(kind["accelerator"] or 0 for kind in cells),
        "device": sum(kind["used"] for kind in cells),
        "available": cells[0]["available"],
        "latency_cycles": summary["latency_cycles"],
        "frames": found["gate_level"]["frames"],
        "limit": summary["routed"]["limit"],
        "version": f"{found['tool']} {found['version']}",
    }


def reached(folder: Path) -> str:
    """Return how far nextpnr had come in a build that was stopped, by the last line of its log."""
    logs = list(folder.glob("build/**/seed_1/nextpnr.log"))
    lines = logs[0].read_text().split("\n") if logs else []
    said = [line.removeprefix("Info:").strip() for line in lines if line.startswith("Info:")]
    return f", nextpnr at: {said[-1]}" if said else ", before nextpnr began"


def alone(board: str, model: str, seeds: int, limit: float) -> dict[str, Any]:
    """Return a row that a process of its own made, with its processor's seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, __file__, "--one", board, model, folder, "--seeds", str(seeds)]
        process = subprocess.Popen(argv, cwd=ROOT)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            why = f"stopped after {limit:g} s{reached(Path(folder))}"
            # Interrupted, a build stops the tools that it has started; killed, it leaves them.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return {"board": board, "model": model, "why": why}
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
        "cells are LUT positions: estimated for the accelerator before synthesis, counted in its "
        "mapped netlist, placed of it (with what",
        "they differ from the count), and of the whole device.",
        "Gowin's timing is optimistic, see `docs/open_tools.md`. Nothing has run on a board.",
        "",
        "| model | board | part | asked, MHz | routed, MHz | path, ns (wires) | estimated, ns | "
        "path / estimated | cells estimated | counted | placed | device | latency, cycles "
        "| CPU, s |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in sorted(rows, key=_place):
        if "why" in r:
            part = load_board(r["board"]).part
            why = r["why"].replace("|", "\\|")
            lines.append(f"| {r['model']} | {r['board']} | {part} | {why} |||||||||||")
            continue
        path = r["logic_ns"] + r["wire_ns"]
        lines.append(
            f"| {r['model']} | {r['board']} | {r['part']} | {r['made_mhz']:g} | "
            f"{r['routed_mhz']:g} | {path:.2f} ({r['wire_ns']:.2f}) | {r['estimated_ns']:g} | "
            f"{path / r['estimated_ns']:.2f} | {_cells(r)} | "
            f"{r['device']:,} of {r['available']:,} | "
            f"{r['latency_cycles']} | {r.get('cpu_seconds', '-')} |"
        )
    notes = []
    for r in sorted(rows, key=_place):
        said = [r["note"]] if "note" in r else []
        if "turns" in r:
            said.append("built " + "; ".join(_turn(turn) for turn in r["turns"]))
        if r.get("limit", "accelerator") != "accelerator":
            said.append(f"the slowest path is the {r['limit']}'s, the estimate the accelerator's")
        notes += [f"{r['model']} on {r['board']}: {one}." for one in said]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    versions = sorted({r["version"] for r in rows if "version" in r})
    return "\n".join([*lines, "", f"Versions: {', '.join(versions)}.", ""])


def _cells(row: dict[str, Any]) -> str:
    """Return the cells of a row: estimated, counted, placed; older rows do not have all."""
    estimated = f"{row['estimated']:,.0f}" if "estimated" in row else "-"
    placed = "-"
    if row["placed"] is not None:
        placed = f"{row['placed']:,} ({row['placed'] / row['counted'] - 1:+.1%})"
    return f"{estimated} | {row['counted']:,} | {placed}"


def _turn(turn: dict[str, Any]) -> str:
    """Return in words what one of several builds of a model reached."""
    seeds = f" with {turn['seeds']} seeds" if turn["seeds"] > 1 else ""
    return f"for {turn['planned_ns']:g} ns{seeds}: {turn['routed_mhz']:g} MHz"


def _place(row: dict[str, Any]) -> tuple[int, str, str]:
    """Return where a row lies in the table: in the order of `ROWS`, others after them."""
    pair = (row["board"], row["model"])
    return (ROWS.index(pair) if pair in ROWS else len(ROWS), *pair)


def main(argv: list[str] | None = None) -> int:
    """Build, and write the rows after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", nargs="+")
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--again", action="store_true", help="write the table of what is there")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3600, help="seconds for each row")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        # In the background of a shell it would be ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        board, model, folder = args.one
        found = row(board, model, Path(folder), args.seeds)
        (Path(folder) / "row.json").write_text(json.dumps(found))
        return 0
    path = RESULTS / "route.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    boards = args.boards or dict.fromkeys(board for board, _ in ROWS)
    models = args.models or dict.fromkeys(model for _, model in ROWS)
    wanted = [(b, m) for b, m in ROWS if b in boards and m in models]
    if args.boards and args.models:  # others than those of the table
        wanted = list(itertools.product(args.boards, args.models))
    for board, model in () if args.again else wanted:
        new = alone(board, model, args.seeds, args.limit)
        rows = [r for r in rows if (r["board"], r["model"]) != (board, model)] + [new]
        path.write_text(json.dumps(rows, indent=2) + "\n")
        print(new, flush=True)
        (RESULTS / "route.md").write_text(table(rows))
    (RESULTS / "route.md").write_text(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
