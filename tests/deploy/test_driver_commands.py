"""``driver.py`` and ``validate.py`` as commands, and the package that they come in."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from deploy import driver, validate
from deploy.package import Package

pytestmark = pytest.mark.slow  # one small compilation


def test_command_line(made, tmp_path, capsys):
    common = ["--virtual", "--package", str(made.folder), "--batchsize", "32"]
    np.save(tmp_path / "x.npy", made.features)
    files = ["--inputfile", str(tmp_path / "x.npy"), "--outputfile", str(tmp_path / "y.npy")]
    assert driver.main([*common, *files]) == 0
    assert (np.load(tmp_path / "y.npy") == made.outputs.argmax(axis=1)).all()
    np.save(tmp_path / "x.npy", made.integers)
    assert driver.main([*common, *files, "--integers"]) == 0
    assert (np.load(tmp_path / "y.npy") == made.outputs).all()
    metrics = tmp_path / "nw_metrics.json"
    throughput = ["--exec_mode", "throughput_test", "--metrics", str(metrics), "--repeats", "2"]
    assert driver.main([*common, *throughput]) == 0
    assert json.loads(metrics.read_text())["batch_size"] == 32
    assert "throughput[images/s]: " in metrics.with_suffix(".txt").read_text()
    assert capsys.readouterr().err.count("compiling the simulated board") <= 1
    assert driver.main([*common, "--inputfile", str(tmp_path / "none.npy")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: can't read") and "none.npy" in error
    nowhere = ["--outputfile", str(tmp_path / "nowhere" / "y.npy")]
    assert driver.main([*common, "--inputfile", str(tmp_path / "x.npy"), *nowhere]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_table_with_labels(made, tmp_path, capsys):
    """The features of a .csv are classified, and its labels say how good that is."""
    classes = made.outputs.argmax(axis=1)
    labels = classes.copy()
    labels[:7] = (labels[:7] + 1) % made.outputs.shape[1]
    rows = [[repr(float(v)) for v in row] for row in made.features]
    names = [f"f{i}" for i in range(made.features.shape[1])]
    lines = [",".join([*names, "label"])]
    lines += [",".join([*row, str(label)]) for row, label in zip(rows, labels, strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    files = ["--inputfile", str(tmp_path / "x.csv"), "--outputfile", str(tmp_path / "y.npy")]
    assert driver.main(["--virtual", "--package", str(made.folder), *files]) == 0
    assert (np.load(tmp_path / "y.npy") == classes).all()
    share = 1 - 7 / len(labels)
    assert f"accuracy {share:.1%}: file x.csv" in capsys.readouterr().out
    (tmp_path / "x.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert driver.main(["--virtual", "--package", str(made.folder), *files]) == 0
    assert "accuracy" not in capsys.readouterr().out
    (tmp_path / "x.csv").write_text(lines[0] + "\n" + lines[1].replace(rows[0][0], "?", 1))
    assert driver.main(["--virtual", "--package", str(made.folder), *files]) == 2
    assert "line 2, column 'f0': '?' is not a number" in capsys.readouterr().err


def test_the_accuracy_is_that_on_rows_that_training_did_not_use(made, tmp_path, capsys):
    """The package says which rows of the file the training has used, as the model does."""
    classes = made.outputs.argmax(axis=1)
    unseen = np.arange(len(classes)) % 4 == 1
    labels = np.where(unseen, classes, (classes + 1) % made.outputs.shape[1])
    labels[1] = (labels[1] + 1) % made.outputs.shape[1]
    path = tmp_path / "x.npz"
    np.savez(path, X=made.features, y=labels)
    folder = tmp_path / "package"
    shutil.copytree(made.folder, folder)
    description = json.loads((folder / "overlay.json").read_text())
    description["host_model"]["split"] = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": len(classes),
        "test": base64.b64encode(zlib.compress(np.packbits(unseen).tobytes())).decode(),
    }
    (folder / "overlay.json").write_text(json.dumps(description))
    files = ["--inputfile", str(path), "--outputfile", str(tmp_path / "y.npy")]
    assert driver.main(["--virtual", "--package", str(folder), *files]) == 0
    said = capsys.readouterr().out
    n = int(unseen.sum())
    assert f"accuracy {1 - 1 / n:.1%}: file x.npz" in said
    assert f", the {n} of its {len(classes)} rows that training did not use" in said


@pytest.fixture
def several(made, tmp_path):
    """The package as that of a model with two inputs and three outputs."""
    folder = tmp_path / "several"
    shutil.copytree(made.folder, folder)
    description = json.loads((folder / "overlay.json").read_text())
    host = description["host_model"]
    (one,) = host["inputs"]
    parts = {"x": 4, "more": 8}
    quant = next(op for op in one["before"] if op["op"] == "quant")
    host["inputs"] = [
        {**one, "name": name, "shape": [n], "n": n, "before": [quant]} for name, n in parts.items()
    ]
    (out,) = host["outputs"]
    takes = {"trigger": [0], "logits": [1, 2, 3], "rest": [4, 5]}
    host["outputs"] = [
        {**out, "name": name, "shape": [len(take)], "take": take} for name, take in takes.items()
    ]
    (folder / "overlay.json").write_text(json.dumps(description))
    return folder


def test_several_inputs_and_outputs(several, made, tmp_path, capsys):
    """Files have an array of each, by name; or the inputs side by side."""
    common = ["--virtual", "--package", str(several)]
    x = made.features - 1  # what the package's own host model subtracts
    np.savez(tmp_path / "x.npz", more=x[:, 4:], x=x[:, :4])
    np.save(tmp_path / "x.npy", x)
    expected = made.outputs * 0.25
    output = tmp_path / "y.npz"
    for name in ("x.npz", "x.npy"):
        files = ["--inputfile", str(tmp_path / name), "--outputfile", str(output)]
        assert driver.main([*common, "--scores", *files]) == 0
        assert f"outputs of {len(x)} frames: {output}" in capsys.readouterr().out
        with np.load(output, allow_pickle=False) as y:
            assert list(y) == ["trigger", "logits", "rest"]
            found = np.concatenate([y[key] for key in y], axis=1)
        assert (found == expected).all()
        files[-1] = str(tmp_path / "classes.npy")
        assert driver.main([*common, *files]) == 0
        assert (np.load(files[-1]) == expected[:, 1:4].argmax(axis=1)).all()


def test_files_that_do_not_hold_several_are_told(several, made, tmp_path, capsys):
    common = ["--virtual", "--package", str(several), "--inputfile", str(tmp_path / "x.npz")]
    np.savez(tmp_path / "x.npz", x=made.features[:, :4])
    assert driver.main([*common, "--scores", "--outputfile", str(tmp_path / "y.npy")]) == 2
    told = capsys.readouterr()
    assert "3 outputs (trigger, logits, rest)" in told.err and ".npz" in told.err
    assert not told.out, "before the board is made"
    assert not (tmp_path / "y.npy").exists()
    assert driver.main([*common, "--outputfile", str(tmp_path / "y.npy")]) == 2
    assert "an .npz with an array of each), or 12 values side by side" in capsys.readouterr().err


def test_no_frames_and_a_folder_as_text(made, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "x.npy", made.features[:0])
    argv = ["--virtual", "--package", str(made.folder), "--inputfile", str(tmp_path / "x.npy")]
    assert driver.main(argv) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: input has no frames; expected one or more: give at least one"
    )
    monkeypatch.chdir(made.folder)
    assert Package(".").folder == made.folder.resolve()


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 cut off", "several"])
def test_an_input_that_is_no_array_is_told_before_the_board_is_made(
    tmp_path, made, capsys, content
):
    path = tmp_path / "x.npy"
    if content == "several":
        with path.open("wb") as file:
            np.savez(file, x=made.features)
    else:
        path.write_bytes(content)
    assert driver.main(["--virtual", "--package", str(made.folder), "--inputfile", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"error: .*x\.npy .*expected an array saved with numpy\.save", line)


@pytest.mark.parametrize("option", ["--outputfile", "--metrics"])
def test_a_file_that_can_t_be_written_is_told(made, tmp_path, capsys, option):
    np.save(tmp_path / "x.npy", made.features)
    argv = ["--virtual", "--package", str(made.folder), "--inputfile", str(tmp_path / "x.npy")]
    argv += [option, str(tmp_path / "none" / "y"), "--repeats", "1"]
    argv += ["--exec_mode", "throughput_test"] if option == "--metrics" else []
    assert driver.main(argv) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: can't write")


def test_a_file_that_can_t_be_completed_leaves_the_old_one(made, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "x.npy", made.features)
    (tmp_path / "y.npy").write_bytes(b"of before")

    def half(file, _):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", half)
    argv = ["--virtual", "--package", str(made.folder), "--inputfile", str(tmp_path / "x.npy")]
    assert driver.main([*argv, "--outputfile", str(tmp_path / "y.npy")]) == 2
    assert "No space left on device; name another file" in capsys.readouterr().err
    assert (tmp_path / "y.npy").read_bytes() == b"of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "y.npy"]


def test_a_device_is_written_and_not_replaced(made, tmp_path):
    """As root, /dev/null would be gone."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    argv = ["--virtual", "--package", str(made.folder), "--metrics", str(tmp_path / "pipe")]
    argv += ["--exec_mode", "latency_test", "--repeats", "1"]
    assert driver.main(argv) == 0
    assert b"latency_cycles" in os.read(reader, 1 << 16)
    os.close(reader)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "pipe.txt"]


def test_metrics_do_not_overwrite_each_other(made, tmp_path, capsys):
    """The text beside the JSON file would have its name."""
    with pytest.raises(SystemExit) as ended:
        driver.main(["--package", str(made.folder), "--metrics", str(tmp_path / "measured.txt")])
    assert ended.value.code == 2
    assert "measured.json" in capsys.readouterr().err


def test_a_description_that_is_none_is_told(tmp_path, capsys):
    (tmp_path / "overlay.json").write_text("[]")
    assert driver.main(["--package", str(tmp_path), "--exec_mode", "latency_test"]) == 2
    assert "not a package's description" in capsys.readouterr().err


def test_without_bitfile_the_message_says_what_to_do(made, capsys):
    assert driver.main(["--package", str(made.folder), "--exec_mode", "latency_test"]) == 2
    assert "--virtual" in capsys.readouterr().err


def test_validate_passes_and_fails(made, tmp_path, capsys):
    found = tmp_path / "validate.json"
    argv = ["--virtual", "--package", str(made.folder)]
    assert validate.main([*argv, "--json", str(found)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "PASSED: 70 frames, all as built"
    assert len(lines) < 10, "for people; the rest is in the file"
    assert "integers of raw features: 50 frames, all as built" in lines
    assert "integers of the accelerator: 70 frames, all as built" in lines
    written = json.loads(found.read_text())
    assert (written["frames"], written["mismatches"]) == (70, 0)
    assert set(written["bitfile"]) >= {"clock_mhz", "clock", "board_files", "vivado"}
    assert validate.main([*argv, "--json", str(tmp_path)]) == 2
    assert f"error: can't write {tmp_path}: " in capsys.readouterr().err
    package = Package(made.folder)
    overlay = package.open(virtual=True, batch_size=64)
    assert "compiling" not in capsys.readouterr().err, "what was compiled before is used again"
    right = overlay.execute
    overlay.execute = lambda x: right(x) + (np.arange(len(x)) == 3)[:, None]
    result = validate.validate(package, overlay)
    assert (result["mismatches"], result["input_mismatches"]) == (1, 0)
    assert (result["frames"], result["features"]) == (70, 50)
    text = "integers of the accelerator: 70 frames, 1 differ from the build's"
    assert text in validate.as_text(result)


def test_a_changed_package_is_refused(made, tmp_path, capsys):
    with zipfile.ZipFile(made.archive) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "deploy"
    with (folder / "driver.py").open("a") as file:
        file.write("\n")
    assert validate.main(["--package", str(folder)]) == 2
    assert "driver.py is not as it was built" in capsys.readouterr().err
    (folder / "driver.py").unlink()
    assert validate.main(["--package", str(folder)]) == 2
    assert "driver.py is missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["deploy", "a folder", "pynq"])
def test_the_unzipped_package_runs_by_itself(made, tmp_path, repo, name):
    """From another folder of any name, importing its own files, as after scp and unzip."""
    with zipfile.ZipFile(made.archive) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "deploy").rename(tmp_path / name)
    # Saves a compilation; the sources are in the package.
    (tmp_path / "virtual_board").symlink_to(made.folder.parent / "virtual_board")
    done = subprocess.run(
        [sys.executable, str(tmp_path / name / "validate.py"), "--virtual"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "PASSED: 70 frames" in done.stdout
    assert "Warning" not in done.stderr
