"""What each edge of a network costs in LUTs: by a rule, or by a function that the caller passes in.

An edge is a table over the codes that may come in; a weight is the table of its multiples. So one
function prices tables and weights alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.tables import TableEdges
from brevitas_models.pruning.digits import integer_weights, signed_digit_counts

# Takes integer tables of edges (edges, codes); returns what each costs (edges,).
EdgeLuts = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]

# Takes a QONNX file; returns the estimated LUTs of each layer with its activation.
LayerLuts = Callable[[Path], Sequence[int]]


@dataclass(frozen=True)
class Luts:
    """Functions of the build side that say what hardware costs; None: the rules of this package."""

    layers: LayerLuts | None = None
    edges: EdgeLuts | None = None


RULES = Luts()

# LUTs of a table for each bit of its entries, by the width of the codes: a LUT of six inputs gives
# two functions of the same five, and a multiplexer joins two of them.
LUTS_PER_BIT = {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5, 5: 0.5, 6: 1.0, 7: 2.0, 8: 4.0}
# LUTs of adding an entry to the others, for each of its bits, where adders take three operands.
LUTS_PER_ADDED_BIT = 0.65


def entry_bits(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bits that differ among the entries of each table (edges, codes): (edges,).

    A constant part of a table costs nothing, for it moves into what comes after the sum.
    """
    span = tables.max(1) - tables.min(1)
    found: npt.NDArray[np.int64] = np.ceil(np.log2(span + 1.0)).astype(np.int64)
    return found


def table_luts(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return what tables (edges, codes) cost by the rule: look-up and addition, (edges,)."""
    code_bits = int(tables.shape[1] - 1).bit_length()
    each = LUTS_PER_BIT.get(code_bits, 2.0 ** (code_bits - 6)) + LUTS_PER_ADDED_BIT
    return entry_bits(tables) * each


@torch.no_grad()
def edge_prices(model: QuantMLP, edge_luts: EdgeLuts | None = None) -> list[Tensor]:
    """Return the LUTs that each edge of a model costs, float (n_out, n_in) of each layer.

    Pruned edges and those that are constant cost nothing. Without `edge_luts` tables cost
    `table_luts`, and a weight an addition as wide as its input for each of its signed digits.
    """
    found = []
    layers = zip(model.linears, integer_weights(model), model.config.input_widths, strict=True)
    for index, (layer, whole, bits) in enumerate(layers):
        if isinstance(layer, TableEdges):
            tables = whole.flatten(0, 1).numpy().astype(np.int64)
            luts = (edge_luts or table_luts)(tables)
        elif edge_luts is not None:
            lowest = -(2 ** (bits - 1)) if index == 0 or model.config.signed_acts else 0
            codes = lowest + np.arange(2**bits)
            luts = edge_luts(np.outer(whole.numpy().astype(np.int64), codes))
        else:
            luts = signed_digit_counts(whole).flatten().numpy() * float(bits)
        price = torch.from_numpy(np.asarray(luts, np.float64)).view(layer.mask.shape)
        found.append(torch.where(layer.mask, price, 0.0).float())
    return found


def live_masks(masks: Sequence[Tensor]) -> list[Tensor]:
    """Return masks without the edges of neurons that nothing reads, or that read nothing.

    The edges of classes stay whatever they read, and those of features whoever reads them.
    """
    found = [mask.clone() for mask in masks]
    for layer in reversed(range(len(found) - 1)):
        found[layer] &= found[layer + 1].any(0)[:, None]
    for layer in range(1, len(found)):
        found[layer] &= found[layer - 1].any(1)[None, :]
    return found


def total_luts(prices: Sequence[Tensor]) -> float:
    """Return the sum of prices."""
    return sum(float(price.sum()) for price in prices)


def masks_within(scores: Sequence[Tensor], prices: Sequence[Tensor], budget: float) -> list[Tensor]:
    """Return masks that keep the edges of the largest scores whose prices fit into a budget.

    Scores and prices are of each layer, (n_out, n_in); edges that are pruned have scores below 0
    and stay pruned. The budget is what the kept edges may cost together, in LUTs.
    """
    flat = torch.cat([score.flatten() for score in scores])
    price = torch.cat([price.flatten() for price in prices]).double()
    order = torch.argsort(flat, descending=True, stable=True)
    kept = torch.zeros(len(flat), dtype=torch.bool)
    kept[order] = (price[order].cumsum(0) <= budget) & (flat[order] >= 0)
    parts = kept.split([score.numel() for score in scores])
    masks = [part.view(score.shape) for part, score in zip(parts, scores, strict=True)]
    return live_masks(masks)
