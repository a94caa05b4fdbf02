"""How one operator is tested: network and host against the model itself, as qonnx runs it."""

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.ingest import Reference, split_host, tidy
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer
from tests.finn_builds.network.networks import check_ranges, naive

RNG = np.random.default_rng(4)
Q6 = Quantizer(6, 0.125)
W4 = Quantizer(4, 0.25)
FRAMES = 40


def check(graph: Graph, shape, outputs=None, opset=13, atol=0.0, versions=None):
    """Compare network and host with the model, frame by frame, and with the reference."""
    model = graph.model(None, opset=opset)
    for imported in model.model.opset_import:
        imported.version = (versions or {}).get(imported.domain, imported.version)
    for name in outputs or ():
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    tidied = tidy(model)
    split = split_host(tidied)
    network, host = split.network, split.host
    x = (RNG.integers(-40, 40, size=(FRAMES, *shape[1:])) / 8).astype(np.float32)
    x[0], x[1] = -9, 9
    codes = host.before(x)
    y = network.execute(codes)
    np.testing.assert_array_equal(y, Reference(tidied, split).run(codes))
    np.testing.assert_array_equal(y[:3], Reference(tidied, split, exact=True).run(codes[:3]))
    assert y[:3].tolist() == [naive(network, row) for row in codes[:3]]
    check_ranges(network, codes)
    found = host.after(y)
    found = found if isinstance(found, dict) else {model.graph.output[0].name: found}
    shaped = model.transform(InferShapes())
    for i, row in enumerate(x):
        expected = execute_onnx(shaped, {graph.input.name: row[None]})
        for name, values in found.items():
            np.testing.assert_allclose(values[i], expected[name].ravel(), rtol=1e-6, atol=atol)
    return network


def layered(graph: Graph, n_in: int, n_out: int = 3) -> None:
    graph.layer(Layer(RNG.integers(-8, 8, size=(n_in, n_out)) * 0.25, W4))


def start(shape) -> Graph:
    graph = Graph(shape)
    graph.quantize(Q6)
    return graph


def ints(graph, values):
    return graph.constant(values, np.int64)
