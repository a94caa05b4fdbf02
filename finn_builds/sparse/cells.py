"""The modules that emitted Verilog instantiates: what carry chains and slices of a device can do.

Each has a behavioural body, read by simulators, and one of the device's primitives. Yosys (which
defines `YOSYS`) maps `a + b + c` to two chains and spreads a table over more levels than it needs,
so it gets the primitives. Vivado is expected, not measured, to make one chain, so it gets the
expression; where `PS_CELLS` is defined it gets the same primitives as Yosys, which the netlist
check has simulated. No tool is known to make one chain of a comparison with a selected constant,
and Yosys makes LUTs of a multiplexer that a slice has, so all synthesis (`SYNTHESIS`) gets those as
primitives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finn_builds.sparse.family import Family

#: Macro that gives every synthesis tool the primitives.
AS_CELLS = "PS_CELLS"

#: In front of a module whose primitives are for Yosys, and for others where they ask for them.
_GUARD = f"""\
`ifdef YOSYS
`ifndef {AS_CELLS}
`define {AS_CELLS}
`endif
`endif
"""


@dataclass(frozen=True)
class CellText:
    """One module in Verilog.

    Attributes
    ----------
    title : str
        The first line of its file.
    head : str
        What it does, its parameters and ports.
    behaviour, primitives : str
        The two bodies.
    guard : str
        The macro with which the second one is read.
    """

    name: str
    title: str
    head: str
    behaviour: str
    primitives: str
    guard: str

    @property
    def text(self) -> str:
        """The file, with both bodies."""
        chosen = f"`ifndef {self.guard}\n{self.behaviour}`else\n{self.primitives}`endif\n"
        return self._file(chosen, _GUARD if self.guard == AS_CELLS else "")

    @property
    def behavioural(self) -> str:
        """The file with the behavioural body alone: plain Verilog for any device."""
        return self._file(self.behaviour)

    def _file(self, body: str, guard: str = "") -> str:
        start = f"// {self.title}\n`default_nettype none\n{guard}"
        return f"{start}{self.head}{body}endmodule\n`default_nettype wire\n"


def cell_files(family: Family) -> dict[str, str]:
    """Return the cell modules of a family, `{file name: Verilog}`."""
    return {f"{cell.name}.v": cell.text for cell in family.cells}


def behavioural_files(family: Family) -> dict[str, str]:
    """Return the same modules for any device: their behavioural bodies alone."""
    return {f"{cell.name}.v": cell.behavioural for cell in family.cells}


_MUX_HEAD = """\
// The slice's multiplexer behind two {behind}: y = s ? b : a.
module {module} (
    input wire a,
    input wire b,
    input wire s,
    output wire y
);
"""

_LUT_HEAD = """\
// Any function of {n} bits. A mapper that sees the function may spread it over several levels.
module {module} #(
    parameter [{top}:0] INIT = 0
) (
    input wire [{last}:0] a,
    output wire y
);
"""

_COUNTS = {5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}


def mux_cells(lut_inputs: int, instances: Sequence[str], guard: str) -> list[CellText]:
    """Return the multiplexers of a slice by level: after LUTs, after such multiplexers, ...

    `instances` are those of the device, on nets a, b, s and y.
    """
    found = []
    for level, instance in enumerate(instances, 1):
        inputs = lut_inputs + level
        behind = "LUTs" if level == 1 else "such multiplexers"
        head = _MUX_HEAD.format(behind=behind, module=f"ps_mux{inputs}")
        body = "  assign y = s ? b : a;\n"
        title = f"{_COUNTS[inputs]} inputs."
        found.append(CellText(f"ps_mux{inputs}", title, head, body, f"  {instance};\n", guard))
    return found


def lut_cells(lut_inputs: int, instance: Callable[[int], str]) -> list[CellText]:
    """Return the LUTs of 2 to `lut_inputs` bits; `instance` gives the device's, named ``lut``."""
    found = []
    for n in range(2, lut_inputs + 1):
        head = _LUT_HEAD.format(n=n, module=f"ps_lut{n}", top=(1 << n) - 1, last=n - 1)
        body = "  assign y = INIT[a];\n"
        found.append(CellText(f"ps_lut{n}", "One LUT.", head, body, instance(n), AS_CELLS))
    return found


_DUAL_HEAD = """\
// Two functions of the same {n} bits: y has the lower half of INIT, z the upper one.
module ps_lut{n}x2 #(
    parameter [{top}:0] INIT = 0
) (
    input wire [{last}:0] a,
    output wire y,
    output wire z
);
"""


def dual_cell(n: int, instance: str) -> CellText:
    """Return the LUT of two functions of `n` bits; `instance` is the device's."""
    half = 1 << n
    head = _DUAL_HEAD.format(n=n, top=2 * half - 1, last=n - 1)
    body = "  assign y = INIT[{1'b0, a}];\n  assign z = INIT[{1'b1, a}];\n"
    return CellText(f"ps_lut{n}x2", "One LUT, two functions.", head, body, instance, AS_CELLS)
