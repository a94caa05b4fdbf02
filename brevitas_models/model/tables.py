"""Layers whose edges are tables: any function of a code, an own one for each edge.

A neuron adds one table entry for each of its inputs. While training a table is a broken line over
the codes, so that entries of rare codes follow from those of their neighbours; entries are
quantised one by one. In hardware an edge then is a few look-up tables, whatever its shape. The form
is that of Kolmogorov-Arnold networks on look-up tables: Hoang, Gupta and Harris, "KANELE" (2025),
arXiv 2512.12850.
"""

from __future__ import annotations

import math
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from brevitas.inject import ExtendedInjector
from torch import Tensor, nn
from torch.nn.utils import parametrize

from brevitas_models.model.layers import Mask

# Deviation of what is added at random to every point of an initial line, beside its slope.
ROUGHNESS = 0.02
# Deviation of initial sums, for codes spread evenly: inside the range of an activation, which is 3.
SPREAD = 1.2


class Lines(nn.Module):
    """Parametrisation: points of broken lines (n_out, n_in, k) to table entries (n_in * q, n_out).

    Row ``i * q + c`` holds what the c-th code of input i gives each neuron.
    """

    hats: Tensor
    dropped: Tensor | None

    def __init__(self, knots: int, codes: int, edges: tuple[int, int], droppable: int) -> None:
        super().__init__()
        self.droppable = droppable
        self.register_buffer("hats", hats(knots, codes), persistent=False)
        none = torch.zeros(edges, dtype=torch.int64)
        self.register_buffer("dropped", none if droppable else None)

    def forward(self, points: Tensor) -> Tensor:
        """Return the entries, not quantised."""
        return self.narrowed(points, 0)

    def narrowed(self, points: Tensor, least: int) -> Tensor:
        """Return the entries with `least` low bits of the codes, or more, left out everywhere."""
        entries = torch.matmul(points, self.hats)
        if self.dropped is not None:
            entries = averaged(entries, self.dropped.clamp_min(least), self.droppable)
        return entries.flatten(1).t()


def averaged(entries: Tensor, dropped: Tensor, most: int) -> Tensor:
    """Return tables that do not depend on low bits of their codes: means of each block of codes.

    Entries are (..., q), and `dropped`, int64 (...), says how many bits of each table, 0..most. It
    is a projection, so the gradient of the entries is this function of that of the result.
    """
    found = entries
    for bits in range(1, most + 1):
        blocks = entries.unflatten(-1, (-1, 2**bits))
        means = blocks.mean(-1, keepdim=True).expand_as(blocks).flatten(-2)
        found = torch.where(dropped[..., None] == bits, means, found)
    return found


def hats(knots: int, codes: int) -> Tensor:
    """Return the share (knots, codes) that each point of a broken line has in each entry."""
    if knots == codes:
        return torch.eye(codes)
    at = torch.arange(codes) * ((knots - 1) / (codes - 1))
    return (1.0 - (at - torch.arange(knots)[:, None]).abs()).clamp_min(0.0)


class TableEdges(qnn.QuantEmbedding):
    """Brevitas' QuantEmbedding with a row for every code of every input; a frame's rows are added.

    Parameters
    ----------
    n_in, n_out : int
    code_bits : int
        Width of the input's codes.
    signed : bool
        Whether codes are signed: they start at -2^(code_bits - 1), else at 0.
    knots : int
        Points of each broken line.
    droppable : int
        How many low bits of its codes an edge may leave out.
    """

    scale_in_training = True

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        code_bits: int,
        signed: bool,
        knots: int,
        bias: bool,
        weight_quant: type[ExtendedInjector],
        droppable: int = 0,
    ) -> None:
        codes = 2**code_bits
        super().__init__(n_in * codes, n_out, weight_quant=weight_quant)
        self.in_features, self.out_features, self.codes = n_in, n_out, codes
        self.lowest = -codes // 2 if signed else 0
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        slopes = torch.randn(n_out, n_in, 1) * (SPREAD * math.sqrt(3.0 / n_in))
        points = slopes * torch.linspace(-1.0, 1.0, knots)
        self.weight = nn.Parameter(points + ROUGHNESS * torch.randn(n_out, n_in, knots))
        parametrize.register_parametrization(self, "weight", Mask(self.weight.shape))
        # Unsafe: the shape changes.
        lines = Lines(knots, codes, (n_out, n_in), droppable)
        parametrize.register_parametrization(self, "weight", lines, unsafe=True)

    @property
    def learnt(self) -> Tensor:
        """The points of all lines (n_out, n_in, k), zero where the edge is pruned."""
        points: Tensor = self.parametrizations.weight[0](  # type: ignore[union-attr,index]
            self.parametrizations.weight.original  # type: ignore[union-attr]
        )
        return points

    @property
    def mask(self) -> Tensor:
        """The mask, bool (n_out, n_in): false where the edge is pruned."""
        return self.parametrizations.weight[0].keep[:, :, 0]  # type: ignore[union-attr,index]

    def set_mask(self, mask: Tensor) -> None:
        """Prune the edges where `mask`, bool (n_out, n_in), is false, and only those."""
        self.parametrizations.weight[0].keep.copy_(mask[:, :, None])  # type: ignore[union-attr,index]

    @property
    def lines(self) -> Lines:
        """What makes entries of the points of lines."""
        return self.parametrizations.weight[1]  # type: ignore[union-attr,index,return-value]

    def drop(self, bits: Tensor) -> None:
        """Let each edge leave out that many low bits of its codes, or more: int64 (n_out, n_in)."""
        if self.lines.dropped is not None:
            self.lines.dropped.copy_(torch.maximum(bits, self.lines.dropped))

    def narrowed(self, least: int) -> Tensor:
        """Return the quantised table of each edge, (n_out, n_in, q), were its codes narrower.

        No edge reads the `least` low bits of its codes then; those that read fewer go on so.
        """
        return self.tables(self.quantized(self.lines.narrowed(self.learnt, least)))

    def whole(self, least: int) -> Tensor:
        """Return what `narrowed` does in integers, as float."""
        quantised = self.weight_quant(self.lines.narrowed(self.learnt, least))
        return self.tables(torch.round(quantised.value / quantised.scale.reshape(())) + 0.0)

    def sizes(self) -> Tensor:
        """Return how much each edge moves its neuron: deviation over all codes (n_out, n_in)."""
        tables = self.tables(self.quantized(self.weight).detach())
        return tables.std(2, correction=0)

    def tables(self, rows: Tensor) -> Tensor:
        """Return rows (n_in * q, n_out) as the table of each edge, (n_out, n_in, q)."""
        return rows.view(self.in_features, self.codes, self.out_features).permute(2, 0, 1)

    def quantized(self, weight: Tensor) -> Tensor:
        """Return entries quantised, as float values."""
        value: Tensor = self.weight_quant(weight).value
        return value

    def integers(self, in_scale: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return what the layer computes with in evaluation, scales apart.

        The output is ``rows[index].sum(1) * scale + offset``, operations in this order.

        Returns
        -------
        rows : Tensor
            (n_in * q, n_out), integers as float32.
        scale : Tensor
            Of the sum, shape ().
        offset : Tensor or None
            (n_out,).
        """
        quantised = self.weight_quant(self.weight)
        scale = quantised.scale.reshape(())
        return torch.round(quantised.value / scale) + 0.0, scale, self.bias

    def index(self, codes: Tensor) -> Tensor:
        """Return the rows, int64 (n, n_in), of integer codes (n, n_in) float."""
        first = torch.arange(self.in_features) * self.codes
        return (codes - self.lowest).long() + first

    def forward(self, x: Tensor, in_scale: Tensor) -> Tensor:
        """Return the pre-activation (n, n_out) of a quantised input (n, n_in) of this scale, ()."""
        if self.training:
            return self.with_batch_statistics(x, in_scale)
        rows, scale, offset = self.integers(in_scale)
        index = self.index(torch.round(x / in_scale))
        total = F.embedding_bag(index, rows, mode="sum") * scale
        return total if offset is None else total + offset

    def with_batch_statistics(self, x: Tensor, in_scale: Tensor) -> Tensor:
        """Return the pre-activation; there are no statistics."""
        total: Tensor = _Lookup.apply(
            x / in_scale, self.quantized(self.weight), self.lowest, self.codes
        )
        return total if self.bias is None else total + self.bias


def slopes(tables: Tensor) -> Tensor:
    """Return the slope of tables (..., q, n_out) at each code, per code.

    Half the difference of the entries on both sides; at an end, the difference of the last two.
    """
    middle = (tables[..., 2:, :] - tables[..., :-2, :]) * 0.5
    first = tables[..., 1:2, :] - tables[..., :1, :]
    last = tables[..., -1:, :] - tables[..., -2:-1, :]
    return torch.cat([first, middle, last], -2)


class _Lookup(torch.autograd.Function):
    """Sum of table entries; the gradient of a code is the slope of its tables there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, lowest: int, codes: int) -> Tensor:
        """Add the rows (n_in * codes, n_out) of codes x (n, n_in): (n, n_out)."""
        n_in = x.shape[1]
        index = (torch.round(x) - lowest).long() + torch.arange(n_in) * codes
        ctx.save_for_backward(index, rows)
        ctx.codes = codes
        return F.embedding_bag(index, rows, mode="sum")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of codes and rows."""
        index, rows = ctx.saved_tensors
        n, n_in = index.shape
        slope = slopes(rows.view(n_in, ctx.codes, -1)).reshape(rows.shape)
        by_code = (slope[index] * grad[:, None]).sum(2)
        spread = grad[:, None].expand(n, n_in, -1).reshape(n * n_in, -1)
        by_row = torch.zeros_like(rows).index_add_(0, index.flatten(), spread)
        return by_code, by_row, None, None
