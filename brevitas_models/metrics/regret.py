"""Soft regret against a teacher, and whether the teacher's probabilities can be trusted for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

# Standard errors between a teacher's mean confidence and its accuracy from which it is said that
# they do not agree: by chance in 1 of 370 cases.
NOTABLE = 3.0


def regret_figures(answers: Labels, teacher: Scores) -> dict[str, float]:
    """Return what a model's answers lose, by the probabilities of a teacher.

    The soft regret is the mean of p(class the model names) - p(class the teacher prefers), p being
    the teacher's. Where p are the true probabilities of the classes, it is the expected difference
    of the accuracies; without the chance in the labels its error is several times smaller than that
    of the accuracy. It says nothing of the teacher's own mistakes.

    Answers are classes that the model names, (n,) with n > 0, the teacher's are probabilities (n,
    n_classes). Returns ``soft_regret``, 0 or less, and its standard error ``soft_regret_error``.
    """
    lost = np.take_along_axis(teacher, answers[:, None], 1)[:, 0] - teacher.max(1)
    return {
        "soft_regret": float(lost.mean()),
        "soft_regret_error": float(lost.std() / np.sqrt(len(lost))),
    }


def calibration_figures(truth: Labels, teacher: Scores) -> dict[str, float]:
    """Compare a teacher's confidence with how often it is right.

    Returns ``teacher_overconfidence``, the mean probability of the class it prefers, less its
    accuracy, and ``teacher_overconfidence_error``, the standard error that this has if every
    frame's class is drawn by its probabilities.
    """
    top = teacher.max(1)
    right = teacher.argmax(1) == truth
    return {
        "teacher_overconfidence": float((top - right).mean()),
        "teacher_overconfidence_error": float(np.sqrt((top * (1.0 - top)).sum()) / len(top)),
    }


def regret_lines(figures: dict[str, float]) -> list[str]:
    """Return the figures of both as lines for people; none without a teacher."""
    if "soft_regret" not in figures:
        return []
    gap, error = figures["teacher_overconfidence"], figures["teacher_overconfidence_error"]
    line = (
        f"soft regret against the teacher: {100 * figures['soft_regret']:.2f} ± "
        f"{100 * figures['soft_regret_error']:.2f} points; the teacher's confidence is "
        f"{100 * gap:+.1f} ± {100 * error:.1f} points off its accuracy"
    )
    if abs(gap) > NOTABLE * error:
        line += ": it is not calibrated on these frames, so the soft regret is off as well"
    return [line]
