"""Layers of tables of a stack of models, forward and backward; those of `tables.TableEdges`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models.model.config import TABLE_RANGE, MLPConfig
from brevitas_models.model.tables import averaged, hats, slopes


@dataclass(frozen=True)
class SavedTables:
    """What the backward pass needs: rows (m, n_in * q, n_out), where clipped, and who read which.

    `index` are rows of all models' tables one after the other, int64 (m, n, n_in); `dropped` are
    the low bits of codes that each edge leaves out.
    """

    rows: Tensor
    inside: Tensor
    index: Tensor
    dropped: Tensor | None


class TableQuant:
    """One layer of tables for all models of a stack, with the quantiser of its entries."""

    def __init__(self, configs: Sequence[MLPConfig], layer: int) -> None:
        first = configs[0]
        self.n_in, self.n_out = first.layers[layer : layer + 2]
        self.codes = 2 ** first.input_widths[layer]
        self.signed = layer == 0 or first.activation == "hardtanh"
        self.lowest = -(self.codes // 2) if self.signed else 0
        self.knots, self.droppable = first.knots(layer), first.droppable(layer)
        self.hats = hats(self.knots, self.codes)
        last = layer == len(first.layers) - 2
        bits = torch.tensor([config.weight_widths[layer] for config in configs]).float()
        levels = 2.0 ** (bits - 1)[:, None, None]
        self.scale = TABLE_RANGE * (2 if last else 1) / levels
        self.low, self.high = -levels, levels - 1
        models = torch.arange(len(configs))[:, None, None] * (self.n_in * self.codes)
        self.first = models + torch.arange(self.n_in) * self.codes

    def forward(
        self, points: Tensor, codes: Tensor, dropped: Tensor | None = None
    ) -> tuple[Tensor, SavedTables]:
        """Return sums of entries (m, n, n_out), and what `backward` needs.

        Parameters
        ----------
        points : Tensor
            Flat, masked points of the lines (m, n_out * n_in * k).
        codes : Tensor
            Integers as float (m, n, n_in).
        dropped : Tensor or None
            Low bits of codes that each edge leaves out, int64 (m, n_out, n_in); None: none.
        """
        m = len(points)
        lines = points.view(m, self.n_out, self.n_in, self.knots)
        tables = torch.matmul(lines, self.hats)
        if dropped is not None:
            tables = averaged(tables, dropped, self.droppable)
        entries = tables.flatten(2).mT / self.scale
        whole = entries.round()
        inside = (whole >= self.low) & (whole <= self.high)
        rows = (torch.clamp(whole, self.low, self.high) * self.scale).contiguous()
        index = (codes - self.lowest).long() + self.first
        flat = F.embedding_bag(index.view(-1, self.n_in), rows.view(-1, self.n_out), mode="sum")
        return flat.view(m, -1, self.n_out), SavedTables(rows, inside, index, dropped)

    def backward(
        self, grad: Tensor, saved: SavedTables, with_codes: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradients of flat points and, if asked for, of codes.

        `grad` is that of the sums (m, n, n_out).
        """
        m, n, _ = grad.shape
        index = saved.index.flatten()
        spread = grad[:, :, None].expand(m, n, self.n_in, self.n_out)
        by_row = torch.zeros_like(saved.rows).view(-1, self.n_out)
        by_row = by_row.index_add(0, index, spread.reshape(-1, self.n_out)).view_as(saved.rows)
        by_row = by_row * saved.inside
        by_entry = by_row.mT.unflatten(2, (self.n_in, self.codes))
        if saved.dropped is not None:
            by_entry = averaged(by_entry, saved.dropped, self.droppable)
        by_point = torch.matmul(by_entry, self.hats.t()).flatten(1)
        if not with_codes:
            return by_point, None
        slope = slopes(saved.rows.unflatten(1, (self.n_in, self.codes))).reshape(-1, self.n_out)
        by_code = (slope.index_select(0, index).view_as(spread) * grad[:, :, None]).sum(3)
        return by_point, by_code
