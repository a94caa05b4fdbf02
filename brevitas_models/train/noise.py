"""Labels made wrong on purpose, to see what a network learns by heart."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F

from brevitas_models.train.rules import Frames


def redraw_labels(frames: Frames, share: float, n_classes: int, seed: int) -> Frames:
    """Return frames of which the first have a class drawn from all classes alike.

    Source: Hawks et al., "Ps and Qs" (2021), arXiv 2102.11289, section 3.4, where the first 0, 50,
    75 and 90 % of training and validation labels are redrawn.

    Parameters
    ----------
    frames : Frames
        In an order that says nothing about the class. Not changed.
    share : float
        Share of the frames, 0..1; the number is rounded to the nearest.
    seed : int
        A larger share redraws the same classes and more of them.

    Returns
    -------
    Frames
        A teacher's probabilities are replaced by 1 for the drawn class and 0 for the others. A
        drawn class may happen to be the right one.
    """
    count = round(share * len(frames))
    if count == 0:
        return frames
    drawn = torch.from_numpy(np.random.default_rng(seed).integers(n_classes, size=len(frames)))
    target = frames.target.clone()
    if target.ndim == 2:
        drawn = F.one_hot(drawn, n_classes).to(target.dtype)
    target[:count] = drawn[:count]
    return dataclasses.replace(frames, target=target)
