"""The command ``train.py``: what it writes, and the one line that a mistake ends with."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

import train as command
from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.train import outputs, rounds

RECIPE = {
    "network": {"layers": [4, 8, 3]},
    "data": {"dataset": "toy.npz"},
    "training": {"epochs": 2, "batch_size": 32},
    "pruning": {"share": 0.5},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a small recipe, small data and small teachers."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    np.savez(tmp_path / "toy.npz", X=x, y=(x[:, :3] + 0.3).argmax(1))
    Path("toy.yaml").write_text(yaml.safe_dump(RECIPE))
    Path("typo.yaml").write_text(yaml.safe_dump({**RECIPE, "training": {"epoch": 3}}))
    write_linear(Path("teacher.onnx"), 4, 3)
    write_linear(Path("wide_teacher.onnx"), 5, 3)
    write_linear(Path("nan_teacher.onnx"), 4, 3, np.nan)
    foreign = onnx.load("teacher.onnx")
    foreign.graph.node[0].domain = "nobody"
    onnx.save(foreign, "foreign_teacher.onnx")
    Path("text.onnx").write_text("nothing of the kind\n" * 9)
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("keep me")
    return tmp_path


def write_linear(path: Path, n_in: int, n_out: int, weight: float = 1.0) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, n_in])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, n_out])],
        [numpy_helper.from_array(weight * np.eye(n_in, n_out, dtype=np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)


def entries() -> set[str]:
    return {str(entry.relative_to(Path.cwd())) for entry in Path.cwd().rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "--model"),
        ("--model nope", "no shipped model 'nope'; there are digits, jets"),
        ("--model digts", "Is digits meant?"),
        ("--model nope.yaml", "nope.yaml: no such file"),
        ("--model typo.yaml", "training.epoch: no such setting; did you mean epochs?"),
        ("--model toy.yaml --dataset nope", "no data set 'nope'"),
        ("--model toy.yaml --dataset nope.npz", "nope.npz"),
        ("--model toy.yaml --dataset digits", "64 features and 10 classes, the network 4 inputs"),
        ("--model digits --source surrogate", "source"),
        ("--model toy.yaml --epochs 0", "training.epochs: expected greater than or equal to 1"),
        ("--model toy.yaml --epochs many", "--epochs: invalid int value"),
        ("--model toy.yaml --lr -1", "training.learning_rate"),
        ("--model toy.yaml --batch-size 1", "training.batch_size"),
        ("--model toy.yaml --seed -1", "training.seed"),
        ("--model toy.yaml --folds 0", "data.folds: expected greater than or equal to 1, found 0"),
        ("--model toy.yaml --folds 50", "needs at least 500 frames, toy has 200"),
        ("--model toy.yaml --set pruning.shares=[0]", "takes share, a number, found shares"),
        ("--model toy.yaml --set sahre=0.5", "expected section.key=value"),
        ("--model toy.yaml --frobnicate", "--frobnicate"),
        ("--model toy.yaml --teacher nope.onnx", "nope.onnx: no such file"),
        ("--model toy.yaml --teacher text.onnx", "text.onnx: not a readable ONNX file"),
        (
            "--model toy.yaml --teacher wide_teacher.onnx",
            "takes 5 features, the data set has 4 features",
        ),
        ("--model toy.yaml --teacher nan_teacher.onnx", "infinite or NaN; expected numbers"),
        (
            "--model toy.yaml --teacher foreign_teacher.onnx",
            "expected a teacher that qonnx can exe",
        ),
        (
            "--model toy.yaml --lut-budget 50 --set pruning.criterion=neurons",
            "leave criterion and scope out, found neurons and global",
        ),
        (
            '--model toy.yaml --lut-budget 50 --set network.outputs={"a":2,"b":1}',
            "found training.loss 'cross_entropy' and 2 outputs",
        ),
        ("--model toy.yaml --set training.loss=mse --teacher teacher.onnx", "distillation: is for"),
        ("--model jets --source surrogate", "jets learns from a teacher: give its file"),
        ("--model toy.yaml --out toy.npz", "expected a folder to write to, found a file"),
        ("--model toy.yaml --out mine", "found thesis.tex in it"),
        ("--model toy.yaml --out toy.npz/deeper", "is not a writable folder"),
    ],
)
def test_mistakes_are_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = entries()
    code = command.main([*arguments.split(), "--quiet"])
    out, err = capsys.readouterr()
    assert code == 2
    assert message in err
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    assert out == ""
    assert entries() == before, "a failed training leaves nothing behind"


def test_as_a_process(repo: Path) -> None:
    line = [sys.executable, str(repo / "train.py"), "--model", "nope"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_a_training_writes_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--model", "toy.yaml", "--out", "deep/result", "--epochs", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "data: file toy.npz" in out and "epoch 3/3" in out and "accuracy on toy" in out
    folder = Path("deep/result")
    assert {entry.name for entry in folder.iterdir()} == outputs.file_names("toy")
    assert [entry.name for entry in Path("deep").iterdir()] == ["result"]

    model, info = checkpoint.load(folder / "toy.pt")
    kept = sum(int(mask.sum()) for mask in model.masks())
    assert kept == 28  # half of 4 x 8 + 8 x 3
    assert info["command"] == "train.py --model toy.yaml --out result --epochs 3"
    assert info["metrics"]["pruned"] == 0.5
    assert 0 <= info["metrics"]["accuracy"] <= 1
    assert info["recipe"]["training"]["epochs"] == 3
    assert not info["surrogate"] and info["teacher"] is None
    with (folder / "history.csv").open() as file:
        epochs = list(csv.DictReader(file))
    assert len(epochs) == 3 and all(epoch["validation_regret"] == "" for epoch in epochs)
    onnx.checker.check_model(str(folder / "toy.onnx"))
    # The recipe that was written is the one that was followed: it gives the same checkpoint.
    recipe_file = folder / "toy.yaml"
    assert command.main(["--model", str(recipe_file), "--out", "again", "--quiet"]) == 0
    again, other = checkpoint.load("again/toy.pt")
    state = model.state_dict()
    assert all((value == state[key]).all() for key, value in again.state_dict().items())
    assert other["metrics"] == info["metrics"]


def test_the_same_command_gives_the_same_bytes_and_replaces_the_folder() -> None:
    line = ["--model", "toy.yaml", "--out", "result", "--teacher", "teacher.onnx", "--quiet"]
    assert command.main(line) == 0
    first = {name: Path("result", name).read_bytes() for name in ("toy.pt", "toy.onnx")}
    assert command.main(line) == 0
    assert first == {name: Path("result", name).read_bytes() for name in first}
    assert command.main([*line, "--seed", "5"]) == 0
    assert first["toy.pt"] != Path("result/toy.pt").read_bytes()


def test_folds_with_a_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--model", "toy.yaml", "--teacher", "teacher.onnx", "--folds", "3", "--out", "result"]
    assert command.main(line) == 0
    out = capsys.readouterr().out
    assert "toy, folds 1, 2, 3 of 3" in out
    assert "(200 frames)" in out and "teacher on the same" in out
    _, info = checkpoint.load("result/toy.pt")
    figures = info["metrics"]
    assert (figures["frames"], figures["folds"]) == (200, 3)
    lost = figures["teacher_accuracy"] - figures["accuracy"]
    assert figures["below_teacher"] == pytest.approx(lost)
    assert figures["below_teacher_error"] <= 1 / np.sqrt(200)
    assert "test frames trained on too" in info["source"]
    assert info["teacher"]["file"] == "teacher.onnx"
    with Path("result/history.csv").open() as file:
        assert all(-1 < float(epoch["validation_regret"]) <= 0 for epoch in csv.DictReader(file))
    assert "% right, soft regret -" in out


def test_surrogate_accuracy_is_never_called_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    network = {"layers": [16, 4, 5]}
    values = {**RECIPE, "network": network, "data": {"dataset": "jets", "source": "surrogate"}}
    Path("made_up.yaml").write_text(yaml.safe_dump(values))
    line = ["--model", "made_up.yaml", "--out", "result", "--epochs", "1", "--batch-size", "4096"]
    assert command.main(line) == 0
    assert "accuracy on surrogate frames (not real data)" in capsys.readouterr().out
    _, info = checkpoint.load("result/made_up.pt")
    assert info["surrogate"]
    assert "surrogate_accuracy" in info["metrics"] and "accuracy" not in info["metrics"]


def test_an_interrupted_write_leaves_the_old_result(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["--model", "toy.yaml", "--out", "result", "--quiet"]
    assert command.main(line) == 0
    before = entries()
    first = Path("result/toy.pt").read_bytes()

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("brevitas_models.model.export.export_qonnx", interrupted)
    assert command.main([*line, "--seed", "7"]) == 130
    assert entries() == before
    assert Path("result/toy.pt").read_bytes() == first


@pytest.mark.parametrize(
    ("settings", "stop"),
    [
        (["--set", "pruning.schedule=lottery_ticket", "--set", "pruning.share=0.2"], 2),
        (["--folds", "2"], 1),  # folds side by side, then all frames
    ],
)
def test_an_interrupted_training_goes_on(
    settings: list[str],
    stop: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["--model", "toy.yaml", *settings]
    assert command.main([*line, "--out", "whole", "--quiet"]) == 0
    before = entries()

    trained = []
    plain = rounds.train_many

    def interrupted(*args: object, **ways: object) -> object:
        if len(trained) == stop:
            raise KeyboardInterrupt
        trained.append(args)
        return plain(*args, **ways)

    monkeypatch.setattr(rounds, "train_many", interrupted)
    assert command.main([*line, "--out", "result", "--quiet"]) == 130
    assert "go on from there" in capsys.readouterr().err
    kept = {entry for entry in entries() - before if "unfinished" in entry}
    assert entries() - before == kept != set()

    trained.clear()
    assert command.main([*line, "--out", "result"]) == 0
    assert len(trained) == 1, "all but the last were done already"
    assert "goes on from the finished rounds" in capsys.readouterr().out
    (one, first), (other, second) = (
        checkpoint.load(f"{folder}/toy.pt") for folder in ("whole", "result")
    )
    state = one.state_dict()
    assert all((value == state[key]).all() for key, value in other.state_dict().items())
    assert first["metrics"] == second["metrics"]
    assert Path("whole/toy.onnx").read_bytes() == Path("result/toy.onnx").read_bytes()
    assert not [entry for entry in entries() if "unfinished" in entry]


def test_outputs_refuse_what_appeared_meanwhile(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="found notes in it"),
        outputs.folder(tmp_path / "new", "toy") as stage,
    ):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "notes").write_text("mine")
        (stage / "toy.pt").write_text("x")
    assert (tmp_path / "new" / "notes").read_text() == "mine"


def test_steps_are_compiled_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def stub(*_: object, compiled: object, **__: object) -> object:
        asked.append(compiled)
        raise UserError("enough")

    monkeypatch.setattr(rounds, "train_many", stub)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/g++")
    assert command.main(["--model", "toy.yaml"]) == 2
    assert command.main(["--model", "toy.yaml", "--compiled"]) == 2
    assert asked == [False, True]
    monkeypatch.setattr("shutil.which", lambda name: None)
    capsys.readouterr()
    assert command.main(["--model", "toy.yaml", "--compiled"]) == 2
    assert "--compiled: torch compiles with g++" in capsys.readouterr().err
    assert asked == [False, True]


def test_a_budget_of_luts_takes_the_place_of_the_share(capsys: pytest.CaptureFixture[str]) -> None:
    network = {"layers": [4, 8, 3], "edges": "tables", "weight_bits": 5, "input_bits": 4}
    settings = {**RECIPE, "network": network, "pruning": {"share": 0.5, "criterion": "hardware"}}
    Path("tables.yaml").write_text(yaml.safe_dump(settings))
    line = ["--model", "tables.yaml", "--out", "result", "--quiet"]
    assert command.main([*line, "--lut-budget", "60"]) == 0
    model, info = checkpoint.load("result/tables.pt")
    assert info["recipe"]["pruning"]["lut_budget"] == 60
    assert info["recipe"]["pruning"]["share"] == 0
    spent = pruning.total_luts(pruning.edge_prices(model))
    assert 20 < spent <= 60
    said = f"edges cost {spent:,.0f} LUTs by the prices of training, of a budget of 60"
    assert said in capsys.readouterr().out
    kinds = [node.op_type for node in onnx.load("result/tables.onnx").graph.node]
    assert kinds.count("Gather") == kinds.count("ReduceSum") == 2
