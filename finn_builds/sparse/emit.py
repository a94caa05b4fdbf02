"""The emitter: an operator graph as Verilog-2001, `{file name: text}`."""

from __future__ import annotations

from finn_builds.sparse.bits import hexadecimal
from finn_builds.sparse.cells import cell_files
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Const, Input, Reg
from finn_builds.sparse.verilog import NodeWriter

_KEYWORDS = {"clk", "ce", "x", "y", "reg", "wire", "input", "output", "module"}


def net_names(graph: Graph) -> list[str]:
    """Return a distinct net name per node, after its label where it has one.

    A register is named after what it delays, with the number of clocks of delay.
    """
    names: list[str] = []
    used: set[str] = set(_KEYWORDS)
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
    names = net_names(graph)
    writer = NodeWriter(graph, names, family)
    lines = [
        f"// {name}: {len(graph.outputs)} outputs of {graph.n_in} inputs, "
        "constant weights as wiring and adders.",
        "// Nets: l<layer>_n<neuron>, with _acc for the accumulator and _d<k> for k clocks",
        "// of delay; l<layer>_shared<k> are sums that several neurons share.",
        "`default_nettype none",
        f"module {name} (",
        "    input wire clk,",
        "    input wire ce,",
        f"    input wire [{graph.n_in * in_width - 1}:0] x,",
        f"    output wire [{len(graph.outputs) * out_width - 1}:0] y",
        ");",
    ]
    for i, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            if node.width > in_width:
                raise ValueError(f"input {node.index} needs {node.width} of {in_width} bits")
            lsb = node.index * in_width
            slice_ = f"x[{lsb + node.width - 1}:{lsb}]" if node.width > 1 else f"x[{lsb}]"
            lines.append(f"  {writer.declare(i)} = {slice_};")
        elif not isinstance(node, Const):
            lines += [f"  {line}" for line in writer.write(i)]
    for k, out in enumerate(graph.outputs):
        width = graph.width(out)
        if width > out_width:
            raise ValueError(f"output {k} needs {width} of {out_width} bits")
        target = f"y[{(k + 1) * out_width - 1}:{k * out_width}]"
        node = graph.nodes[out]
        if isinstance(node, Const):
            lines.append(f"  assign {target} = {hexadecimal(node.value, out_width)};")
            continue
        bits = writer.node_bits(out)
        signed = graph.ranges[out][0] < 0
        bits += [bits[-1] if signed else 0] * (out_width - width)
        lines.append(f"  assign {target} = {writer.pack(bits)};")
    lines += ["endmodule", "`default_nettype wire", ""]
    return {f"{name}.v": "\n".join(lines), **cell_files(family)}
