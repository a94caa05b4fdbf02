"""Data that a build is given: their classes, targets and rows that training did not use."""

import numpy as np
import pytest

from brevitas_models.datasets.splitting import split
from deploy.host_model import HostModel
from deploy.tables import read_table
from deploy.training_rows import unseen_rows
from finn_builds.errors import UserError
from finn_builds.verify.data import load_data
from tests.finn_builds.verify.test_frames import host


def test_data_of_another_width_are_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, X=np.random.default_rng(0).normal(size=(20, 5)), y=np.arange(20) % 2)
    with pytest.raises(UserError, match=r"takes 3 features, but d .* has 5; give --data"):
        load_data(path, host(classes=()), standardise=False)


def test_standardising_asks_for_what_the_file_lacks(tmp_path):
    path = tmp_path / "plain.npz"
    np.savez(path, X=np.eye(4), y=np.arange(4) % 2)
    with pytest.raises(UserError, match=r"with plain, found neither.*scaler_mean and scaler_scale"):
        load_data(path, host(classes=()), standardise=True)


def test_data_are_standardised_on_request(tmp_path):
    path = tmp_path / "d.npz"
    x = np.random.default_rng(0).normal(5, 3, size=(20, 3)).astype(np.float32)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    np.savez(path, X=x, y=np.arange(20) % 2, scaler_mean=mean, scaler_scale=scale)
    plain = load_data(path, host(classes=("0", "1")), standardise=False)
    np.testing.assert_allclose(plain.x, x, rtol=1e-6)
    found = load_data(path, host(classes=("0", "1")), standardise=True)
    np.testing.assert_allclose(found.x, (x - mean) / scale, atol=1e-5)


X = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 2


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        return tmp_path / "d.npz"

    return write


def test_the_order_of_the_classes_is_told_and_can_be_given(npz):
    path = npz(X=X, y=np.array(["u", "t"])[Y])
    found = load_data(path, host(classes=("a", "b")), classes=["u", "t"])
    assert found.y.tolist() == Y.tolist() and found.classes == "u, t (as --classes gives them)"
    nameless = nameless_host(2)
    alphabetical = load_data(path, nameless)
    assert alphabetical.y.tolist() == (1 - Y).tolist()
    assert alphabetical.classes == "t, u (in alphabetical order)"
    assert load_data(path, nameless, classes=["u", "t"]).y.tolist() == Y.tolist()
    named = load_data(path, host(classes=("u", "t")))
    assert named.y.tolist() == Y.tolist() and named.classes == ""


def test_an_order_of_classes_must_suit_the_model(npz):
    path = npz(X=X, y=np.array(["u", "t"])[Y])
    with pytest.raises(UserError, match=r"names 3 classes, the model has 2.*found u, t, v"):
        load_data(path, nameless_host(2), classes=["u", "t", "v"])
    with pytest.raises(UserError, match=r"--classes t,u: the model itself has the order u,t"):
        load_data(path, host(classes=("u", "t")), classes=["t", "u"])


def nameless_host(n_out, split=None):
    description = host(classes=("?",) * n_out).to_dict()
    return HostModel({**description, "class_names": [], "split": split})


def test_features_alone_and_targets(npz):
    alone = load_data(npz(X=X), nameless_host(2))
    assert alone.y is None and alone.targets is None and "without labels" in alone.source
    targets = np.column_stack([X[:, 0], X[:, 1] * 2])
    found = load_data(npz(X=X, y=targets), nameless_host(2))
    np.testing.assert_array_equal(found.targets, targets)
    with pytest.raises(UserError, match="holds 2 targets a frame, but the model has 3"):
        load_data(npz(X=X, y=targets), nameless_host(3))


def test_more_classes_than_outputs(npz):
    with pytest.raises(UserError, match=r"3 classes .u, v, w., but the model has 2 outputs"):
        load_data(npz(X=X, y=np.array(["u", "v", "w"])[np.arange(40) % 3]), nameless_host(2))


def test_only_rows_that_training_did_not_use_are_measured_on(npz):
    """What training records with the model, and what the build makes of it."""
    path = npz(X=X, y=Y)
    data = split(read_table(path), seed=3)
    assert data.split is not None
    found = load_data(path, nameless_host(2, data.split))
    assert "the 8 of its 40 rows that training did not use" in found.source
    np.testing.assert_array_equal(np.unique(found.x, axis=0), np.unique(data.x_test, axis=0))
    everything = load_data(path, nameless_host(2, {**data.split, "test": ""}))
    assert len(everything.x) == 40 and "all of them used in training" in everything.source
    for other in (None, {}, {**data.split, "sha256": "0"}, {**data.split, "test": "&"}):
        unknown = load_data(path, nameless_host(2, other))
        assert len(unknown.x) == 40 and "the model does not say" in unknown.source


def test_a_duplicate_of_a_row_that_was_trained_on_is_not_measured_on(npz):
    path = npz(X=np.concatenate([X, X]), y=np.concatenate([Y, Y]))
    data = split(read_table(path), seed=3)
    assert unseen_rows(data.split, read_table(path).digest, 80).sum() == 8


def test_the_test_set_of_a_file_with_splits(npz):
    path = npz(x_train=X, y_train=Y, x_test=X[:5] + 1, y_test=Y[:5])
    assert split(read_table(path), seed=0).split is None
    found = load_data(path, nameless_host(2))
    assert len(found.x) == 5 and found.source.endswith(", its test set")
    assert not load_data(path, nameless_host(2), shipped=True).source.endswith("test set")
