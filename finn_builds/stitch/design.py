"""The stitched design as plain data: a chain of stages with a stream between each two."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.stitch.streams import StreamFormat

if TYPE_CHECKING:
    from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp

#: Name of the top module and, with ``.v``, of its file.
TOP = "finn_design_wrapper"


@dataclass(frozen=True)
class Stage:
    """One node of the dataflow graph as an instance in the top.

    Attributes
    ----------
    name : str
        Node name, also the instance name.
    kind : str
        The node's op type.
    in_bits, out_bits : int
        Bits of the streams without padding.
    module : str
        Module to instantiate; empty for FIFOs, which are this project's own.
    code_dir : Path or None
        Folder with the code generated for the node.
    weight_bits : int
        Width of the stream of weights; 0 where the node has none.
    address_bits : int
        Width of the address of the node's configuration port, which is tied off.
    depth : int
        Words of a FIFO; 0 for other nodes.
    """

    name: str
    kind: str
    in_bits: int
    out_bits: int
    module: str = ""
    code_dir: Path | None = None
    weight_bits: int = 0
    address_bits: int = 0
    depth: int = 0

    @property
    def is_fifo(self) -> bool:
        """Say whether the stage is a FIFO."""
        return self.kind.startswith("StreamingFIFO")


@dataclass(frozen=True)
class Design:
    """The chain from ``s_axis_0`` to ``m_axis_0`` and what a frame looks like at its ends."""

    stages: tuple[Stage, ...]
    input: StreamFormat
    output: StreamFormat

    @property
    def in_bits(self) -> int:
        """Bits of the input stream, without padding."""
        return self.stages[0].in_bits

    @property
    def out_bits(self) -> int:
        """Bits of the output stream, without padding."""
        return self.stages[-1].out_bits

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the streams, the input first and the output last.

        Stage ``i`` reads link ``i`` and writes link ``i + 1``.
        """
        names = [stage.name for stage in self.stages]
        inner = [f"{left}_to_{right}" for left, right in itertools.pairwise(names)]
        return (f"in_to_{names[0]}", *inner, f"{names[-1]}_to_out")


def _clog2(value: int) -> int:
    return max(0, value - 1).bit_length()


def _address_bits(op: HWCustomOp) -> int:
    """Return the width of the AXI-Lite address of a weight or threshold memory."""
    if op.onnx_node.op_type == "MVAU_rtl":
        words = -(-op.get_instream_width(1) // 32)
        return _clog2(op.calc_wmem() << _clog2(words)) + 2
    if op.onnx_node.op_type == "Thresholding_rtl":
        pe = op.get_nodeattr("PE")
        fold = op.get_nodeattr("NumChannels") // pe
        return _clog2(fold) + _clog2(pe) + _clog2(op.get_nodeattr("numSteps")) + 2
    return 0


def design_of(model: ModelWrapper) -> Design:
    """Read the chain of hardware nodes off a graph whose code has been generated.

    Parameters
    ----------
    model : ModelWrapper
        Chain of RTL nodes; each but the FIFOs has a ``code_gen_dir_ipgen``.
    """
    stages = []
    for node in model.graph.node:
        op = getCustomOp(node)
        weights = 0
        if node.op_type == "MVAU_rtl" and op.get_nodeattr("mem_mode") == "internal_decoupled":
            weights = op.get_instream_width(1)
        fifo = node.op_type.startswith("StreamingFIFO")
        stages.append(
            Stage(
                name=node.name,
                kind=node.op_type,
                in_bits=op.get_instream_width(0),
                out_bits=op.get_outstream_width(0),
                module="" if fifo else op.get_nodeattr("gen_top_module"),
                code_dir=None if fifo else Path(op.get_nodeattr("code_gen_dir_ipgen")),
                weight_bits=weights,
                address_bits=_address_bits(op),
                depth=op.get_nodeattr("depth") if fifo else 0,
            )
        )
    first, last = getCustomOp(model.graph.node[0]), getCustomOp(model.graph.node[-1])
    in_shape, out_shape = first.get_folded_input_shape(), last.get_folded_output_shape()
    return Design(
        tuple(stages),
        StreamFormat(first.get_input_datatype().name, in_shape[-1], math.prod(in_shape[:-1])),
        StreamFormat(last.get_output_datatype().name, out_shape[-1], math.prod(out_shape[:-1])),
    )


def with_fifos(design: Design) -> Design:
    """Return the design with a FIFO of open depth on every inner link, for finding depths."""
    stages: list[Stage] = []
    for stage in design.stages:
        if stages:
            bits = stages[-1].out_bits
            name = f"fifo_{len(stages) // 2}"
            stages.append(Stage(name, "StreamingFIFO_rtl", bits, bits))
        stages.append(stage)
    return replace(design, stages=tuple(stages))
