"""An autoencoder with its anomaly score and a trigger bit, as a module and as QONNX.

A `QuantMLP` gives back its own input from fewer numbers; frames unlike those it has learned from
come back worse. The score is the sum over the features of the squared difference between the
integer that the input quantiser gives and the integer that the reconstruction becomes in the same
quantiser. The trigger bit is 1 where the score is above a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from brevitas_models.errors import UserError
from brevitas_models.model.config import FLOAT_BITS, MLPConfig
from brevitas_models.model.export import Deployed, Quantised, write_graph
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.quantizers import unit_act_quantizer

OUTPUTS = ("score", "trigger")


class Autoencoder(nn.Module):
    """A network from features to features, judged by how well it gives back its input.

    Attributes
    ----------
    network : QuantMLP
        Its first and last size are equal, its inputs are quantised with 2 bits or more. It gives
        the reconstruction in the units of its quantised inputs.
    threshold : int
        The trigger bit is 1 for scores above it.
    """

    def __init__(self, network: QuantMLP, threshold: int = 0) -> None:
        super().__init__()
        check(network.config)
        self.network = network
        self.threshold = threshold

    def codes(self, features: Tensor) -> Tensor:
        """Return the integers (n, n_in) of standardised features, as floats."""
        return torch.round(self.network.quantised_inputs(features) / self._step())

    def score(self, features: Tensor) -> Tensor:
        """Return the anomaly score (n, 1), a whole number, of standardised features (n, n_in)."""
        again = self.network.input_quant(self.network(features))
        difference = self.codes(features) - torch.round(again / self._step())
        return (difference * difference).sum(1, keepdim=True)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return score and trigger bit, each (n, 1), of standardised features (n, n_in)."""
        score = self.score(features)
        return score, (score > self.threshold).float()

    def loss(self, features: Tensor) -> Tensor:
        """Return the mean square of what the float reconstruction is off, in steps; shape ()."""
        wanted = self.network.quantised_inputs(features)
        return ((self.network(features) - wanted) / self._step()).square().mean()

    def _step(self) -> Tensor:
        step = self.network.input_scale(0)
        assert step is not None
        return step.detach()


def check(config: MLPConfig) -> None:
    """Raise UserError for a network that is not an autoencoder of integers."""
    if config.layers[0] != config.layers[-1]:
        raise UserError(
            f"network.layers: an autoencoder gives as many numbers as it takes, found "
            f"{config.layers[0]} inputs and {config.layers[-1]} outputs; make them equal"
        )
    if config.input_bits in (1, FLOAT_BITS):
        raise UserError(
            f"network.input_bits: an autoencoder compares integers of 2 bits or more, found "
            f"{config.input_bits}; choose 2 to 16"
        )


def export_qonnx(model: Autoencoder, info: Mapping[str, Any], path: str | Path) -> Path:
    """Write an autoencoder as QONNX; returns `path`.

    The graph takes ``features`` (1, n_in) float32, raw, and gives ``score`` and ``trigger``, each
    (1, 1) float32. `info` is as of `model.export.export_qonnx`.
    """
    return write_graph(_Scored(model, info), info, path, OUTPUTS)


class _Scored(nn.Module):
    """An autoencoder in evaluation mode, made of unit quantisers and constants."""

    def __init__(self, model: Autoencoder, info: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = Deployed(model.network, info)
        quantiser = unit_act_quantizer(model.network.config.input_bits, signed=True)
        self.again = Quantised(qnn.QuantIdentity(quantiser), model.network.input_scale(0))
        self.threshold = nn.Buffer(torch.tensor(float(model.threshold)))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.network.codes(features)
        difference = codes - self.again(self.network.after(codes))
        # As Pow: renaming in qonnx loses one of two equal inputs of a node.
        score = difference.pow(2).sum(1, keepdim=True)
        return score, (score > self.threshold).float()
