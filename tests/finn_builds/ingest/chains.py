"""Networks of one or two layers with any nodes between, and how the build computes them."""

import numpy as np

from tests.finn_builds.ingest.graphs import GENERAL, Graph, Layer, Quantizer, execute
from tests.finn_builds.ingest.integers import taken

RNG = np.random.default_rng(11)
Q4 = Quantizer(4, 0.5)
U3 = Quantizer(3, 0.25, signed=False)


def chain(*middle, n=4, opset=13):
    """Return a network of two layers with nodes of (op, constants, attrs) before the second.

    The second layer has weights for `n` inputs; the first gives 4.
    """
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 4)) * 0.5, Q4))
    for op, constants, attrs in middle:
        graph.add(op, *constants, **attrs)
    graph.layer(Layer(RNG.integers(-8, 8, size=(n, 2)) * 0.5, Q4))
    return graph.model((1, 2), opset=opset)


QUANT = ("Quant", (0.5, 0.0, 4.0), {"domain": GENERAL, "signed": 1, "narrow": 0})


def run_all(model, x):
    """Return what the build's own chain of stages gives for raw frames."""
    network, host = taken(model)
    return host.after(network.execute(host.before(x)))


def assert_same(model, x, shape=None):
    """Compare with qonnx executing the model as it is, frame by frame."""
    expected = np.concatenate([execute(model, row.reshape(shape or (1, -1))) for row in x])
    np.testing.assert_array_equal(run_all(model, x), expected)


def frames(n=4, count=12):
    """Return random raw frames, float32 (count, n)."""
    return (RNG.integers(-40, 40, size=(count, n)) / 8).astype(np.float32)
