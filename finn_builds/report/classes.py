"""What a network answers on labelled data: confusion of the classes, and ROC curves."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from deploy.host_model import HostModel
from finn_builds.report.content import Classes, Roc
from finn_builds.verify.streamlined import Answers

#: Points of a curve that are kept: more can't be seen and only make the page larger.
CURVE_POINTS = 160


def classes_of(host: HostModel, answers: Answers) -> Classes:
    """Return how the network's answers to labelled data compare with the labels."""
    integers = answers.integers
    found = host.classify(integers)
    count = max(2, host.n_scores)
    names = host.class_names if len(host.class_names) == count else ()
    names = tuple(names) or tuple(str(index) for index in range(count))
    matrix = confusion_matrix(answers.labels, found, labels=range(count))
    values, scores = class_scores(host, integers)
    rocs = [
        roc
        for index, name in enumerate(names)
        if (roc := one_against_all(name, answers.labels == index, values[:, index])) is not None
    ]
    return Classes(
        names=names,
        confusion=tuple(map(tuple, matrix.tolist())),
        rocs=tuple(rocs[-1:] if host.n_scores == 1 else rocs),
        scores=scores,
        frames=len(answers.labels),
        source=answers.source,
        surrogate=answers.surrogate,
    )


def class_scores(host: HostModel, integers: np.ndarray) -> tuple[np.ndarray, str]:
    """Return a score of each class, float64 (frames, classes), and what the score is.

    Logits of one frame are only comparable with one another, so that they become probabilities
    first, as in training.
    """
    main = host.main
    # Of an ArgMax, the scores that the class is the largest of.
    chosen = main.kind == "argmax"
    values = (main.scores if chosen else main.values)(integers).astype(np.float64)
    if values.shape[1] == 1:
        return np.concatenate([-values, values], axis=1), "the model's single output"
    if chosen or main.kind == "logits":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        return values / values.sum(axis=1, keepdims=True), "softmax of the logits"
    return values, "the model's outputs"


def one_against_all(name: str, truth: np.ndarray, score: np.ndarray) -> Roc | None:
    """Return the curve of one class, or None where the data hold only frames of one kind.

    `truth` (n,) says which frames are of the class; the larger the `score` (n,), the likelier.
    """
    if truth.all() or not truth.any():
        return None
    background, signal, _ = roc_curve(truth, score)
    keep = np.unique(np.linspace(0, len(signal) - 1, CURVE_POINTS).round().astype(int))
    return Roc(name, float(roc_auc_score(truth, score)), signal[keep], background[keep])
