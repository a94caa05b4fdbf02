"""Sparse layers in, a pipelined stream of Verilog out: all passes in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace

from finn_builds.sparse.cost import Cost, estimate
from finn_builds.sparse.emit import emit_core
from finn_builds.sparse.family import Family, family_named
from finn_builds.sparse.ir import Graph, width_of
from finn_builds.sparse.lower import Options, lower
from finn_builds.sparse.network import SparseNetwork
from finn_builds.sparse.schedule import Pipeline, pipeline
from finn_builds.sparse.stream import emit_stream


@dataclass(frozen=True)
class CompiledNetwork:
    """A network as hardware.

    Parameters
    ----------
    name : str
        Module name of the streaming top; the datapath is `<name>_core`.
    family : Family
    combinational : Graph
        The operators without registers.
    pipeline : Pipeline
        The datapath: a register at its input, none at its output (the shell's is behind it).
    in_width, out_width : int
        Bits of an input and an output element of the streams.
    """

    name: str
    family: Family
    combinational: Graph
    pipeline: Pipeline
    in_width: int
    out_width: int

    @property
    def latency(self) -> int:
        """Clocks from accepting a frame to offering its result."""
        return self.pipeline.latency + 1

    def cost(self) -> Cost:
        """Return the estimated LUTs and flip-flops, the shell's included."""
        core = estimate(self.pipeline.graph, self.family)
        out_bits = self.out_width * len(self.combinational.outputs)
        return replace(
            core,
            luts=core.luts + out_bits + 6,
            flip_flops=core.flip_flops + 2 * out_bits + self.pipeline.latency + 2,
        )

    def files(self) -> dict[str, str]:
        """Return the Verilog, `{file name: text}`; the top is the module `name`."""
        graph = self.pipeline.graph
        in_bits = graph.n_in * self.in_width
        out_bits = len(graph.outputs) * self.out_width
        core = emit_core(graph, self.family, f"{self.name}_core", self.in_width, self.out_width)
        return {**emit_stream(self.name, in_bits, out_bits, self.pipeline.latency), **core}


def compile_network(
    network: SparseNetwork,
    family: str = "xc7",
    clock_ns: float | None = None,
    latency: int | None = None,
    in_width: int | None = None,
    out_width: int | None = None,
    options: Options | None = None,
) -> CompiledNetwork:
    """Turn a network into a pipelined stream.

    Parameters
    ----------
    network : SparseNetwork
    family : str
        `xc7`, `xcup` or `ecp5`.
    clock_ns : float, optional
        Clock period to pipeline for.
    latency : int, optional
        Clocks from input to output to pipeline for instead.
    in_width, out_width : int, optional
        Bits of a stream element; by default the fewest that hold the range.
    options : Options, optional
        Effort of the optimiser.

    Raises
    ------
    UserError
        If the family is unknown, or the clock or latency cannot be had.
    """
    target = family_named(family)
    graph = lower(network, target, options)
    first, last = network.layers[0], network.layers[-1]
    in_width = in_width or max(1, width_of(first.in_lo, first.in_hi))
    out_width = out_width or max(1, width_of(*last.output_range()))
    piped = pipeline(
        graph,
        target,
        clock_ns=clock_ns,
        latency=None if latency is None else latency - 1,
        register_outputs=False,
        behind_ns=target.t_lut,  # the shell chooses between the newest frame and a waiting one
    )
    return CompiledNetwork(network.name, target, graph, piped, in_width, out_width)
