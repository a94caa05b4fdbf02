"""Areas and background efficiencies: by hand, and against scipy's rank test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import mannwhitneyu

from brevitas_models import metrics

# Six frames of class 0, four of class 1; the score of class 0 falls from 0.9.
TRUTH = np.array([0, 0, 1, 0, 0, 1, 0, 1, 0, 1])
SCORE = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])


def test_by_hand():
    scores = np.stack([SCORE, -SCORE], axis=1)
    # Pairs of a frame of class 0 above one of class 1: 4 + 4 + 3 + 3 + 2 + 1 of 24.
    np.testing.assert_allclose(metrics.roc_auc(TRUTH, scores), [17 / 24, 17 / 24])
    # Half of class 0 are three frames; one of the four others lies above the third. Half of class
    # 1 are the two lowest, with one of class 0 among them.
    np.testing.assert_allclose(metrics.background_efficiency(TRUTH, scores), [1 / 4, 1 / 6])
    np.testing.assert_allclose(
        metrics.background_efficiency(TRUTH, scores, signal=1.0), [3 / 4, 4 / 6]
    )


def test_interpolates_between_two_points():
    # All five frames of equal score: the curve is the diagonal.
    truth, equal = np.array([0, 0, 0, 1, 1]), np.zeros((5, 2))
    np.testing.assert_allclose(metrics.background_efficiency(truth, equal), 0.5)
    # One tie: from (0, 1/3) straight to (1/2, 2/3).
    tied = np.array([3.0, 2.0, 0.0, 2.0, 1.0])
    found = metrics.background_efficiency(truth, np.stack([tied, -tied], 1))[0]
    assert found == pytest.approx(0.25)


@given(
    hnp.arrays(np.float64, (30, 3), elements=st.integers(0, 5).map(float)),
    hnp.arrays(np.int64, 30, elements=st.integers(0, 2)),
)
def test_area_is_the_rank_statistic(scores, truth):
    areas = metrics.roc_auc(truth, scores)
    for index, area in enumerate(areas):
        mine, others = scores[truth == index, index], scores[truth != index, index]
        if len(mine) and len(others):
            expected = mannwhitneyu(mine, others).statistic / (len(mine) * len(others))
            assert area == pytest.approx(expected)
        else:
            assert np.isnan(area)


@given(
    hnp.arrays(np.float64, 40, elements=st.integers(0, 60).map(float), unique=True),
    hnp.arrays(np.int64, 40, elements=st.integers(0, 1)),
    st.floats(0.01, 1),
)
def test_background_against_counting(score, truth, signal):
    mine, others = np.sort(score[truth == 0])[::-1], score[truth == 1]
    if not len(mine) or not len(others):
        return
    found = metrics.background_efficiency(truth, np.stack([score, -score], 1), signal)[0]
    # Without ties the rate is a step function: its value where `signal` is just reached.
    needed = int(np.ceil(signal * len(mine) - 1e-9))
    assert found == pytest.approx(float((others > mine[needed - 1]).mean()))


def test_probabilities_are_a_softmax():
    found = metrics.probabilities(np.float32([[0, 0], [np.log(3), 0], [1e4, 0]]))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.75, 0.25], [1, 0]], rtol=1e-6)
    assert found.dtype == np.float64


def test_classes_without_frames_are_not_averaged():
    scores = np.stack([SCORE, -SCORE, np.zeros(10)], axis=1)
    figures = metrics.score_figures(TRUTH, scores, ["a", "b", "none"])
    assert figures["auc"] == pytest.approx(17 / 24)
    assert figures["background_efficiency"] == pytest.approx((1 / 4 + 1 / 6) / 2)
    assert (figures["auc_a"], figures["background_efficiency_b"]) == pytest.approx((17 / 24, 1 / 6))
    assert np.isnan(figures["auc_none"])
