"""The offline surrogate: what it draws, and that its shipped file holds statistics alone."""

import numpy as np
import pytest

from benchmarks import fit_surrogate
from brevitas_models.datasets import load
from brevitas_models.datasets.jets_features import CLASSES, FEATURES
from brevitas_models.datasets.surrogate import SIZES, STATISTICS, Copula
from deploy.tables import read_table


@pytest.fixture(scope="module")
def data():
    return load("jets", source="surrogate", seed=1)


def test_it_says_that_it_is_no_data(data):
    assert data.surrogate and data.name == "jets"
    assert "NOT real jets" in data.source and "501 jets of OpenML 42468" in data.source
    assert "664,000" in data.source and "CC-BY-4.0" in data.source


def test_layout(data):
    assert data.feature_names == FEATURES and data.class_names == CLASSES
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == SIZES
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.float32 and y.dtype == np.int64 and np.isfinite(x).all()
        assert set(np.unique(y)) == set(range(5))


def test_the_seed_alone_decides(data):
    np.testing.assert_array_equal(data.x_train, load("jets", source="surrogate", seed=1).x_train)
    assert not np.array_equal(data.x_train, load("jets", source="surrogate", seed=2).x_train)


def test_draws_have_the_statistics_they_are_drawn_from(data):
    copula = Copula.read()
    x = data.x_train[:, [FEATURES.index(name) for name in FEATURES if name != "d2_a1_b1_mmdt"]]
    np.testing.assert_allclose(np.bincount(data.y_train) / SIZES[0], copula.shares, atol=0.01)
    for label in range(5):
        rows = x[data.y_train == label]
        for level, expected in zip(copula.levels, copula.quantiles[label].T, strict=True):
            below = (rows <= np.where(copula.integer, np.rint(expected), expected)).mean(axis=0)
            # A whole-numbered feature has many rows on one value.
            slack = np.where(copula.integer, 0.05, 0.015)
            inside = (expected > copula.low) & (expected < copula.high)
            assert (np.abs(below - level) < slack)[inside].all()
        scores = fit_surrogate.normal_scores(rows.astype(np.float64))
        found = scores.T @ scores / len(rows)
        np.testing.assert_allclose(found, copula.correlations[label], atol=0.06)


def test_draws_keep_what_every_jet_keeps(data):
    x = dict(zip(FEATURES, data.x_train.T, strict=True))
    np.testing.assert_array_equal(x["d2_b1_mmdt"], x["d2_a1_b1_mmdt"])
    np.testing.assert_array_equal(x["multiplicity"], np.rint(x["multiplicity"]))
    assert all((x[name] > 0).all() for name in FEATURES if name != "zlogz")


def test_correlations_are_correlations():
    for matrix in Copula.read().correlations.astype(np.float64):
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
        np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-6)
        assert np.linalg.eigvalsh(matrix).min() > 1e-4


def test_the_shipped_file_is_small_and_holds_no_jet(shared_data):
    assert STATISTICS.stat().st_size < 100_000
    jets = np.load(shared_data / "jets_real_dev.npz")["X"]
    copula = Copula.read()
    # Far fewer figures than the 16 values of each of 501 jets, whatever they were made into.
    figures = copula.quantiles.size + copula.correlations.size // 2
    assert figures < jets.size / 3
    # Not one measured value of a feature stands among its figures, so no jet does either.
    for name, column in zip(FEATURES, copula.column_of, strict=True):
        values = jets[:, FEATURES.index(name)].astype(np.float64)
        known = np.concatenate(
            [copula.quantiles[:, column].ravel(), copula.low[[column]], copula.high[[column]]]
        )
        assert not np.isclose(known[:, None], values, rtol=1e-7, atol=0).any(), name


def test_the_shipped_file_is_what_the_command_makes(shared_data, tmp_path, capsys):
    out = tmp_path / "made.npz"
    arguments = [str(shared_data / "jets_real_dev.npz"), "--out", str(out)]
    arguments += ["--scaler-origin", "the 664,000 jets of its training set"]
    assert fit_surrogate.main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["made.npz"]
    with np.load(out) as made, np.load(STATISTICS) as shipped:
        assert made.files == shipped.files
        for key in made.files:
            if made[key].dtype.kind == "f":
                np.testing.assert_allclose(made[key], shipped[key], rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(made[key], shipped[key])


def make_jets(path, n, **arrays):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 5
    x = rng.normal(size=(n, 16)) + y[:, None]
    np.savez(path, X=x, y=y, classes=CLASSES, feature_names=FEATURES, **arrays)
    return path


def test_command_on_too_few_jets(tmp_path, capsys):
    path = make_jets(tmp_path / "few.npz", 100)
    assert fit_surrogate.main([str(path), "--out", str(tmp_path / "out.npz")]) == 2
    assert "at least 50 of each class" in capsys.readouterr().err
    path = make_jets(tmp_path / "many.npz", 300)
    assert fit_surrogate.main([str(path), "--out", str(tmp_path / "no" / "out.npz")]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_statistics_of_known_rows_are_found_again(tmp_path):
    """Draw from a copula fitted to rows of known correlation: it comes back, shrunk a little."""
    rng = np.random.default_rng(3)
    n, correlation = 2500, 0.8
    y = np.arange(n) % 5
    x = np.sqrt(correlation) * rng.normal(size=(n, 1))
    x = x + np.sqrt(1 - correlation) * rng.normal(size=(n, 16))
    x[:, 2] = 5
    np.savez(tmp_path / "d.npz", X=x + y[:, None], y=y, feature_names=FEATURES, classes=CLASSES)
    table = read_table(tmp_path / "d.npz")
    copula = fit_surrogate.fit(table, "nothing", "nothing")
    assert "of 2,500 jets of nothing; scaler of these jets" in str(copula.origin)
    drawn, labels = copula.draw(30_000, np.random.default_rng(0))
    for label in range(5):
        rows = drawn[labels == label]
        assert abs(np.corrcoef(rows[:, 0], rows[:, 1])[0, 1] - correlation) < 0.06
        assert abs(rows[:, 0].mean() - label) < 0.15
        assert (rows[:, 2] == 5 + label).all()


def test_real_jets_are_told_apart_by_what_is_learnt_on_the_surrogate(shared_data, data):
    """A quick quadratic classifier; chance is 20 %, a network gets about 70 %."""
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    real = read_table(shared_data / "jets_real_dev.npz", test_only=True)
    classifier = QuadraticDiscriminantAnalysis(reg_param=0.05)
    classifier.fit(data.scaler.transform(data.x_train), data.y_train)
    assert classifier.score(data.scaler.transform(real.x), real.y) > 0.55
