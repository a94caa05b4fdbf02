"""Forward and backward pass of one batch through a stack of models, written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from brevitas_models.train.stacked.network import Network

# What comes into a layer, its scale if it is in steps of one, and the step of its grid.
_Value = tuple[Tensor, Tensor | None, Tensor | None]


class Passes:
    """One forward pass with what the backward pass needs of it.

    Inputs `x` of a layer are in steps of their scale, and so are pre-activations: a linear layer
    gives z, and ``steps = (z - shift) * gain + offset`` is what the activation rounds.
    """

    def __init__(
        self,
        network: Network,
        values: Tensor,
        weight: Tensor,
        statistics: list[tuple[Tensor, Tensor]],
        dropped: Mapping[int, Tensor],
    ) -> None:
        self.net, self.values, self.weight = network, values, weight
        self.dropped = dropped
        self.before = statistics
        self.statistics: list[tuple[Tensor, Tensor]] = []
        self.factors: list[Tensor] = []
        self.tape: list[Any] = []
        if not network.fold:
            self.quantised: dict[int, Tensor] = {}
            self.saved = []
            for group, quant in zip(network.groups, network.quants, strict=True):
                start, stop = self._span(group)
                flat, saved = quant.forward(weight[:, start:stop])
                self.saved.append(saved)
                at = 0
                for layer in group:
                    n_out, n_in = network.sizes[layer + 1], network.sizes[layer]
                    part = flat[:, at : at + n_out * n_in].view(-1, n_out, n_in)
                    self.quantised[layer] = part
                    at += n_out * n_in

    def _span(self, group: list[int]) -> tuple[int, int]:
        first, last = self.net.weights[group[0]], self.net.weights[group[-1]]
        return first.start, last.stop

    def _part(self, place: slice | None) -> Tensor | None:
        return None if place is None else self.values[:, place]

    def _once(self, factor: Tensor) -> Tensor:
        """Return a small tensor that is to be worked out once for all frames."""
        self.factors.append(factor)
        return factor

    def run(self, x: Tensor, in_scale: Tensor | None) -> Tensor:
        """Return logits (m, n_classes, n): softmax is faster that way round."""
        net = self.net
        scale: Tensor | None = None  # the first inputs are not in steps
        grid = in_scale
        seen = [(x, scale, grid)]
        for layer in net.hidden:
            act, place = net.acts[layer], net.scales[layer]
            value = None if place is None else self.values[:, place.start]
            size = act.scale(value)
            gain = None if size is None else self._once(1.0 / size)
            if layer in net.tables:
                steps, saved = self._looked_up(layer, x, scale, grid, gain)
            elif net.fold:
                steps, saved = self._folded(layer, x, scale, grid, gain)
            else:
                steps, saved = self._plain(layer, x, scale, gain)
            whole = act.forward(steps)
            self.tape.append((x, scale, saved, (steps, whole, size, value)))
            x, scale, grid = self._joined(whole, size, [seen[at] for at in net.joins[layer + 1]])
            seen.append((x, scale, grid))
        last = net.layers[-1]
        if last in net.tables:
            logits, saved = self._looked_up(last, x, scale, grid, None)
            self.tape.append((x, scale, saved))
            return logits.mT.contiguous()
        if net.fold:
            self.last = net.quant(last).forward(self.weight[:, slice(*self._span([last]))])
            self.quantised = {last: self.last[0].view(-1, net.sizes[-1], net.sizes[-2])}
        bias, weight = self._part(net.biases[last]), _times(self.quantised[last], scale)
        self.tape.append((x, scale, weight))
        if bias is None:
            return torch.bmm(weight, x.mT)
        return torch.baddbmm(bias[:, :, None], weight, x.mT)

    def _joined(self, whole: Tensor, size: Tensor | None, others: list[_Value]) -> _Value:
        """Add earlier values to those of an activation; such a sum is not in steps of its scale."""
        if not others:
            return whole, size, size
        total, grid = _times(whole, size), size
        for value, scale, step in others:
            total = total + _times(value, scale)
            grid = None if grid is None or step is None else torch.minimum(grid, step)
        return total, None, grid

    def _looked_up(
        self, layer: int, x: Tensor, scale: Tensor | None, grid: Tensor | None, gain: Tensor | None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Add the table entries of each neuron."""
        start, stop = self._span([layer])
        codes = x if scale is not None or grid is None else torch.round(x / grid)
        points, dropped = self.weight[:, start:stop], self.dropped.get(layer)
        z, saved = self.net.tables[layer].forward(points, codes, dropped)
        bias = self._part(self.net.biases[layer])
        steps = _times(z, gain)
        if bias is not None:
            steps = steps + self._once(_times(bias[:, None], gain))
        return steps, (saved, gain)

    def _plain(
        self, layer: int, x: Tensor, scale: Tensor | None, gain: Tensor | None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Linear layer, with BatchNorm after it if there is one."""
        net = self.net
        weight, bias = _times(self.quantised[layer], scale), self._part(net.biases[layer])
        z = torch.bmm(x, weight.mT)
        if not net.normed[layer]:
            if bias is None:
                return _times(z, gain), (weight, gain)
            offset = self._once(_times(bias[:, None], gain))
            return z + offset if gain is None else torch.addcmul(offset, z, gain), (weight, gain)
        mean = self._once(z.mean(1, keepdim=True))
        centred = z - mean
        var = (centred * centred).mean(1, keepdim=True)
        # The bias takes part in the running mean only; in the batch it cancels.
        self._observe(layer, mean[:, 0] if bias is None else mean[:, 0] + bias, var[:, 0], x)
        inverse = self._once(torch.rsqrt(var + net.eps))
        gamma, beta = self._part(net.gammas[layer]), self._part(net.betas[layer])
        factor = _times(inverse if gamma is None else inverse * gamma[:, None], gain)
        factor = self._once(factor)
        if beta is None:
            steps = centred * factor
        else:
            steps = torch.addcmul(self._once(_times(beta[:, None], gain)), centred, factor)
        return steps, (weight, gain, centred, inverse, factor)

    def _observe(self, layer: int, mean: Tensor, var: Tensor, x: Tensor) -> None:
        if self.net.running:
            momentum, n = self.net.momentum, x.shape[1]
            old_mean, old_var = self.before[self.net.norm_at[layer]]
            unbiased = var * (n / max(n - 1, 1))
            self.statistics.append(
                (old_mean.lerp(mean, momentum), old_var.lerp(unbiased, momentum))
            )

    def _folded(
        self,
        layer: int,
        x: Tensor,
        scale: Tensor | None,
        grid: Tensor | None,
        gain: Tensor | None,
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Linear layer with BatchNorm folded in.

        The batch statistics of ``x @ w.T`` follow from mean and covariance of `x`: with these the
        batch is not passed through the layer twice. Where inputs are integers their sums are exact,
        so nothing is lost by subtracting the mean last.
        """
        net, n = self.net, x.shape[1]
        start, stop = self._span([layer])
        weight = self.weight[:, start:stop].view(-1, net.sizes[layer + 1], net.sizes[layer])
        middle = x.mean(1, keepdim=True)
        centre = _times(middle, scale)
        if scale is None:
            cov = _squared(x - middle) * (1.0 / n)
        else:
            cov = (_squared(x) * (1.0 / n) - middle.mT * middle) * (scale * scale)
        mean = torch.bmm(weight, centre.mT)[:, :, 0]
        spread = torch.bmm(weight, cov)
        var = (spread * weight).sum(2).clamp_min(0.0)
        bias = self._part(net.biases[layer])
        self._observe(layer, mean if bias is None else mean + bias, var, x)
        inverse = self._once(1.0 / torch.sqrt(var + net.eps))
        gamma, beta = self._part(net.gammas[layer]), self._part(net.betas[layer])
        factor = self._once(inverse if gamma is None else inverse * gamma)
        folded = weight * factor[:, :, None]
        flat, saved = net.quant(layer).forward(folded.flatten(1))
        offset = -mean * factor if beta is None else torch.addcmul(beta, mean, factor, value=-1.0)
        if grid is not None and saved is not None:
            rows = self.values.shape[0], net.sizes[layer + 1]
            step = grid[:, 0] * saved.scale.expand(*rows)
            offset = self._snapped(offset, step)
        quantised = _times(flat.view_as(weight), scale)
        z = torch.bmm(x, quantised.mT)
        offset = self._once(_times(offset[:, None], gain))
        steps = z + offset if gain is None else torch.addcmul(offset, z, gain)
        kept = (middle, centre, weight, mean, spread, inverse, factor, quantised, gain, saved)
        return steps, kept

    def _snapped(self, offset: Tensor, step: Tensor) -> Tensor:
        """Return offsets on the grid of the accumulator, a quarter of a step off its sums."""
        return ((offset / step - 0.25).round() + 0.25) * step

    def back(self, grad: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return gradients of the masked weights (m, w), and of all other parameters in order.

        `grad` is the gradient of the logits (m, n_classes, n).
        """
        net, m = self.net, self.net.models
        by_weight: list[Tensor] = [grad] * len(net.layers)
        by_bias: list[Tensor] = [grad] * len(net.layers)
        gammas: list[Tensor | None] = [None] * len(net.hidden)
        betas: list[Tensor | None] = [None] * len(net.hidden)
        scales: list[Tensor | None] = [None] * len(net.hidden)
        last = net.layers[-1]
        x, scale, weight = self.tape[last]
        by_bias[last] = grad.sum(2)
        if last in net.tables:
            grad, by_weight[last] = self._back_tables(last, grad.mT.contiguous(), weight)
        else:
            by_weight[last] = _times(torch.bmm(grad, x), scale).flatten(1)
            grad = torch.bmm(grad.mT, weight)
        earlier: dict[int, Tensor] = {}
        for layer in reversed(net.hidden):
            x, scale, saved, (steps, whole, size, value) = self.tape[layer]
            grad = self._back_joined(layer + 1, grad, size, earlier)
            grad, by_value = net.acts[layer].backward(grad, steps, whole, size, value)
            scales[layer] = None if by_value is None else by_value[:, None]
            # A bias in front of BatchNorm has no influence: its gradient is zero.
            by_bias[layer] = grad.new_zeros(m, net.sizes[layer + 1])
            if layer in net.tables:
                by_bias[layer] = _times(grad.sum(1, keepdim=True), saved[1])[:, 0]
                grad, by_weight[layer] = self._back_tables(layer, grad, saved)
                continue
            if net.fold:
                grad, by_weight[layer], gammas[layer], betas[layer] = self._back_folded(
                    layer, grad, x, scale, saved
                )
                continue
            weight, factor = saved[:2]
            if not net.normed[layer]:
                by_bias[layer] = _times(grad.sum(1, keepdim=True), factor)[:, 0]
            else:
                grad, gammas[layer], betas[layer] = self._back_norm(grad, saved)
                factor = saved[4]
            # What all frames are multiplied by is left to the weights.
            factor = None if factor is None else factor.mT
            by_weight[layer] = _times(_times(torch.bmm(grad.mT, x), factor), scale).flatten(1)
            if layer:
                grad = torch.bmm(grad, _times(weight, factor))
        if not net.fold:
            for group, quant, kept in zip(net.groups, net.quants, self.saved, strict=True):
                flat = quant.backward(torch.cat([by_weight[layer] for layer in group], 1), kept)
                by_weight[group[0]] = flat
                for layer in group[1:]:
                    by_weight[layer] = flat[:, :0]
        elif last not in net.tables:
            by_weight[last] = net.quant(last).backward(by_weight[last], self.last[1])
        whole = torch.cat(by_weight, 1)
        places = (
            *zip(net.biases, by_bias, strict=True),
            *zip(net.gammas, gammas, strict=True),
            *zip(net.betas, betas, strict=True),
            *zip(net.scales, scales, strict=True),
        )
        return whole, [part for place, part in places if place is not None]

    def _back_joined(
        self, place: int, grad: Tensor, size: Tensor | None, earlier: dict[int, Tensor]
    ) -> Tensor:
        """Return the gradient of an activation's output for that of what comes into layer `place`.

        `earlier` are gradients of values, not in steps, that were added further on, by their place.
        """
        if place in earlier:
            grad = grad + _times(earlier.pop(place), self.tape[place][1])
        places = self.net.joins[place]
        for at in places:
            if at:  # the inputs are not trained
                earlier[at] = earlier[at] + grad if at in earlier else grad
        return _times(grad, size) if places else grad

    def _back_tables(
        self, layer: int, grad: Tensor, saved: tuple[Any, ...]
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of codes (the first layer has none) and of points (m, w)."""
        tables, gain = saved
        by_point, by_code = self.net.tables[layer].backward(_times(grad, gain), tables, layer > 0)
        return grad if by_code is None else by_code, by_point

    def _back_norm(self, grad: Tensor, saved: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradient of z but for its factor, and those of scale and shift."""
        _, gain, centred, inverse, _ = saved
        n = grad.shape[1]
        total = grad.sum(1, keepdim=True)
        along = (grad * centred).sum(1, keepdim=True)
        slope = self._once(along * inverse * inverse * (1.0 / n))
        back = torch.addcmul(grad - self._once(total * (1.0 / n)), centred, slope, value=-1.0)
        return back, _times(along * inverse, gain)[:, 0], _times(total, gain)[:, 0]

    def _back_folded(
        self, layer: int, grad: Tensor, x: Tensor, scale: Tensor | None, saved: tuple[Any, ...]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        middle, centre, weight, mean, spread, inverse, factor, quantised, gain, quant = saved
        net, n = self.net, x.shape[1]
        beta = _times(grad.sum(1, keepdim=True), gain)[:, 0]
        product = _times(_times(torch.bmm(grad.mT, x), gain), scale)
        flat = net.quant(layer).backward(product.flatten(1), quant)
        by_folded = flat.view_as(weight)
        by_factor = (by_folded * weight).sum(2) - beta * mean
        by_mean = -beta * factor
        gamma = self._part(net.gammas[layer])
        by_inverse = by_factor if gamma is None else by_factor * gamma
        by_var = -0.5 * by_inverse * inverse**3
        by_weight = by_folded * factor[:, :, None]
        by_weight = torch.addcmul(by_weight, spread, by_var[:, :, None], value=2.0)
        by_weight = torch.addcmul(by_weight, by_mean[:, :, None], centre)
        if layer:
            by_cov = torch.bmm((weight * (by_var * (2.0 / n))[:, :, None]).mT, weight)
            by_cov = by_cov if scale is None else by_cov * (scale * scale)
            by_centre = _times(torch.bmm(by_mean[:, None], weight) / n, scale)
            by_centre = torch.baddbmm(by_centre, middle, by_cov, alpha=-1.0)
            # Plain sums: the compiler makes them part of what comes next.
            grad = torch.bmm(x, by_cov) + torch.bmm(grad, _times(quantised, gain))
            grad = grad + self._once(by_centre)
        return grad, by_weight.flatten(1), by_factor * inverse, beta


def _times(values: Tensor, factor: Tensor | None) -> Tensor:
    return values if factor is None else values * factor


def _squared(x: Tensor) -> Tensor:
    """Return ``x.mT @ x`` (m, f, f) of frames (m, n, f): of large ones, each half of it once."""
    size = x.shape[2]
    if size < 64 or size % 32:
        return torch.bmm(x.mT, x)
    low, high = x[:, :, : size // 2], x[:, :, size // 2 :]
    mixed = torch.bmm(low.mT, high)
    upper = torch.cat([torch.bmm(low.mT, low), mixed], 2)
    return torch.cat([upper, torch.cat([mixed.mT, torch.bmm(high.mT, high)], 2)], 1)
