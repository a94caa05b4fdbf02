"""Jets from OpenML and Zenodo, by files and answers of their layout; and from a user's file."""

from types import SimpleNamespace
from urllib.error import URLError

import h5py
import numpy as np
import pandas as pd
import pytest

from brevitas_models.datasets import jets_openml, load
from brevitas_models.datasets.jets_features import CLASSES, FEATURES
from brevitas_models.errors import UserError
from deploy.errors import UserError as FileError
from deploy.tables import read_table

N = 60


@pytest.fixture
def jets():
    """Return features in float64 and label texts of 60 different made-up jets."""
    x = np.random.default_rng(5).normal(size=(N, 16)) * 10
    return x, np.array(CLASSES)[np.arange(N) % 5]


# OpenML


@pytest.fixture
def openml(monkeypatch, jets):
    """Answer in OpenML's place; columns in another order than ours, labels as categories."""
    x, y = jets
    frame = pd.DataFrame(x, columns=list(FEATURES))[list(FEATURES[::-1])]
    answer = SimpleNamespace(
        data=frame, target=pd.Series(y, dtype="category", name="class"), calls=[], error=None
    )

    def fetch_openml(**keywords):
        answer.calls.append(keywords)
        if answer.error:
            raise answer.error
        return answer

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    return answer


def test_openml_jets_by_name_and_label(openml, jets, tmp_path):
    x, y = jets
    data = load("jets", source="openml", cache_dir=tmp_path)
    assert openml.calls[0]["data_id"] == 42468
    assert data.name == "jets" and not data.surrogate
    assert "OpenML 42468" in data.source and "60 real jets" in data.source
    assert data.feature_names == FEATURES and data.class_names == CLASSES
    known = {row.astype(np.float32).tobytes(): label for row, label in zip(x, y, strict=True)}
    for row, label in zip(data.x_test, data.y_test, strict=True):
        assert known[row.tobytes()] == CLASSES[label]
    np.testing.assert_allclose(data.scaler.mean, data.x_train.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_openml_is_asked_once_and_then_at_hand(openml, tmp_path):
    assert load("jets", cache_dir=tmp_path).surrogate
    assert not openml.calls
    first = load("jets", source="openml", cache_dir=tmp_path)
    again = load("jets", source="openml", cache_dir=tmp_path)
    default = load("jets", cache_dir=tmp_path)
    assert len(openml.calls) == 1
    for data in (again, default):
        assert data.source == first.source
        np.testing.assert_array_equal(data.x_train, first.x_train)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["jets.npz", "jets_openml_42468.npz"]


@pytest.mark.parametrize("seed", [0, 1])
def test_openml_leaves_the_test_set_of_seed_0_for_builds(openml, tmp_path, seed):
    """After the download, and where only the jets of an earlier one are there."""
    load("jets", source="openml", cache_dir=tmp_path, seed=seed)
    wanted = load("jets", cache_dir=tmp_path)
    for _ in range(2):
        kept = read_table(tmp_path / "jets.npz", test_only=True)
        np.testing.assert_array_equal(kept.x, wanted.x_test)
        np.testing.assert_array_equal(kept.y, wanted.y_test)
        np.testing.assert_array_equal(kept.scaler.mean, wanted.scaler.mean)
        assert kept.source == wanted.source and not kept.surrogate
        (tmp_path / "jets.npz").unlink()
        load("jets", cache_dir=tmp_path)


def test_the_download_is_a_file_of_the_reader(openml, tmp_path):
    load("jets", source="openml", cache_dir=tmp_path)
    found = read_table(jets_openml.cached(tmp_path))
    assert (found.feature_names, found.class_names) == (FEATURES, CLASSES)
    assert found.x.shape == (N, 16)


def test_openml_exact_duplicates_are_dropped_and_counted(openml, tmp_path):
    openml.data = pd.concat([openml.data, openml.data.iloc[:7]], ignore_index=True)
    openml.target = pd.concat([openml.target, openml.target.iloc[:7]], ignore_index=True)
    data = load("jets", source="openml", cache_dir=tmp_path)
    assert "7 exact duplicate rows dropped" in data.source
    assert sum(len(y) for y in (data.y_train, data.y_val, data.y_test)) == N


@pytest.mark.parametrize(
    "error",
    [
        URLError("Temporary failure in name resolution"),
        TimeoutError("timed out"),
        ValueError("md5 checksum of local file does not match"),
    ],
)
def test_without_network_the_other_sources_are_told(openml, tmp_path, error):
    openml.error = error
    with pytest.raises(UserError, match=r"could not be downloaded.*zenodo.*surrogate"):
        load("jets", source="openml", cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def spoil(answer, kind):
    if kind == "feature":
        answer.data = answer.data.drop(columns="mass_mmdt")
    elif kind == "nan":
        answer.data.loc[4, "zlogz"] = np.nan
    elif kind == "text":
        answer.data["zlogz"] = "high"
    else:
        answer.target = answer.target.astype(str).replace("w", "higgs")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("feature", "feature mass_mmdt missing; found multiplicity"),
        ("nan", "row 4 .*'zlogz': the value is nan"),
        ("text", "not every feature is a number: .*zlogz object"),
        ("label", "row 3 .*the label is 'higgs'; expected one of g, q, t, w, z"),
    ],
)
def test_openml_unexpected_answers(openml, tmp_path, kind, message):
    spoil(openml, kind)
    with pytest.raises(UserError, match=message):
        load("jets", source="openml", cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_spoiled_copy_is_named(openml, jets, tmp_path):
    x, y = jets[0][:, :3], np.zeros(N, np.uint8)
    jets_openml.cached(tmp_path).write_bytes(b"half a download")
    with pytest.raises(UserError, match=r"can't be read.*remove it to load it again"):
        load("jets", source="openml", cache_dir=tmp_path)
    np.savez(jets_openml.cached(tmp_path), X=x, y=y, feature_names=FEATURES[:3], classes=CLASSES)
    with pytest.raises(UserError, match=r"expected 16 features .*zlogz, .*remove it to load it"):
        load("jets", source="openml", cache_dir=tmp_path)


def test_a_cache_folder_that_is_a_file(openml, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match="cache: can't be written"):
        load("jets", source="openml", cache_dir=tmp_path / "cache")


# Zenodo

OTHERS = ("j_ptfrac", "j_pt", "j_zlogz_sd", "j_mass")
COLUMNS = (
    *OTHERS[:2],
    *(f"j_{name}" for name in FEATURES[:9]),
    *OTHERS[2:],
    *(f"j_{name}" for name in FEATURES[9:]),
    *("j_g", "j_q", "j_w", "j_z", "j_t", "j_undef"),
)


def write_h5(path, x, y, names=COLUMNS, **change):
    matrix = np.zeros((len(x), len(COLUMNS)))
    for column, name in enumerate(FEATURES):
        matrix[:, COLUMNS.index(f"j_{name}")] = x[:, column]
    matrix[:, 0] = np.nan  # a column that nobody asked for
    for row, label in enumerate(y):
        matrix[row, COLUMNS.index(f"j_{label}")] = 1
    for (row, name), value in change.get("cells", {}).items():
        matrix[row, COLUMNS.index(name)] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["jets"] = matrix
        file["jetFeatureNames"] = np.array([name.encode() for name in names])
        file["jetImage"] = np.zeros((len(x), 2, 2))


def test_zenodo_folder(tmp_path, jets):
    x, y = jets
    write_h5(tmp_path / "train" / "jetImage_7_100p_0_10000.h5", x[:40], y[:40])
    write_h5(tmp_path / "val" / "jetImage_7_100p_10000_20000.h5", x[40:], y[40:])
    for data in (
        load("jets", source="zenodo", data_dir=tmp_path),
        load("jets", data_dir=tmp_path),
        load("jets", source=str(tmp_path)),
    ):
        assert data.feature_names == FEATURES and data.class_names == CLASSES
        assert "Zenodo record 3602254, 60 real jets of 2 files" in data.source
        assert not data.surrogate
        known = {row.astype(np.float32).tobytes(): label for row, label in zip(x, y, strict=True)}
        parts = [(data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)]
        found = {
            row.tobytes(): CLASSES[label]
            for features, labels in parts
            for row, label in zip(features, labels, strict=True)
        }
        assert found == known


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({(3, "j_mass_mmdt"): np.nan}, r"_0_1.h5, row 3 of jets .*'mass_mmdt': the value is nan"),
        ({(7, "j_g"): 1}, "row 7 of jets .*j_g = 1, j_q = 0, j_t = 1.*expected one 1"),
        ({(0, "j_g"): 0, (0, "j_undef"): 1}, "row 0 of jets .*j_g = 0, j_q = 0"),
        ({(1, "j_q"): 0.5}, "row 1 of jets .*j_q = 0.5"),
        ({(2, "j_t"): np.nan}, "row 2 of jets .*j_t = nan"),
    ],
)
def test_zenodo_wrong_cells(tmp_path, jets, cells, message):
    write_h5(tmp_path / "jetImage_7_100p_0_1.h5", *jets, cells=cells)
    with pytest.raises(UserError, match=message):
        load("jets", data_dir=tmp_path)


def test_zenodo_wrong_names(tmp_path, jets):
    path = tmp_path / "jetImage_7_100p_0_1.h5"
    write_h5(path, *jets, names=[name.replace("j_n2_b1_mmdt", "j_n2_b1") for name in COLUMNS])
    with pytest.raises(UserError, match=r"feature j_n2_b1_mmdt missing; .*j_n2_b1, "):
        load("jets", data_dir=tmp_path)
    write_h5(path, *jets, names=COLUMNS[1:])
    with pytest.raises(UserError, match="25 names for 26 columns"):
        load("jets", data_dir=tmp_path)


def test_zenodo_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        load("jets", data_dir=tmp_path / "none")
    with pytest.raises(UserError, match=r"no file jetImage_7_\*p_\*.h5"):
        load("jets", data_dir=tmp_path)
    path = tmp_path / "jetImage_7_100p_0_1.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n cut")
    with pytest.raises(UserError, match="can't be read as HDF5"):
        load("jets", data_dir=tmp_path)
    with h5py.File(path, "w") as file:
        file["jetImage"] = np.zeros(3)
    with pytest.raises(UserError, match="no data set 'jets'; found jetImage"):
        load("jets", data_dir=tmp_path)
    with h5py.File(path, "w") as file:
        file["jets"] = np.zeros((0, 26))
        file["jetFeatureNames"] = np.array([name.encode() for name in COLUMNS])
    with pytest.raises(UserError, match=r"shape \(0, 26\)"):
        load("jets", data_dir=tmp_path)


# a user's file, and the choice among sources


def test_jets_of_a_file(tmp_path, jets):
    x, y = jets
    lines = [",".join([*FEATURES[::-1], "class"])]
    lines += [",".join([*map(repr, row[::-1].tolist()), k]) for row, k in zip(x, y, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    data = load("jets", source=str(tmp_path / "mine.csv"), read_table=read_table)
    assert data.name == "jets" and "mine.csv" in data.source
    known = {row.astype(np.float32).tobytes(): label for row, label in zip(x, y, strict=True)}
    assert len(data.y_test) == 10
    for row, label in zip(data.x_test, data.y_test, strict=True):
        assert known[row.tobytes()] == CLASSES[label]
    np.savez(tmp_path / "mine.npz", X=x, y=y)
    unnamed = load("jets", source=str(tmp_path / "mine.npz"), read_table=read_table)
    np.testing.assert_array_equal(unnamed.y_test, data.y_test)
    assert "its features not named" in unnamed.source


def test_jets_of_a_file_that_has_other_features(tmp_path, jets):
    x, y = jets
    np.savez(tmp_path / "mine.npz", X=x[:, :15], y=y)
    with pytest.raises(FileError, match="15 features without feature_names; expected these 16"):
        load("jets", source=str(tmp_path / "mine.npz"), read_table=read_table)
    np.savez(tmp_path / "mine.npz", X=x[:, :15], y=y, feature_names=FEATURES[:15])
    with pytest.raises(FileError, match="feature multiplicity missing"):
        load("jets", source=str(tmp_path / "mine.npz"), read_table=read_table)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"source": "cern"}, "unknown source 'cern'; expected openml, zenodo, surrogate"),
        ({"source": "zenodo"}, "zenodo needs the folder"),
        ({"source": "openml", "data_dir": "."}, "only used with the source zenodo"),
    ],
)
def test_wrong_sources(keywords, message):
    with pytest.raises(UserError, match=message):
        load("jets", **keywords)


def test_real_jets(shared_data):
    path = shared_data / "jets_real_dev.npz"
    raw = np.load(path)
    data = read_table(path, test_only=True, feature_names=FEATURES, class_names=CLASSES)
    np.testing.assert_array_equal(data.x, raw["X"])
    np.testing.assert_array_equal(data.y, raw["y"])
    np.testing.assert_allclose(data.scaler.mean, raw["scaler_mean"], rtol=1e-6)
    np.testing.assert_allclose(data.scaler.scale, raw["scaler_scale"], rtol=1e-6)
    assert "scaler recorded" in data.source and not data.surrogate
    split = load("jets", source=str(path), read_table=read_table)
    assert [len(y) for y in (split.y_train, split.y_val, split.y_test)] == [350, 51, 100]
    z = data.scaler.transform(data.x)
    # The recorded scaler is of 664,000 jets; 501 of them differ by their standard error.
    assert np.abs(z.mean(axis=0)).max() < 5 / np.sqrt(501)
    assert np.abs(z.std(axis=0) - 1).max() < 0.3
