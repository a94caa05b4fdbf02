"""Scaler and splits, on arbitrary tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brevitas_models.datasets.base import Scaler
from brevitas_models.datasets.splitting import duplicates, split, stratified
from brevitas_models.datasets.table import Table
from brevitas_models.errors import UserError
from deploy.errors import UserError as FileError
from deploy.tables import read_table

# The same examples in every run, however busy the machine is.
RELIABLE = settings(deadline=None, derandomize=True, max_examples=60)
FEATURES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.floats(-1e6, 1e6, width=32),
)
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(
    # Ten of each class at least, so that shares down to a tenth can be told.
    lambda extra: np.array([*np.repeat(np.arange(5), 10), *extra], np.int64)
)


def make_table(x, y, **keywords):
    x = np.asarray(x, np.float32)
    return Table(
        name="t",
        source="file t",
        x=x,
        y=np.asarray(y, np.int64),
        feature_names=tuple(f"x{i}" for i in range(x.shape[1])),
        class_names=tuple(str(i) for i in range(max(y) + 1)),
        **keywords,
    )


@RELIABLE
@given(FEATURES)
def test_a_fitted_scaler_is_finite_and_turns_back(x):
    scaler = Scaler.fit(x)
    assert scaler.mean.dtype == scaler.scale.dtype == np.float32
    assert np.isfinite(scaler.mean).all() and (scaler.scale > 0).all()
    z = scaler.transform(x)
    assert z.dtype == np.float32 and np.isfinite(z).all()
    # Rounding of mean and values, in units of the larger of the two.
    size = np.maximum(np.abs(x).max(axis=0), np.abs(scaler.mean)) + scaler.scale
    assert (np.abs(scaler.inverse(z) - x) <= 1e-5 * size).all()


@RELIABLE
@given(FEATURES)
def test_standardised_features_are_bounded_by_the_number_of_rows(x):
    """No value is further than sqrt(n - 1) standard deviations from the mean (Samuelson)."""
    z = Scaler.fit(x).transform(x).astype(np.float64)
    resolved = x.std(axis=0, dtype=np.float64) > 1e-4 * np.abs(x).max(axis=0)
    assert (np.abs(z[:, resolved]) <= np.sqrt(len(x) - 1) * 1.001 + 1e-3).all()


def test_a_constant_feature_keeps_its_unit():
    x = np.full((1000, 2), 0.1, np.float32)
    x[:, 1] = np.arange(1000)
    scaler = Scaler.fit(x)
    assert scaler.scale[0] == 1 and abs(scaler.scale[1] - np.std(np.arange(1000))) < 1e-3


@RELIABLE
@given(LABELS, st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_complete_and_stratified(y, seed):
    parts = stratified(y, (0.1, 0.2), np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(y)))
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        counts = np.bincount(y[part], minlength=5)
        assert (counts >= 1).all()
        assert (np.abs(counts - share * np.bincount(y)) <= 1).all()


@RELIABLE
@given(LABELS, st.integers(0, 2**32 - 1))
def test_no_row_is_both_trained_and_tested_on(y, seed):
    x = np.random.default_rng(seed).integers(0, 6, (len(y), 2))
    try:
        data = split(make_table(x, y), seed)
    except UserError as error:
        assert "usable row" in str(error)
        return
    rows = [
        tuple(row)
        for part in ("train", "val", "test")
        for row in np.column_stack([getattr(data, f"x_{part}"), getattr(data, f"y_{part}")])
    ]
    assert len(rows) == len(set(rows))
    assert set(rows) == {tuple(row) for row in np.column_stack([x, y])}
    np.testing.assert_array_equal(data.scaler.mean, Scaler.fit(data.x_train).mean)
    dropped = len(y) - len(rows)
    assert (f"{dropped} exact duplicate" in data.source) == (dropped > 0)


@RELIABLE
@given(LABELS)
def test_duplicates_agree_with_a_set_of_rows(y):
    x = np.column_stack([y % 2, -0.0 * y]).astype(np.float32)
    x[::2, 1] = 0.0
    seen, expected = set(), []
    for row, label in zip(x.tolist(), y.tolist(), strict=True):
        expected.append((*row, label) in seen)
        seen.add((*row, label))
    np.testing.assert_array_equal(duplicates(x, y), expected)


def test_a_class_with_too_few_different_rows_is_named():
    x = [[0], [1], [2], [3], [3], [3]]
    with pytest.raises(UserError, match="class '1' has 1 usable row; at least 3"):
        split(make_table(x, [0, 0, 0, 1, 1, 1]), 0)


def test_one_class_is_no_classification():
    with pytest.raises(UserError, match="all rows are of class '0'"):
        split(make_table([[0], [1], [2]], [0, 0, 0]), 0)


def test_ready_made_splits_are_kept_and_a_leak_is_told():
    x = np.arange(20).reshape(10, 2)
    x[9] = x[0]
    data = split(make_table(x, [0, 1] * 5, parts=(4, 2, 4)), 0)
    np.testing.assert_array_equal(data.x_train, x[:4])
    np.testing.assert_array_equal(data.x_val, x[4:6])
    np.testing.assert_array_equal(data.x_test, x[6:])
    assert "1 of the 4 test rows are also among the training rows" in data.source


def test_a_missing_validation_set_is_taken_from_the_training_rows_only():
    x, y = np.arange(60).reshape(30, 2), [0, 1] * 15
    data = split(make_table(x, y, parts=(20, 0, 10)), 0)
    assert sorted(np.concatenate([data.x_train, data.x_val])[:, 0]) == list(range(0, 40, 2))
    np.testing.assert_array_equal(data.x_test, x[20:])
    assert np.bincount(data.y_val).tolist() == [1, 1]


def test_a_written_test_set_is_what_a_build_reads(tmp_path):
    rng = np.random.default_rng(0)
    data = split(make_table(rng.normal(size=(100, 3)), [0, 1] * 50, surrogate=True), 0)
    data.write_test_set(tmp_path / "all.npz")
    found = read_table(tmp_path / "all.npz", test_only=True)
    np.testing.assert_array_equal(found.x, data.x_test)
    np.testing.assert_array_equal(found.y, data.y_test)
    np.testing.assert_array_equal(found.scaler.mean, data.scaler.mean)
    np.testing.assert_array_equal(found.scaler.scale, data.scaler.scale)
    assert (found.feature_names, found.class_names) == (data.feature_names, data.class_names)
    assert (found.source, found.surrogate) == (data.source, True)
    data.write_test_set(tmp_path / "some.npz", frames=5)
    some = read_table(tmp_path / "some.npz", test_only=True)
    np.testing.assert_array_equal(some.x, data.x_test[:5])
    assert some.source == f"{data.source}; the first 5 of 20 test frames"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.npz", "some.npz"]
    with pytest.raises(FileError, match="x_train and y_train missing"):
        read_table(tmp_path / "all.npz")
