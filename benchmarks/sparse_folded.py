"""The same network in FINN's folded style, through this project's flow, for `bench_sparse.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.config.build import BuildConfig
from finn_builds.flow.estimate import layer_cycles, layer_resources
from finn_builds.flow.steps import STEPS
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.network import IntegerNetwork
from finn_builds.run.runner import run_steps
from finn_builds.sim.accelerator import Accelerator
from finn_builds.sparse.nodes import width_of
from finn_builds.stitch.design import design_of

FRAMES = 60


def streamlined_model(network: IntegerNetwork) -> ModelWrapper:
    """Return a network as MatMul and MultiThreshold nodes on integers."""
    nodes, tensors, infos = [], [], {}
    source, datatype = "x", _type(*network.input.bounds)
    for k, layer in enumerate(network.layers()):
        integers, sums, counted = layer.linear.weights, layer.accumulators, layer.requantise
        weights = integers.astype(np.float32)
        low, high = int(integers.min()), int(integers.max())
        tensors.append((f"w{k}", weights, _type(min(low, -1), high)))
        nodes.append(helper.make_node("MatMul", [source, f"w{k}"], [f"a{k}"], f"MatMul_{k}"))
        infos[f"a{k}"] = (layer.n_out, DataType["INT32"])
        source = f"a{k}"
        if counted is None:
            continue
        out = _type(*counted.levels)
        rows = counted.form.thresholds(sums.low, sums.high)
        tensors.append((f"t{k}", rows.astype(np.float32), DataType["INT32"]))
        nodes.append(
            helper.make_node(
                "MultiThreshold",
                [source, f"t{k}"],
                [f"h{k}"],
                f"MultiThreshold_{k}",
                domain="qonnx.custom_op.general",
                out_dtype=out.name,
                out_scale=float(counted.step),
                out_bias=float(counted.bias),
            )
        )
        infos[f"h{k}"] = (layer.n_out, out)
        source = f"h{k}"
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n])
        for name, (n, _) in {"x": (network.input.size, datatype), **infos}.items()
    }
    inner = [info for name, info in values.items() if name not in ("x", source)]
    graph = helper.make_graph(nodes, "net", [values["x"]], [values[source]], value_info=inner)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets))
    for name, array, kind in tensors:
        model.set_initializer(name, array)
        model.set_tensor_datatype(name, kind)
    for name, (_, kind) in {"x": (network.input.size, datatype), **infos}.items():
        model.set_tensor_datatype(name, kind)
    return model.transform(InferShapes())


def _type(low: int, high: int) -> DataType:
    return DataType[f"{'INT' if low < 0 else 'UINT'}{max(1, width_of(low, high))}"]


def folded_figures(
    network: IntegerNetwork, x: np.ndarray, board: str, simulate: bool
) -> dict[str, Any]:
    """Return what the smallest interval that fits the board's budget takes.

    Parameters
    ----------
    network : IntegerNetwork
    x : int64 array (n, n_in)
        Frames on which the stitched design must equal the network.
    board : str
    simulate : bool
        Measure latency and interval; otherwise FINN's cycle formulas give them.

    Returns
    -------
    dict
        ``lut``, ``dsp`` and ``bram_18k`` (estimated), ``interval`` and ``latency`` in cycles.
    """
    last = "create_stitched_ip" if simulate else "apply_folding_config"
    names = [step.name for step in STEPS]
    steps = STEPS[names.index("convert_to_hw") : names.index(last) + 1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "folded"
        source = Path(folder) / "network.onnx"
        streamlined_model(network).save(str(source))
        cfg = BuildConfig(board=board, model=str(source), output_dir=out, style="folded")
        cfg = cfg.validate()
        run_steps(steps, cfg, lambda checked: ModelWrapper(str(source)))
        prepare_finn(out / "ipgen")
        model = ModelWrapper(str(out / "intermediate_models" / f"{last}.onnx"))
        cycles = layer_cycles(model)
        total = layer_resources(model, cfg.board_spec.part)["total"]
        figures: dict[str, Any] = {
            "lut": total["LUT"],
            "dsp": total["DSP"],
            "bram_18k": total["BRAM_18K"],
            "interval": max(cycles.values()),
            "latency": sum(cycles.values()),
            "kind": "cycles by FINN's formulas",
        }
        if not simulate:
            return figures
        stitched = out / "stitched_ip"
        sources = (stitched / "all_verilog_srcs.txt").read_text().split()
        accelerator = Accelerator(
            design_of(model), [stitched / s for s in sources], Path(folder) / "sim", stitched
        )
        try:
            accelerator.run(x[:1], drain=100)
            alone = accelerator.run(x[:1], drain=100, reset=False)
            run = accelerator.run(x[:FRAMES], drain=100, reset=False)
        finally:
            accelerator.close()
        if not np.array_equal(run.y, network.execute(x[:FRAMES])):
            raise AssertionError("the folded design differs from the network")
        return figures | {
            "interval": run.interval(),
            "latency": int(alone.latency[0]),
            "kind": "cycles measured in simulation",
        }
