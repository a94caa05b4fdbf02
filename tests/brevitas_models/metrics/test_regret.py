"""Soft regret against sums by hand and against accuracies; calibration against drawn classes."""

import numpy as np
import pytest

from brevitas_models.metrics import calibration_figures, regret_figures, regret_lines

TEACHER = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6], [0.3, 0.4, 0.3]])


def test_by_hand():
    figures = regret_figures(np.array([0, 2, 1, 0]), TEACHER)
    lost = np.array([0.0, -0.1, -0.4, -0.1])
    assert figures["soft_regret"] == pytest.approx(lost.mean())
    assert figures["soft_regret_error"] == pytest.approx(lost.std() / 2)


def test_the_teacher_itself_regrets_nothing():
    figures = regret_figures(TEACHER.argmax(1), TEACHER)
    assert figures == {"soft_regret": 0.0, "soft_regret_error": 0.0}


def test_is_the_difference_of_accuracies_where_the_probabilities_are_true():
    rng = np.random.default_rng(0)
    teacher = rng.dirichlet([0.5] * 4, size=20_000)
    truth = (teacher.cumsum(1) > rng.random((len(teacher), 1))).argmax(1)
    answers = np.where(rng.random(len(teacher)) < 0.2, 0, teacher.argmax(1))
    figures = regret_figures(answers, teacher)
    lost = (answers == truth).astype(float) - (teacher.argmax(1) == truth)
    error = lost.std() / np.sqrt(len(truth))
    assert figures["soft_regret"] == pytest.approx(lost.mean(), abs=3 * error)
    assert figures["soft_regret_error"] < error


def test_calibration_tells_a_teacher_that_is_too_sure():
    rng = np.random.default_rng(1)
    teacher = rng.dirichlet([1.0] * 3, size=5_000)
    truth = (teacher.cumsum(1) > rng.random((len(teacher), 1))).argmax(1)
    sure = teacher**3 / (teacher**3).sum(1, keepdims=True)
    for scores, off in ((teacher, False), (sure, True)):
        found = calibration_figures(truth, scores)
        gap, error = found["teacher_overconfidence"], found["teacher_overconfidence_error"]
        assert (gap > 3 * error) == off
        line = regret_lines({**regret_figures(truth, scores), **found})[0]
        assert ("not calibrated" in line) == off
    assert regret_lines({"accuracy": 0.5}) == []
