"""`load` itself, and the built-in digits."""

import subprocess
import sys

import numpy as np
import pytest

from brevitas_models.datasets import load
from brevitas_models.errors import UserError


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


def test_only_to_be_measured_on_digits_keep_their_test_set():
    np.testing.assert_array_equal(load("digits", test_only=True).x_test, load("digits").x_test)


def test_columns_and_classes_come_in_the_wanted_order():
    plain = load("digits")
    features = plain.feature_names[::-1]
    classes = ("9", *plain.class_names[:-1])
    turned = load("digits", feature_names=features, class_names=classes)
    assert turned.feature_names == features and turned.class_names == classes
    names = [plain.class_names[y] for y in load("digits").y_test]
    # Another numbering of the classes splits them in another order: compare as sets of frames.
    known = {row.tobytes(): y for row, y in zip(plain.x_test, names, strict=True)}
    known |= {
        row.tobytes(): plain.class_names[y]
        for row, y in zip(plain.x_train, plain.y_train, strict=True)
    }
    known |= {
        row.tobytes(): plain.class_names[y] for row, y in zip(plain.x_val, plain.y_val, strict=True)
    }
    for row, y in zip(turned.x_test, turned.y_test, strict=True):
        assert known[np.ascontiguousarray(row[::-1]).tobytes()] == classes[y]


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (["jet"], {}, "no data set 'jet'.*digits, jets.*'jets' meant"),
        (["data.parquet"], {}, r"\.npz or \.csv"),
        (["missing.npz"], {}, "missing.npz: can't be read .*No such file"),
        (["digits"], {"source": "openml"}, "only be chosen for jets"),
        (["digits"], {"seed": -1}, "seed is -1"),
        (["digits"], {"feature_names": ["pixel_0_0", "pixel_9_9"]}, "feature pixel_9_9 missing"),
        (["digits"], {"class_names": ["0", "1"]}, "label is '2'; expected one of 0, 1"),
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
