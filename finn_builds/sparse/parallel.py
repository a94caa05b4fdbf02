"""The parallel core: a port for each tensor, a frame every clock, a fixed latency.

The same operators as those of the streaming design, with registers for a pipeline that nothing
stops: there is no back-pressure. A block of trigger firmware is instantiated like this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finn_builds.sparse.cells import behavioural_files, cell_files
from finn_builds.sparse.core_ports import CorePorts, Port
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.emit import NET_NAMES, datapath
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.schedule import pipeline
from finn_builds.sparse.vhdl import vhdl_model


@dataclass(frozen=True)
class ParallelCore:
    """The core and its pipeline."""

    ports: CorePorts
    graph: Graph  # with its registers
    family: Family

    def verilog(self) -> str:
        """Return the module and the cells that it uses, as one file of Verilog-2001."""
        return _verilog(self.ports, self.graph, self.family)

    def vhdl(self) -> str:
        """Return an entity of the same name and ports, by another writer, without any cell."""
        return vhdl_model(self.ports, self.graph)


def parallel_core(
    graph: Graph,
    family: Family,
    name: str,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    clock_ns: float,
    latency: int | None = None,
    cells: str = "vendor",
    with_ce: bool = False,
) -> ParallelCore:
    """Return the core of an operator graph without registers.

    It is pipelined for `clock_ns`, or where `latency` is given for that many clocks. Ports hold the
    elements of the graph's inputs and outputs in their order.

    Raises
    ------
    UserError
        If no pipeline can be that fast or that short.
    """
    piped = pipeline(
        graph,
        family,
        clock_ns=None if latency else clock_ns,
        latency=latency,
        register_outputs=True,
    )
    cost = estimate(piped.graph, family)
    ports = CorePorts(
        name,
        tuple(inputs),
        tuple(outputs),
        piped.latency,
        clock_ns,
        round(piped.stage_ns, 3),
        round(cost.luts),
        round(cost.flip_flops) + piped.latency,
        cells,
        with_ce,
    )
    return ParallelCore(ports, piped.graph, family)


_TOP = """\
// {name}: {n_in} inputs, {n_out} outputs, a frame every clock, LATENCY clocks from input to output.
//
// A frame is taken at every rising edge of clk at which valid_in is 1{if_ce}; its
// result is at the outputs LATENCY rising edges later, with valid_out. There is no back-pressure.
// Elements lie side by side in a port, element 0 least significant. rst (synchronous, active high)
// clears the valid bits alone.
{net_names}
`default_nettype none
module {name} (
    input wire clk,
    input wire rst,
{ce_port}    input wire valid_in,
{ports}
    output wire valid_out
);
  localparam LATENCY = {latency};
{ce}
{valid}
{body}
endmodule
`default_nettype wire
"""


def _verilog(core: CorePorts, graph: Graph, family: Family) -> str:
    def declared(ports: Sequence[Port], kind: str) -> list[str]:
        return [
            f"    {kind} wire [{p.bits - 1}:0] {p.name},  // {p.elements} x {p.datatype}"
            for p in ports
        ]

    if core.latency > 1:
        shift = f"filled <= {{filled[{core.latency - 2}:0], valid_in}};"
    else:
        shift = "filled <= valid_in;"
    valid = [
        f"  reg [{core.latency - 1}:0] filled;",
        "  always @(posedge clk)",
        f"    if (rst) filled <= {core.latency}'d0;",
        f"    else if (ce) {shift}",
        f"  assign valid_out = filled[{core.latency - 1}];",
    ]
    inputs = [lane for port in core.inputs for lane in port.lanes]
    outputs = [lane for port in core.outputs for lane in port.lanes]
    # A tensor's own range is exact; that of its node may be wider.
    body = datapath(graph, family, inputs, outputs, known_to_fit=True)
    text = _TOP.format(
        name=core.name,
        n_in=len(inputs),
        n_out=len(outputs),
        if_ce=" and ce is 1" if core.with_ce else "",
        net_names="\n".join(NET_NAMES),
        ce_port="    input wire ce,\n" if core.with_ce else "",
        ports="\n".join([*declared(core.inputs, "input"), *declared(core.outputs, "output")]),
        latency=core.latency,
        ce="" if core.with_ce else "  localparam ce = 1'b1;  // registers are never stopped",
        valid="\n".join(valid),
        body="\n".join(body),
    )
    made = behavioural_files if core.cells == "generic" else cell_files
    library = {name.removesuffix(".v"): cell for name, cell in made(family).items()}
    used = [name for name in library if re.search(rf"\b{name}\b", text)]
    files = [text, *(library[name] for name in used)]
    # Modules of several cores in one project must not get in each other's way.
    whole = "\n".join(files)
    return re.sub(r"\bps_(\w+)\b", rf"{core.name}_\1", whole)
