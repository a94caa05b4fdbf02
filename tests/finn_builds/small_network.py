"""A network that is built in seconds, for tests of whole builds."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.finn_builds.ingest.graphs import Quantizer, mlp, random_layers

SIZES = [6, 8, 5, 3]


def save_small_network(path: Path) -> Path:
    """Write the QONNX file of a 6-8-5-3 network, 3-bit weights, 2-bit activations, 4-bit input."""
    rng = np.random.default_rng(4)
    layers = random_layers(
        rng, SIZES, Quantizer(3, 0.25), Quantizer(2, 1.5, signed=False), relu=True
    )
    # Scores must be allowed to be negative: no activation behind the last layer.
    layers[-1] = replace(layers[-1], relu=False, bias=rng.normal(size=3).astype(np.float32))
    mlp(layers, Quantizer(4, 0.5)).save(str(path))
    return path
