"""A user's .npz and .csv: what is accepted, and what message every mistake ends with."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.errors import UserError
from deploy.tables import read_table

# The same examples in every run, however busy the machine is.
RELIABLE = settings(deadline=None, derandomize=True, max_examples=60)
X = np.arange(60, dtype=np.float64).reshape(20, 3) / 7
Y = np.arange(20) % 2


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        return tmp_path / "d.npz"

    return write


@pytest.fixture
def text(tmp_path):
    def write(content, encoding="utf-8"):
        (tmp_path / "d.csv").write_bytes(content.encode(encoding))
        return tmp_path / "d.csv"

    return write


def refused(path, message, **keywords):
    with pytest.raises(UserError, match=message) as caught:
        read_table(path, **keywords)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or path.name in str(caught.value)


# .npz


def test_npz_table(npz):
    data = read_table(npz(X=X, y=Y, classes=["no", "yes"], feature_names=["a", "b", "c"]))
    assert data.name == "d" and data.class_names == ("no", "yes")
    assert data.feature_names == ("a", "b", "c") and not data.surrogate
    assert "d.npz" in data.source and "/" not in data.source
    np.testing.assert_array_equal(data.x, X.astype(np.float32))
    np.testing.assert_array_equal(data.y, Y)
    assert data.scaler is None and data.parts is None


def test_npz_names_and_classes_are_numbered_without_names(npz):
    data = read_table(npz(X=X, y=Y))
    assert data.feature_names == ("x0", "x1", "x2") and data.class_names == ("0", "1")


def test_npz_recorded_scaler_is_used_and_told(npz):
    data = read_table(npz(X=X, y=Y, scaler_mean=[1, 2, 3], scaler_scale=[0.5, 1, 2]))
    assert data.scaler.mean.tolist() == [1, 2, 3] and data.scaler.scale.tolist() == [0.5, 1, 2]
    assert "scaler recorded in it" in data.source


def test_a_recorded_scaler_standardises(npz):
    data = read_table(npz(X=X, y=Y, scaler_mean=[1, 2, 3], scaler_scale=[0.5, 1, 2]))
    found = data.scaler.transform(data.x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (X - [1, 2, 3]) / [0.5, 1, 2], rtol=1e-5, atol=1e-6)


def test_npz_recorded_scaler_follows_its_columns(npz):
    path = npz(
        X=X, y=Y, feature_names=["a", "b", "c"], scaler_mean=[1, 2, 3], scaler_scale=[1, 2, 4]
    )
    data = read_table(path, feature_names=["c", "a"])
    assert data.scaler.mean.tolist() == [3, 1] and data.scaler.scale.tolist() == [4, 1]
    assert set(data.x[:, 1]) <= set(X[:, 0].astype(np.float32))


def test_npz_that_says_where_it_comes_from(npz):
    data = read_table(npz(X=X, y=Y, source=" drawn\nby hand ", surrogate=True))
    assert data.source == "drawn by hand" and data.surrogate
    unnamed = read_table(npz(X=X, y=Y, source="a pen"), feature_names=["a", "b", "c"])
    assert unnamed.source.startswith("a pen, which does not name its features")
    assert not unnamed.surrogate


def test_npz_whole_as_test_set_keeps_order_and_duplicates(npz):
    data = read_table(npz(X=np.ones((4, 2)), y=["b", "a", "b", "b"]), test_only=True)
    assert data.x.shape == (4, 2) and data.y.tolist() == [1, 0, 1, 1]
    assert data.parts is None and data.scaler is None


def test_npz_splits(npz):
    parts = {"x_train": X, "y_train": Y, "x_test": X[:4] + 100, "y_test": Y[:4]}
    data = read_table(npz(**parts))
    assert data.parts == (20, 0, 4)
    np.testing.assert_array_equal(data.x, np.concatenate([X, X[:4] + 100]).astype(np.float32))
    with_val = read_table(npz(**parts, X_val=X + 50, y_val=Y))
    assert with_val.parts == (20, 20, 4)
    np.testing.assert_array_equal(with_val.x[20:40], (X + 50).astype(np.float32))
    measured = read_table(npz(**parts), test_only=True)
    assert measured.parts is None
    np.testing.assert_array_equal(measured.x, (X[:4] + 100).astype(np.float32))


def test_npz_only_the_test_set_still_knows_the_classes_of_the_others(npz):
    path = npz(
        x_train=X, y_train=np.array(["a", "b"])[Y], x_test=X[:2], y_test=np.array(["b", "b"])
    )
    data = read_table(path, test_only=True)
    assert data.class_names == ("a", "b") and data.y.tolist() == [1, 1]
    np.testing.assert_array_equal(data.x, X[:2].astype(np.float32))
    alone = read_table(npz(x_test=X, y_test=Y), test_only=True)
    assert len(alone.y) == 20


@pytest.mark.parametrize("kind", ["?", "u1", "i8", "f2", "f8", "S1", "U4"])
def test_labels_of_any_type(npz, kind):
    data = read_table(npz(X=X, y=Y.astype(kind)), test_only=True)
    assert data.y.dtype == np.int64 and data.class_names == ("0", "1")
    np.testing.assert_array_equal(data.y, Y)


def test_labels_are_found_by_name_or_by_number(npz):
    classes = ("g", "q", "t")
    named = read_table(npz(X=X, y=np.array(["q", "t"])[Y]), class_names=classes, test_only=True)
    numbered = read_table(npz(X=X, y=Y + 1), class_names=classes, test_only=True)
    own = read_table(npz(X=X, y=Y, classes=["q", "t"]), class_names=classes, test_only=True)
    for data in (named, numbered, own):
        assert data.class_names == classes
        np.testing.assert_array_equal(data.y, Y + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.where(X[7, 2] == X, np.nan, X)}, "row 7 of x .*'x2'.* nan"),
        ({"X": np.where(X[3, 0] == X, np.inf, X)}, "row 3 of x .*'x0'.* inf"),
        ({"X": np.where(X[3, 1] == X, 1e300, X)}, r"row 3 of x .*'x1'.* 1e\+300.*float32"),
        ({"X": np.full((20, 3), np.nan)}, "row 0 .*59 more such values"),
        ({"X": X.reshape(20, 3, 1)}, r"shape \(20, 3, 1\).*reshape"),
        ({"X": X.astype(str)}, "expected numbers"),
        ({"X": X * 1j}, "complex128"),
        ({"X": X[:0], "y": Y[:0]}, "holds no rows"),
        ({"X": X[:, :0]}, r"shape \(20, 0\)"),
        ({"X": X[:5]}, "x has 5 rows, y has 20"),
        ({"y": np.where(Y == 1, np.nan, 0)}, "row 1 .*label is nan"),
        ({"y": Y * 5000}, "row 1 .*label is 5000; expected 0 to 1023"),
        ({"y": np.where(Y, b"\xff", b"")}, "row 0 .*label is empty"),
        ({"y": np.where(Y, 2**63, 0).astype(np.uint64)}, "row 1 .*label is 9223372036854775808"),
        ({"y": Y, "classes": ["only"]}, "row 1 .*label is 1; expected 0 to 0, for only"),
        ({"y": np.where(Y, "a", " ")}, "row 0 .*label is empty"),
        ({"y": np.where(Y, "a", "c"), "classes": ["a", "b"]}, "row 0 .*'c'; expected one of a, b"),
        ({"feature_names": ["a", "b"]}, "2 names for 3 columns"),
        ({"feature_names": ["a", "b", "a"]}, "name 'a' occurs twice"),
        ({"feature_names": ["a", "", "b"]}, "name 2 of 3 is empty"),
        ({"classes": ["a", "a"]}, "name 'a' occurs twice"),
        ({"scaler_mean": np.zeros(3)}, "belong together"),
        ({"scaler_mean": np.zeros(3), "scaler_scale": np.ones(2)}, r"scaler_scale .*\(2,\)"),
        ({"scaler_mean": np.zeros(3), "scaler_scale": [1, 0, 1]}, "scaler_scale of feature 'x1'"),
        ({"scaler_mean": [0, 0, np.nan], "scaler_scale": np.ones(3)}, "scaler_mean of .*'x2'"),
        ({"x_test": X, "y_test": Y}, "one table or ready-made splits"),
        ({"x": X}, "differ in case only"),
        ({"source": 3}, r"source is int64 of shape \(\); expected one text"),
        ({"source": ["a", "b"]}, r"source is <U1 of shape \(2,\)"),
        ({"surrogate": "yes"}, "surrogate is .*expected True or False"),
    ],
)
def test_npz_mistakes(npz, change, message):
    refused(npz(**({"X": X, "y": Y} | change)), message)


def test_npz_python_objects_are_not_unpickled(npz):
    refused(npz(X=X, y=np.array([None] * 20)), "y holds Python objects")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": X}, "x and y missing; found no known array"),
        ({"X": X}, "y missing; found x"),
        ({"x_train": X, "y_train": Y}, "x_test and y_test missing"),
        ({"x_test": X, "y_test": Y}, "x_train and y_train missing"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, "x_test has 2 features"),
    ],
)
def test_npz_missing_arrays(npz, arrays, message):
    refused(npz(**arrays), message)


def test_npz_that_is_none(tmp_path):
    path = tmp_path / "d.npz"
    path.write_bytes(b"")
    refused(path, "can't be read as .npz")
    path.write_text("no archive")
    refused(path, "can't be read as .npz")
    with path.open("wb") as file:
        np.save(file, X)
    refused(path, "a single array")
    path.unlink()
    path.mkdir()
    refused(path, "can't be read .*directory")


def test_npz_of_other_things(npz):
    path = npz(X=X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y", "labels")
    refused(path, "array y can't be read as .npz")


def test_npz_damaged(npz):
    path = npz(X=np.random.default_rng(0).normal(size=(500, 3)), y=np.arange(500) % 2)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "can't be read as .npz")
    spoiled = bytearray(whole)
    spoiled[2000:2100] = bytes(100)
    path.write_bytes(spoiled)
    refused(path, "array X can't be read")


# .csv


def rows(n=12, label="label"):
    return f"a,b,{label}\n" + "".join(f"{i},{i / 8},{'uv'[i % 2]}\n" for i in range(n))


@pytest.mark.parametrize("label", ["label", "Class", "y", "kind"])
def test_csv_label_column(text, label):
    data = read_table(text(rows(label=label)), test_only=True)
    assert data.feature_names == ("a", "b") and data.class_names == ("u", "v")
    np.testing.assert_array_equal(data.x, [[i, i / 8] for i in range(12)])
    np.testing.assert_array_equal(data.y, [i % 2 for i in range(12)])
    assert ("labels in its last column, 'kind'" in data.source) == (label == "kind")


def test_csv_label_column_need_not_be_the_last_and_y_can_be_a_coordinate(text):
    data = read_table(text("class,x,y\n1,0.5,2\n0,1.5,4\n"), test_only=True)
    assert data.feature_names == ("x", "y") and data.y.tolist() == [1, 0]


def test_csv_of_other_programs(text):
    content = "\ufeffa;b;label\r\n1;2;x\r\n\r\n3;4;y\r\n"
    data = read_table(text(content), test_only=True)
    assert data.x.tolist() == [[1, 2], [3, 4]] and data.class_names == ("x", "y")
    assert read_table(text('"a","b","label"\n"1","2","x"\n'), test_only=True).x.tolist() == [[1, 2]]


def test_csv_columns_by_name_leave_out_the_others(text):
    path = text("note,b,a,label\nfirst,2,1,x\nsecond,4,3,y\n")
    data = read_table(path, feature_names=["a", "b"], class_names=["y", "x"], test_only=True)
    assert data.x.tolist() == [[1, 2], [3, 4]] and data.y.tolist() == [1, 0]


@RELIABLE
@given(
    st.lists(
        st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_csv_numbers_come_back_exactly(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("csv") / "d.csv"
    path.write_text("a,label\n" + "".join(f"{x!r},{y}\n" for x, y in table))
    data = read_table(path, test_only=True)
    assert data.x[:, 0].tolist() == [x for x, _ in table]
    assert [data.class_names[y] for y in data.y] == [str(y) for _, y in table]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file is empty"),
        ("\n\n", "file is empty"),
        ("a,b,label\n", "no rows after the header"),
        ("1,2,3\n4,5,6\n", "line 1: only numbers"),
        ("a\n1\n", "no column of labels beside the features"),
        ("label\n1\n", "line 1: one column, 'label'"),
        ("a,,label\n0,1,x\n", "line 1: name 2 of 3 is empty"),
        ("a,a,label\n1,2,x\n", "line 1: the name 'a' occurs twice"),
        ("a,class,label\n1,x,y\n", "'class' and 'label' both look like"),
        ("a,b,label\n1,2,x\n1,two,y\n", "line 3, column 'b': 'two' is not a number"),
        ("a,b,label\n1,2,x\n\n1,,y\n", "line 4, column 'b': no value"),
        ("a,b,label\n1,2,x\n1,nan,y\n", "line 3, feature 'b': the value is nan"),
        ("a,b,label\n1,2,x\n-inf,2,y\n", "line 3, feature 'a': the value is -inf"),
        ("a,b,label\n1,2,x\n1,2\n", "line 3: 2 fields; expected 3"),
        ("a,b,label\n1,2,x\n1,2,y,z\n", "line 3: 4 fields; expected 3"),
        ("a,b,label\n1,2,x\n1,2,\n", "line 3, column 'label': the label is empty"),
        ('a,b,label\n1,2,"x\n', "not valid CSV"),
    ],
)
def test_csv_mistakes(text, content, message):
    refused(text(content), message)


def test_csv_mistakes_against_what_a_model_expects(text):
    path = text("mass,mult,label\n1,2,x\n")
    refused(
        path,
        "feature multi missing; found mass, mult, label. Is 'mult' meant",
        feature_names=["multi"],
    )
    refused(path, "line 2, column 'label'.*'x'; expected one of u, v", class_names=["u", "v"])


def test_csv_with_too_many_kinds_of_label(text):
    lines = "".join(f"{i},t{i}\n" for i in range(1100))
    refused(text("a,b\n" + lines), "line 2.*1,100 different ones; at most 1,024")


def test_csv_that_is_no_text(tmp_path, text):
    refused(text("a,b,label\n1,2,\x81\n", encoding="latin-1"), "UTF-8")
    path = tmp_path / "d.csv"
    path.write_bytes(b"PK\x03\x04\x00\x00")
    refused(path, "Excel workbook")
    path.write_bytes(bytes(range(256)))
    refused(path, "not a text file")
