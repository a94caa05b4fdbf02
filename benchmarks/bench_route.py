"""Models placed and routed on open boards: clock, cells, and the estimates beside them.

    python benchmarks/bench_route.py [--boards ULX3S-25F ...] [--models jets_tiny ...]

Each model is built for each board with ``--route``; what does not fit is a row that says so. Rows
are kept in ``benchmarks/results/route.json`` as they come, and ``route.md`` is the table. A
placement takes from half a minute to an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from finn_builds import BuildConfig, UserError, build
from finn_builds.files import read_json

RESULTS = Path(__file__).parent / "results"
BOARDS = ("ULX3S-25F", "OrangeCrab", "Tang-Primer-20K", "Tang-Nano-9K")
MODELS = ("jets_tiny", "digits", "jets")


def row(board: str, model: str, folder: Path, seeds: int) -> dict[str, Any]:
    """Return what one build reached, or why there is nothing."""
    config = BuildConfig(
        board=board, model=model, output_dir=str(folder), route=True, seeds=seeds, verify_frames=200
    )
    began = time.monotonic()
    try:
        result = build(config)
    except UserError as error:
        return {"board": board, "model": model, "why": str(error)}
    found = read_json(result.report / "route.json")
    counted = read_json(result.report / "synth_resources.json")["(top)"]["LUT"]
    kind = "TRELLIS_COMB" if "TRELLIS_COMB" in found["cells"] else "LUT4"
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
        "placed": found["cells"][kind]["accelerator"],
        "device": found["cells"][kind]["used"],
        "available": found["cells"][kind]["available"],
        "latency_cycles": result.summary["latency_cycles"],
        "frames": found["gate_level"]["frames"],
        "version": f"{found['tool']} {found['version']}",
        "seconds": round(time.monotonic() - began),
    }


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
        "counted | placed | device | latency, cycles |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        if "why" in r:
            lines.append(f"| {r['model']} | {r['board']} | {r['why']} ||||||||||")
            continue
        path = r["logic_ns"] + r["wire_ns"]
        lines.append(
            f"| {r['model']} | {r['board']} | {r['part']} | {r['asked_mhz']:g} | "
            f"{r['routed_mhz']:g} | {path:.2f} ({r['wire_ns']:.2f}) | {r['estimated_ns']:g} | "
            f"{r['counted']:,} | {r['placed'] or 0:,} | {r['device']:,} of {r['available']:,} | "
            f"{r['latency_cycles']} |"
        )
    versions = sorted({r["version"] for r in rows if "version" in r})
    return "\n".join([*lines, "", f"Versions: {', '.join(versions)}.", ""])


def main(argv: list[str] | None = None) -> int:
    """Build, and write the rows after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", nargs="+", default=BOARDS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args(argv)
    path = RESULTS / "route.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    for board in args.boards:
        for model in args.models:
            with tempfile.TemporaryDirectory() as folder:
                new = row(board, model, Path(folder) / "build", args.seeds)
            rows = [r for r in rows if (r["board"], r["model"]) != (board, model)] + [new]
            path.write_text(json.dumps(rows, indent=2) + "\n")
            (RESULTS / "route.md").write_text(table(rows))
            print(new, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
