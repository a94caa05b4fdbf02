"""From the streamlined integer graph to FINN's hardware nodes, all of them RTL."""

from __future__ import annotations

from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
from finn.util.basic import get_dsp_block
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from deploy.host_model import HostModel
from finn_builds.config.build import BuildConfig
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.widen import widen_types
from finn_builds.ingest import host_description
from finn_builds.ingest.top1 import append_label_select


def step_convert_to_hw(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Turn MatMul and MultiThreshold nodes into FINN's MVAU and Thresholding nodes."""
    prepare_finn(cfg.out / "ipgen")
    part = cfg.board_spec.part
    model = widen_types(model, narrow_weights=get_dsp_block(part) == "DSP48E1")
    model = model.transform(InferThresholdingLayer())
    model = model.transform(InferQuantizedMatrixVectorActivation())
    if cfg.top1:
        model = append_label_select(model, HostModel.from_dict(host_description(model)))
    model = model.transform(GiveUniqueNodeNames())
    return model.transform(GiveReadableTensorNames())


def step_specialize_layers(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Choose the RTL implementation of every node.

    Raises
    ------
    RuntimeError
        When a node could only be had from HLS; the types were widened so that none is.
    """
    # Imported here: the pass pulls in FINN's op classes.
    prepare_finn(cfg.out / "ipgen")
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    # Left to itself FINN sends everything below four bits to HLS, though its RTL can do it.
    for node in model.graph.node:
        if node.op_type == "MVAU":
            getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    model = model.transform(SpecializeLayers(cfg.board_spec.part))
    hls = [node.name for node in model.graph.node if node.op_type.endswith("_hls")]
    if hls:
        raise RuntimeError(f"FINN has only HLS for these nodes: {', '.join(hls)}")
    for node in model.graph.node:
        if node.op_type == "MVAU_rtl":
            op = getCustomOp(node)
            op.set_nodeattr("accDataType", op.get_nodeattr("outputDataType"))
    model = model.transform(GiveUniqueNodeNames())
    return model.transform(GiveReadableTensorNames())
