"""Checkpoints: what comes back, what is refused, and that nothing half-written is left."""

import os
import pickle
import stat

import numpy as np
import pytest
import torch

from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig(layers=(4, 5, 3), weight_bits=(4, 2), act_bits=3, scale="free"))
    model.set_masks([torch.rand_like(linear.weight) > 0.5 for linear in model.linears])
    model.calibrate(torch.randn(50, 4) * 3)
    model(torch.randn(50, 4))
    return model


@pytest.fixture
def info():
    return {
        "model": "tiny",
        "dataset": "made-up",
        "source": "random numbers",
        "surrogate": True,
        "feature_names": ("a", "b", "c", "d"),
        "class_names": ["x", "y", "z"],
        "scaler": {
            "mean": np.float32([0.1, 1 / 3, -2, 5]),
            "scale": torch.tensor([1.0, 2.0, 3.0, 0.1]),
        },
        "metrics": {"accuracy": np.float64(0.5), "frames": np.int64(7)},
        "seed": 3,
        "versions": {"torch": "2"},
    }


def test_round_trip(model, info, tmp_path):
    path = checkpoint.save(tmp_path / "tiny.pt", model, info)
    again, read = checkpoint.load(path)
    assert not again.training
    assert again.config == model.config
    x = torch.randn(20, 4)
    assert torch.equal(again(x), model.eval()(x))
    assert all(map(torch.equal, again.masks(), model.masks()))
    assert read["config"] == model.config.to_dict()
    assert read["feature_names"] == ["a", "b", "c", "d"]
    assert read["metrics"] == {"accuracy": 0.5, "frames": 7}
    assert np.array_equal(np.float32(read["scaler"]["mean"]), info["scaler"]["mean"])
    assert np.array_equal(np.float32(read["scaler"]["scale"]), info["scaler"]["scale"].numpy())
    # What was read can be saved again.
    assert checkpoint.save(tmp_path / "again.pt", again, read).read_bytes() == path.read_bytes()


def test_bytes_depend_on_content_alone(model, info, tmp_path):
    one = checkpoint.save(tmp_path / "one.pt", model, info).read_bytes()
    assert checkpoint.save(tmp_path / "a-longer-name.pt", model, info).read_bytes() == one
    info["seed"] = 4
    assert checkpoint.save(tmp_path / "one.pt", model, info).read_bytes() != one


def test_failed_save_leaves_the_old_file(model, info, tmp_path, monkeypatch):
    path = tmp_path / "tiny.pt"
    checkpoint.save(path, model, info)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    info["seed"] = 5
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, model, info)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it(model, info, tmp_path):
    mask = os.umask(0o022)
    try:
        path = checkpoint.save(tmp_path / "tiny.pt", model, info)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("key", checkpoint.INFO_KEYS)
def test_incomplete_info_is_refused(model, info, tmp_path, key):
    del info[key]
    with pytest.raises(ValueError, match=key):
        checkpoint.save(tmp_path / "tiny.pt", model, info)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature_names": ["a"]}, "feature_names is not a list of 4"),
        ({"class_names": ["a"]}, "class_names is not a list of 3"),
        ({"scaler": {"mean": [0] * 3, "scale": [1] * 4}}, "scaler mean is not a list of 4"),
        ({"scaler": [1, 2]}, "scaler is not"),
    ],
)
def test_wrong_sizes_are_refused(model, info, tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        checkpoint.save(tmp_path / "tiny.pt", model, info | change)


def test_objects_are_refused(model, info, tmp_path):
    with pytest.raises(TypeError, match=r"info\.metrics\.best"):
        checkpoint.save(tmp_path / "tiny.pt", model, info | {"metrics": {"best": object()}})


def refused(path):
    with pytest.raises(UserError) as error:
        checkpoint.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_missing_file(tmp_path):
    assert "found nothing" in refused(tmp_path / "nope.pt")
    assert "found a folder" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"# A README", b"PK\x03\x04", pickle.dumps([1, 2], 2)])
def test_foreign_file(tmp_path, content):
    path = tmp_path / "foreign.pt"
    path.write_bytes(content)
    assert "expected a checkpoint" in refused(path)


def test_damaged_file(model, info, tmp_path):
    path = checkpoint.save(tmp_path / "tiny.pt", model, info)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "damaged" in refused(path)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.pt"
    torch.save({"format": checkpoint.FORMAT, "bomb": Bomb()}, path)
    refused(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "else"}, "something else"),
        ({"version": 99}, "version 99"),
        ({"state": None}, "without its parts"),
        ({"state": {}}, "don't fit"),
        ({"state": {"linears.0.bias": 3}}, "don't fit"),
        ({"info": {"a": 1}}, "without its parts"),
        ({"info": "{"}, "without its parts"),
        ({"info": "[]"}, "without its parts"),
        ({"info": "{}"}, "layers: missing"),
        ({"info": '{"config": {"layers": [4, 5, 3], "act_bits": 77}}'}, "act_bits"),
        ({"info": '{"config": {"layers": [4, 5, 3]}}'}, "no model, dataset"),
    ],
)
def test_other_content(model, info, tmp_path, change, said):
    path = checkpoint.save(tmp_path / "tiny.pt", model, info)
    content = torch.load(path, weights_only=True)
    torch.save(content | change, path)
    assert said in refused(path)


def test_state_of_another_network(model, info, tmp_path):
    path = checkpoint.save(tmp_path / "tiny.pt", model, info)
    content = torch.load(path, weights_only=True)
    content["info"] = content["info"].replace('"layers": [4, 5, 3]', '"layers": [4, 6, 3]')
    torch.save(content, path)
    assert "don't fit" in refused(path)
