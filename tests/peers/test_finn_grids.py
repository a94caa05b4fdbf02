"""The grid of FINN's tests of its matrix-vector unit, on layers as sparse logic.

Only the numbers are FINN's: types of weights, inputs and activations, sizes. Each layer goes from a
QONNX file to the lowered operator graph.
"""

from __future__ import annotations

import numpy as np
import pytest

from finn_builds.ingest import split_host, tidy
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.interpret import evaluate
from tests.finn_builds.ingest.graphs import Quantizer, execute, mlp, random_layers
from tests.finn_builds.sparse.sparse_networks import on_stream

pytestmark = pytest.mark.peers

TYPES = {"BIPOLAR": Quantizer(1, 1.0), "INT2": Quantizer(2, 1.0), "INT4": Quantizer(4, 1.0)}
ACTIVATIONS = {"none": None, **TYPES, "UINT4": Quantizer(4, 1.0, signed=False)}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("inputs", TYPES)
@pytest.mark.parametrize(("n_in", "n_out"), [(16, 16), (16, 18), (32, 8), (1, 16), (16, 1)])
def test_matrix_vector(n_in, n_out, inputs, weights, activation, network_seed):
    rng = np.random.default_rng(network_seed)
    chosen = ACTIVATIONS[activation]
    if chosen is None:
        layers = random_layers(rng, [n_in, n_out], TYPES[weights], Quantizer(4))
    else:
        layers = random_layers(rng, [n_in, n_out, 3], TYPES[weights], chosen)
    network = split_host(tidy(mlp(layers, TYPES[inputs]))).network
    low, high = (-1, 1) if inputs == "BIPOLAR" else TYPES[inputs].limits()
    step = 2 if inputs == "BIPOLAR" else 1
    x = rng.choice(np.arange(low, high + 1, step), size=(64, n_in))
    expected = execute(mlp(layers, TYPES[inputs], batch=len(x)), x)
    found = network.execute(x)
    np.testing.assert_array_equal(found, np.rint(expected).astype(np.int64))
    compiled = compile_network(network, "grid", clock_ns=10.0)
    graph = evaluate(compiled.pipeline.graph, on_stream(x, network.input.datatype))
    np.testing.assert_array_equal(graph, on_stream(found, network.output.datatype))
