"""Random graphs of operators, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest

from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer
from tests.finn_builds.ingest.operators.operator_checks import (
    check,
    ints,
)


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs(seed):
    """Graphs of up to twelve nodes with forks and joins, widths of 1 to 16 bits."""
    rng = np.random.default_rng(seed)
    graph = Graph((1, 4))
    graph.quantize(Quantizer(int(rng.integers(1, 17)), 2.0 ** int(rng.integers(-6, 1))))
    tensors = [(graph.current, 4)]
    for _ in range(int(rng.integers(1, 10))):
        name, n = tensors[-1 - int(rng.integers(0, min(2, len(tensors))))]
        graph.current = name
        kind = rng.choice(["layer", "quant", "relu", "add", "square", "concat", "slice"])
        if kind == "layer":
            bits = int(rng.integers(1, 9))
            scale = 2.0 ** -int(rng.integers(0, 5))
            weights = rng.integers(-(1 << bits), 1 << bits, size=(n, m := int(rng.integers(1, 5))))
            graph.layer(Layer(weights * scale, Quantizer(bits + 1, scale)))
            n = m
        elif kind == "relu":
            graph.add("Relu")
            graph.quantize(Quantizer(int(rng.integers(2, 13)), 0.25, signed=False))
        elif kind == "add":
            others = [t for t, size in tensors if size == n]
            graph.add(str(rng.choice(["Add", "Sub", "Max"])), str(rng.choice(others)))
        elif kind == "square":
            graph.quantize(Quantizer(int(rng.integers(2, 9)), 0.5))
            graph.add("Mul", graph.current)
        elif kind == "concat":
            other, size = tensors[int(rng.integers(0, len(tensors)))]
            graph.current = graph.side("Concat", [name, other], axis=1)
            n += size
        elif kind == "slice" and n > 1:
            graph.add("Slice", ints(graph, [1]), ints(graph, [n]), ints(graph, [1]))
            n -= 1
        graph.quantize(
            Quantizer(
                int(rng.integers(1, 17)),
                2.0 ** int(rng.integers(-4, 3)),
                rounding=str(rng.choice(["ROUND", "FLOOR", "HALF_UP", "UP", "CEIL", "DOWN"])),
            )
        )
        tensors.append((graph.current, n))
    check(graph, (1, 4))
