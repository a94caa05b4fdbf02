"""Width converters between layers, and the RTL of every node."""

from __future__ import annotations

from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from finn_builds.config.build import BuildConfig
from finn_builds.folded.finn_env import prepare_finn


def step_hw_codegen(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Insert width converters and generate the RTL and memory contents of every node.

    The generated code lies in ``ipgen/<node>``; FINN would put it into folders of random names,
    which no later run could find again.
    """
    work = cfg.out / "ipgen"
    prepare_finn(work)
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    part = cfg.board_spec.part
    model = model.transform(InsertDWC())
    model = model.transform(SpecializeLayers(part))
    model = model.transform(GiveUniqueNodeNames())
    model = model.transform(GiveReadableTensorNames())
    nodes = model.graph.node
    for done, node in enumerate(nodes):
        cfg.progress(done, len(nodes), node.name)
        op = getCustomOp(node)
        folder = work / node.name
        folder.mkdir(parents=True)
        op.set_nodeattr("code_gen_dir_ipgen", str(folder))
        op.code_generation_ipgen(model, part, cfg.clock_ns)
    return model
