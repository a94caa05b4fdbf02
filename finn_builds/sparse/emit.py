"""The emitter: an operator graph as Verilog-2001, `{file name: text}`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finn_builds.sparse.bits import hexadecimal
from finn_builds.sparse.cells import cell_files
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Const, Input, Reg
from finn_builds.sparse.verilog import NodeWriter

_KEYWORDS = {"clk", "ce", "x", "y", "reg", "wire", "input", "output", "module"}


@dataclass(frozen=True)
class Lane:
    """Where an element of a frame lies: bits ``lsb .. lsb+width-1`` of a port."""

    port: str
    lsb: int
    width: int


def lanes(port: str, elements: int, width: int) -> list[Lane]:
    """Return elements side by side in a port, the first least significant."""
    return [Lane(port, k * width, width) for k in range(elements)]


def net_names(graph: Graph, taken: Iterable[str] = ()) -> list[str]:
    """Return a distinct net name per node, after its label where it has one.

    A register is named after what it delays, with the number of clocks of delay. `taken` are names
    of ports.
    """
    names: list[str] = []
    used: set[str] = _KEYWORDS | set(taken)
    for i, node in enumerate(graph.nodes):
        base = graph.labels[i] or f"n{i}"
        if isinstance(node, Reg):
            depth, src = 1, node.src
            while isinstance(inner := graph.nodes[src], Reg):
                depth, src = depth + 1, inner.src
            base = f"{names[src]}_d{depth}"
        name, k = base, 2
        while name in used:
            name, k = f"{base}_v{k}", k + 1
        used.add(name)
        names.append(name)
    return names


def emit_core(
    graph: Graph, family: Family, name: str, in_width: int, out_width: int
) -> dict[str, str]:
    """Return the datapath of a graph and the cells it uses.

    The module is `name(clk, ce, x, y)`: `x` and `y` hold whole frames, element 0 least significant,
    elements of `in_width` and `out_width` bits in two's complement or plain binary. Registers
    advance while `ce` is high; none has a reset. Raises ValueError if an element does not fit its
    width.
    """
    lines = [
        f"// {name}: {len(graph.outputs)} outputs of {graph.n_in} inputs, "
        "constant weights as wiring and adders.",
        *NET_NAMES,
        "`default_nettype none",
        f"module {name} (",
        "    input wire clk,",
        "    input wire ce,",
        f"    input wire [{graph.n_in * in_width - 1}:0] x,",
        f"    output wire [{len(graph.outputs) * out_width - 1}:0] y",
        ");",
        *datapath(
            graph,
            family,
            lanes("x", graph.n_in, in_width),
            lanes("y", len(graph.outputs), out_width),
        ),
        "endmodule",
        "`default_nettype wire",
        "",
    ]
    return {f"{name}.v": "\n".join(lines), **cell_files(family)}


#: What nets are called, as a comment.
NET_NAMES = (
    "// Nets: l<layer>_n<neuron>, with _acc for the accumulator and _d<k> for k clocks",
    "// of delay; l<layer>_shared<k> are sums that several neurons share.",
)


def datapath(
    graph: Graph,
    family: Family,
    inputs: Sequence[Lane],
    outputs: Sequence[Lane],
    *,
    known_to_fit: bool = False,
) -> list[str]:
    """Return the items of a module between its ports; they use ``clk`` and ``ce``.

    With `known_to_fit` the values of the outputs fit their lanes, though the graph may not know it.

    Raises
    ------
    ValueError
        If an element does not fit its lane.
    """
    names = net_names(graph, {lane.port for lane in (*inputs, *outputs)})
    writer = NodeWriter(graph, names, family)
    lines: list[str] = []
    for i, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            lane = inputs[node.index]
            if node.width > lane.width:
                raise ValueError(f"input {node.index} needs {node.width} of {lane.width} bits")
            slice_ = f"{lane.port}[{lane.lsb + node.width - 1}:{lane.lsb}]"
            slice_ = slice_ if node.width > 1 else f"{lane.port}[{lane.lsb}]"
            lines.append(f"  {writer.declare(i)} = {slice_};")
        elif not isinstance(node, Const):
            lines += [f"  {line}" for line in writer.write(i)]
    for k, (out, lane) in enumerate(zip(graph.outputs, outputs, strict=True)):
        width = graph.width(out)
        if width > lane.width and not known_to_fit:
            raise ValueError(f"output {k} needs {width} of {lane.width} bits")
        target = f"{lane.port}[{lane.lsb + lane.width - 1}:{lane.lsb}]"
        node = graph.nodes[out]
        if isinstance(node, Const):
            lines.append(f"  assign {target} = {hexadecimal(node.value, lane.width)};")
            continue
        bits = writer.node_bits(out)[: lane.width]
        signed = graph.ranges[out][0] < 0
        bits += [bits[-1] if signed else 0] * (lane.width - width)
        lines.append(f"  assign {target} = {writer.pack(bits)};")
    return lines
