"""Truth tables in Verilog: the LUTs and multiplexers they come apart in, or an indexed constant.

Small tables are spelled out as LUTs too: a mapper that does not see the carry chains they lie
between saves area along what it takes for slack, and makes four levels of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.bits import hexadecimal
from finn_builds.sparse.family import Family
from finn_builds.sparse.lutnet import LutNet, lut_net
from finn_builds.sparse.truth import bit_column


def lookup(
    name: str,
    values: Sequence[int],
    width: int,
    address: str,
    family: Family,
    melts: bool = False,
) -> list[str]:
    """Return lines that define `name` bit by bit from a table of integers.

    One that `melts` into the LUTs after it is left to the synthesis tool.
    """
    size = len(values)
    n_vars = size.bit_length() - 1
    lines = [f"wire [{n_vars - 1}:0] {name}_a = {address};"]
    known: dict[int, str] = {}
    for k in range(width):
        column = bit_column(values, k)
        target = f"{name}[{k}]" if width > 1 else name
        if column in known:
            lines.append(f"assign {target} = {known[column]};")
            continue
        known[column] = target
        if melts:
            lines.append(f"localparam [{size - 1}:0] {name}_t{k} = {hexadecimal(column, size)};")
            lines.append(f"assign {target} = {name}_t{k}[{name}_a];")
            continue
        net = lut_net(column, n_vars, family.lut_inputs)
        lines += _cells(f"{name}_t{k}", net, f"{name}_a", family.lut_inputs)
        lines.append(f"assign {target} = {name}_t{k}_c{len(net.cells) - 1};")
    return lines


def _cells(name: str, net: LutNet, address: str, lut_inputs: int) -> list[str]:
    """Return the cells of a decomposed function as nets `<name>_c<k>`."""
    lines = []
    at = [f"{address}[{v}]" for v in range(net.n_vars)]
    levels = [0] * net.n_vars
    for k, cell in enumerate(net.cells):
        out = f"{name}_c{k}"
        lines.append(f"wire {out};")
        if cell.select is not None:
            a, b = (at[i] for i in cell.inputs)
            # After LUTs it is the first multiplexer of a slice, after those the next.
            levels.append(1 + max(levels[i] for i in cell.inputs))
            lines.append(
                f"ps_mux{lut_inputs + levels[-1]} {out}_mux "
                f"(.a({a}), .b({b}), .s({at[cell.select]}), .y({out}));"
            )
        elif len(cell.inputs) < 2:
            constant = f"1'b{cell.bits & 1}"
            inverts = "~" if cell.bits == 1 else ""
            lines.append(
                f"assign {out} = {inverts + at[cell.inputs[0]] if cell.inputs else constant};"
            )
        else:
            n = len(cell.inputs)
            reads = ", ".join(at[i] for i in reversed(cell.inputs))
            lines.append(
                f"ps_lut{n} #(.INIT({hexadecimal(cell.bits, 1 << n)})) {out}_lut "
                f"(.a({{{reads}}}), .y({out}));"
            )
        at.append(out)
        if cell.select is None:
            levels.append(0)
    return lines
