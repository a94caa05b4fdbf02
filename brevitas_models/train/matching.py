"""Inputs chosen so that what is known of the real ones holds for the chosen ones too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Weights = NDArray[np.float64]
# Of each input its bin, and the share that each bin is to have.
Margin = tuple[NDArray[np.int64], Weights]

# Most bins of equal shares that a distribution is compared in, and known inputs for each at least.
BINS = 20
PER_BIN = 80
# Passes over all margins; after ten hardly anything changes.
ROUNDS = 20
# An input counts at most this much more, or less, than the average.
LIMIT = 12.0


def choose(
    x: Floats,
    answers: Floats,
    known: Floats,
    known_answers: Floats,
    samples: int,
    rng: np.random.Generator,
    quantiles: Floats | None = None,
) -> NDArray[np.int64]:
    """Choose inputs so that their distributions are those of known ones.

    These are the distribution of each feature, that of the teacher's highest probability, and the
    shares of the classes that it prefers. Inputs that are mixed between others lie too often
    between the classes; where they lie too often, fewer are chosen. Dependences between features
    are left as they are.

    Parameters
    ----------
    x, answers : array (n, n_features), (n, n_classes)
        Inputs to choose from, with the teacher's probabilities.
    known, known_answers : array (k, n_features), (k, n_classes)
        What they are to be like.
    quantiles : array (levels, n_features) or None
        Evenly spaced quantiles of the features of many more inputs; None: those of `known`.

    Returns
    -------
    int array (samples,)
        Rows, in random order. One that counts for more than ``n / samples`` comes up repeatedly.
    """
    few = min(max(len(known) // PER_BIN, 2), BINS)
    features, bins = (known, few) if quantiles is None else (quantiles, BINS)
    weights = match_margins(
        [
            *(margin(x[:, at], features[:, at], bins) for at in range(x.shape[1])),
            margin(answers.max(1), known_answers.max(1), few),
            _shares(answers.argmax(1), known_answers.argmax(1), answers.shape[1]),
        ]
    )
    ends = weights.cumsum()
    at = (np.arange(samples) + rng.random()) * (ends[-1] / samples)
    rows = np.minimum(np.searchsorted(ends, at, side="right"), len(x) - 1)
    return rng.permutation(rows)


def match_margins(margins: list[Margin]) -> Weights:
    """Return weights (n,) of mean 1 with which every bin of every margin has its share.

    Bins that hold no input can't have theirs, and within `LIMIT` not all may. Source: iterative
    proportional fitting, Deming and Stephan (1940), Ann. Math. Statist. 11, 427.
    """
    weights = np.ones(len(margins[0][0]))
    for _ in range(ROUNDS):
        for place, share in margins:
            found = np.bincount(place, weights, minlength=len(share)) / weights.sum()
            factor = np.divide(share, found, out=np.ones_like(share), where=found > 0)
            weights *= factor[place]
        weights = np.clip(weights / weights.mean(), 1.0 / LIMIT, LIMIT)
    fitted: Weights = weights / weights.mean()
    return fitted


def margin(values: Floats, known: Floats, bins: int) -> Margin:
    """Return the margin of values (n,) for bins of about equal shares of known ones (k,)."""
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    place, wanted = (np.searchsorted(edges, each, side="right") for each in (values, known))
    return _shares(place, wanted, len(edges) + 1)


def _shares(place: NDArray[np.int64], known: NDArray[np.int64], bins: int) -> Margin:
    return place, np.bincount(known, minlength=bins) / len(known)
