"""The figures of `bench_sparse.py` as Markdown and as a plot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.sparse_cases import ALONE, is_growth

# What the sparse style is meant to reach (the comparison's aims).
LUT_RATIO = 0.75
THROUGHPUT = 30.0
LATENCY = 0.1


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows = result["rows"]
    return "\n".join(
        [
            *_head(result),
            *_luts(rows),
            *_sites(rows),
            *_timing(rows),
            *_folded(rows, result["clock_ns"]),
            *_growth(rows),
            *_aims(rows),
        ]
    )


def _head(result: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    clock = result["clock_ns"]
    load = max(p["load"] for r in result["rows"].values() for p in r.values() if _has_load(p))
    checked = []
    for part, name in (("sparse", "this project's"), ("alkaid", "alkaid's"), ("plain", "plain")):
        found = [row[part] for row in result["rows"].values() if "lut" in row.get(part, {})]
        right = sum("netlist_frames" in figures for figures in found)
        checked.append(f"{right} of {len(found)} {name}")
    elsewhere: dict[tuple[str, str, str], list[str]] = {}
    for key, row in result["rows"].items():
        for part, figures in row.items():
            if isinstance(figures, dict) and "measured_on" in figures:
                at = figures["measured_on"]
                elsewhere.setdefault((part, at["machine"], at["commit"]), []).append(key)
    later = [
        f" Column {part}, measured on {machine}, commit {commit}: {', '.join(keys)}."
        for (part, machine, commit), keys in elsewhere.items()
    ]
    return [
        "# Sparse layers against alkaid, plain Verilog and FINN folded",
        "",
        f"{result['machine']['name']}; {versions}. Row: weight and activation bits, per cent "
        "pruned, uniform power-of-two (po2) or free thresholds; 16-64-32-32-5 unless it says "
        f"otherwise. Yosys: `{result['synthesis']}`. All LUT figures are cells after this script "
        "(LUT1 to LUT6, LUT6_2, INV); est is the tool's own estimate, alkaid's with ternary adders "
        "that Yosys does not make. Every design was compared with the network before synthesis, "
        f"mapped netlists after it, too: {', '.join(checked)}. "
        f"Nothing here has been placed or routed.{''.join(later)}",
        "",
        f"Sparse and alkaid take one frame per clock: {1e3 / clock:.0f} million frames/s at the "
        f"board's {clock:g} ns. Both have registers at both ends and the same latency in cycles; "
        "our number of stages is chosen for the clock, alkaid's logic is cut into as many by its "
        "own pipeliner. s: optimiser seconds, "
        f"{result['jobs']} rows measured at a time, the machine's load up to {load:g}.",
        "",
    ]


def _has_load(part: object) -> bool:
    return isinstance(part, dict) and "load" in part


def _grid(columns: str, lines: Iterable[list[object]]) -> list[str]:
    names = columns.split("|")
    rule = "|---|" + "---:|" * (len(names) - 1)
    body = ["| " + " | ".join(str(c) for c in line) + " |" for line in lines]
    return ["| " + " | ".join(n.strip() for n in names) + " |", rule, *body, ""]


def _cell(part: dict[str, Any] | None, key: str) -> object:
    if not part:
        return "-"
    if key == "lut" and "stopped_after_s" in part:
        return f"> {part['stopped_after_s']:.0f} s"
    return part.get(key, "-")


def _value(part: dict[str, Any] | None, key: str) -> object:
    """Return a figure to reckon with."""
    return (part or {}).get(key, "-")


def _ratio(a: object, b: object) -> str:
    if isinstance(a, int | float) and isinstance(b, int | float) and b:
        return f"{a / b:.2f}"
    return "-"


def _networks(rows: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return ((k, r) for k, r in rows.items() if not is_growth(k) and "sparse" in r)


def _luts(rows: dict[str, Any]) -> list[str]:
    lines: list[list[object]] = []
    for key, row in _networks(rows):
        a, b, p = row["sparse"], row.get("alkaid"), row.get("plain")
        lut = _cell(a, "lut")
        lines.append(
            [
                key,
                row["weights"],
                f"**{lut}**",
                _cell(a, "estimate"),
                _ratio(_value(a, "estimate"), _value(a, "lut")),
                _cell(b, "lut"),
                _cell(b, "estimate"),
                _cell(p, "lut"),
                _ratio(_value(a, "lut"), _value(b, "lut")),
                _ratio(_value(a, "lut"), _value(b, "estimate")),
                _ratio(_value(a, "lut"), row["weights"]),
            ]
        )
    columns = (
        "row|weights|**sparse LUT**|est|est / LUT|alkaid LUT|est|plain LUT|to alkaid|"
        "to alkaid's est|LUT per weight"
    )
    return ["## LUTs", "", *_grid(columns, lines)]


def _sites(rows: dict[str, Any]) -> list[str]:
    lines: list[list[object]] = []
    turned = []
    for key, row in _networks(rows):
        a, b = row["sparse"], row.get("alkaid") or {}
        if "sites" not in a or "sites" not in b:
            continue
        kinds = ("lut", "sites", "sites_fed")
        lines.append(
            [
                key,
                *(_cell(p, kind) for p in (a, b) for kind in kinds),
                *(_ratio(a[kind], b[kind]) for kind in kinds),
            ]
        )
        turned += [key for kind in kinds[1:] if (a[kind] < b[kind]) != (a["lut"] < b["lut"])]
    if not lines:
        return []
    columns = "row|LUT|sites|fed|alkaid LUT|sites|fed|to alkaid, LUT|sites|fed"
    order = (
        f"The order changes in {', '.join(dict.fromkeys(turned))}."
        if turned
        else "The order of the two changes in no row."
    )
    return [
        "## LUT sites",
        "",
        "LUT sites of slices once every carry cell is fed, by a count over the netlists "
        "(`finn_builds/synth/sites.py`). sites: a carry cell's second operand may come through "
        "the slice's bypass pin. fed: LUTs of the site feed both, and pass through what comes from "
        f"elsewhere. Not placed; how Vivado packs is not known. {order}",
        "",
        *_grid(columns, lines),
    ]


def _timing(rows: dict[str, Any]) -> list[str]:
    lines: list[list[object]] = []
    for key, row in _networks(rows):
        a, b = row["sparse"], row.get("alkaid")
        lines.append(
            [
                key,
                _cell(a, "latency"),
                _cell(b, "latency"),
                *(_cell(p, k) for k in ("ff", "depth", "path_ns") for p in (a, b)),
                *(_cell(p, "seconds") for p in (a, b)),
            ]
        )
    columns = "row|cycles|alkaid|FF|alkaid|depth|alkaid|path ns|alkaid|optimiser s|alkaid"
    own = []
    for key, row in _networks(rows):
        pairs = [
            (n, (row.get(p) or {}).get("own"))
            for n, p in (("ours", "sparse"), ("alkaid's", "alkaid"))
        ]
        texts = [
            f"{n} {o['latency']} cycles, {o['lut']} LUT, {o['ff']} FF, path {o['path_ns']} ns"
            for n, o in pairs
            if o and "lut" in o
        ]
        if texts:
            own.append(
                f"- {key}, stages added until the path after Yosys is within the clock: "
                f"{'; '.join(texts)}."
            )
    return [
        "## Latency, registers, depth",
        "",
        "Depth: LUT, multiplexer and carry cells between registers. Path: estimate from cell "
        "delays, before placement.",
        "",
        *_grid(columns, lines),
        *own,
        "",
    ]


def _folded(rows: dict[str, Any], clock_ns: float) -> list[str]:
    lines: list[list[object]] = []
    for key, row in _networks(rows):
        f, a = row.get("folded"), row["sparse"]
        if not f:
            continue
        # One clock more for the spare register of the stream's end.
        latency = row.get("flow", {}).get("latency", a["latency"] + 1)
        lines.append(
            [
                key,
                f["lut"],
                f["dsp"],
                f["bram_18k"],
                f"{f['interval']:g}",
                f["latency"],
                f"{1e3 / clock_ns / f['interval']:.1f}",
                _cell(a, "lut"),
                latency,
                f"{1e3 / clock_ns:.0f}",
                f"{f['interval']:.0f}x",
                f"1/{f['latency'] / latency:.1f}",
                f["kind"],
            ]
        )
    columns = (
        "row|folded LUT|DSP|BRAM|interval|latency|Mframes/s|sparse LUT|latency|Mframes/s|"
        "throughput|latency ratio|folded cycles"
    )
    return [
        "## Against FINN folded on Pynq-Z1",
        "",
        "FINN's RTL units at the smallest interval within 70 % of the LUTs and 80 % of the DSPs "
        "(this project's folding). Folded resources are estimates: Yosys does not map FINN's DSP "
        "packing. Sparse designs use no DSP and no block RAM.",
        "",
        *_grid(columns, lines),
    ]


def _growth(rows: dict[str, Any]) -> list[str]:
    lines = [
        [
            ALONE.get(k, k.removeprefix("size_")),
            r["weights"],
            *(_cell(r["sparse"], c) for c in ("lut", "estimate", "ff", "latency", "seconds")),
        ]
        for k, r in rows.items()
        if is_growth(k) and "sparse" in r
    ]
    return [
        "## Cost against size",
        "",
        "One layer n x n, 4 bits, 90 % pruned, where it says nothing else; no thresholds.",
        "",
        *_grid("n|weights|LUT|est|FF|cycles|optimiser s", lines),
    ]


def _aims(rows: dict[str, Any]) -> list[str]:
    """Return which aims are met and which rows miss them."""
    worse, above, off, stopped = [], [], [], []
    compared = 0
    for key, row in _networks(rows):
        a, b = row["sparse"], row.get("alkaid")
        if "lut" not in a:
            continue
        if abs(a["estimate"] / a["lut"] - 1) > 0.15:
            off.append(key)
        if not b:
            continue
        if "lut" not in b:
            stopped.append(key)
        elif a["lut"] > LUT_RATIO * b["lut"]:
            worse.append(key)
        compared += "lut" in b
        dense = key.startswith("dense") or "_0_" in key
        if not dense and a["lut"] >= b["estimate"]:
            above.append(key)

    def verdict(missed: list[str]) -> str:
        return "met" if not missed else f"missed by {', '.join(missed)}"

    slow = f" (Yosys was stopped on alkaid's {', '.join(stopped)})" if stopped else ""
    lines = [
        f"- LUT at most {LUT_RATIO} of alkaid's in Yosys, {compared} rows: {verdict(worse)}{slow}.",
        f"- LUT below alkaid's own estimate on every pruned row: {verdict(above)}.",
        f"- LUT estimate within 15 % of Yosys: {verdict(off)}.",
    ]
    jets = rows.get("jets_weights", {})
    if "folded" in jets and "flow" in jets:
        f, s = jets["folded"], jets["flow"]
        times = f["interval"] / s["interval"]
        ratio = s["latency"] / f["latency"]
        lines += [
            f"- Jet tagger, throughput at least {THROUGHPUT:g} times the folded design's: "
            + ("met" if times >= THROUGHPUT else "missed")
            + f", {times:.0f} times. The folded design takes a frame every "
            f"{f['interval']:g} cycles with {f['dsp']} DSPs; at one clock for both, the interval "
            "of the folded design is the ratio, and no sparse design can do better.",
            f"- Jet tagger, latency at most {LATENCY:g} of the folded design's: "
            + ("met" if ratio <= LATENCY else "missed")
            + f", {s['latency']} against {f['latency']} cycles, measured in simulation.",
        ]
    return ["## Aims", "", *lines, ""]


def draw(result: dict[str, Any], path: Path) -> None:
    """Write LUTs of all rows, and cost against size, as one SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sparse"
    from matplotlib import pyplot as plt

    rows = result["rows"]
    shown = [(k, r) for k, r in _networks(rows) if "lut" in r["sparse"]]
    growth = [(int(k[5:]), r["sparse"]) for k, r in rows.items() if k.startswith("size_")]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 0.24 * max(12, len(shown)) + 1), width_ratios=(3, 2)
    )
    for offset, part, key, label in (
        (0.0, "sparse", "lut", "sparse, Yosys"),
        (0.0, "alkaid", "lut", "alkaid, Yosys"),
        (0.0, "alkaid", "estimate", "alkaid, its estimate"),
        (0.0, "plain", "lut", "plain Verilog, Yosys"),
    ):
        points = [
            (r[part][key], i + offset)
            for i, (_, r) in enumerate(shown)
            if key in (r.get(part) or {})
        ]
        marker = {"sparse": "o", "plain": "^"}.get(part, "s" if key == "lut" else "|")
        left.plot(*zip(*points, strict=True) if points else ([], []), marker, label=label, ms=6)
    left.set_yticks(range(len(shown)), [k for k, _ in shown], fontsize=8)
    left.invert_yaxis()
    left.set_xscale("log")
    left.set_xlabel("LUTs")
    left.grid(alpha=0.3)
    left.legend(fontsize=8)
    if growth:
        n, parts = zip(*growth, strict=True)
        right.loglog(n, [p.get("lut", p["estimate"]) for p in parts], "o-", label="LUTs")
        right.loglog(n, [p["seconds"] for p in parts], "s--", label="optimiser, s")
        right.set_xlabel("n of one layer n x n, 4 bits, 90 % pruned")
        right.grid(alpha=0.3, which="both")
        right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
