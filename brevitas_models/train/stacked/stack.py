"""The buffers of a stack of models, and the models' own tensors as views of them.

Once stacked, each `QuantMLP` goes on working: its parameters, masks and statistics are views of the
stack's buffers, so what the stack learns is what the model evaluates, saves and exports, and masks
set on the model are those that the stack trains with.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn

from brevitas_models.model.config import MLPConfig
from brevitas_models.model.layers import Norm
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.quantizers import tensor_quantizer
from brevitas_models.train.stacked.weights import kind_of


def stackable(config: MLPConfig) -> Hashable:
    """Return a key: networks of equal keys can be trained in one stack.

    Everything that decides which operations are made is in it; bit widths of integer quantisers
    are not, they are only numbers.
    """
    return (
        config.layers,
        tuple(kind_of(bits) for bits in config.weight_widths),
        tuple(kind_of(bits) for bits in config.act_widths),
        kind_of(config.input_bits) == "float",
        config.batch_norm,
        config.scale,
        config.weight_scale,
        config.activation,
        config.narrow_range,
        config.bias,
        config.fold_batch_norm,
        config.input_ranges,
        config.edge_kinds,
        config.code_widths,
        config.skip,
        tuple((config.outputs or {}).items()),
        # Tables of different numbers of codes have different shapes.
        tuple(
            (config.input_widths[layer], config.knots(layer))
            for layer, kind in enumerate(config.edge_kinds)
            if kind == "tables"
        ),
    )


class Layout:
    """Where each parameter of a network lies in a row of a stack's buffer.

    Attributes
    ----------
    weights, biases, gammas, betas, scales : list
        Slice of each layer: weights (or points of tables), biases, scale and shift of BatchNorm,
        learned activation scale; None where there is none.
    masked, length : int
        Number of weights and points, which come first, and of all parameters.
    """

    def __init__(self, config: MLPConfig) -> None:
        sizes = config.layers
        self.length = 0
        hidden = range(len(sizes) - 2)
        affine = config.batch_norm in ("on", "no_running_stats")
        self.weights = [
            self._take(n_in * n_out * (config.knots(layer) if kind == "tables" else 1))
            for layer, ((n_in, n_out), kind) in enumerate(
                zip(itertools.pairwise(sizes), config.edge_kinds, strict=True)
            )
        ]
        self.masked = self.length
        self.biases = [self._take(size) if config.bias else None for size in sizes[1:]]
        normed = [affine and there for there in config.normed]
        self.gammas = [self._take(sizes[i + 1]) if normed[i] else None for i in hidden]
        self.betas = [self._take(sizes[i + 1]) if normed[i] else None for i in hidden]
        self.scales = [
            self._take(1) if kind_of(bits) == "int" and fixed is None else None
            for bits, fixed in zip(config.act_widths, config.table_steps, strict=True)
        ]

    def _take(self, count: int) -> slice:
        start, self.length = self.length, self.length + count
        return slice(start, self.length)


class Stack:
    """Parameters, masks and statistics of m models in buffers of their own.

    Parameters
    ----------
    models : sequence of QuantMLP
        Of one `stackable` key. Their tensors become views of the buffers.

    Attributes
    ----------
    values : nn.Parameter
        All trained parameters (m, p), as laid out.
    keep : Tensor
        Masks (m, w), of the first w parameters.
    means, variances : list of Tensor
        Running statistics of each BatchNorm (m, f).
    dropped : dict
        Low bits of codes that each edge leaves out, int64 (m, n_out, n_in), by layer, where widths
        are learned.
    counts : Tensor
        Batches seen by each BatchNorm (m, number of norms), int64.
    """

    def __init__(self, models: Sequence[QuantMLP]) -> None:
        keys = {stackable(model.config) for model in models}
        if len(keys) != 1:
            raise ValueError(f"models of one kind expected, found {len(keys)} kinds")
        self.models = list(models)
        self.configs = tuple(model.config for model in models)
        self.layout = Layout(self.configs[0])
        self.values = nn.Parameter(
            torch.zeros(len(models), self.layout.length), requires_grad=False
        )
        self.keep = torch.ones(len(models), self.layout.masked, dtype=torch.bool)
        first = self.configs[0]
        learned = [i for i, kind in enumerate(first.edge_kinds) if kind == "tables"]
        self.dropped = {
            layer: torch.stack([model.linears[layer].lines.dropped for model in models])
            for layer in learned
            if first.droppable(layer)
        }
        norms = [_norms(model) for model in models]
        hidden = range(len(norms[0]))
        self.means = [torch.stack([m[i].running_mean for m in norms]) for i in hidden]
        self.variances = [torch.stack([m[i].running_var for m in norms]) for i in hidden]
        seen = [[norm.num_batches_tracked for norm in m] for m in norms]
        self.counts = torch.tensor(seen, dtype=torch.int64).view(len(models), len(hidden))
        for at, model in enumerate(models):
            self._adopt(at, model, norms[at])

    def _adopt(self, at: int, model: QuantMLP, norms: list[Norm]) -> None:
        layout, linears = self.layout, list(model.linears)
        weights = [linear.parametrizations.weight for linear in linears]
        gammas = [place for place in layout.gammas if place is not None]
        betas = [place for place in layout.betas if place is not None]
        affine = norms if gammas else []
        places = [
            *zip(layout.weights, [weight.original for weight in weights], strict=True),
            *zip(layout.biases, [linear.bias for linear in linears], strict=True),
            *zip(gammas, [norm.weight for norm in affine], strict=True),
            *zip(betas, [norm.bias for norm in affine], strict=True),
            *((place, _learned_scale(model, i)) for i, place in enumerate(layout.scales)),
        ]
        for place, parameter in places:
            if place is not None:
                view = self.values.data[at, place].view(parameter.shape)
                parameter.data = view.copy_(parameter.data)
        for place, weight in zip(layout.weights, weights, strict=True):
            mask = weight[0]
            mask.keep = self.keep[at, place].view(mask.keep.shape).copy_(mask.keep)
        for layer, dropped in self.dropped.items():
            linears[layer].lines.dropped = dropped[at]
        for index, norm in enumerate(norms):
            norm.running_mean = self.means[index][at]
            norm.running_var = self.variances[index][at]
            norm.num_batches_tracked = self.counts[at, index]

    @property
    def statistics(self) -> list[tuple[Tensor, Tensor]]:
        """Running mean and variance of each BatchNorm, each (m, f)."""
        return list(zip(self.means, self.variances, strict=True))


def _norms(model: QuantMLP) -> list[Norm]:
    owners = model.linears if model.config.fold_batch_norm else model.norms
    found = [getattr(owner, "norm", owner) for owner in owners]
    return [norm for norm in found if isinstance(norm, Norm)]


def _learned_scale(model: QuantMLP, index: int) -> Tensor | None:
    quantizer = tensor_quantizer(model.acts[index])
    config = model.config
    fixed = config.table_steps[index] is not None
    if quantizer is None or fixed or config.act_widths[index] == 1:
        return None
    value: Tensor = quantizer.scaling_impl.value
    return value
