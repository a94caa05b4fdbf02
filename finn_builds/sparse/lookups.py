"""Cells of a table in Verilog: LUTs, two functions in one, a slice's multiplexers.

Small tables are spelled out as LUTs too: a mapper that does not see the carry chains they lie
between saves area along what it takes for slack, and makes four levels of one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from finn_builds.sparse.bits import hexadecimal
from finn_builds.sparse.tablenet import DUAL_INPUTS, TableNet


def cell_net(name: str, cell: int) -> str:
    """Return the net of a cell of the table `name`."""
    return f"{name}_c{cell}"


def cell_lines(
    name: str,
    net: TableNet,
    reads: Sequence[str],
    width: int,
    lut_inputs: int,
    elsewhere: Mapping[int, str | None] = MappingProxyType({}),
    melts: Collection[int] = (),
) -> list[str]:
    """Return lines that drive the net `name` of `width` bits, which is declared.

    `reads` are the variables as expressions. For cells that share a LUT with another, `elsewhere`
    has the instance of both, or None where it stands elsewhere. Cells that melt into the LUTs after
    them are left to the synthesis tool.
    """
    lines = []
    at = list(reads)
    levels = [0] * net.n_vars
    for k, cell in enumerate(net.cells):
        out = cell_net(name, k)
        lines.append(f"wire {out};")
        level = 0
        if cell.select is not None:
            a, b = (at[i] for i in cell.inputs)
            # After LUTs it is the first multiplexer of a slice, after those the next.
            level = 1 + max(levels[i] for i in cell.inputs)
            lines.append(
                f"ps_mux{lut_inputs + level} {out}_mux "
                f"(.a({a}), .b({b}), .s({at[cell.select]}), .y({out}));"
            )
        elif len(cell.inputs) < 2:
            constant = f"1'b{cell.bits & 1}"
            inverts = "~" if cell.inverts else ""
            lines.append(
                f"assign {out} = {inverts + at[cell.inputs[0]] if cell.inputs else constant};"
            )
        elif k in elsewhere:
            shared = elsewhere[k]
            lines += [] if shared is None else [shared]
        else:
            n = len(cell.inputs)
            address = ", ".join(at[i] for i in reversed(cell.inputs))
            if k in melts:
                init = hexadecimal(cell.bits, 1 << n)
                lines.append(f"localparam [{(1 << n) - 1}:0] {out}_t = {init};")
                lines.append(f"assign {out} = {out}_t[{{{address}}}];")
            else:
                lines.append(
                    f"ps_lut{n} #(.INIT({hexadecimal(cell.bits, 1 << n)})) {out}_lut "
                    f"(.a({{{address}}}), .y({out}));"
                )
        at.append(out)
        levels.append(level)
    for k in range(width):
        target = f"{name}[{k}]" if width > 1 else name
        lines.append(f"assign {target} = {cell_net(name, net.outs[k])};")
    return lines


def shared_lut(
    name: str, functions: Sequence[tuple[str, int, Sequence[str]]], lut_inputs: int
) -> str:
    """Return the LUT `name` of two functions, each its net, truth table and inputs."""
    n = DUAL_INPUTS[lut_inputs]
    nets = list(dict.fromkeys(net for _, _, reads in functions for net in reads))
    words = []
    for _, bits, reads in functions:
        places = [nets.index(net) for net in reads]
        word = 0
        for at in range(1 << n):
            own = sum(((at >> place) & 1) << k for k, place in enumerate(places))
            word |= ((bits >> own) & 1) << at
        words.append(word)
    init = hexadecimal(words[0] | words[1] << (1 << n), 2 << n)
    address = ", ".join([*["1'b0"] * (n - len(nets)), *reversed(nets)])
    outs = f".y({functions[0][0]}), .z({functions[1][0]})"
    return f"ps_lut{n}x2 #(.INIT({init})) {name}_lut (.a({{{address}}}), {outs});"
