"""Layers of an integer network in, a pipelined stream of Verilog out: all passes in one call."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from finn_builds.network import IntegerNetwork
from finn_builds.network.types import bits_of
from finn_builds.sparse.cost import Cost, estimate
from finn_builds.sparse.emit import emit_core
from finn_builds.sparse.families import family_named
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.lower import Lowered, lower_traced, stream_datatype
from finn_builds.sparse.options import Options
from finn_builds.sparse.schedule import Pipeline, pipeline
from finn_builds.sparse.stages import layer_stages
from finn_builds.sparse.stream import emit_stream, shell_luts


@dataclass(frozen=True)
class LayerCost:
    """What one layer takes, by its name, and the clocks that it adds.

    A hopeless one was not compiled: `luts` is a lower bound beyond the limit, and `latency` is 0.
    """

    name: str
    luts: int
    latency: int
    hopeless: bool = False


@dataclass(frozen=True)
class CompiledNetwork:
    """A network as hardware."""

    name: str  # module name of the streaming top; the datapath is `<name>_core`
    family: Family
    lowered: Lowered  # the operators without registers
    # The datapath: a register at its input, none at its output, which the shell has
    pipeline: Pipeline
    # QONNX names of the streams' elements
    in_datatype: str
    out_datatype: str
    layers: tuple[str, ...]  # names of the layers

    @property
    def combinational(self) -> Graph:
        """The operators without registers."""
        return self.lowered.graph

    @property
    def in_width(self) -> int:
        """Bits of an element of the input stream."""
        return bits_of(self.in_datatype)

    @property
    def out_width(self) -> int:
        """Bits of an element of the output stream."""
        return bits_of(self.out_datatype)

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
            luts=core.luts + shell_luts(out_bits),
            flip_flops=core.flip_flops + 2 * out_bits + self.pipeline.latency + 2,
        )

    def layer_costs(self) -> tuple[LayerCost, ...]:
        """Return what each layer takes within the datapath.

        Clocks are counted from where the layer in front ends to where this one ends. Their sum is
        the latency less the clock of the shell; the LUTs are those of `cost` less the shell's.
        """
        graph = self.pipeline.graph
        luts = [0] * len(self.layers)
        for layer, own in zip(graph.layers, estimate(graph, self.family).per_node, strict=True):
            if layer is not None:
                luts[layer] += own
        ends = [0, *layer_stages(graph, len(self.layers))[:-1], self.pipeline.latency]
        clocks = [b - a for a, b in itertools.pairwise(ends)]
        return tuple(map(LayerCost, self.layers, luts, clocks))

    def files(self) -> dict[str, str]:
        """Return the Verilog, `{file name: text}`; the top is the module `name`."""
        graph = self.pipeline.graph
        in_bits = graph.n_in * self.in_width
        out_bits = len(graph.outputs) * self.out_width
        core = emit_core(graph, self.family, f"{self.name}_core", self.in_width, self.out_width)
        return {**emit_stream(self.name, in_bits, out_bits, self.pipeline.latency), **core}


def compile_network(
    network: IntegerNetwork,
    name: str,
    family: str = "xc7",
    clock_ns: float | None = None,
    latency: int | None = None,
    in_datatype: str | None = None,
    out_datatype: str | None = None,
    options: Options | None = None,
) -> CompiledNetwork:
    """Turn a network into a pipelined stream.

    Several inputs, and several outputs, lie side by side on a stream in their declared order.
    Emitted modules begin with `name`, a Verilog identifier. The pipeline is made for the clock
    period `clock_ns`, or for `latency` clocks from input to output instead. `in_datatype` and
    `out_datatype` are QONNX names of the streams' elements, by default the smallest types that hold
    all tensors of a stream; an element of a BIPOLAR stream is one bit, 0 for -1 and 1 for 1.

    Raises
    ------
    UserError
        If the family is unknown, or no pipeline can be that fast or that short.
    ValueError
        If values do not fit the elements of a stream, or the name is not an identifier.
    """
    if not (name.isidentifier() and name.isascii()):
        raise ValueError(f"expected a Verilog identifier as name, found {name!r}")
    target = family_named(family)
    lowered = lower_traced(network, target, options, in_datatype, out_datatype)
    piped = pipeline(
        lowered.graph,
        target,
        clock_ns=clock_ns,
        latency=None if latency is None else latency - 1,
        register_outputs=False,
        after_ns=target.t_lut,  # the shell chooses between the newest frame and a waiting one
    )
    return CompiledNetwork(
        name,
        target,
        lowered,
        piped,
        in_datatype or stream_datatype(network.inputs),
        out_datatype or stream_datatype([network.tensor(name) for name in network.outputs]),
        tuple(layer.name for layer in network.layers()),
    )
