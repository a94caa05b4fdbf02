"""Which compiler a virtual board is made with, and what is said where there is none."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

pytest.importorskip("pynq", reason="the virtual board is a pynq device")

from deploy import driver
from deploy.virtual import simulate
from deploy.virtual.simulate import ENTRY_POINTS, simulate_package
from deploy.virtual.simulator import VirtualBoardError
from finn_builds.shell.compile import compile_for_virtual_board


def test_the_installed_compiler_is_the_project_s():
    (found,) = entry_points(group=ENTRY_POINTS)
    assert found.load() is compile_for_virtual_board


def test_without_the_project_the_message_says_what_to_do(made, monkeypatch, capsys):
    monkeypatch.setattr(simulate, "entry_points", lambda group: ())
    argv = ["--package", str(made.folder), "--exec_mode", "latency_test", "--virtual"]
    assert driver.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the simulated board needs the project")
    assert "make setup" in line


def test_the_compiler_gets_shell_and_sources(made):
    asked = []

    def compiler(shell, sources, folder, compiling):
        asked.append((shell, [path.name for path in sources], folder))
        raise VirtualBoardError("enough")

    with pytest.raises(VirtualBoardError, match="enough"):
        simulate_package(made.folder, made.description, compile_shell=compiler)
    folder = made.folder.parent / "virtual_board"
    assert asked == [(made.description["shell"], ["tiny_accelerator.v"], folder)]


def test_a_shell_that_is_too_large_is_the_user_s_error(made, tmp_path):
    shell = {**made.description["shell"], "in_bytes": 5000}
    with pytest.raises(VirtualBoardError, match="4096 bytes per beat"):
        compile_for_virtual_board(shell, [], tmp_path, lambda: None)
