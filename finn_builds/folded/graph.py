"""The folded layers of a network as FINN's nodes: one small graph for each run of neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.files import checkpoint_path, read_json, write_json
from finn_builds.folded.shapes import node_resources
from finn_builds.stitch.blocks import MVAU, THRESHOLDING, WIDTH_CONVERTER, Block
from finn_builds.stitch.design import Stage
from finn_builds.stitch.streams import StreamFormat

if TYPE_CHECKING:
    from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp


@dataclass(frozen=True)
class FoldedRun:
    """Neighbouring folded layers."""

    first: int  # counted from 0 among all layers of the network
    model: ModelWrapper  # a chain of FINN's matrix-vector and thresholding nodes


@dataclass(frozen=True)
class FoldedLayers:
    """All folded layers of a network, and the folding of the top-1 block after them."""

    runs: tuple[FoldedRun, ...] = ()
    top1_pe: int | None = None  # values a beat; None: as many as the block in front gives

    def run_from(self, first: int) -> FoldedRun:
        """Return the run that begins with a layer, counted from 0."""
        return next(run for run in self.runs if run.first == first)

    def save(self, out: Path, step: str) -> None:
        """Write a checkpoint of each run, and what else there is."""
        for index, run in enumerate(self.runs):
            run.model.save(str(checkpoint_path(out, step, f".{index}.onnx")))
        plain = {"first": [run.first for run in self.runs], "top1_pe": self.top1_pe}
        write_json(checkpoint_path(out, step, ".json"), plain)

    @classmethod
    def load(cls, out: Path, step: str) -> FoldedLayers:
        """Read what `save` wrote."""
        plain = read_json(checkpoint_path(out, step, ".json"))
        runs = tuple(
            FoldedRun(first, ModelWrapper(str(checkpoint_path(out, step, f".{index}.onnx"))))
            for index, first in enumerate(plain["first"])
        )
        return cls(runs, plain["top1_pe"])


def number_nodes(runs: Iterable[FoldedRun]) -> None:
    """Name the nodes of all runs in order, ``<kind>_<number>``, numbered within each kind."""
    counts: dict[str, int] = {}
    for run in runs:
        for node in run.model.graph.node:
            number = counts.get(node.op_type, 0)
            counts[node.op_type] = number + 1
            node.name = f"{node.op_type}_{number}"


def run_blocks(run: FoldedRun, part: str) -> list[Block]:
    """Return the blocks of a run at its present folding."""
    layer = run.first
    blocks = []
    for node in run.model.graph.node:
        layer += node.op_type == MVAU
        blocks.append(node_block(run.model, node, part, (layer,)))
    return blocks


def node_block(
    model: ModelWrapper, node: NodeProto, part: str, layers: Sequence[int] = ()
) -> Block:
    """Return the block of one of FINN's nodes."""
    op = getCustomOp(node)
    cycles = int(op.get_exp_cycles())
    names = {MVAU: ("PE", "SIMD"), THRESHOLDING: ("PE",)}.get(node.op_type, ())
    counted = getattr(op, "get_op_and_param_counts", None)
    weights = 0
    if node.op_type == MVAU and op.get_nodeattr("mem_mode") == "internal_decoupled":
        weights = op.get_instream_width(1)
    stage = Stage(
        name=node.name,
        kind=node.op_type,
        in_bits=op.get_instream_width(0),
        out_bits=op.get_outstream_width(0),
        module=op.get_nodeattr("gen_top_module"),
        weight_bits=weights,
        address_bits=_address_bits(op),
    )
    return Block(
        stage,
        tuple(layers),
        _format(op.get_input_datatype().name, op.get_folded_input_shape()),
        _format(op.get_output_datatype().name, op.get_folded_output_shape()),
        cycles=cycles,
        # Of FINN's nodes only the cycles per frame are known, which its own estimate takes too.
        latency=cycles,
        resources=node_resources(model, node, part),
        folding={name: op.get_nodeattr(name) for name in names},
        counts={} if counted is None else dict(counted()),
    )


def converter_model(before: Block, after: Block, name: str) -> ModelWrapper:
    """Return a graph of one width converter between two blocks."""
    size = before.output.elements * before.output.beats
    tensors = [helper.make_tensor_value_info(t, 1, [1, size]) for t in ("x", "y")]
    node = helper.make_node(
        WIDTH_CONVERTER,
        ["x"],
        ["y"],
        name,
        domain="finn.custom_op.fpgadataflow.rtl",
        backend="fpgadataflow",
        inShape=[1, size],
        outShape=[1, size],
        inWidth=before.output.bits * before.output.elements,
        outWidth=after.input.bits * after.input.elements,
        dataType=before.output.datatype,
    )
    graph = helper.make_graph([node], "converter", tensors[:1], tensors[1:])
    return ModelWrapper(helper.make_model(graph))


def generate(model: ModelWrapper, node: NodeProto, folder: Path, part: str, clock_ns: float) -> str:
    """Write the RTL and memory contents of a node; return the name of its top module.

    FINN names the memory contents by their absolute path. Here they get a name that no other node
    has, and are read from where the simulator or the synthesis runs: folders may move.
    """
    op = getCustomOp(node)
    folder.mkdir(parents=True)
    op.set_nodeattr("code_gen_dir_ipgen", str(folder))
    op.code_generation_ipgen(model, part, clock_ns)
    memory = folder / "memblock.dat"
    if memory.exists():
        renamed = memory.rename(folder / f"{node.name}_memblock.dat")
        for path in (*folder.glob("*.v"), *folder.glob("*.sv")):
            path.write_text(
                path.read_text(encoding="utf-8").replace(str(memory), f"./{renamed.name}")
            )
    return str(op.get_nodeattr("gen_top_module"))


def _format(datatype: str, shape: Sequence[int]) -> StreamFormat:
    return StreamFormat(datatype, int(shape[-1]), math.prod(shape[:-1]))


def _clog2(value: int) -> int:
    return max(0, value - 1).bit_length()


def _address_bits(op: HWCustomOp) -> int:
    """Return the width of the AXI-Lite address of a weight or threshold memory."""
    if op.onnx_node.op_type == MVAU:
        words = -(-op.get_instream_width(1) // 32)
        return _clog2(op.calc_wmem() << _clog2(words)) + 2
    if op.onnx_node.op_type == THRESHOLDING:
        pe = op.get_nodeattr("PE")
        fold = op.get_nodeattr("NumChannels") // pe
        return _clog2(fold) + _clog2(pe) + _clog2(op.get_nodeattr("numSteps")) + 2
    return 0


def config_alternatives(
    runs: Sequence[FoldedRun], part: str
) -> dict[str, list[dict[str, int | float]]]:
    """Return FINN's estimates of every node for each of its kinds of memory and multipliers.

    In the order of FINN's ``estimate_layer_config_alternatives.json``; the first is the present one
    or that of FINN's first choice, see FINN's ``res_estimation_complete``.
    """
    from finn.analysis.fpgadataflow.res_estimation import res_estimation_complete

    found: dict[str, list[dict[str, int | float]]] = {}
    for run in runs:
        found |= res_estimation_complete(run.model, part)
    return found
