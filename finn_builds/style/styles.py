"""The style of every layer, and the sparse blocks that follow from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finn_builds.files import STYLE_FILE, read_json, write_json
from finn_builds.folded.convert import widened
from finn_builds.network import IntegerNetwork, Layer
from finn_builds.network.types import bits_of, weight_datatype
from finn_builds.sparse.compiler import CompiledNetwork, LayerCost, compile_network
from finn_builds.sparse.core_ports import ports_of
from finn_builds.sparse.lower import lower, stream_datatype
from finn_builds.sparse.parallel import parallel_core
from finn_builds.sparse.stages import layer_stages
from finn_builds.stitch.blocks import SPARSE, Block, Hardware, Resources
from finn_builds.stitch.design import Stage
from finn_builds.stitch.streams import StreamFormat
from finn_builds.style.choice import Style

#: Where the Verilog of sparse blocks lies in the build folder.
CODE_DIR = "ipgen/sparse"

#: Where the parallel core lies in the build folder: its sources, and its description.
CORE_DIR = "ipgen/parallel"
CORE_FILE = "core.json"

#: Rounding of sums of delays, ns.
CLOCK_SLACK_NS = 1e-6


@dataclass(frozen=True)
class CoreOptions:
    """How the parallel core of a network is written beside the stream."""

    name: str  # of the module
    shown: Mapping[str, str]  # what tensors are called in place of their own name
    cells: str  # "vendor" or "generic"
    with_ce: bool


@dataclass(frozen=True)
class StyledLayer:
    """One layer and its style.

    LUTs and latency in clocks as sparse logic are estimated; ``at_least`` says whether the LUTs are
    a lower bound alone.
    """

    layer: str  # its name
    style: Style
    as_sparse: dict[str, Any] | None = None  # None where that was not asked


@dataclass(frozen=True)
class SparseNode:
    """Neighbouring sparse layers, fused into one pipeline."""

    block: Block
    layers: tuple[str, ...]
    stage_ns: float  # longest stage of the pipeline
    fits_clock: bool  # a latency that was asked for may leave stages longer than the clock


@dataclass(frozen=True)
class Styles:
    """The style of every layer, why, and the sparse nodes as they are built."""

    asked: str  # what the user asked for
    why: str
    layers: tuple[StyledLayer, ...]
    nodes: tuple[SparseNode, ...]

    @property
    def runs(self) -> tuple[tuple[Style, int, int], ...]:
        """Runs of neighbours of one style: the style, their first layer, and the one after them."""
        found, begin = [], 0
        for style, members in itertools.groupby(self.layers, key=lambda layer: layer.style):
            end = begin + len(list(members))
            found.append((style, begin, end))
            begin = end
        return tuple(found)

    def save(self, out: Path, step: str) -> None:
        """Write ``report/style.json``, and the blocks as a checkpoint."""
        Hardware(tuple(node.block for node in self.nodes)).save(out, step)
        write_json(
            out / STYLE_FILE,
            {
                "asked": self.asked,
                "why": self.why,
                "kind": "estimated",
                "layers": [
                    {k: v for k, v in vars(layer).items() if v is not None} for layer in self.layers
                ],
                "sparse_nodes": [
                    {
                        "node": node.block.name,
                        "layers": list(node.layers),
                        "LUT": node.block.resources.rounded()["LUT"],
                        "FF": node.block.flip_flops,
                        "latency": node.block.latency,
                        "stage_ns": node.stage_ns,
                        "stage_fits_clock": node.fits_clock,
                    }
                    for node in self.nodes
                ],
            },
        )

    @classmethod
    def load(cls, out: Path, step: str) -> Styles:
        """Read what `save` wrote."""
        held = read_json(out / STYLE_FILE)
        blocks = Hardware.load(out, step).blocks
        nodes = (
            SparseNode(block, tuple(n["layers"]), n["stage_ns"], n["stage_fits_clock"])
            for block, n in zip(blocks, held["sparse_nodes"], strict=True)
        )
        layers = tuple(StyledLayer(**layer) for layer in held["layers"])
        return cls(held["asked"], held["why"], layers, tuple(nodes))


def sparse_node(
    network: IntegerNetwork,
    layers: Sequence[Layer],
    first: int,
    name: str,
    out: Path,
    *,
    family: str,
    clock_ns: float,
    latency: int | None,
    core: CoreOptions | None = None,
) -> tuple[SparseNode, tuple[LayerCost, ...]]:
    """Compile neighbouring layers into one pipeline and write its Verilog into the build folder.

    With `core` the layers are the whole network, and its parallel core is written too. Other
    arguments are as for `compile_layers`. Returned too is what each layer takes in the pipeline.
    """
    compiled = compile_layers(
        network, layers, first, name, family=family, clock_ns=clock_ns, latency=latency
    )
    folder = out / CODE_DIR / name
    folder.mkdir(parents=True)
    for file, text in compiled.files().items():
        (folder / file).write_text(text, encoding="utf-8")
    if core is not None:
        _write_core(compiled, network, core, out / CORE_DIR, clock_ns=clock_ns, latency=latency)
    stage_ns = compiled.pipeline.stage_ns
    node = SparseNode(
        _block(compiled, layers, first, folder),
        tuple(layer.name for layer in layers),
        round(stage_ns, 2),
        stage_ns <= clock_ns + CLOCK_SLACK_NS,
    )
    return node, compiled.layer_costs()


def _write_core(
    compiled: CompiledNetwork,
    network: IntegerNetwork,
    wanted: CoreOptions,
    folder: Path,
    *,
    clock_ns: float,
    latency: int | None,
) -> None:
    """Write the parallel core of a network of which a compiled one has all layers.

    The stream leaves a choice of the class to a block of its own; the core makes it itself.
    """
    graph, out_datatype = compiled.combinational, compiled.out_datatype
    if network.head is not None:
        graph = lower(network, compiled.family, in_datatype=compiled.in_datatype)
        out_datatype = network.output.datatype
    types = (compiled.in_datatype, out_datatype)
    inputs, outputs = ports_of(network, wanted.shown, types, block=wanted.name)
    core = parallel_core(
        graph,
        compiled.family,
        wanted.name,
        inputs,
        outputs,
        clock_ns=clock_ns,
        latency=latency,
        cells=wanted.cells,
        with_ce=wanted.with_ce,
    )
    folder.mkdir(parents=True)
    core.ports.save(folder / CORE_FILE)
    (folder / f"{wanted.name}.v").write_text(core.verilog(), encoding="utf-8")
    (folder / f"{wanted.name}_model.vhd").write_text(core.vhdl(), encoding="utf-8")


def compile_layers(
    network: IntegerNetwork,
    layers: Sequence[Layer],
    first: int,
    name: str,
    *,
    family: str,
    clock_ns: float,
    latency: int | None,
) -> CompiledNetwork:
    """Compile neighbouring layers into one pipeline; equal arguments give equal text.

    The layers begin with number `first` of the network, from 0; a `latency` of None pipelines them
    as the clock demands.
    """
    every = network.layers()
    at_start, at_end = first == 0, first + len(layers) == len(every)
    into, end = stream_datatype(layers[0].inputs), stream_datatype(layers[-1].outputs)
    return compile_network(
        network.part(layers),
        name,
        family=family,
        clock_ns=None if latency else clock_ns,
        latency=latency,
        # A folded neighbour, and the choice of the class, take and give types of two bits or more.
        in_datatype=into if at_start else widened(into),
        out_datatype=end if at_end and network.head is None else widened(end),
    )


def compile_block(
    network: IntegerNetwork, block: Block, *, family: str, clock_ns: float, latency: int | None
) -> CompiledNetwork:
    """Compile the layers of a sparse block as they were for the block."""
    first = block.layers[0] - 1
    layers = network.layers()[first : block.layers[-1]]
    return compile_layers(
        network, layers, first, block.name, family=family, clock_ns=clock_ns, latency=latency
    )


def _block(compiled: CompiledNetwork, layers: Sequence[Layer], first: int, folder: Path) -> Block:
    cost = compiled.cost()
    into = StreamFormat(compiled.in_datatype, layers[0].n_in, 1)
    out = StreamFormat(compiled.out_datatype, layers[-1].n_out, 1)
    weights = [linear.weights for layer in layers for linear in layer.linears]
    nonzero = sum(int(np.count_nonzero(matrix)) for matrix in weights)
    weight_bits = max([2, *(bits_of(weight_datatype(matrix)) for matrix in weights)])
    widths = sorted((into.bits, weight_bits))
    return Block(
        Stage(
            compiled.name,
            SPARSE,
            into.bits * into.elements,
            out.bits * out.elements,
            module=compiled.name,
            code_dir=folder,
        ),
        tuple(range(first + 1, first + 1 + len(layers))),
        into,
        out,
        cycles=1,
        latency=compiled.latency,
        resources=Resources(LUT=math.ceil(cost.luts)),
        flip_flops=math.ceil(cost.flip_flops),
        counts={
            f"op_mac_{widths[0]}bx{widths[1]}b": nonzero,
            f"param_weight_{weight_bits}b": nonzero,
        },
        ends=tuple(layer_stages(compiled.pipeline.graph, len(layers))),
    )
