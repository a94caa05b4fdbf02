"""Small integer networks, and a way to take many of them through the flow at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.config.build import BuildConfig
from finn_builds.flow import choose_style as style
from finn_builds.flow import convert as hardware
from finn_builds.flow import fold as parallelism
from finn_builds.flow import fuse
from finn_builds.flow import generate as codegen
from finn_builds.flow import stitch as stitched
from finn_builds.ingest import IntegerMLP, integer_mlp
from finn_builds.sim.compile import SimDesign, compile_designs
from finn_builds.sim.simulator import Simulator
from finn_builds.stitch.design import TOP, Design, design_of


def streamlined(
    sizes: tuple[int, ...],
    *,
    weight_bits: int,
    act_bits: int,
    input_type: str,
    seed: int,
    density: float = 1.0,
) -> ModelWrapper:
    """Return a random streamlined network: integer MatMul and MultiThreshold nodes.

    One-bit weights are bipolar, one-bit activations are unsigned where the seed is even and
    bipolar where it is odd. Weights use the most negative value of their type.
    """
    rng = np.random.default_rng(seed)
    nodes, tensors, shapes = [], [], []
    source, datatype = "x", DataType[input_type]
    levels = [v for v in range(int(datatype.min()), int(datatype.max()) + 1) if datatype.allowed(v)]
    samples = rng.choice(levels, size=(300, sizes[0]))
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weights, weight_type = _weights(rng, (n_in, n_out), weight_bits, density)
        product = f"a{layer}"
        nodes.append(
            helper.make_node("MatMul", [source, f"w{layer}"], [product], f"MatMul_{layer}")
        )
        tensors.append((f"w{layer}", weights, weight_type))
        shapes.append((product, n_out, "INT32"))
        source = product
        if layer == len(sizes) - 2:
            break
        sums = samples @ weights
        bipolar = act_bits == 1 and seed % 2 == 1
        steps = 1 if bipolar else 2**act_bits - 1
        # Thresholds among the sums that occur, so that every level does.
        thresholds = np.sort(rng.permuted(sums, axis=0)[:steps].T + rng.integers(0, 2), axis=1)
        signed = act_bits > 1 and seed % 3 == 1
        bias = -1 if bipolar else -(2 ** (act_bits - 1)) if signed else 0
        out_type = "BIPOLAR" if bipolar else f"{'INT' if signed else 'UINT'}{act_bits}"
        nodes.append(
            helper.make_node(
                "MultiThreshold",
                [product, f"t{layer}"],
                [f"h{layer}"],
                f"MultiThreshold_{layer}",
                domain="qonnx.custom_op.general",
                out_dtype=out_type,
                out_scale=2.0 if bipolar else 1.0,
                out_bias=float(bias),
            )
        )
        tensors.append((f"t{layer}", thresholds.astype(np.float32), DataType["INT32"]))
        shapes.append((f"h{layer}", n_out, out_type))
        source = f"h{layer}"
        counts = (sums[:, :, None] >= thresholds[None]).sum(axis=2)
        samples = bias + (2 if bipolar else 1) * counts
    return _model(nodes, tensors, shapes, sizes, input_type, source)


def _weights(rng, shape, bits, density):
    if bits == 1:
        return rng.choice([-1.0, 1.0], size=shape).astype(np.float32), DataType["BIPOLAR"]
    weights = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size=shape)
    weights = weights * (rng.random(shape) < density)
    return weights.astype(np.float32), DataType[f"INT{bits}"]


def _model(nodes, tensors, shapes, sizes, input_type, output):
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n])
        for name, n, _ in shapes
    }
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, sizes[0]])
    inner = [info for name, info in infos.items() if name != output]
    graph = helper.make_graph(nodes, "g", [source], [infos[output]], value_info=inner)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets))
    for name, values, datatype in tensors:
        model.set_initializer(name, values)
        model.set_tensor_datatype(name, datatype)
    model.set_tensor_datatype("x", DataType[input_type])
    for name, _, datatype in shapes:
        model.set_tensor_datatype(name, DataType[datatype])
    return model.transform(InferShapes())


@dataclass(frozen=True)
class Built:
    """A network taken as far as stitched RTL."""

    name: str
    network: IntegerMLP
    model: ModelWrapper
    design: Design
    folder: Path


def stitch(
    name: str,
    model: ModelWrapper,
    out: Path,
    *,
    board: str = "Pynq-Z1",
    styles: tuple[str, ...] | None = None,
    **options,
) -> Built:
    """Take a streamlined network through the hardware steps, without FIFOs."""
    options.setdefault("style", "folded")
    network = integer_mlp(model)
    out.mkdir(parents=True)
    source = out.with_suffix(".onnx")
    model.save(str(source))
    cfg = BuildConfig(board=board, model=str(source), output_dir=out, **options).validate()
    model = hardware.step_convert_to_hw(model, cfg)
    model = hardware.step_specialize_layers(model, cfg)
    model = (
        style.step_choose_style(model, cfg)
        if styles is None
        else fuse.with_styles(model, styles, cfg)
    )
    model = parallelism.step_target_fps_parallelization(model, cfg)
    model = parallelism.step_apply_folding_config(model, cfg)
    model = codegen.step_hw_codegen(model, cfg)
    model = stitched.step_create_stitched_ip(model, cfg)
    return Built(name, network, model, design_of(model), out / "stitched_ip")


def simulators(built: list[Built], build_dir: Path) -> dict[str, Simulator]:
    """Compile all designs into one library and return a simulator for each, by name."""
    designs = []
    for item in built:
        names = (item.folder / "all_verilog_srcs.txt").read_text().split()
        designs.append(
            SimDesign(
                item.name,
                [item.folder / name for name in names],
                TOP,
                item.design.input.width,
                item.design.output.width,
                item.design.links,
            )
        )
    library = compile_designs(designs, build_dir=build_dir)
    return {item.name: Simulator(library, item.folder, design=item.name) for item in built}


def legal_inputs(network: IntegerMLP, count: int, seed: int) -> np.ndarray:
    """Return random inputs with both corners, shape (count, n_in)."""
    layer = network.layers[0]
    datatype = DataType[layer.input_datatype]
    step = 2 if datatype == DataType["BIPOLAR"] else 1
    low, high = int(datatype.min()), int(datatype.max())
    rng = np.random.default_rng(seed)
    size = (count, layer.weights.shape[0])
    x = low + step * rng.integers(0, (high - low) // step + 1, size=size)
    x[0], x[1] = low, high
    return x
