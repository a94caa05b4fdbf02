"""The parallel core: a port for each tensor, a frame every clock, a fixed latency.

The same operators as those of the streaming design, with registers for a pipeline that nothing
stops: there is no back-pressure. A block of trigger firmware is instantiated like this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finn_builds.network import IntegerNetwork, Tensor
from finn_builds.network.names import identifiers
from finn_builds.network.types import BIPOLAR, bits_of, datatype_for, is_signed
from finn_builds.sparse.cells import behavioural_files, cell_files
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.emit import NET_NAMES, Lane, datapath, lanes
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.schedule import pipeline
from finn_builds.sparse.vhdl import vhdl_model


@dataclass(frozen=True)
class Port:
    """A tensor as a port: its elements side by side, the first least significant."""

    name: str  # of the port
    tensor: str
    datatype: str  # QONNX name; a BIPOLAR element is one bit, 0 for -1
    elements: int

    @property
    def width(self) -> int:
        """Bits of an element."""
        return bits_of(self.datatype)

    @property
    def bits(self) -> int:
        """Bits of the port."""
        return self.width * self.elements

    @property
    def signed(self) -> bool:
        """Whether elements are in two's complement."""
        return is_signed(self.datatype) and self.width > 1

    @property
    def lanes(self) -> list[Lane]:
        """Where the elements lie."""
        return lanes(self.name, self.elements, self.width)


@dataclass(frozen=True)
class CorePorts:
    """What the core looks like from outside.

    Attributes
    ----------
    name : str
        Of the module.
    inputs, outputs : tuple of Port
        In the order of the network's.
    latency : int
        Clocks from a frame at the input to its result at the output.
    clock_ns : float
        What it was pipelined for.
    stage_ns : float
        Estimated longest path between two registers.
    luts, flip_flops : int
        Estimated.
    cells : str
        ``vendor`` or ``generic``.
    with_ce : bool
        Whether there is a clock enable.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    latency: int
    clock_ns: float
    stage_ns: float
    luts: int
    flip_flops: int
    cells: str
    with_ce: bool

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> CorePorts:
        """Read what `save` wrote."""
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        ends = {key: tuple(Port(**port) for port in held[key]) for key in ("inputs", "outputs")}
        return cls(**{**held, **ends})


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


def ports_of(
    network: IntegerNetwork,
    shown: Mapping[str, str] | None = None,
    types: tuple[str, str] = (BIPOLAR, BIPOLAR),
    *,
    block: str = "",
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the ports of a network's inputs and outputs.

    `shown` gives tensors another name than their own. `types` are those that the operator graph
    takes and gives all elements in: only of a BIPOLAR one is a bipolar element a single bit.
    `block` is the name of the core, which no port may have.
    """
    shown = shown or {}
    ends: list[tuple[str, Tensor]] = [(f"in:{t.name}", t) for t in network.inputs]
    ends += [(f"out:{name}", network.tensor(name)) for name in dict.fromkeys(network.outputs)]
    known: set[str] = set()
    names = []
    for key, tensor in ends:
        name = shown.get(tensor.name, tensor.name)
        names.append(f"{name}_out" if key.startswith("out:") and name in known else name)
        known.add(name)
    words = identifiers(names, block)
    ports = []
    for word, (key, tensor) in zip(words, ends, strict=True):
        common = types[key.startswith("out:")]
        two = tensor.datatype == BIPOLAR and common != BIPOLAR
        datatype = "INT2" if two else tensor.datatype
        if network.head is not None and key.startswith("out:"):
            # On a stream the class fills whole bytes; a port has the bits that it needs.
            datatype = datatype_for(*tensor.bounds)
        ports.append(Port(word, tensor.name, datatype, tensor.size))
    count = len(network.inputs)
    return tuple(ports[:count]), tuple(ports[count:])


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
