"""Draws the worked example of sparse.md: its operator graph as img/sparse_example.svg.

    python docs/sparse_example.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from finn_builds.network import IntegerNetwork, Linear, Requantise, Tensor, Thresholds, chain
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Compare, Concat, Field, Input, Sum, Table, operands
from finn_builds.sparse.lower import lower

PICTURE = Path(__file__).resolve().parent / "img" / "sparse_example.svg"
BOX, HIGH, GAP_X, GAP_Y, EDGE, LANE = 176, 62, 34, 14, 12, 4
FILL = {Input: "#e8eef7", Sum: "#fdf0d5", Table: "#e3f1e0", Compare: "#f3e3ef", Concat: "#eeeeee"}


def example() -> IntegerNetwork:
    """Return the network of the worked example: four inputs of 4 bits, three neurons."""
    weights = np.array([[1, 2, 1], [-3, -6, 0], [5, 10, -2], [0, 1, 0]])
    thresholds = np.array([[-21, -5, 11], [-40, 7, 30], [2, 3, 4]])
    counted = Requantise(Thresholds(thresholds))
    return chain(Tensor.of_type("x", "INT4", 4), [("sums", Linear(weights)), ("codes", counted)])


def name(graph: Graph, node: int) -> str:
    return graph.labels[node].removeprefix("l0_") or f"node {node}"


def describe(graph: Graph, node: int) -> str:
    """Return what a node computes, in one line."""
    it = graph.nodes[node]
    if isinstance(it, Input):
        return f"input {it.index} + {it.bias}"
    if isinstance(it, Sum):
        terms = [
            f"{1 << t.shift if t.shift else ''}{'~' if t.inv else ''}{name(graph, t.src)}"
            for t in it.terms
        ]
        return " + ".join(terms) + (f" + {it.const}" if it.const else "")
    if isinstance(it, Table):
        return f"table of {', '.join(field(graph, f) for f in it.fields)}"
    if isinstance(it, Compare):
        bounds = " or ".join(str(b) for b in it.bounds)
        return f"{field(graph, it.src)} >= {bounds}"
    return "wires"


def field(graph: Graph, f: Field) -> str:
    if f.lsb == 0 and f.width == graph.width(f.src):
        return name(graph, f.src)
    return f"{name(graph, f.src)}[{f.lsb + f.width - 1}:{f.lsb}]"


def draw(graph: Graph) -> str:
    """Return the graph as SVG: inputs left, each node right of all that it reads."""
    cost = estimate(graph, XC7)
    column: list[int] = []
    for node in graph.nodes:
        column.append(1 + max((column[s] for s in operands(node)), default=-1))
    # A value that is read further right passes the columns between in a lane of its own.
    last = list(column)
    for i, node in enumerate(graph.nodes):
        for s in operands(node):
            last[s] = max(last[s], column[i] - 1)
    rows: list[list[int]] = [
        [i for i in range(len(column)) if column[i] <= c <= last[i]]
        for c in range(max(column) + 1)
    ]

    def tall(i: int, c: int) -> int:
        return HIGH if column[i] == c else LANE

    height = max(sum(tall(i, c) + GAP_Y for i in r) for c, r in enumerate(rows)) + 2 * EDGE
    width = len(rows) * (BOX + GAP_X) - GAP_X + 2 * EDGE
    middle: dict[tuple[int, int], float] = {}
    for c, members in enumerate(rows):
        # As high as what is read, where there is room.
        def wish(i: int, c: int = c) -> float:
            before = [i] if column[i] < c else operands(graph.nodes[i])
            return sum(middle[s, c - 1] for s in before) / len(before)

        if c:
            members.sort(key=wish)
        y = (height - sum(tall(i, c) + GAP_Y for i in members) + GAP_Y) / 2
        for i in members:
            middle[i, c] = y + tall(i, c) / 2
            y += tall(i, c) + GAP_Y
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" '
        f'width="{width}" height="{height:g}" font-family="sans-serif" font-size="12">',
        f'<title>Operator graph of the worked example, {cost.luts} LUT</title>',
        f'<rect width="{width}" height="{height:g}" fill="white"/>',
    ]
    left = [EDGE + c * (BOX + GAP_X) for c in range(len(rows))]
    line = 'fill="none" stroke="#8a94a3"'
    for i in range(len(graph.nodes)):
        for c in range(column[i] + 1, last[i] + 1):
            y = middle[i, c]
            out.append(f'<path d="M{left[c]} {y:g} H{left[c] + BOX}" {line}/>')
        for c in range(column[i], last[i] + 1):
            y = middle[i, c]
            readers = [
                j for j in range(len(graph.nodes))
                if column[j] == c + 1 and i in operands(graph.nodes[j])
            ]
            for j in readers + ([i] if c < last[i] else []):
                x, to, end = left[c] + BOX, left[c + 1], middle[j, c + 1]
                bend = (x + to) / 2
                out.append(
                    f'<path d="M{x} {y:g} C{bend:g} {y:g} {bend:g} {end:g} {to} {end:g}" {line}/>'
                )
    for i, node in enumerate(graph.nodes):
        x, y = left[column[i]], middle[i, column[i]] - HIGH / 2
        low, high = graph.ranges[i]
        luts = "" if isinstance(node, Input) else f", {cost.per_node[i]} LUT"
        bold = ' stroke-width="2.4"' if i in graph.outputs else ""
        lines = [name(graph, i), describe(graph, i), f"{low} .. {high}, {graph.width(i)} bits{luts}"]
        out.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX}" height="{HIGH}" rx="6" '
            f'fill="{FILL[type(node)]}" stroke="#555"{bold}/>'
        )
        for k, line in enumerate(lines):
            weight = ' font-weight="bold"' if k == 0 else ""
            out.append(
                f'<text x="{x + BOX / 2:g}" y="{y + 18 + 18 * k:g}" '
                f'text-anchor="middle"{weight}>{escape(line)}</text>'
            )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(lower(example(), XC7)))
    print(PICTURE)
