"""Forward and backward pass of a stack of models, written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from brevitas_models.config import MLPConfig
from brevitas_models.stacked.acts import ActQuant
from brevitas_models.stacked.stack import Layout
from brevitas_models.stacked.weights import WeightQuant, kind_of


class Network:
    """What the models of a stack compute, in training.

    Nothing here holds values that change: they are passed in, as the buffers of a `Stack`.

    Parameters
    ----------
    configs : sequence of MLPConfig
        One for each model; of one `stackable` key.
    momentum, eps : float
        Of BatchNorm.
    """

    def __init__(
        self, configs: Sequence[MLPConfig], momentum: float = 0.1, eps: float = 1e-5
    ) -> None:
        first, layout = configs[0], Layout(configs[0])
        self.sizes, self.models = first.layers, len(configs)
        self.layers = range(len(self.sizes) - 1)
        self.hidden = range(len(self.sizes) - 2)
        self.fold = first.fold_batch_norm
        self.norm = first.batch_norm
        self.running = first.batch_norm in ("on", "no_affine")
        self.momentum, self.eps = momentum, eps
        self.weights, self.biases = layout.weights, layout.biases
        self.gammas, self.betas, self.scales = layout.gammas, layout.betas, layout.scales
        self.masked = layout.masked
        self.zero = torch.zeros(())  # a number would be made a tensor in every call
        kinds = {kind_of(bits) for bits in first.weight_widths}
        together = not self.fold and len(kinds) == 1
        # Layers whose weights are quantised in one go.
        self.groups = [list(self.layers)] if together else [[layer] for layer in self.layers]
        self.quants = [WeightQuant(configs, group) for group in self.groups]
        self.acts = [ActQuant(configs, index) for index in self.hidden]

    @property
    def counts_batches(self) -> bool:
        """Whether every batch is counted; torch's own BatchNorm does, where it keeps statistics."""
        return self.running and not self.fold

    def generalise(self) -> None:
        """Hold bit widths in tensors only, so that compiled code serves all widths."""
        for act in self.acts:
            act.limits = None

    def gradients(
        self,
        values: Tensor,
        keep: Tensor,
        statistics: list[tuple[Tensor, Tensor]],
        x: Tensor,
        in_scale: Tensor | None,
        target: Tensor,
        l1: Tensor | None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Return losses and gradients of one batch.

        Parameters
        ----------
        values, keep : Tensor
            `Stack.values` (m, p) and `Stack.keep` (m, w).
        statistics : list of (Tensor, Tensor)
            Running mean and variance of each hidden layer, each (m, f); left alone.
        x : Tensor
            Quantised inputs (m, n, n_in), or (1, n, n_in) for all models the same.
        in_scale : Tensor or None
            Their scales (m, 1, 1); None if they are float.
        target : Tensor
            Probabilities (m, n_classes, n), or (1, n_classes, n).
        l1 : Tensor or None
            Factor of the sum of |w| of each model (m, 1).
        temperature : float
            As in `training.train`.

        Returns
        -------
        loss : Tensor
            (m,), L1 term included.
        grad : Tensor
            (m, p).
        statistics : list of (Tensor, Tensor)
            What the running statistics become.
        """
        m, n = self.models, x.shape[1]
        x = x.expand(m, -1, -1)
        weight = torch.where(keep, values[:, : self.masked], self.zero)
        forward = _Forward(self, values, weight, statistics)
        logits = forward.run(x, in_scale)
        log_p = torch.log_softmax(logits * (1.0 / temperature), 1)
        loss = (log_p * target).sum((1, 2)) * (-(temperature**2) / n)
        grad = (log_p.exp() - target) * (temperature / n)
        by_weight, parts = forward.back(grad)
        if l1 is not None:
            loss = loss + weight.abs().sum(1) * l1.view(m)
            by_weight = torch.addcmul(by_weight, weight.sign(), l1)
        by_weight = torch.where(keep, by_weight, self.zero)
        return loss, torch.cat([by_weight, *parts], 1), forward.statistics


class _Forward:
    """One forward pass with what the backward pass needs of it."""

    def __init__(
        self,
        network: Network,
        values: Tensor,
        weight: Tensor,
        statistics: list[tuple[Tensor, Tensor]],
    ) -> None:
        self.net, self.values, self.weight = network, values, weight
        self.before = statistics
        self.statistics: list[tuple[Tensor, Tensor]] = []
        self.tape: list[Any] = []
        if not network.fold:
            self.quantised, self.saved = [], []
            for group, quant in zip(network.groups, network.quants, strict=True):
                start, stop = self._span(group)
                flat, saved = quant.forward(weight[:, start:stop])
                self.saved.append(saved)
                at = 0
                for layer in group:
                    n_out, n_in = network.sizes[layer + 1], network.sizes[layer]
                    part = flat[:, at : at + n_out * n_in].view(-1, n_out, n_in)
                    self.quantised.append(part)
                    at += n_out * n_in

    def _span(self, group: list[int]) -> tuple[int, int]:
        first, last = self.net.weights[group[0]], self.net.weights[group[-1]]
        return first.start, last.stop

    def _part(self, place: slice | None) -> Tensor | None:
        return None if place is None else self.values[:, place]

    def run(self, x: Tensor, scale: Tensor | None) -> Tensor:
        """Return logits (m, n_classes, n): softmax is faster that way round."""
        net = self.net
        for layer in net.hidden:
            if net.fold:
                y, saved = self._folded(layer, x, scale)
            else:
                y, saved = self._plain(layer, x), None
            y, normed = self._norm(layer, y) if not net.fold and net.norm != "off" else (y, None)
            value = self._part(net.scales[layer])
            inputs = x
            x, scale, act = net.acts[layer].forward(y, None if value is None else value[:, 0])
            self.tape.append((inputs, saved, normed, act))
        last = net.layers[-1]
        if net.fold:
            self.last = net.quants[last].forward(self.weight[:, slice(*self._span([last]))])
            self.quantised = [self.last[0].view(-1, net.sizes[-1], net.sizes[-2])]
        self.tape.append((x, None, None, None))
        bias, weight = self._part(net.biases[last]), self.quantised[-1]
        if bias is None:
            return torch.bmm(weight, x.mT)
        return torch.baddbmm(bias[:, :, None], weight, x.mT)

    def _plain(self, layer: int, x: Tensor) -> Tensor:
        weight, bias = self.quantised[layer], self._part(self.net.biases[layer])
        if bias is None:
            return torch.bmm(x, weight.mT)
        return torch.baddbmm(bias[:, None], x, weight.mT)

    def _norm(self, layer: int, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        net, n = self.net, x.shape[1]
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        var = (centred * centred).mean(1, keepdim=True)
        self._observe(layer, mean[:, 0], var[:, 0], n)
        inverse = torch.rsqrt(var + net.eps)
        gamma, beta = self._part(net.gammas[layer]), self._part(net.betas[layer])
        factor = inverse if gamma is None else inverse * gamma[:, None]
        y = centred * factor if beta is None else torch.addcmul(beta[:, None], centred, factor)
        return y, (centred, inverse, factor)

    def _observe(self, layer: int, mean: Tensor, var: Tensor, n: int) -> None:
        if self.net.running:
            momentum = self.net.momentum
            old_mean, old_var = self.before[layer]
            unbiased = var * (n / max(n - 1, 1))
            self.statistics.append(
                (old_mean.lerp(mean, momentum), old_var.lerp(unbiased, momentum))
            )

    def _folded(
        self, layer: int, x: Tensor, scale: Tensor | None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Linear layer with BatchNorm folded in.

        The batch statistics of ``x @ w.T`` follow from mean and covariance of `x`: with these the
        batch is not passed through the layer twice. The bias takes part in the running mean only;
        in the batch it cancels.
        """
        net, n = self.net, x.shape[1]
        start, stop = self._span([layer])
        weight = self.weight[:, start:stop].view(-1, net.sizes[layer + 1], net.sizes[layer])
        centre = x.mean(1, keepdim=True)
        centred = x - centre
        cov = torch.bmm(centred.mT, centred) / n
        mean = torch.bmm(weight, centre.mT)[:, :, 0]
        spread = torch.bmm(weight, cov)
        var = (spread * weight).sum(2)
        bias = self._part(net.biases[layer])
        self._observe(layer, mean if bias is None else mean + bias, var, n)
        inverse = 1.0 / torch.sqrt(var + net.eps)
        gamma, beta = self._part(net.gammas[layer]), self._part(net.betas[layer])
        factor = inverse if gamma is None else inverse * gamma
        folded = weight * factor[:, :, None]
        flat, saved = net.quants[layer].forward(folded.flatten(1))
        offset = -mean * factor if beta is None else torch.addcmul(beta, mean, factor, value=-1.0)
        if scale is not None and saved is not None:
            rows = self.values.shape[0], net.sizes[layer + 1]
            step = scale[:, 0] * saved.scale.expand(*rows)
            offset = ((offset / step - 0.25).round() + 0.25) * step
        quantised = flat.view_as(weight)
        y = torch.baddbmm(offset[:, None], x, quantised.mT)
        return y, (centre, centred, weight, mean, spread, inverse, factor, quantised, saved)

    def back(self, grad: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return gradients of the masked weights (m, w), and of all other parameters in order.

        Parameters
        ----------
        grad : Tensor
            Gradient of the logits (m, n_classes, n).
        """
        net, m = self.net, self.net.models
        by_weight: list[Tensor] = [grad] * len(net.layers)
        by_bias: list[Tensor] = [grad] * len(net.layers)
        gammas: list[Tensor | None] = [None] * len(net.hidden)
        betas: list[Tensor | None] = [None] * len(net.hidden)
        scales: list[Tensor | None] = [None] * len(net.hidden)
        last = net.layers[-1]
        by_weight[last] = torch.bmm(grad, self.tape[last][0]).flatten(1)
        by_bias[last] = grad.sum(2)
        grad = torch.bmm(grad.mT, self.quantised[-1])
        for layer in reversed(net.hidden):
            x, saved, normed, act = self.tape[layer]
            grad, by_scale = net.acts[layer].backward(grad, act)
            scales[layer] = None if by_scale is None else by_scale[:, None]
            # A bias in front of BatchNorm has no influence: its gradient is zero.
            by_bias[layer] = grad.new_zeros(m, net.sizes[layer + 1])
            if saved is not None:
                grad, by_weight[layer], gammas[layer], betas[layer] = self._back_folded(
                    layer, grad, x, saved
                )
                continue
            if normed is not None:
                grad, gammas[layer], betas[layer] = self._back_norm(layer, grad, normed)
            else:
                by_bias[layer] = grad.sum(1)
            by_weight[layer] = torch.bmm(grad.mT, x).flatten(1)
            if layer:
                grad = torch.bmm(grad, self.quantised[layer])
        if net.fold:
            by_weight[-1] = net.quants[-1].backward(by_weight[-1], self.last[1])
            whole = torch.cat(by_weight, 1)
        else:
            whole = torch.cat(
                [
                    quant.backward(torch.cat([by_weight[layer] for layer in group], 1), saved)
                    for group, quant, saved in zip(net.groups, net.quants, self.saved, strict=True)
                ],
                1,
            )
        places = (
            *zip(net.biases, by_bias, strict=True),
            *zip(net.gammas, gammas, strict=True),
            *zip(net.betas, betas, strict=True),
            *zip(net.scales, scales, strict=True),
        )
        return whole, [part for place, part in places if place is not None]

    def _back_norm(
        self, layer: int, grad: Tensor, saved: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        centred, inverse, factor = saved
        n = grad.shape[1]
        total = grad.sum(1, keepdim=True)
        along = (grad * centred).sum(1, keepdim=True)
        slope = along * inverse * inverse * (1.0 / n)
        back = torch.addcmul(grad - total * (1.0 / n), centred, slope, value=-1.0) * factor
        return back, (along * inverse)[:, 0], total[:, 0]

    def _back_folded(
        self, layer: int, grad: Tensor, x: Tensor, saved: tuple[Any, ...]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        centre, centred, weight, mean, spread, inverse, factor, quantised, quant = saved
        net, n = self.net, x.shape[1]
        beta = grad.sum(1)
        flat = net.quants[layer].backward(torch.bmm(grad.mT, x).flatten(1), quant)
        by_folded = flat.view_as(weight)
        by_factor = (by_folded * weight).sum(2) - beta * mean
        by_mean = -beta * factor
        gamma = self._part(net.gammas[layer])
        by_inverse = by_factor if gamma is None else by_factor * gamma
        by_var = -0.5 * by_inverse * inverse**3
        by_weight = by_folded * factor[:, :, None]
        by_weight = torch.addcmul(by_weight, spread, by_var[:, :, None], value=2.0)
        by_weight = torch.baddbmm(by_weight, by_mean[:, :, None], centre)
        if layer:
            by_cov = torch.bmm((weight * by_var[:, :, None]).mT, weight)
            by_centre = torch.bmm(by_mean[:, None], weight) / n
            grad = torch.baddbmm(
                torch.baddbmm(by_centre, centred, by_cov, alpha=2.0 / n), grad, quantised
            )
        return grad, by_weight.flatten(1), by_factor * inverse, beta
