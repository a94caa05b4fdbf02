"""Shares of right answers against counts by hand."""

import numpy as np
import pytest

from brevitas_models.metrics import accuracy_figures, chance_line
from brevitas_models.metrics.accuracy import share_error

TRUTH = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])


def test_a_student_below_its_teacher():
    student = np.array([0, 0, 1, 1, 1, 2, 2, 2, 0, 0])
    teacher = np.array([0, 0, 0, 1, 0, 2, 2, 2, 2, 0])
    figures = accuracy_figures(TRUTH, student, np.eye(3)[teacher])
    assert (figures["frames"], figures["accuracy"]) == (10, 0.7)
    assert figures["accuracy_error"] == pytest.approx(np.sqrt(0.7 * 0.3 / 10))
    assert (figures["teacher_accuracy"], figures["agreement"]) == (0.8, 0.7)
    assert figures["below_teacher"] == pytest.approx(0.1)
    assert figures["soft_regret"] == pytest.approx(-0.3)  # of a teacher that is always sure
    assert figures["teacher_overconfidence"] == pytest.approx(0.2)


def test_an_accuracy_of_all_or_none_has_an_error_too():
    expected = np.sqrt(31 / 32 * 1 / 32 / 30)
    assert [share_error(share, 30) for share in (0.0, 1.0)] == pytest.approx([expected, expected])


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.5])
def test_no_better_than_a_constant_is_said(accuracy):
    assert "commonest class (50.0%)" in chance_line(accuracy, TRUTH)


def test_better_than_a_constant_needs_no_word():
    assert chance_line(0.6, TRUTH) == ""
