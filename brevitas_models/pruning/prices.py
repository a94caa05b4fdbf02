"""What each edge of a network costs in LUTs: by a rule, or by a function that the caller passes in.

An edge is a table over the codes that may come in; a weight is the table of its multiples. So one
function prices tables and weights alike.
"""

from __future__ import annotations

import math
import sys
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

# LUTs of adding an entry to the others, for each of its bits, where adders take three operands.
LUTS_PER_ADDED_BIT = 0.65
# Halvings in the search for the rate at which losses are worth their LUTs, and the logarithm of how
# many times smaller than the highest it may be.
BISECTIONS, LOWEST_RATE = 60, 50.0


def entry_bits(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bits that differ among the entries of each table (edges, codes): (edges,).

    A constant part of a table costs nothing, for it moves into what comes after the sum.
    """
    span = tables.max(1) - tables.min(1)
    found: npt.NDArray[np.int64] = np.ceil(np.log2(span + 1.0)).astype(np.int64)
    return found


def read_bits(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many bits of its codes each table (edges, codes) depends on: (edges,)."""
    edges, codes = tables.shape
    found = np.zeros(edges, np.int64)
    for bit in range(int(codes - 1).bit_length()):
        pairs = tables.reshape(edges, -1, 2, 1 << bit)
        found += (pairs[:, :, 0] != pairs[:, :, 1]).any((1, 2))
    return found


def table_luts(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return what tables (edges, codes) cost by the rule: look-up and addition, (edges,).

    For each bit of its entries a table takes a LUT if it depends on six bits of its code, and half
    a one if on fewer, for a LUT gives two functions of the same five. A multiplexer joins two LUTs
    for seven bits.
    """
    each = np.maximum(0.5, 2.0 ** (read_bits(tables) - 6.0)) + LUTS_PER_ADDED_BIT
    return entry_bits(tables) * each


@torch.no_grad()
def edge_prices(model: QuantMLP, edge_luts: EdgeLuts | None = None) -> list[Tensor]:
    """Return the LUTs that each edge of a model costs, float (n_out, n_in) of each layer.

    Pruned edges and those that are constant cost nothing. Without `edge_luts` tables cost
    `table_luts`, and a weight an addition as wide as its input for each of its signed digits.
    """
    whole = integer_weights(model)
    return [_layer_prices(model, layer, edges, edge_luts) for layer, edges in enumerate(whole)]


@torch.no_grad()
def option_prices(model: QuantMLP, edge_luts: EdgeLuts | None = None) -> list[Tensor]:
    """Return what the edges cost in each way to have them, (options, n_out, n_in) of each layer.

    The options are those of `saliency.option_losses`; prices are those of `edge_prices`.
    """
    found = []
    for layer, price in enumerate(edge_prices(model, edge_luts)):
        options = [torch.zeros_like(price), price]
        for bits in range(1, model.config.droppable(layer) + 1):
            tables = integer_weights(model, bits)[layer]
            options.append(_layer_prices(model, layer, tables, edge_luts))
        found.append(torch.stack(options))
    return found


def _layer_prices(model: QuantMLP, index: int, whole: Tensor, edge_luts: EdgeLuts | None) -> Tensor:
    layer, bits = model.linears[index], model.config.input_widths[index]
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
    return torch.where(layer.mask, price, 0.0).float()


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


def options_within(
    losses: Sequence[Tensor], prices: Sequence[Tensor], budget: float
) -> list[Tensor]:
    """Return the option of each edge with which the loss is least within a budget of LUTs.

    Losses and prices are (options, n_out, n_in) of each layer; infinite losses are ruled out, and
    option 0, which costs nothing, is to be without the edge. The options are int64 (n_out, n_in).
    Each edge takes the option with the least loss + rate * price, and the least rate is found with
    which all fit. No other choice at this sum of prices loses less: Everett, "Generalized Lagrange
    multiplier method" (1963), Operations Research 11, 399. Of equal ones the cheaper is taken.
    """
    most = max(len(each) for each in losses)
    loss = torch.cat([_flat(each, most, math.inf) for each in losses], 1)
    price = torch.cat([_flat(each, most, 0.0) for each in prices], 1)

    def chosen(rate: float) -> Tensor:
        return (loss + rate * price).argmin(0)

    def costs(options: Tensor) -> float:
        return float(price.gather(0, options[None]).sum())

    options = chosen(0.0)
    if costs(options) > budget:
        # At the highest rate every edge is gone that costs anything.
        cheapest = torch.where((price > 0) & loss.isfinite(), price, math.inf).amin(0)
        highest = 2.0 * float((loss[0] / cheapest).max()) + sys.float_info.min
        low, high = math.log(highest) - LOWEST_RATE, math.log(highest)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2.0
            fits = costs(chosen(math.exp(middle))) <= budget
            low, high = (low, middle) if fits else (middle, high)
        options = chosen(math.exp(high))
    parts = options.split([each[0].numel() for each in losses])
    return [part.view(each.shape[1:]) for part, each in zip(parts, losses, strict=True)]


def _flat(options: Tensor, count: int, missing: float) -> Tensor:
    """Return the values (k, n_out, n_in) of options of a layer as (count, n_out * n_in)."""
    flat = options.flatten(1).double()
    return torch.cat([flat, torch.full((count - len(flat), flat.shape[1]), missing).double()])
