"""`load` itself, and the built-in digits."""

import subprocess
import sys

import numpy as np
import pytest

from brevitas_models.datasets import load
from brevitas_models.errors import UserError
from deploy.errors import UserError as FileError
from deploy.tables import read_table


def test_digits_are_complete_and_split_the_same_in_every_class():
    data = load("digits")
    assert data.n_features == 64 and data.class_names == tuple("0123456789")
    assert not data.surrogate and "1,797" in data.source
    sets = [(data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)]
    assert sum(len(y) for _, y in sets) == 1797
    for (x, y), share in zip(sets, (0.7, 0.1, 0.2), strict=True):
        assert x.dtype == np.float32 and y.dtype == np.int64 and x.shape == (len(y), 64)
        everything = np.bincount(np.concatenate([y for _, y in sets]))
        np.testing.assert_allclose(np.bincount(y), share * everything, atol=1)
    rows = {row.tobytes() for x, _ in sets for row in x}
    assert len(rows) == 1797


def test_pixels_stay_raw_and_the_scaler_is_that_of_the_training_rows():
    data = load("digits")
    assert data.x_test.min() == 0 and data.x_test.max() == 16
    z = data.scaler.transform(data.x_train)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    deviation = z.std(axis=0)
    constant = (data.x_train == data.x_train[0]).all(axis=0)
    assert constant.any()
    np.testing.assert_allclose(deviation[~constant], 1, atol=1e-4)
    assert (z[:, constant] == 0).all()


def test_the_seed_alone_decides_the_split():
    one, same, other = load("digits", seed=3), load("digits", seed=3), load("digits", seed=4)
    np.testing.assert_array_equal(one.x_train, same.x_train)
    np.testing.assert_array_equal(one.y_test, same.y_test)
    assert not np.array_equal(one.x_test, other.x_test)


@pytest.fixture
def file(tmp_path):
    x = np.arange(160, dtype=np.float32).reshape(40, 4)
    np.savez(tmp_path / "mine.npz", X=x, y=np.arange(40) % 2, scaler_mean=x[0], scaler_scale=x[1])
    return tmp_path / "mine.npz"


def test_a_file_is_read_by_the_reader_given_and_split(file):
    data, raw = load(file, read_table=read_table), np.load(file)
    assert data.name == "mine" and "mine.npz" in data.source and not data.surrogate
    assert [len(y) for y in (data.y_train, data.y_val, data.y_test)] == [28, 4, 8]
    everything = np.concatenate([data.x_train, data.x_val, data.x_test])
    np.testing.assert_array_equal(np.sort(everything, axis=0), raw["X"])
    np.testing.assert_array_equal(data.scaler.mean, raw["scaler_mean"])
    np.testing.assert_allclose(data.scaler.inverse(data.scaler.transform(raw["X"])), raw["X"])


def test_a_file_needs_a_reader(file):
    with pytest.raises(UserError, match=r"mine.npz: .* expected read_table=.*, found none"):
        load(file)
    with pytest.raises(UserError, match=r"mine.npz: .* expected read_table="):
        load("jets", source=str(file))


def test_a_file_that_cannot_be_split(tmp_path):
    path = tmp_path / "few.npz"
    np.savez(path, X=np.eye(6), y=[0, 0, 0, 2, 2, 2])
    with pytest.raises(UserError, match=r"few.npz .*class '1' has 0 usable rows"):
        load(path, read_table=read_table)


def test_errors_of_the_reader_pass_through(tmp_path):
    with pytest.raises(FileError, match=r"missing.npz: can't be read .*No such file"):
        load(tmp_path / "missing.npz", read_table=read_table)
    with pytest.raises(FileError, match=r"data.parquet: expected a file .*\.npz, .*\.csv"):
        load("data.parquet", read_table=read_table)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (["jet"], {}, "no data set 'jet'.*digits, jets.*'jets' meant"),
        (["data"], {}, r"\.npz or \.csv"),
        (["digits"], {"source": "openml"}, "only be chosen for jets"),
        (["digits"], {"seed": -1}, "seed is -1"),
    ],
)
def test_a_wrong_request_ends_with_one_message(arguments, keywords, message):
    with pytest.raises(UserError, match=message):
        load(*arguments, **keywords)


def test_torch_is_not_imported():
    code = (
        "import sys; from brevitas_models.datasets import load; load('jets', source='surrogate');"
        "assert not {'torch', 'pandas', 'h5py', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
