"""Models as integer networks, with their host model, their reference and inputs for them."""

import numpy as np

from deploy.host_model import HostModel
from finn_builds.ingest import InputQuant, Reference, split_host, tidy
from finn_builds.network import IntegerNetwork, Layer
from tests.finn_builds.ingest.graphs import Quantizer, mlp


def taken(model, input_quant: InputQuant | None = None) -> tuple[IntegerNetwork, HostModel]:
    """Return the integer network and the host model of a QONNX model."""
    split = split_host(tidy(model), input_quant=input_quant)
    return split.network, split.host


def built(layers, input_quantizer) -> tuple[IntegerNetwork, HostModel, Reference]:
    """Return the integer network of an MLP, its host model and the reference."""
    model = tidy(mlp(layers, input_quantizer))
    split = split_host(model)
    return split.network, split.host, Reference(model, split)


def thresholds(layer: Layer) -> np.ndarray:
    """Return the thresholds of a layer for what its accumulators can reach, (n_out, steps)."""
    return layer.requantise.form.thresholds(layer.accumulators.low, layer.accumulators.high)


def to_codes(host, levels):
    """Return the accelerator's integers for levels of the input quantizer."""
    codes = host.to_dict()["inputs"][0]["codes"]
    return levels // codes["divisor"] + codes["zero_point"]


def codes_for(quantizer: Quantizer, n: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Return random levels (zero point taken off) with the corners of the range among them."""
    if quantizer.signed and quantizer.bits == 1:
        low, high, step = -1, 1, 2
    else:
        (low, high), step = quantizer.limits(), 1
    x = low + step * rng.integers(0, (high - low) // step + 1, size=(frames, n))
    x[0], x[1] = low, high
    return x - int(quantizer.zero_point)


def batch_norm(gamma, beta, mean, var):
    """Return the parameters of a BatchNormalization in float32."""
    return tuple(np.asarray(p, dtype=np.float32) for p in (gamma, beta, mean, var))
