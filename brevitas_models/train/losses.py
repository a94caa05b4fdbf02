"""What each output of a network learns: classes, or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models.model.heads import Head, learns_classes


def loss_of(
    outputs: Tensor, target: Tensor, temperature: float = 1.0, heads: Sequence[Head] = ()
) -> Tensor:
    """Return the loss, shape (), of outputs (n, n_out): the sum of the means of all heads.

    Parameters
    ----------
    target : Tensor
        Classes, int64 (n,), or (n, n_out): probabilities of classes, numbers of other heads.
    temperature : float
        Of cross entropy; it is multiplied by the square of it.
    heads : sequence of Head
        Empty: classes.
    """
    if not heads or learns_classes(heads):
        return F.cross_entropy(outputs / temperature, target) * temperature**2
    total = outputs.new_zeros(())
    for head in heads:
        y, wanted = outputs[:, head.values], target[:, head.values]
        if head.is_class:
            total = total + F.cross_entropy(y / temperature, wanted) * temperature**2
        elif head.loss == "mse":
            total = total + F.mse_loss(y, wanted)
        else:
            total = total + F.huber_loss(y, wanted)
    return total


def share_right(outputs: Tensor, target: Tensor, heads: Sequence[Head] = ()) -> float | None:
    """Return the share of frames on which the heads of classes name the target's, else None.

    `outputs` are (n, n_out), `target` as of `loss_of`.
    """
    if not heads or learns_classes(heads):
        answers = target if target.ndim == 1 else target.argmax(dim=1)
        return float((outputs.argmax(dim=1) == answers).float().mean())
    right = [
        outputs[:, head.values].argmax(dim=1) == target[:, head.values].argmax(dim=1)
        for head in heads
        if head.is_class
    ]
    return sum(float(each.float().mean()) for each in right) / len(right) if right else None


def regret_of(
    outputs: Tensor, target: Tensor, temperature: float = 1.0, heads: Sequence[Head] = ()
) -> float | None:
    """Return the soft regret against a teacher (see `metrics.regret_figures`); None without one.

    `outputs` are (n, n_classes), `target` a teacher's probabilities at that temperature, or labels.
    """
    if target.ndim == 1 or (heads and not learns_classes(heads)):
        return None
    # Back to what the teacher says at temperature 1.
    log_p = target.double().clamp_min(torch.finfo(torch.float64).tiny).log()
    p = torch.softmax(log_p * temperature, dim=1)
    named = p.gather(1, outputs.argmax(dim=1, keepdim=True))[:, 0]
    return float((named - p.amax(dim=1)).mean())


def rmse_of(
    outputs: Tensor, target: Tensor, unit: Tensor | None, heads: Sequence[Head] = ()
) -> float | None:
    """Return the root of the mean square error of all numbers; None if there are only classes.

    `unit` (n_out,) are what the numbers are multiplied by; None: 1.
    """
    squares = []
    for head in heads:
        if not head.is_class:
            off = outputs[:, head.values] - target[:, head.values]
            squares.append((off if unit is None else off * unit[head.values]).square().flatten())
    if not squares:
        return None
    count = sum(map(len, squares))
    return (sum(float(each.double().sum()) for each in squares) / count) ** 0.5
