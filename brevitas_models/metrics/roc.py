"""Each class against the rest: area under the ROC curve, background efficiency."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def probabilities(logits: npt.ArrayLike) -> Floats:
    """Return the softmax, float64 (n, n_classes), of logits of the same shape."""
    return softmax(np.asarray(logits, np.float64), axis=1)


def roc_auc(truth: Labels, scores: Floats) -> Floats:
    """Return the area under the ROC curve of each class against the rest.

    From the true classes (n,) and finite scores (n, n_classes), the larger, the more the frame
    looks like that class. An area, of (n_classes,), of 0.5 is chance; NaN stands for a class of
    which there are no frames, or nothing else.
    """
    from sklearn.metrics import roc_auc_score

    areas = np.full(scores.shape[1], np.nan)
    for index, is_class in _told_apart(truth, scores):
        areas[index] = roc_auc_score(is_class, scores[:, index])
    return areas


def background_efficiency(truth: Labels, scores: Floats, signal: float = 0.5) -> Floats:
    """Return the share of other frames that is taken for a class when `signal` of its own are.

    The false-positive rate where the true-positive rate is `signal`, interpolated linearly between
    the two points of the ROC curve around it: Hawks et al., "Ps and Qs" (2021), arXiv 2102.11289,
    section 3.3 (there at 0.5), with 0 < signal <= 1. The smaller the better; arrays, and
    NaN, are as of `roc_auc`.
    """
    from sklearn.metrics import roc_curve

    rates = np.full(scores.shape[1], np.nan)
    for index, is_class in _told_apart(truth, scores):
        false, true, _ = roc_curve(is_class, scores[:, index])
        # The first point that reaches it: where the curve runs level the smallest rate counts.
        after = int(np.argmax(true >= signal))
        before = after - 1
        part = (signal - true[before]) / (true[after] - true[before])
        rates[index] = false[before] + part * (false[after] - false[before])
    return rates


def _told_apart(truth: Labels, scores: Floats) -> list[tuple[int, npt.NDArray[np.bool_]]]:
    """Return index and membership of every class that has frames and others."""
    member = [(index, truth == index) for index in range(scores.shape[1])]
    return [(index, mine) for index, mine in member if mine.any() and not mine.all()]
