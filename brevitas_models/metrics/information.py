"""How much of its neurons a network uses: neural efficiency and artificial intelligence quotient.

Source: Schaub and Hotaling, "Assessing Intelligence in Artificial Neural Networks" (2020), arXiv
2006.02909; as used by Hawks et al., "Ps and Qs" (2021), arXiv 2102.11289, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brevitas_models.model.quant_mlp import QuantMLP


def state_entropy(active: npt.NDArray[np.bool_]) -> float:
    """Return the entropy, in bits, of the states that a layer takes.

    A state is a row of `active` (n, size), which says what neurons are active in a frame; its
    probability is the share of frames in it. The entropy is at most log2 n, whatever the layer.
    """
    packed = np.ascontiguousarray(np.packbits(active, axis=1))
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    counts = np.unique(rows, return_counts=True)[1]
    share = counts / counts.sum()
    return float(max(-(share * np.log2(share)).sum(), 0.0))


def layer_efficiency(preactivation: npt.ArrayLike) -> float:
    """Return entropy per neuron, 0..1, of a layer's pre-activations (n, size).

    A neuron is active where its pre-activation is above 0.
    """
    active = np.asarray(preactivation) > 0
    return state_entropy(active) / active.shape[1]


@torch.no_grad()
def neural_efficiency(model: QuantMLP, x: Tensor) -> list[float]:
    """Return the efficiency of each layer, input side first, the layer of classes included.

    What is looked at is the output of BatchNorm, or of the Linear layer where there is none or it
    is folded in. With standardised features `x` (n, n_in), figures of different n can't be
    compared, since no entropy is above log2 n. The model is left in evaluation mode.
    """
    model.eval()
    x = model.quantised_inputs(x)
    seen, found = [x], []
    for index, (norm, act) in enumerate(zip(model.norms, model.acts, strict=True)):
        z = norm(model.preactivation(index, x))
        found.append(layer_efficiency(z.numpy()))
        x = model.joined(act(z), seen)
    return [*found, layer_efficiency(model.preactivation(len(model.acts), x).numpy())]


def geometric_mean(efficiencies: Sequence[float]) -> float:
    """Return the efficiency of a network with layers of these; 0 if any of them is 0."""
    values = np.asarray(efficiencies, np.float64)
    return float(np.exp(np.log(values).mean())) if (values > 0).all() else 0.0


def aiq(performance: float, efficiency: float) -> float:
    """Return the artificial intelligence quotient, ``(performance^2 efficiency)^(1/3)``.

    `performance` is the mean area under the ROC curves (Hawks et al. 2021); all are 0..1.
    """
    return float((performance**2 * efficiency) ** (1 / 3))
