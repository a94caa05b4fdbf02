"""Accuracy, and the distance to a teacher, with their errors."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from brevitas_models.metrics.regret import calibration_figures, regret_figures, regret_lines

Labels = npt.NDArray[np.int64]


def share_error(share: float, n: int) -> float:
    """Return the standard error of a share p of n frames, sqrt(p (1 - p) / n).

    For shares of 0 and 1 it is that of (p n + 1) / (n + 2), Laplace's rule: the formula would give
    0 for however few frames.
    """
    p = share if 0 < share < 1 else (share * n + 1) / (n + 2)
    return math.sqrt(p * (1 - p) / n)


def accuracy_figures(
    truth: Labels, answers: Labels, teacher: npt.NDArray[np.float64] | None = None
) -> dict[str, float]:
    """Compare classes given by a model with the true ones, and with those of its teacher.

    Parameters
    ----------
    truth, answers : int array (n,)
        True classes and the model's, n > 0.
    teacher : float array (n, n_classes), optional
        Its probabilities.

    Returns
    -------
    dict
        ``frames``: n. ``accuracy`` and its `share_error`, ``accuracy_error``. With a teacher also
        ``teacher_accuracy``, ``agreement`` (share of frames on which both give the same class) and
        ``below_teacher``, the accuracy lost against the teacher. Since both saw the same frames,
        its standard error ``below_teacher_error`` is that of the mean of the frame-wise
        differences, which is smaller than the error of either accuracy. And
        `regret.regret_figures`, `regret.calibration_figures`.
    """
    right = answers == truth
    n = len(truth)
    accuracy = float(right.mean())
    figures = {
        "frames": n,
        "accuracy": accuracy,
        "accuracy_error": share_error(accuracy, n),
    }
    if teacher is not None:
        preferred = teacher.argmax(1)
        lost = (preferred == truth).astype(float) - right
        figures |= {
            "teacher_accuracy": float((preferred == truth).mean()),
            "agreement": float((preferred == answers).mean()),
            "below_teacher": float(lost.mean()),
            "below_teacher_error": float(lost.std() / np.sqrt(n)),
            **regret_figures(answers, teacher),
            **calibration_figures(truth, teacher),
        }
    return figures


def accuracy_lines(figures: dict[str, float], what: str) -> list[str]:
    """Return the figures of `accuracy_figures` as lines for people; `what` names the frames."""
    lines = [
        f"accuracy on {what}: {figures['accuracy']:.1%} ± {figures['accuracy_error']:.1%} "
        f"({figures['frames']:,.0f} frames)"
    ]
    if "teacher_accuracy" in figures:
        lines.append(
            f"teacher on the same frames: {figures['teacher_accuracy']:.1%}; the model is "
            f"{100 * figures['below_teacher']:.1f} ± {100 * figures['below_teacher_error']:.1f} "
            f"points below and gives the same class on {figures['agreement']:.1%}"
        )
    return lines + regret_lines(figures)


def chance_line(accuracy: float, truth: Labels) -> str:
    """Return what to try where a model is no better than a constant, else nothing.

    `accuracy` is the share of right answers, `truth` (n,) the true classes of the same frames.
    """
    constant = float(np.bincount(truth).max() / len(truth))
    if accuracy > constant:
        return ""
    return (
        f"no better than always naming the commonest class ({constant:.1%}): pruning has taken "
        "too much, or the training was too short; prune less, train longer or widen the layers"
    )
