"""The command ``build.py``: its lists, its errors and what it hands on. No build is run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import build as command
import prunestream
from finn_builds.config.boards import board_names
from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError, VerificationError
from tests.finn_builds.small_network import save_small_network


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, so that a folder left behind shows."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def failed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run the command, check that it fails as a user's mistake must, and return its message."""
    code = command.main(list(argv))
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert list(Path.cwd().iterdir()) == [], "a failed build leaves nothing behind"
    return err


class TestMistakes:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--board", "Nope"], "unknown board 'Nope': known boards are AUP-ZU3"),
            (["--board", "pynq-z1"], "did you mean Pynq-Z1?"),
            ([], "--board is missing"),
            (["--board"], "argument --board: expected one argument"),
            (["--bord", "Pynq-Z1"], "unrecognized arguments: --bord"),
            (["--board", "Pynq-Z1", "--model", "missing.onnx"], "model missing.onnx: there is no"),
            (["--board", "Pynq-Z1", "--model", "nope"], "unknown model 'nope'"),
            (["--board", "Pynq-Z1", "--target-fps", "-1"], "target_fps: expected a number above 0"),
            (["--board", "Pynq-Z1", "--target-fps", "x"], "--target-fps: invalid float value: 'x'"),
            (["--board", "Pynq-Z1", "--clock-ns", "0"], "(--clock-ns): expected 1 ns or more"),
            (
                ["--board", "Pynq-Z1", "--style", "x"],
                "style: expected auto or folded or sparse, found 'x'",
            ),
            (["--board", "Pynq-Z1", "--folding", "x.json"], "folding configuration x.json: there"),
            (["--board", "Pynq-Z1", "--verify-frames", "0"], "verify_frames: expected a whole"),
            (["--board", "Pynq-Z1", "--trace", "png"], "trace: expected vcd or fst"),
            (["--board", "Pynq-Z1", "--input-quant", "INT99"], "input_quant: expected INT2 to"),
            (["--board", "Pynq-Z1", "--out", "."], "a build needs a folder of its own"),
        ],
    )
    def test_one_line_and_no_folder(
        self, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
    ) -> None:
        if "--model" not in argv and len(argv) > 2:
            argv = [*argv, "--model", str(Path(__file__))]  # any file: it isn't read so soon
        assert message in failed(capsys, *argv)

    @pytest.mark.parametrize("text", ["# Not a model\n", "", "\0\1\2"])
    def test_a_file_that_is_no_model(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "README.md"
        path.write_text(text)
        message = failed(capsys, "--board", "Pynq-Z1", "--model", str(path), "--quiet")
        assert str(path) in message

    def test_unknown_step(self, capsys: pytest.CaptureFixture[str]) -> None:
        argv = ["--board", "Pynq-Z1", "--model", __file__, "--stop-step", "place"]
        assert "unknown step 'place': the steps are tidy_up, " in failed(capsys, *argv)

    def test_start_step_of_a_build_that_is_not_there(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        argv = ["--board", "Pynq-Z1", "--model", __file__, "--start-step", "hw_codegen"]
        assert "cannot start at hw_codegen: the step tidy_up before" in failed(capsys, *argv)

    def test_foreign_folder(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/work.txt").write_text("")
        argv = ["--board", "Pynq-Z1", "--model", __file__, "--out", str(tmp_path / "mine")]
        assert "holds files that are not of a build" in failed(capsys, *argv)
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["work.txt"]


class TestLists:
    def test_boards(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["--list-boards"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[1:]] == board_names()
        assert "xc7z020clg400-1" in next(line for line in lines if line.startswith("Pynq-Z1"))

    def test_steps(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["--list-steps"]) == 0
        names = capsys.readouterr().out.split()
        assert names[0] == "tidy_up" and "create_stitched_ip" in names

    @pytest.mark.parametrize("option", ["--help", "--list-boards", "--list-steps"])
    def test_lists_import_no_machinery(self, repo: Path, option: str) -> None:
        """They answer at once because they import none of the heavy packages."""
        code = (
            "import sys; sys.argv = ['build.py', sys.argv[1]]; import build\n"
            "try: build.main()\n"
            "except SystemExit: pass\n"
            "heavy = {'finn', 'qonnx', 'torch', 'onnx', 'onnxruntime', 'sklearn', 'brevitas'}\n"
            "print('imported:', *heavy & set(sys.modules), file=sys.stderr)"
        )
        environment = {**os.environ, "PYTHONPATH": str(repo)}
        done = subprocess.run(
            [sys.executable, "-c", code, option], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "imported:\n")
        assert done.stdout

    def test_a_reader_that_leaves_is_no_bug(self, repo: Path) -> None:
        """As in ``build.py --list-boards | head -1``: no traceback, the exit code of SIGPIPE."""
        reading, writing = os.pipe()
        os.close(reading)
        argv = [sys.executable, str(repo / "build.py"), "--list-boards"]
        done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, "")

    def test_help_names_every_option(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as leaving:
            command.main(["--help"])
        assert leaving.value.code == 0
        text = capsys.readouterr().out
        names = (
            "board model out clock-ns target-fps folding style data standardise input-quant "
            "input-scale latency-cycles bitfile verify-frames seed top1 trace start-step stop-step "
            "list-steps list-boards force quiet json"
        )
        for option in names.split():
            assert f"--{option}" in text


class TestHandsOn:
    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch) -> list:
        """Take the place of ``finn_builds.build`` and keep what it was given."""
        calls = []

        def fake(cfg: BuildConfig, *, reporter) -> SimpleNamespace:
            calls.append(cfg)
            return SimpleNamespace(summary={"fps": 1000.0, "out_dir": Path("b")})

        monkeypatch.setattr("finn_builds.build", fake, raising=False)
        return calls

    def test_every_option_arrives(self, given: list) -> None:
        argv = (
            "--board ZCU104 --model m.onnx --out o --clock-ns 4 --target-fps 1e6 --folding f.json "
            "--style folded --data digits --standardise --input-quant INT8 --input-scale 0.5 "
            "--verify-frames 7 --seed 3 --top1 --trace fst --synth yosys --bitfile --start-step a "
            "--stop-step b --force"
        )
        assert command.main(argv.split()) == 0
        assert given == [
            BuildConfig(
                board="ZCU104",
                model="m.onnx",
                output_dir="o",
                synth_clk_period_ns=4.0,
                target_fps=1e6,
                folding_config_file="f.json",
                style="folded",
                data="digits",
                standardise=True,
                input_quant="INT8",
                input_scale=0.5,
                verify_frames=7,
                verify_seed=3,
                top1=True,
                bitfile=True,
                trace="fst",
                synth="yosys",
                start_step="a",
                stop_step="b",
                force=True,
            )
        ]

    def test_defaults_are_the_configurations(self, given: list) -> None:
        assert command.main(["--board", "Pynq-Z1"]) == 0
        assert given == [BuildConfig(board="Pynq-Z1")]

    def test_table_and_json(self, given: list, capsys: pytest.CaptureFixture[str]) -> None:
        command.main(["--board", "Pynq-Z1"])
        assert capsys.readouterr().out == "throughput  1,000 frames/s\nfolder      b\n"
        command.main(["--board", "Pynq-Z1", "--json"])
        assert json.loads(capsys.readouterr().out) == {"fps": 1000.0, "out_dir": "b"}

    @pytest.mark.parametrize(
        ("out", "finished", "text"),
        [
            ("b", None, "stopped after streamline: b\n"),
            (
                "b/.next",
                "b",
                "stopped after streamline: b/.next; the finished build in b stays as it is\n",
            ),
        ],
    )
    def test_stopped(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        out: str,
        finished: str | None,
        text: str,
    ) -> None:
        stopped = SimpleNamespace(
            summary={},
            out=Path(out),
            finished_out=finished and Path(finished),
            reused=("tidy_up",),
            ran=("qonnx_to_finn", "streamline"),
        )
        monkeypatch.setattr("finn_builds.build", lambda cfg, *, reporter: stopped, raising=False)
        assert command.main(["--board", "Pynq-Z1", "--stop-step", "streamline"]) == 0
        assert capsys.readouterr().out == text
        assert command.main(["--board", "Pynq-Z1", "--stop-step", "streamline", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "stopped_after": "streamline",
            "out_dir": out,
            "finished_build": finished,
        }

    @pytest.mark.parametrize(
        ("error", "code", "text"),
        [
            (UserError("no good"), 2, "error: no good\n"),
            (VerificationError("3 of 1,000 frames differ"), 1, "error: 3 of 1,000 frames differ\n"),
            (KeyboardInterrupt(), 130, "interrupted: run the command again to go on from there\n"),
        ],
    )
    def test_exit_codes(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        error: BaseException,
        code: int,
        text: str,
    ) -> None:
        def fail(cfg, *, reporter):
            raise error

        monkeypatch.setattr("finn_builds.build", fail, raising=False)
        assert command.main(["--board", "Pynq-Z1"]) == code
        assert capsys.readouterr().err == text

    def test_bug_keeps_its_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(cfg, *, reporter):
            raise ZeroDivisionError

        monkeypatch.setattr("finn_builds.build", fail, raising=False)
        with pytest.raises(ZeroDivisionError):
            command.main(["--board", "Pynq-Z1"])


def test_a_rerun_imports_only_what_it_needs(repo: Path) -> None:
    """A build that reuses every step reads its options and inputs, and compares digests."""
    code = (
        "import sys, finn_builds; finn_builds.build\n"
        "finn_builds.BuildConfig(board='Pynq-Z1').validate().fingerprint()\n"
        "heavy = {'finn', 'qonnx', 'onnx', 'numpy', 'torch', 'sklearn', 'brevitas'}\n"
        "print('imported:', *heavy & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "imported:\n"


def test_without_the_environment_one_line_names_the_command(repo: Path) -> None:
    """``-S`` leaves out the installed packages, as a Python without them would be."""
    argv = [sys.executable, "-S", str(repo / "build.py"), "--board", "Pynq-Z1"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"error: the Python package \w+ is not installed for .*: use `make build BOARD=Pynq-Z1` "
        r"or, once that has run, `\.venv/bin/python build\.py`\n",
        done.stderr,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_output_is_no_fault(repo: Path, closed: str) -> None:
    for words, code in (("--list-steps", 0), ("--board Nope", 2)):
        line = f"'{sys.executable}' build.py {words} {closed}"
        done = subprocess.run(["sh", "-c", line], cwd=repo, capture_output=True, text=True)
        assert done.returncode == code
        assert "Traceback" not in done.stderr


class TestPrunestream:
    def test_is_the_same_build(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert prunestream.main(["build", "--list-boards"]) == 0
        own = capsys.readouterr().out
        assert command.main(["--list-boards"]) == 0
        assert capsys.readouterr().out == own

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            ([], "error: the following arguments are required: command (see --help)\n"),
            (["bild"], "error: argument command: invalid choice: 'bild' (choose from 'build', "),
            (["build"], "error: --board is missing"),
            (["compare"], "error: the following arguments are required: DIR"),
            (["build", "--board", "Nope"], "error: unknown board 'Nope'"),
        ],
    )
    def test_mistakes(
        self, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
    ) -> None:
        assert prunestream.main(argv) == 2
        assert capsys.readouterr().err.startswith(message)

    def test_help_is_in_its_own_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        for argv in (["build", "--help"], ["compare", "--help"]):
            with pytest.raises(SystemExit):
                prunestream.main(argv)
            assert capsys.readouterr().out.startswith(f"usage: prunestream {argv[0]} ")

    @pytest.mark.parametrize(
        ("words", "how"),
        [
            (["train", "--model", "digits"], 'pip install "prunestream[train]"'),
            (["study", "s.yaml", "--out", "s"], 'pip install "prunestream[train]"'),
            (["build", "--board", "Pynq-Z1"], "pip install prunestream"),
        ],
    )
    def test_what_is_not_installed_is_named_with_its_command(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        words: list[str],
        how: str,
    ) -> None:
        monkeypatch.setattr(prunestream, "_ROOT", tmp_path)  # as when it is installed

        def without(words: object, prog: str) -> None:
            raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

        monkeypatch.setitem(prunestream.COMMANDS, words[0], without)
        assert prunestream.main(words) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: the Python package torch is not installed for ")
        assert err.endswith(f": use `{how}`\n")

    def test_a_module_of_ours_that_is_missing_is_a_bug(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(words: object, prog: str) -> None:
            import finn_builds.no_such_module  # noqa: F401

        monkeypatch.setitem(prunestream.COMMANDS, "build", fail)
        with pytest.raises(ModuleNotFoundError):
            prunestream.main(["build"])


def test_without_a_compiler_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """g++ is looked for before the first step, and not where the build stops before it is used."""
    model, out = save_small_network(tmp_path / "small.onnx"), tmp_path / "out"
    argv = ["--board", "Pynq-Z1", "--model", str(model), "--out", str(out)]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.main(argv) == 2
    said = capsys.readouterr()
    assert "g++" in said.err
    assert "apt install g++" in said.err
    assert "tidy_up" not in said.out
    assert not out.exists()
    assert command.main([*argv, "--stop-step", "streamline"]) == 0
    assert (out / "intermediate_models").is_dir()
