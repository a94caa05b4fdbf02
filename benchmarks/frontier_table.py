"""The figures of `bench_frontier.py` as Markdown and as a plot, beside what others published."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Published(NamedTuple):
    """A point of a publication; nothing of it was measured here."""

    name: str
    accuracy: float  # per cent, of the 166,000 jets of OpenML's test part
    lut: int
    ff: int | None
    latency_ns: float | None
    device: str  # empty: not known here
    source: str


_KANELE = "Hoang, Gupta, Harris, *KANELE*, arXiv 2512.12850"
PUBLISHED = (
    Published("FQTree", 74.8, 548, None, None, "", "no reference at hand"),
    Published("KANELE, small", 75.3, 709, None, None, "", _KANELE),
    Published("KANELE", 76.0, 1232, 900, 7.1, "xcvu9p", _KANELE),
    Published("HGQ-LUT", 76.9, 5667, None, None, "", "Sun et al., *HGQ-LUT*, arXiv 2604.22293"),
)
#: Row: least soft regret in points, most LUTs; None where nothing was asked.
AIMS = {
    "jets_tiny": (-1.8, 550),
    "jets": (-1.0, 1000),
    "jets_large": (-0.5, 3000),
    "jets_kan_official": (None, 1000),
}


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows = result["rows"]
    return "\n".join(
        [*_head(result), *_measured(rows), *_alkaid(rows), *_published(), *_aims(rows), *_UNSW]
    )


def _head(result: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    return [
        "# Jet taggers: logic against quality",
        "",
        f"Written by `benchmarks/bench_frontier.py`. {result['machine']['name']}; {versions}. "
        f"Built for {result['board']} (xc7) at {result['clock_ns']:g} ns. LUT, FF: Yosys' count, "
        "stream interface included, not placed; latency: measured in simulation; path: estimated. "
        "Every RTL and every netlist was compared with the QONNX model. Nothing has run in Vivado "
        "or on hardware.",
        "",
        "Soft regret is the expected loss of accuracy against the mean of six float networks, in "
        "points (`brevitas_models/metrics/regret.py`). The zoo's taggers have learnt from all real "
        "jets at hand, so their figures are those of siblings, each measured on jets that it had "
        "not seen. The networks of weights had another teacher, and no soft regret was recorded of "
        "their siblings; their own, on jets that they have learnt from, would flatter them and is "
        "not shown. A network of others is measured here on the same jets; they may be among those "
        "that its authors trained it on.",
        "",
        "![LUTs against soft regret and accuracy](../../docs/img/frontier.svg)",
        "",
    ]


def _grid(columns: str, lines: Iterable[list[object]], text: int = 1) -> list[str]:
    """Return a table, the first `text` columns aligned to the left."""
    names = columns.split("|")
    rule = "|" + "---|" * text + "---:|" * (len(names) - text)
    body = ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
    return ["| " + " | ".join(names) + " |", rule, *body, ""]


def _with_error(quality: dict[str, Any], key: str, digits: int) -> str:
    if key not in quality:
        return "-"
    return f"{100 * quality[key]:.{digits}f} ± {100 * quality[f'{key}_error']:.{digits}f}"


def _measured(rows: dict[str, Any]) -> list[str]:
    lines: list[list[object]] = []
    for name, row in sorted(rows.items(), key=lambda item: int(item[1]["build"]["lut"])):
        made, quality = row["build"], row["quality"]
        lines.append(
            [
                name,
                row["of"],
                row["edges"],
                f"{quality['frames']} jets, {quality['how']}",
                _with_error(quality, "soft_regret", 2),
                _with_error(quality, "accuracy", 1),
                f"**{made['lut']:,}**",
                f"{made['estimate']:,}",
                f"{made['ff']:,}",
                made["latency"],
                made["path_ns"],
                f"{made['frames']:,}, {made['mismatches']}",
            ]
        )
    columns = (
        "network|of|edges|quality on|soft regret, points|accuracy, %|LUT|estimated|FF|"
        "latency, cycles|path, ns|frames verified, mismatches"
    )
    return ["## Measured here", "", *_grid(columns, lines, 4)]


def _alkaid(rows: dict[str, Any]) -> list[str]:
    lines: list[list[object]] = []
    left_out = []
    for name, row in sorted(rows.items(), key=lambda item: int(item[1]["core"]["lut"])):
        core, rival = row["core"], row.get("alkaid")
        if rival is None:
            left_out.append(f"`{name}`")
            continue
        done = "lut" in rival
        lines.append(
            [
                name,
                row["edges"],
                f"{core['lut']:,}",
                f"{rival['lut']:,}" if done else f"> {rival['stopped_after_s']:.0f} s",
                f"{core['lut'] / rival['lut']:.2f}" if done else "-",
                f"{rival['estimate']:,}",
                f"{core['sites']:,}",
                f"{rival['sites']:,}" if done else "-",
                f"{core['sites'] / rival['sites']:.2f}" if done else "-",
                f"{core['ff']:,}",
                f"{rival['ff']:,}" if done else "-",
                core["latency"],
                core["path_ns"],
                rival.get("path_ns", "-"),
            ]
        )
    columns = (
        "network|edges|LUT|alkaid LUT|ratio|alkaid's own estimate|sites|alkaid sites|ratio|FF|"
        "alkaid FF|cycles, both|path, ns|alkaid path, ns"
    )
    return [
        "## The same networks by alkaid",
        "",
        "The same integers, without a stream interface, registers at both ends and the same "
        "latency, through the same Yosys script; each netlist was compared with the network. A "
        "table edge is one lookup of alkaid's, which writes it for the synthesis tool to map. Its "
        "estimate counts on ternary adders, which Yosys does not build. This project puts two "
        "small functions into one LUT itself, and Yosys does not do so for alkaid. Sites are a "
        "count over both netlists that does (`finn_builds/synth/sites.py`).",
        "",
        *_grid(columns, lines, 2),
        *([f"Not given to alkaid: {', '.join(left_out)}.", ""] if left_out else []),
    ]


def _published() -> list[str]:
    lines = [
        [
            point.name,
            point.source,
            "OpenML, test part",
            point.device or "not known here",
            "Vivado",
            point.accuracy,
            f"{point.lut:,}",
            point.ff or "-",
            point.latency_ns or "-",
        ]
        for point in PUBLISHED
    ]
    columns = "network|source|jets|device|tool|accuracy, %|LUT|FF|latency, ns"
    return [
        "## Published",
        "",
        "Their authors' figures: another tool, other devices, and all test jets. Of these only the "
        "network of the third row was measured here, `jets_kan_official` above. Vivado counts "
        "after packing and placing, Yosys before, so small differences between the tables say "
        "nothing.",
        "",
        *_grid(columns, lines, 5),
    ]


def _aims(rows: dict[str, Any]) -> list[str]:
    lines = []
    for name, (least, most) in AIMS.items():
        if name not in rows:
            continue
        lut = rows[name]["build"]["lut"]
        parts = [f"at most {most:,} LUT: {'met' if lut <= most else 'missed'}, {lut:,}"]
        if least is not None:
            quality = rows[name]["quality"]
            verdict = "met" if 100 * quality["soft_regret"] >= least else "missed"
            measured = _with_error(quality, "soft_regret", 2)
            parts.append(f"soft regret at least {least:.1f} points: {verdict}, {measured}")
        lines.append(f"- `{name}`: {'; '.join(parts)}.")
    return ["## Aims", "", *lines, ""]


_UNSW = [
    "## UNSW-NB15",
    "",
    "Not measured: the data set is not at hand. (Published: 93.1 % in 157 LUT, by trees.) Of a "
    "network for it whose accuracy nobody can measure here, LUTs alone would say little.",
    "",
]


_TICKS = (500, 1000, 2000, 5000, 10_000)


def draw(result: dict[str, Any], path: Path) -> None:
    """Write LUTs against soft regret, and against accuracy, as one SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "frontier"
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    styles = {
        ("zoo", "tables"): ("o", "C0", "zoo, table edges"),
        ("zoo", "weights"): ("s", "C1", "zoo, weights"),
    }
    for panel, key in ((left, "soft_regret"), (right, "accuracy")):
        seen = set()
        for name, row in result["rows"].items():
            quality = row["quality"]
            if key not in quality:
                continue
            other = ("D", "C2", "others' network, compiled here")
            marker, colour, label = styles.get((row["of"], row["edges"]), other)
            at = row["build"]["lut"], 100 * quality[key]
            panel.errorbar(
                *at, 100 * quality[f"{key}_error"], fmt=marker, color=colour, capsize=2,
                label=None if label in seen else label,
            )  # fmt: skip
            seen.add(label)
            panel.annotate(name, at, xytext=(6, 5), textcoords="offset points", fontsize=7)
        panel.set_xscale("log")
        panel.set_xticks(_TICKS, [f"{tick:,}" for tick in _TICKS])
        panel.minorticks_off()
        panel.set_xlabel("LUTs (here: Yosys, xc7, not placed)")
        panel.set_xlim(400, 20_000)
        panel.grid(alpha=0.3)
    for point in PUBLISHED:
        at = point.lut, point.accuracy
        right.annotate(
            point.name, at, xytext=(-5, 4), textcoords="offset points", fontsize=7, ha="right"
        )
    places = [point.lut for point in PUBLISHED], [point.accuracy for point in PUBLISHED]
    right.plot(*places, "x", color="0.3", label="published: Vivado, other devices, all test jets")
    left.set_ylabel("soft regret, points")
    right.set_ylabel("accuracy, %")
    left.set_title("Against the teacher, 501 jets", fontsize=10)
    right.set_title("Accuracy: 501 jets here, 166,000 published", fontsize=10)
    for panel in (left, right):
        panel.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
