"""Ways to stop a sparse pipeline for a sink that waits, around the same datapath.

``one net`` is what the flow builds (`finn_builds.sparse.stream`). ``copies`` has the clock enable
as a register of its own in front of the registers of every stage. ``queue`` never stops: it takes
a frame only while its result is sure of a place in the queue at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.packing import padded
from finn_builds.sparse.compiler import CompiledNetwork
from finn_builds.sparse.emit import net_names
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Const, Reg, operands

_FIFO = Path(__file__).resolve().parents[1] / "finn_builds" / "rtl" / "stream_fifo.sv"

#: A module whose copies synthesis must keep, equal as they are.
KEPT = "ps_enable"

_ENABLE = """\
module ps_enable (
    input wire clk,
    input wire rst,
    input wire d,
    output reg q
);
  always @(posedge clk) q <= rst | d;
endmodule
"""

_QUEUE = """\
module {name} (
    input wire ap_clk,
    input wire ap_rst_n,
    input wire [{in_pad}-1:0] s_axis_0_tdata,
    input wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{out_pad}-1:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input wire m_axis_0_tready
);
  localparam PLACES = {places};
  wire [{out_bits}-1:0] tail, oldest;
  {name}_core core (
      .clk(ap_clk),
      .ce(1'b1),
      .x(s_axis_0_tdata[{in_bits}-1:0]),
      .y(tail)
  );
  // Frames that were taken and whose results were not.
  reg [{count_bits}-1:0] held;
  reg [{inner}-1:0] filled;
  reg ready;
  wire take = s_axis_0_tvalid & ready;
  wire [{count_bits}-1:0] next = held + take - (m_axis_0_tvalid & m_axis_0_tready);
  always @(posedge ap_clk)
    if (!ap_rst_n) begin
      held <= 0;
      ready <= 1'b0;
      filled <= 0;
    end else begin
      held <= next;
      ready <= next != PLACES;
      filled <= {{filled, take}};
    end
  // Its own ready is not needed: there is a place for every frame.
  stream_fifo #(
      .WIDTH({out_bits}),
      .DEPTH(PLACES),
      .STYLE(2)  // memory of LUTs
  ) queue (
      .clk(ap_clk),
      .rst(~ap_rst_n),
      .s_data(tail),
      .s_valid(filled[{inner}-1]),
      .s_ready(),
      .m_data(oldest),
      .m_valid(m_axis_0_tvalid),
      .m_ready(m_axis_0_tready)
  );
  assign s_axis_0_tready = ready;
  assign m_axis_0_tdata = oldest;
endmodule
"""


def one_net(compiled: CompiledNetwork) -> dict[str, str]:
    """Return what the flow builds."""
    return compiled.files()


def copies(compiled: CompiledNetwork) -> dict[str, str]:
    """Return it with a registered clock enable for every stage, all of them equal."""
    files = compiled.files()
    graph, name, inner = compiled.pipeline.graph, compiled.name, compiled.pipeline.latency
    core = files[f"{name}_core.v"].replace("input wire ce,", f"input wire [{inner - 1}:0] ce,")
    stages = _stages(graph)
    for i, net in enumerate(net_names(graph, {"x", "y"})):
        if isinstance(graph.nodes[i], Reg):
            core = core.replace(f"if (ce) {net} <=", f"if (ce[{stages[i] - 1}]) {net} <=")
    if "if (ce)" in core:
        raise AssertionError("a register without a stage")
    shell = files[f"{name}.v"]
    for old, new in (
        ("  reg ce;\n", f"  reg go;\n  wire [{inner - 1}:0] ce;\n"),
        (
            "  always @(posedge ap_clk) begin\n",
            f"  ps_enable enable[{inner - 1}:0] (\n"
            "      .clk(ap_clk), .rst(~ap_rst_n), .d(move | (go & ~tail_valid)), .q(ce));\n"
            "  always @(posedge ap_clk) begin\n",
        ),
        ("ce <= 1'b1", "go <= 1'b1"),
        ("ce <= move | (ce &", "go <= move | (go &"),
        ("head_valid <= ~ce", "head_valid <= ~go"),
        ("head <= ce ?", "head <= go ?"),
        ("if (ce) spare", "if (go) spare"),
        ("else if (ce) filled", "else if (go) filled"),
        ("s_axis_0_tready = ce &", "s_axis_0_tready = go &"),
    ):
        if old not in shell:
            raise AssertionError(f"the shell has no {old!r}")
        shell = shell.replace(old, new)
    return {**files, f"{name}.v": shell, f"{name}_core.v": core, f"{KEPT}.v": _ENABLE}


def queue(compiled: CompiledNetwork) -> dict[str, str]:
    """Return a free-running pipeline with a queue after it that holds all frames under way."""
    files = compiled.files()
    inner = compiled.pipeline.latency
    in_bits = compiled.combinational.n_in * compiled.in_width
    out_bits = len(compiled.combinational.outputs) * compiled.out_width
    places = inner + 2  # at full speed one is taken while the oldest is given
    text = _QUEUE.format(
        name=compiled.name,
        in_pad=padded(in_bits),
        out_pad=padded(out_bits),
        in_bits=in_bits,
        out_bits=out_bits,
        inner=inner,
        places=places,
        count_bits=places.bit_length(),
    )
    return {**files, f"{compiled.name}.v": text, _FIFO.name: _FIFO.read_text()}


SHELLS: Mapping[str, Callable[[CompiledNetwork], dict[str, str]]] = {
    "one net": one_net,
    "copies": copies,
    "queue": queue,
}


def _stages(graph: Graph) -> list[int]:
    """Return how many registers lie between the inputs and each node, itself counted."""
    found: list[int] = []
    for node in graph.nodes:
        before = [found[s] for s in operands(node) if not isinstance(graph.nodes[s], Const)]
        found.append(max(before, default=0) + isinstance(node, Reg))
    return found
