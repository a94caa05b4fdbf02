"""The delay model of ECP5 against routed paths: measured, fitted, drawn.

    python benchmarks/bench_delays.py [--grades 6 8] [--limit 1200] [--keep FOLDER]
    python benchmarks/bench_delays.py --again [--keep FOLDER]

Every design is built sparse, put into a device with a shell of shift registers that has no path of
its own to speak of, and placed and routed once for each speed grade. Kept are the critical path
with its cells and nets, wire delays by fan-out, and the longest path as the family estimates it.
The family's delays are fitted to the critical paths by least squares. Rows come into
``benchmarks/results/delays.json`` one by one; ``--again`` fits and draws what is there
(``docs/img/routed_estimates.svg``). With the mapped netlists in a folder (``--keep``) it first
estimates them again with the delays that the family has now.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np
import onnx

from benchmarks.bench_sparse_large import random_model
from finn_builds import BuildConfig, build
from finn_builds.config.boards import load_board
from finn_builds.config.open_boards import OpenBoard
from finn_builds.files import STITCHED_DIR
from finn_builds.route import nextpnr
from finn_builds.route.design import ACCELERATOR, device_files, map_device
from finn_builds.run.runner import result_of
from finn_builds.shell.registers import register_files
from finn_builds.shell.uart import BOARD_TOP
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.stitch.sources import Stitched, stitched_sources
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import Netlist, from_json
from finn_builds.synth.timing import longest_path

RESULT = Path(__file__).parent / "results" / "delays.json"
PLOT = ROOT / "docs" / "img" / "routed_estimates.svg"
BOARD = "ULX3S-25F"
PARTS = {6: "LFE5U-25F-6BG381C", 7: "LFE5U-25F-7BG381C", 8: "LFE5U-25F-8BG381C"}


@dataclass(frozen=True)
class Design:
    """A model of the zoo, or a random network, and the clock that it is planned for."""

    name: str
    plan_ns: float
    sizes: tuple[int, ...] = ()
    bits: int = 0
    pruned: float = 0.0
    seed: int = 0

    def write(self, path: Path) -> str:
        """Return what `BuildConfig.model` takes, a QONNX file at `path` where it is random."""
        if not self.sizes:
            return self.name
        onnx.save(random_model(list(self.sizes), self.bits, self.pruned, self.seed), str(path))
        return str(path)


DESIGNS = (
    Design("r1", 10.0, (8, 8, 4), 2, 0.3, 1),
    Design("r2", 8.0, (16, 12, 5), 3, 0.6, 2),
    Design("r3", 12.0, (12, 16, 8, 4), 3, 0.5, 3),
    Design("r4", 7.0, (10, 10, 10, 3), 4, 0.6, 4),
    Design("r5", 15.0, (16, 24, 5), 4, 0.6, 5),
    Design("r6", 9.0, (12, 8, 8, 4), 2, 0.4, 6),
    Design("r7", 20.0, (8, 10, 4), 4, 0.4, 7),
    Design("r8", 6.0, (10, 8, 5), 2, 0.4, 8),
    Design("r9", 10.0, (16, 8, 8, 5), 3, 0.6, 9),
    Design("r10", 8.0, (6, 8, 8, 3), 4, 0.5, 10),
    Design("r11", 13.0, (12, 12, 4), 2, 0.5, 11),
    Design("r12", 12.0, (8, 6, 6, 3), 5, 0.5, 12),
    Design("jets", 10.0),
    Design("jets_large", 10.0),
    Design("jets_weights_tiny", 10.0),
    Design("digits", 10.0),
    Design("jets_weights", 10.0),
)


#: Those that delays are fitted to; the models of the zoo are larger than most, and say how well.
RANDOM = frozenset(design.name for design in DESIGNS if design.sizes)


def accelerator(mapped: dict[str, Any]) -> Netlist:
    """Return the accelerator's cells of a mapped device."""
    whole = from_json(mapped["modules"][BOARD_TOP])
    return Netlist(tuple(c for c in whole.cells if c.name.startswith(ACCELERATOR)))


def path_of(folder: Path) -> dict[str, Any]:
    """Return the critical path by its cells, with the readers of each net."""
    (module,) = json.loads((folder / nextpnr.PLACED).read_text())["modules"].values()
    kind, readers = {}, Counter[int]()
    for name, cell in module["cells"].items():
        mode = str(cell["parameters"].get("MODE", "")).strip()
        kind[name] = {"TRELLIS_COMB": "chain" if mode == "CCU2" else "lut"}.get(
            cell["type"], cell["type"]
        )
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                readers.update(bits)
    nets = {name: net["bits"][0] for name, net in module["netnames"].items()}
    timing = nextpnr.timing_of(json.loads((folder / nextpnr.REPORT).read_text()))
    return {
        "routed_ns": round(1000 / timing.mhz, 3),
        "inside": all(step.cell.startswith(ACCELERATOR) for step in timing.path),
        "path": [
            [
                step.kind,
                kind.get(step.cell, "?"),
                step.ns,
                readers[nets[step.net]] if step.net in nets else None,
            ]
            for step in timing.path
        ],
    }


def measure(
    design: Design, grades: list[int], folder: Path, limit: float, keep: Path | None
) -> list[dict[str, Any]]:
    """Build, map, place and route one design; return a row for each grade."""
    model = design.write(folder / f"{design.name}.onnx")
    config = BuildConfig(
        board=BOARD,
        model=model,
        style="sparse",
        plan_ns=design.plan_ns,
        output_dir=str(folder / "build"),
        stop_step="create_stitched_ip",
    )
    out = build(config).out
    stitched: Stitched = result_of(out, Stitched)
    sources = {
        name: (out / STITCHED_DIR / name).read_text()
        for name in stitched_sources(out / STITCHED_DIR)
    }
    router = ECP5.router
    shell = register_files(stitched.top, stitched.input.width // 8, stitched.output.width // 8)
    files = device_files(sources, shell, ECP5, router)
    mapped = map_device(files, router, folder / "map", limit)
    if keep is not None:
        (keep / f"{design.name}.json").write_text(json.dumps(mapped))
    board = load_board(BOARD)
    assert isinstance(board, OpenBoard)
    pins = router.constraints(board.pins, 1000 / design.plan_ns)
    rows = []
    for grade in grades:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        where = folder / f"grade{grade}"
        mhz = 1000 / design.plan_ns
        placed = nextpnr.route(router, PARTS[grade], mapped, pins, mhz, [1], where, limit=limit)
        found = dict(placed)[1]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        row: dict[str, Any] = {
            "design": design.name,
            "grade": grade,
            "plan_ns": design.plan_ns,
            **estimate(mapped, grade),
            "cpu_seconds": round(
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            ),
        }
        row |= {"why": found} if isinstance(found, str) else path_of(where / "seed_1")
        rows.append(row)
    return rows


def features(row: dict[str, Any]) -> list[float]:
    """Return of a critical path: 1, LUTs, chains, positions, doublings of size and of fan-out.

    The last two are summed over its nets: log2 of the design's LUTs over a thousand, and log2 of
    the net's readers.
    """
    chains, positions, luts, inside, readers = 0, 0, 0, False, 0.0
    for kind, cell, ns, fan_out in row["path"]:
        if kind == "routing":
            inside = inside and ns == 0  # a net that leaves its slice ends a chain
            readers += math.log2(fan_out or 1) if ns > 0 else 0.0
        elif kind == "logic" and cell == "chain":
            positions += 1
            chains += not inside
            inside = True
        else:
            luts += kind == "logic"
            inside = False
    nets = 1 + luts + chains
    return [1.0, luts, chains, positions, nets * math.log2(row["luts"] / 1000), readers]


#: What is fitted: columns of `features`, by what they add to the family's model.
MODELS = {"": (0, 1, 2), "size": (0, 1, 2, 4), "fan-out": (0, 1, 2, 5)}


def fitted(rows: list[dict[str, Any]], terms: Sequence[int]) -> np.ndarray:
    """Return delays by least squares: register, LUT, way in and out of a chain, a further one.

    They are those of the slowest grade; other grades have their share of them. That of a position
    is a cell's, and known.
    """
    table = np.array([scaled(row) for row in rows])
    routed = np.array([row["routed_ns"] for row in rows]) - ECP5.t_carry_bit * table[:, 3]
    return np.linalg.lstsq(table[:, list(terms)], routed, rcond=None)[0]


def scaled(row: dict[str, Any]) -> np.ndarray:
    """Return `features` times the share that the delays of the row's grade have."""
    return np.array(features(row)) * dict(ECP5.grades).get(row["grade"], 1.0)


def predicted(row: dict[str, Any], terms: Sequence[int], delays: np.ndarray) -> float:
    """Return the routed path of a row by what `fitted` gave, ns."""
    values = scaled(row)
    return float(values[list(terms)] @ delays + ECP5.t_carry_bit * values[3])


def missed(rows: list[dict[str, Any]], terms: Sequence[int]) -> float:
    """Return the error of the fit in ns (root mean square) on designs that it has not seen."""
    errors = []
    for name in {row["design"] for row in rows}:
        found = fitted([row for row in rows if row["design"] != name], terms)
        own = (row for row in rows if row["design"] == name)
        errors += [predicted(row, terms, found) - row["routed_ns"] for row in own]
    return float(np.sqrt(np.mean(np.square(errors))))


def report(rows: list[dict[str, Any]]) -> list[str]:
    """Return the fits of each grade and of all, and the grades' share of the slowest's delays."""
    random = [row for row in rows if row["design"] in RANDOM]
    base = [row for row in random if row["grade"] == min(PARTS)]
    lines = []
    for grades in ((6,), (8,), (6, 8)):
        own = [row for row in random if row["grade"] in grades]
        others = [row for row in rows if row["design"] not in RANDOM and row["grade"] in grades]
        for name, terms in MODELS.items():
            found = fitted(own, terms)
            values = ", ".join(f"{value:.3f}" for value in found)
            lines.append(
                f"grades {grades}, {name or 'without'}: {values}; {missed(own, terms):.3f} ns on "
                "random networks left out"
            )
            lines += [
                f"  {row['design']}, {row['luts']} LUTs, grade {row['grade']}: "
                f"{predicted(row, terms, found):.2f} for {row['routed_ns']} ns"
                for row in others
            ]
    plain = fitted(base, MODELS[""])
    for grade in sorted({row["grade"] for row in rows}):
        own = [row for row in rows if row["grade"] == grade]
        table = np.array([features(row) for row in own])
        expected = table[:, :3] @ plain + ECP5.t_carry_bit * table[:, 3]
        routed = np.array([row["routed_ns"] for row in own])
        share = float(expected @ routed / (expected @ expected))
        lines.append(f"grade {grade}: {len(own)} designs, share {share:.3f}")
        for now in (True, False):
            ratios = [r["routed_ns"] / r["estimated_ns"] for r in own if is_now(r) == now]
            if ratios:
                lines.append(
                    f"  delays as {'now' if now else 'before'}: routed / estimated "
                    f"{min(ratios):.2f} to {max(ratios):.2f}, mean {statistics.mean(ratios):.2f}"
                )
    return lines


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw routed against estimated paths, hollow where the family had other delays then."""
    plt.rcParams["svg.hashsalt"] = "routed"
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    grades = sorted({row["grade"] for row in rows})
    for grade, marker, colour in zip(grades, "os^", ("C0", "C1", "C2"), strict=False):
        for now in (True, False):
            own = [row for row in rows if row["grade"] == grade and is_now(row) == now]
            points = [(row["estimated_ns"], row["routed_ns"]) for row in own]
            if not points:
                continue
            axes.scatter(
                *zip(*points, strict=True),
                marker=marker,
                edgecolors=colour,
                facecolors=colour if now else "none",
                label=f"grade {grade}, delays as {'now' if now else 'before'}",
            )
            for row, point in zip(own, points, strict=True):
                axes.annotate(row["design"], point, (4, -3), textcoords="offset points", fontsize=7)
    most = 1.1 * max(max(row["estimated_ns"], row["routed_ns"]) for row in rows)
    axes.plot((0, most), (0, most), color="0.7", linewidth=1)
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.set(xlabel="estimated before placement, ns", ylabel="routed by nextpnr-ecp5, ns")
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(rows: list[dict[str, Any]]) -> None:
    """Write the results, a row a line."""
    RESULT.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def delays_of(grade: int, luts: int) -> list[float]:
    """Return the delays that the family has now for designs of that size."""
    family = ECP5.of_grade(grade).of_size(luts)
    names = ("t_lut", "t_carry_in", "t_carry_bit", "t_carry_out", "t_reg")
    return [round(getattr(family, name), 4) for name in names]


def is_now(row: dict[str, Any]) -> bool:
    """Return whether a path was estimated with the delays that the family has now."""
    return bool(row["delays"] == delays_of(row["grade"], row["luts"]))


def estimate(mapped: dict[str, Any], grade: int) -> dict[str, Any]:
    """Return size and longest path of a mapped device's accelerator, and the estimate's delays."""
    alone = accelerator(mapped)
    luts = resources(alone, ECP5.kinds)["LUT"]
    ns = longest_path(alone, ECP5.of_grade(grade)).ns
    return {"luts": luts, "estimated_ns": ns, "delays": delays_of(grade, luts)}


def main(argv: list[str] | None = None) -> int:
    """Measure, unless asked to do without, then fit and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grades", type=int, nargs="+", default=[6, 8])
    parser.add_argument("--limit", type=float, default=1200, help="seconds for each run of a tool")
    parser.add_argument("--designs", nargs="+", default=[d.name for d in DESIGNS])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder of mapped netlists")
    args = parser.parse_args(argv)
    rows = json.loads(RESULT.read_text()) if RESULT.is_file() else []
    for design in () if args.again else (d for d in DESIGNS if d.name in args.designs):
        with tempfile.TemporaryDirectory() as folder:
            new = measure(design, args.grades, Path(folder), args.limit, args.keep)
        names = {(row["design"], row["grade"]) for row in new}
        rows = [row for row in rows if (row["design"], row["grade"]) not in names] + new
        write(rows)
        print([(r["design"], r["grade"], r["estimated_ns"], r.get("routed_ns")) for r in new])
    if args.again and args.keep is not None:
        for row in rows:
            kept = args.keep / f"{row['design']}.json"
            if kept.is_file():
                row |= estimate(json.loads(kept.read_text()), row["grade"])
        write(rows)
    reached = [row for row in rows if "routed_ns" in row]
    print("\n".join(report(reached)))
    draw(reached, PLOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
