"""All figures of a trained model in one dictionary, as checkpoints and tables record them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brevitas_models.metrics.accuracy import accuracy_figures
from brevitas_models.metrics.cost import network_bops, weight_bits
from brevitas_models.metrics.information import aiq, geometric_mean, neural_efficiency
from brevitas_models.metrics.roc import background_efficiency, probabilities, roc_auc
from brevitas_models.model.quant_mlp import QuantMLP

Labels = npt.NDArray[np.int64]


@torch.no_grad()
def measure(
    model: QuantMLP,
    x: Tensor,
    truth: Labels,
    class_names: Sequence[str],
    teacher: npt.NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Return all figures of a model, measured on frames that it has not seen.

    `x` are standardised features (n, n_in), `truth` true classes (n,), `teacher` a teacher's
    probabilities (n, n_classes). The model is left in evaluation mode.
    """
    logits = model.eval()(x).numpy()
    scores = score_figures(truth, probabilities(logits), class_names)
    return {
        **accuracy_figures(truth, logits.argmax(axis=1), teacher),
        **scores,
        **cost_figures(model, x, scores["auc"]),
    }


def score_figures(
    truth: Labels, scores: npt.NDArray[np.float64], class_names: Sequence[str]
) -> dict[str, float]:
    """Return how well the classes are separated.

    That is, of true classes (n,) and scores (n, n_classes): ``auc`` and ``background_efficiency``
    (at a signal efficiency of 50 %), means over the classes that have frames; ``auc_<class>`` and
    ``background_efficiency_<class>``.
    """
    figures: dict[str, float] = {}
    for name, values in (
        ("auc", roc_auc(truth, scores)),
        ("background_efficiency", background_efficiency(truth, scores)),
    ):
        known = values[np.isfinite(values)]
        figures[name] = float(known.mean()) if len(known) else float("nan")
        figures |= {
            f"{name}_{label}": float(value)
            for label, value in zip(class_names, values, strict=True)
        }
    return figures


def cost_figures(model: QuantMLP, x: Tensor, auc: float | None) -> dict[str, float]:
    """Return what a model costs and how much of itself it uses.

    That is ``bops`` with the width of the input quantiser and ``bops_32bit_input`` as Hawks et al.
    (2021) count; ``remaining_weights``; ``weight_bits``; ``neural_efficiency`` of the network and,
    counted from 1, of each layer (``neural_efficiency_1`` ...); ``aiq``, where there is an `auc`.
    The states of the neurons are counted on `x`, standardised features (n, n_in).
    """
    masks = model.masks()
    layers = neural_efficiency(model, x)
    efficiency = geometric_mean(layers)
    return {
        "bops": network_bops(model.config, masks),
        "bops_32bit_input": network_bops(model.config, masks, input_bits=32),
        "remaining_weights": sum(int(mask.sum()) for mask in masks),
        "weight_bits": weight_bits(model.config, masks),
        "neural_efficiency": efficiency,
        **{f"neural_efficiency_{index}": value for index, value in enumerate(layers, 1)},
        **({} if auc is None else {"aiq": aiq(auc, efficiency)}),
    }


def figure_lines(figures: dict[str, float], *, physics: bool = True) -> list[str]:
    """Return the figures of `score_figures` and `cost_figures` as lines for people.

    Without `physics` those are left out that only people who tag jets ask for.
    """
    curves = f"mean AUC {figures['auc']:.3f}" if "auc" in figures else ""
    if curves and physics:
        curves += (
            f", background efficiency at 50 % signal efficiency "
            f"{figures['background_efficiency']:.2%}, neural efficiency "
            f"{figures['neural_efficiency']:.3f}, aIQ {figures['aiq']:.3f}"
        )
    return [
        *([curves] if curves else []),
        f"{figures['remaining_weights']:,.0f} edges left (a weight or a table each), "
        f"{figures['weight_bits']:,.0f} bits, "
        f"{figures['bops']:,.0f} BOPs ({figures['bops_32bit_input']:,.0f} with 32-bit inputs)",
    ]
