"""Networks as integers: the streamlined model with its host model, its reference, its inputs."""

import numpy as np

from deploy.host_model import HostModel
from finn_builds.ingest import (
    Reference,
    host_description,
    split_host,
    tidy,
    to_thresholds,
)
from tests.finn_builds.ingest.graphs import (
    Quantizer,
    mlp,
)


def built(layers, input_quantizer):
    """Return the streamlined model, its host model and the reference."""
    tidied = tidy(mlp(layers, input_quantizer))
    streamlined = to_thresholds(split_host(tidied))
    return streamlined, HostModel.from_dict(host_description(streamlined)), Reference(tidied)


def to_codes(host, levels):
    """Return the accelerator's integers for levels of the input quantizer."""
    codes = host.to_dict()["codes"]
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
