"""Distillation: the teacher in a file, the inputs it is asked about, and what is learnt of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from brevitas_models import datasets
from brevitas_models.errors import UserError
from brevitas_models.model.export import export_qonnx
from brevitas_models.train import experiment, losses, recipe, rounds
from brevitas_models.train.distill import Teacher

Floats = NDArray[np.float32]


def write_teacher(path: Path, weight: Floats, *, softmax: bool = True, outputs: int = 1) -> Path:
    """Write `(softmax of) x @ weight` as a model of one frame."""
    n_in, n_out = weight.shape
    nodes = [helper.make_node("MatMul", ["x", "w"], ["logits"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["p"], axis=1))
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, n_in])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n_out])
            for name in ["p" if softmax else "logits", "logits"][:outputs]
        ],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


@pytest.fixture
def weight() -> Floats:
    return np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32) * 2


def test_teacher_with_probabilities(tmp_path: Path, weight: Floats) -> None:
    x = np.random.default_rng(1).normal(size=(20_000, 4)).astype(np.float32)
    teacher = Teacher(write_teacher(tmp_path / "t.onnx", weight))
    assert (teacher.n_features, teacher.n_classes, teacher.takes_raw) == (4, 3, False)
    logits = teacher.logits(x)  # more than one batch, the last one shorter
    expected = x @ weight
    # Probabilities give logits up to a constant per frame.
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True),
        expected - expected.mean(1, keepdims=True),
        atol=1e-3,
    )
    np.testing.assert_allclose(teacher.logits(x[:7]), logits[:7], atol=1e-6)


def test_teacher_with_logits(tmp_path: Path, weight: Floats) -> None:
    x = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    teacher = Teacher(write_teacher(tmp_path / "t.onnx", weight, softmax=False))
    np.testing.assert_allclose(teacher.logits(x), x @ weight, rtol=1e-5, atol=1e-5)


def test_a_sure_teacher_stays_finite(tmp_path: Path, weight: Floats) -> None:
    teacher = Teacher(write_teacher(tmp_path / "t.onnx", 1000 * weight))
    assert np.isfinite(teacher.logits(np.ones((5, 4), np.float32))).all()


def test_public_teacher(shared_data: Path) -> None:
    teacher = Teacher(shared_data / "jets_teacher_6bit.onnx")
    jets = np.load(shared_data / "jets_real_dev.npz")
    x = ((jets["X"] - jets["scaler_mean"]) / jets["scaler_scale"]).astype(np.float32)
    right = teacher.logits(x).argmax(1) == jets["y"]
    assert right.mean() == pytest.approx(0.750, abs=0.001)


def test_our_own_export_is_a_teacher_of_raw_features(tmp_path: Path) -> None:
    data = datasets.load("digits")
    settings = recipe.from_dict({"name": "small", "network": {"layers": [64, 16, 10]}})
    model = rounds.initial_model(settings).eval()
    info = {
        "model": "small",
        "dataset": "digits",
        "source": "",
        "surrogate": False,
        "feature_names": data.feature_names,
        "class_names": data.class_names,
        "metrics": {},
        "scaler": {"mean": data.scaler.mean, "scale": data.scaler.scale},
    }
    file = export_qonnx(model, info, tmp_path / "own.onnx")
    teacher = Teacher(file)
    assert teacher.takes_raw
    found = experiment.Experiment(settings, data, teacher)
    _, outputs, asked = found.answers(model)
    assert (outputs.argmax(1) == asked.argmax(1)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "not a readable ONNX"), (b"# a text\n" * 50, "not a readable")],
)
def test_files_that_are_no_teacher(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "t.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        Teacher(file)


def test_teachers_of_another_shape(tmp_path: Path, weight: Floats) -> None:
    with pytest.raises(UserError, match="one input and one output, found 1 and 2"):
        Teacher(write_teacher(tmp_path / "two.onnx", weight, outputs=2))
    teacher = Teacher(write_teacher(tmp_path / "t.onnx", weight))
    with pytest.raises(UserError, match="takes 4 features, the data set has 64 features"):
        teacher.check_fits(64, 3)
    with pytest.raises(UserError, match="gives 3 classes, the data set has 10 classes"):
        teacher.check_fits(4, 10)


def moons(weight: Floats, n: int) -> datasets.Dataset:
    """Return a data set whose labels say nothing, so that only a teacher can be learnt from."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    y = rng.integers(3, size=n)
    parts = np.split(np.arange(n), [n // 2, 6 * n // 10])
    arrays = {}
    for name, part in zip(("train", "val", "test"), parts, strict=True):
        arrays |= {f"x_{name}": x[part], f"y_{name}": y[part]}
    return datasets.Dataset(
        name="toy",
        source="made up",
        surrogate=False,
        feature_names=("a", "b", "c", "d"),
        class_names=("u", "v", "w"),
        scaler=datasets.Scaler(np.zeros(4, np.float32), np.ones(4, np.float32)),
        **arrays,
    )


def test_student_agrees_with_its_teacher_and_needs_no_labels(
    tmp_path: Path, weight: Floats
) -> None:
    teacher = Teacher(write_teacher(tmp_path / "t.onnx", weight))
    data = moons(weight, 500)
    values = {
        "name": "student",
        "network": {"layers": [4, 24, 3]},
        "training": {"epochs": 8, "batch_size": 128, "learning_rate": 0.02},
        "pruning": {"share": 0.5},
    }
    agreement = {}
    for way, distillation in {
        "mixed": {"samples": 5000},
        "mixed, warm": {"samples": 5000, "temperature": 3.0},
        "few": {},
    }.items():
        settings = recipe.from_dict({**values, "distillation": distillation})
        found = experiment.Experiment(settings, data, teacher)
        model, _ = found.fit()
        _, outputs, asked = found.answers(model)
        agreement[way] = float((outputs.argmax(1) == asked.argmax(1)).mean())
    assert agreement["mixed"] > 0.9
    assert agreement["mixed, warm"] > 0.9
    # 16 steps on 250 frames: what the mixing is for.
    assert agreement["few"] < agreement["mixed"]


def test_targets_are_the_teachers_answers_at_the_temperature(
    tmp_path: Path, weight: Floats
) -> None:
    teacher = Teacher(write_teacher(tmp_path / "t.onnx", weight))
    data = moons(weight, 100)
    settings = recipe.from_dict(
        {
            "name": "s",
            "network": {"layers": [4, 3]},
            "distillation": {"temperature": 2.0},
        }
    )
    frames, validation = experiment.Experiment(settings, data, teacher).frames()
    soft = np.exp(data.x_train @ weight / 2)
    np.testing.assert_allclose(frames.target, soft / soft.sum(1, keepdims=True), atol=1e-5)
    assert len(validation) == len(data.x_val)
    # The loss is least for a student that gives the teacher's own logits.
    import torch

    logits = torch.from_numpy(data.x_train @ weight)
    least = losses.loss_of(logits, frames.target, 2.0)
    assert least < losses.loss_of(logits * 1.1, frames.target, 2.0)
    assert least < losses.loss_of(logits * 0.9, frames.target, 2.0)


def test_a_recipe_that_needs_a_teacher_says_so(weight: Floats) -> None:
    settings = recipe.from_dict(
        {
            "name": "student",
            "network": {"layers": [4, 3]},
            "distillation": {"teacher_name": "the wise one"},
        }
    )
    with pytest.raises(UserError, match=r"give its file with --teacher .*\(the wise one\)"):
        experiment.Experiment(settings, moons(weight, 100), None)
