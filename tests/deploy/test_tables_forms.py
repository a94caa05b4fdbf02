"""The forms in which people bring tables: labels, targets, index columns, encodings, separators."""

import io

import numpy as np
import pandas as pd
import pytest

from deploy.errors import UserError
from deploy.tables import read_table

X = np.arange(36, dtype=np.float64).reshape(12, 3) / 8
WORDS = np.array(["b", "a", "c"])[np.arange(12) % 3]


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        return tmp_path / "d.npz"

    return write


@pytest.fixture
def text(tmp_path):
    def write(content, encoding="utf-8", name="d.csv"):
        (tmp_path / name).write_bytes(content.encode(encoding))
        return tmp_path / name

    return write


def csv_of(frame, **keywords):
    out = io.StringIO()
    frame.to_csv(out, **keywords)
    return out.getvalue()


FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(label=WORDS)


# Classes


def test_one_hot_rows_and_a_column_are_classes(npz):
    y = np.arange(12) % 3
    assert read_table(npz(X=X, y=np.eye(3)[y])).y.tolist() == y.tolist()
    assert read_table(npz(X=X, y=np.eye(3, dtype=bool)[y])).class_names == ("0", "1", "2")
    assert read_table(npz(X=X, y=y[:, None])).y.tolist() == y.tolist()
    assert read_table(npz(X=X, y=WORDS[:, None])).class_names == ("a", "b", "c")
    named = read_table(npz(X=X, y=np.eye(3)[y], classes=["u", "v", "w"]))
    assert named.class_names == ("u", "v", "w") and named.y.tolist() == y.tolist()


def test_one_hot_rows_with_two_ones_are_named(npz):
    y = np.eye(3)[np.arange(12) % 3]
    y[7] = [1, 0, 1]
    with pytest.raises(UserError, match=r"row 7 of x .*2 of 3 one-hot labels are 1"):
        read_table(npz(X=X, y=y))


def test_one_hot_columns_of_a_csv_give_their_names(text):
    path = text("a,label_no,label_yes\n1,1,0\n2,0,1\n3,0,1\n")
    data = read_table(path)
    assert data.class_names == ("no", "yes") and data.y.tolist() == [0, 1, 1]
    assert data.feature_names == ("a",)
    turned = read_table(path, class_names=["yes", "no"])
    assert turned.y.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("numbers", "names"),
    [([1, 2, 3], ("1", "2", "3")), ([-1, 1], ("-1", "1")), ([3, 7, 5], ("3", "5", "7")),
     ([0, 2], ("0", "1", "2"))],
)  # fmt: skip
def test_numbers_of_any_base_are_classes(npz, text, numbers, names):
    y = np.array(numbers)[np.arange(12) % len(numbers)]
    for path in (
        npz(X=X, y=y),
        npz(X=X, y=y.astype(float)),
        text("a,label\n" + "".join(f"{i / 3},{label}\n" for i, label in enumerate(y))),
    ):
        data = read_table(path)
        assert data.class_names == names and data.class_order == "by number"
        assert [data.class_names[i] for i in data.y] == [str(label) for label in y]


def test_numbers_for_a_model_count_from_0_or_1(npz):
    y = np.arange(12) % 3
    for classes in (None, ("u", "v", "w")):
        for base in (0, 1):
            data = read_table(npz(X=X, y=y + base), class_names=classes, n_outputs=3)
            assert data.y.tolist() == y.tolist()
            assert ("counted from 1" in data.class_order) == (base == 1)
    with pytest.raises(UserError, match=r"row 0 .*label is 3; expected 0 to 2"):
        read_table(npz(X=X, y=y + 3), n_outputs=3)
    signs = read_table(npz(X=X, y=2 * (np.arange(12) % 2) - 1), n_outputs=1)
    assert signs.y.tolist() == [0, 1] * 6


def test_names_that_are_numbers_are_found_as_such(npz):
    data = read_table(npz(X=X, y=np.arange(12) % 3 + 1), class_names=("3", "2", "1"))
    assert data.y.tolist() == [2, 1, 0] * 4


def test_the_order_of_the_classes_is_told(text):
    path = text(csv_of(FRAME, index=False))
    assert read_table(path).class_order == "in alphabetical order"
    given = read_table(path, class_names=["b", "a", "c"], class_order="as --classes gives them")
    assert given.y.tolist() == [0, 1, 2] * 4
    assert given.class_order == "as --classes gives them"
    with pytest.raises(UserError, match=r"'b'; expected one of Bee, a, c"):
        read_table(path, class_names=["Bee", "a", "c"])


# Targets


def test_float_targets(npz, text):
    targets = np.sin(np.arange(24)).reshape(12, 2)
    data = read_table(npz(X=X, y=targets))
    assert data.y is None and data.class_names == () and data.target_names == ("y0", "y1")
    np.testing.assert_array_equal(data.targets, targets.astype(np.float32))
    one = read_table(npz(X=X, y=targets[:, 0]))
    assert one.targets.shape == (12, 1)
    body = "".join(f"{i},{a!r},{b!r}\n" for i, (a, b) in enumerate(targets.tolist()))
    columns = read_table(text("a,target_u,target_v\n" + body))
    assert columns.target_names == ("u", "v")
    np.testing.assert_array_equal(columns.targets, targets.astype(np.float32))


def test_whole_numbers_are_targets_where_the_model_or_the_user_says_so(npz):
    y = np.arange(12) * 5
    assert read_table(npz(X=X, y=y), n_outputs=1).targets[:, 0].tolist() == y.tolist()
    assert read_table(npz(X=X, y=y % 2), n_outputs=1).y.tolist() == (y % 2).tolist()
    asked = read_table(npz(X=X, y=y % 2), targets=True)
    assert asked.y is None and asked.targets[:, 0].tolist() == (y % 2).tolist()


def test_targets_are_no_classes_of_a_model_that_names_its_classes(npz):
    with pytest.raises(UserError, match=r"row 0 .*label is 0.5; expected a class"):
        read_table(npz(X=X, y=np.arange(12) + 0.5), class_names=["u", "v"])


def test_targets_must_be_numbers(npz, text):
    y = np.sin(np.arange(12))
    y[5] = np.nan
    with pytest.raises(UserError, match=r"row 5 of x .*nan"):
        read_table(npz(X=X, y=y))
    with pytest.raises(UserError, match=r"line 3, columns 'target_u' .*'high'"):
        read_table(text("a,target_u,target_v\n1,1.5,2.5\n1,high,2\n"))


# Features alone


def test_features_alone(npz, text, tmp_path):
    np.save(tmp_path / "d.npy", X)
    files = (npz(X=X), tmp_path / "d.npy", text("a,b,c\n1,2,3\n4,5,6\n"))
    for path in files:
        data = read_table(path, labelled=False, n_features=3)
        assert data.y is None and data.targets is None and data.x.shape[1] == 3
        with pytest.raises(UserError):
            read_table(path, n_features=3)
    labelled = read_table(text(csv_of(FRAME, index=False)), labelled=False, n_features=3)
    assert labelled.y.tolist() == [1, 0, 2] * 4


def test_frames_of_several_dimensions_are_rows(npz):
    data = read_table(npz(X=X.reshape(12, 1, 3)), labelled=False, n_features=3)
    np.testing.assert_array_equal(data.x, X.astype(np.float32))


# Columns


def test_the_index_of_pandas_is_left_out(text):
    shuffled = FRAME.sample(frac=1, random_state=0)
    for content in (csv_of(FRAME), csv_of(shuffled), csv_of(FRAME, index_label="id")):
        data = read_table(text(content))
        assert data.feature_names == ("a", "b", "c") and "row numbers" in data.source
    again = csv_of(pd.read_csv(io.StringIO(csv_of(FRAME))), index=False)
    assert again.startswith("Unnamed: 0") and read_table(text(again)).x.shape == (12, 3)
    kept = read_table(text("id,label\n5,0\n3,1\n4,0\n"))
    assert kept.feature_names == ("id",)


def test_the_columns_of_an_array_in_pandas_are_named_by_number(text):
    frame = pd.DataFrame(X).assign(label=WORDS)
    for content in (csv_of(frame), csv_of(frame, index=False)):
        data = read_table(text(content))
        assert data.feature_names == ("0", "1", "2") and len(data.x) == 12


def test_the_only_column_of_text_is_the_label(text):
    data = read_table(text("kind,a,b\nu,1,2\nv,3,4\n"))
    assert data.class_names == ("u", "v") and data.feature_names == ("a", "b")
    assert "first column, 'kind'" in data.source
    with pytest.raises(UserError, match=r"'kind' and 'note' hold text.*The label is the column"):
        read_table(text("kind,a,note\nu,1,x\nv,3,y\n"))


def test_a_file_without_a_header(text):
    data = read_table(text("5.1,3.5,Iris-setosa\n4.9,3.0,Iris-virginica\n"))
    assert data.class_names == ("Iris-setosa", "Iris-virginica")
    assert data.feature_names == ("x0", "x1") and "without a header" in data.source
    first = read_table(text("".join(f"{i % 2},{i / 7:.3f},{i / 3:.3f}\n" for i in range(20))))
    assert first.y.tolist() == [0, 1] * 10 and "first column" in first.source
    model = read_table(text("1,2,0\n3,4,1\n"), n_features=2, n_outputs=2, feature_names=["u", "v"])
    assert model.feature_names == ("u", "v") and model.y.tolist() == [0, 1]
    with pytest.raises(UserError, match=r"only numbers; .*both could be.*The label is the column"):
        read_table(text("1,2,3\n4,5,6\n"))
    with pytest.raises(UserError, match=r"no column looks like the label"):
        read_table(text("1.5,2,3.5\n4.5,5,6.5\n"))


def test_columns_beyond_those_of_a_model(text):
    path = text("a,b,note,label\n1,2,x,0\n3,4,y,1\n")
    data = read_table(path, feature_names=["b"], n_features=1, labelled=False)
    assert data.x.tolist() == [[2], [4]] and data.y.tolist() == [0, 1]


def test_as_many_columns_as_a_model_has_inputs_and_outputs(text):
    path = text("a,b,c,d\n1,2,0.5,0.25\n3,4,1.5,2.25\n")
    data = read_table(path, n_features=2, n_outputs=2, labelled=False)
    assert data.targets.tolist() == [[0.5, 0.25], [1.5, 2.25]] and data.target_names == ("c", "d")


# Text


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"]
)
def test_encodings(text, encoding):
    data = read_table(text("größe,label\n1,ä\n2,b\n", encoding=encoding))
    assert data.feature_names == ("größe",) and data.class_names == ("b", "ä")
    assert ("read as" in data.source) == (encoding not in ("utf-8", "utf-8-sig"))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " ", "   "])
def test_separators(text, separator):
    path = text("a,b,label\n1.5,2,x\n3,4,y\n".replace(",", separator), name="d.txt")
    data = read_table(path)
    assert data.x.tolist() == [[1.5, 2], [3, 4]] and data.class_names == ("x", "y")


def test_decimal_commas(text):
    data = read_table(text("a;b;label\n1,5;2;0\n-3,25;4;1\n"))
    assert data.x.tolist() == [[1.5, 2], [-3.25, 4]] and "decimal commas" in data.source


def test_the_header_of_numpy_is_a_comment(tmp_path):
    path = tmp_path / "d.txt"
    np.savetxt(path, np.column_stack([X, np.arange(12) % 2]), header="a b c label")
    data = read_table(path)
    assert data.feature_names == ("a", "b", "c") and data.y.tolist() == [0, 1] * 6
    np.testing.assert_array_equal(data.x, X.astype(np.float32))
    np.savetxt(path, np.column_stack([X, np.arange(12) % 2]), header="made in May")
    assert read_table(path).feature_names == ("x0", "x1", "x2")


# Neighbours of these forms


def data_rows(separator=",", point="."):
    """Return lines of three numbers with fractions and a class, without a header."""
    lines = [[f"{v + 0.25:.3f}".replace(".", point) for v in row] for row in X]
    return "".join(separator.join([*line, str(i % 2)]) + "\n" for i, line in enumerate(lines))


def check_rows(data):
    np.testing.assert_array_equal(data.x, (X + 0.25).astype(np.float32))
    assert data.y.tolist() == [0, 1] * 6


@pytest.mark.parametrize("separator", [";", "\t", " ", "|"])
def test_decimal_commas_without_a_header(text, separator):
    """There are as many commas as separators, or more."""
    data = read_table(text(data_rows(separator, ",")))
    check_rows(data)
    assert "decimal commas" in data.source
    alone = data_rows(separator, ",").replace(f"{separator}0\n", "\n")
    alone = alone.replace(f"{separator}1\n", "\n")
    assert read_table(text(alone), labelled=False, n_features=3).x.shape == (12, 3)


def test_decimal_commas_in_quotes_and_separators_of_thousands(text):
    quoted = "".join(
        ",".join([*(f'"{v + 0.25:.2f}"'.replace(".", ",") for v in row), str(i % 2)]) + "\n"
        for i, row in enumerate((X * 2).round() / 2)
    )
    assert read_table(text(quoted)).x[1, 0] == 0.75
    for content in (
        'a,b,label\n"1,234",2,0\n3,4,1\n',  # one thousand or one and a quarter
        'a,b,label\n"1,2",2,0\n3.5,4,1\n',
    ):
        with pytest.raises(UserError, match=r"line 2, column 'a': '1,2(34)?' is not a number"):
            read_table(text(content))
    mixed = "a;b;label\n1,5;2,5;0\n" * 1 + "1.234,5;2,5;1\n"
    with pytest.raises(UserError, match=r"line 3, .*'1.234,5' is not a number beside .*commas"):
        read_table(text(mixed))


def test_excel_says_its_separator(text):
    for separator in ";,\t":
        point = "." if separator == "," else ","
        content = f"sep={separator}\na{separator}b{separator}c{separator}label\n"
        data = read_table(text(content + data_rows(separator, point)))
        check_rows(data)
        assert data.feature_names == ("a", "b", "c")


def test_a_separator_at_the_end_of_each_line(text):
    rows = data_rows().replace("\n", ",\n")
    for header in ("", "a,b,c,label,\n", "a,b,c,label\n"):
        check_rows(read_table(text(header + rows)))
    with pytest.raises(UserError, match=r"line 1002: field 3, '7', .*column without a name"):
        read_table(text("a,label,\n" + "1,0,\n" * 1000 + "1,0,7\n"))


def test_row_names_of_r(text):
    """R leaves their column out of the header, and separates with spaces unless asked."""
    numbered = "".join(f'"{i + 1}",{row}\n' for i, row in enumerate(data_rows().split()))
    named = "".join(f'"row {i}" {row}\n' for i, row in enumerate(data_rows(" ").splitlines()))
    for content in ('"a","b","c","label"\n' + numbered, '"a" "b" "c" "label"\n' + named):
        data = read_table(text(content))
        check_rows(data)
        assert data.feature_names == ("a", "b", "c") and "row numbers" in data.source


@pytest.mark.parametrize("name", ["level_0", "rownames", "Unnamed: 0.1"])
def test_index_columns_of_other_names(text, name):
    frame = pd.DataFrame(X + 0.25, columns=["a", "b", "c"]).assign(label=np.arange(12) % 2)
    for content in (
        csv_of(frame, index_label=name),
        csv_of(frame.rename_axis(name).reset_index()),  # two of them
    ):
        data = read_table(text(content))
        check_rows(data)
        assert data.feature_names == ("a", "b", "c")


@pytest.mark.parametrize("prefix", ["label", "kind"])
@pytest.mark.parametrize("dtype", [bool, int])
def test_one_hot_columns_of_pandas(text, prefix, dtype):
    """`get_dummies` writes True and False, under the name of the column that it has replaced."""
    frame = FRAME.rename(columns={"label": prefix})
    content = csv_of(pd.get_dummies(frame, columns=[prefix], dtype=dtype), index=False)
    data = read_table(text(content))
    assert data.class_names == ("a", "b", "c") and data.feature_names == ("a", "b", "c")
    assert [data.class_names[y] for y in data.y] == WORDS.tolist()
    assert data.class_order == "in the order of the one-hot columns"
    model = {"feature_names": ["a", "b", "c"], "class_names": ["c", "b", "a"], "n_outputs": 3}
    turned = read_table(text(content), **model)
    assert [turned.class_names[y] for y in turned.y] == WORDS.tolist()


def test_true_and_false_as_features_and_as_classes(text):
    data = read_table(text("a,good,kind\n1.5,True,u\n2.5,False,v\n"))
    assert data.x.tolist() == [[1.5, 1], [2.5, 0]] and data.class_names == ("u", "v")
    data = read_table(text("good,a,b\nTrue,1.5,2.5\nFalse,2.5,3.5\n"))
    assert data.class_names == ("False", "True") and data.y.tolist() == [1, 0]


@pytest.mark.parametrize("value", ["NaN", "nan"])
def test_a_missing_label_is_no_class(text, npz, value):
    path = text(f"a,label\n1,u\n2,v\n3,{value}\n")
    with pytest.raises(UserError, match=r"line 4.*label is '(NaN|nan)', which stands for no value"):
        read_table(path)
    with pytest.raises(UserError, match=r"row 5 .*stands for no value"):
        read_table(npz(X=X, y=np.where(np.arange(12) == 5, value, WORDS)))


def test_columns_beside_those_of_a_model_that_are_no_labels(text):
    model = {"feature_names": ["a"], "class_names": ["u", "v"], "n_features": 1, "n_outputs": 2}
    for extra, values in (("weight", "0.5"), ("date", "2020-01-01"), ("note", "x")):
        data = read_table(text(f"a,kind,{extra}\n1,v,{values}\n2,u,{values}\n"), **model)
        assert data.y.tolist() == [1, 0] and data.x.tolist() == [[1], [2]]
    numbers = read_table(text("a,kind,weight\n1,1,0.5\n2,0,0.25\n"), **model)
    assert numbers.y.tolist() == [1, 0]
