"""What a run that fails leaves behind, and what it says."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from finn_builds.errors import UserError, VerificationError
from finn_builds.run import state as disk
from finn_builds.run.runner import Step
from finn_builds.tools import ToolMissing
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import NAMES, build, failing, fresh


def test_user_error_leaves_no_new_folder(toy_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no good"):
        build(toy_model, tmp_path / "a/b/c", steps=failing(UserError("no good")))
    assert list(tmp_path.iterdir()) == []


def test_user_error_empties_a_folder_that_was_empty(toy_model: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError):
        build(toy_model, tmp_path / "b", steps=failing(UserError("no good")))
    assert list((tmp_path / "b").iterdir()) == []


def test_missing_tool_keeps_finished_steps_and_log(toy_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    for after in (0, 2):
        with pytest.raises(ToolMissing, match="no g"):
            build(toy_model, fresh(out), steps=failing(ToolMissing("no g++"), after))
        assert "ToolMissing: no g++" in (out / "build.log").read_text()
        assert list(disk.State.load(out).steps) == list(NAMES[:after])
    assert build(toy_model, out).reused == NAMES[:2]


@pytest.mark.parametrize("error", [VerificationError("differs"), ZeroDivisionError("bug")])
def test_failed_step_is_not_recorded(toy_model: Path, tmp_path: Path, error: Exception) -> None:
    out = tmp_path / "b"
    with pytest.raises(type(error)):
        build(toy_model, out, steps=failing(error))
    found = disk.State.load(out)
    assert list(found.steps) == ["seed", "generate"] and not found.complete
    assert type(error).__name__ in (out / "build.log").read_text()
    result = build(toy_model, out)
    assert result.reused == ("seed", "generate")
    assert (out / "partial.txt").exists(), "no step of this list owns it"


def test_interrupt_keeps_finished_steps(toy_model: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(toy_model, tmp_path / "b", steps=failing(KeyboardInterrupt()))
    assert build(toy_model, tmp_path / "b").reused == ("seed", "generate")


def test_interrupt_before_anything_is_done_leaves_nothing(toy_model: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(toy_model, tmp_path / "b", steps=failing(KeyboardInterrupt(), after=0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("force", [False, True])
def test_foreign_folder_is_refused(toy_model: Path, tmp_path: Path, force: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="holds files that are not of a build"):
        build(toy_model, tmp_path, force=force)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_unwritable_folder(toy_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the output folder"):
        build(toy_model, tmp_path / "file/b")


def test_full_disk(toy_model: Path, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "b/x"))
    with pytest.raises(disk.DiskError, match=r"cannot write to .*/b: No space left on device"):
        build(toy_model, tmp_path / "b", steps=failing(full))
    assert "No space left" in (tmp_path / "b/build.log").read_text()
    assert build(toy_model, tmp_path / "b").reused == NAMES[:2]


@pytest.mark.parametrize(("where", "kind"), [("b/x", UserError), ("elsewhere/x", PermissionError)])
def test_refused_writes_are_the_users_only_in_the_folder(
    toy_model: Path, tmp_path: Path, where: str, kind: type[Exception]
) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / where))
    with pytest.raises(kind, match="Permission denied"):
        build(toy_model, tmp_path / "b", steps=failing(refused))


@pytest.mark.parametrize("gone", [False, True])
def test_input_that_changes_meanwhile(tmp_path: Path, gone: bool) -> None:
    model = tmp_path / "m.onnx"
    toy.write_model(model)

    def step_slow(cfg) -> None:
        model.unlink() if gone else toy.write_model(model, 2)

    with pytest.raises(UserError, match="another input file changed during the build"):
        build(model, tmp_path / "b", steps=[Step(step_slow)])
