"""A finished build is replaced as a whole, by one that is finished: until then it stays."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from finn_builds.errors import UserError, VerificationError
from finn_builds.run import state as disk
from finn_builds.run.progress import Reporter
from finn_builds.run.runner import Step, run_steps
from finn_builds.tools import ToolMissing
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import NAMES, build, contents, failing, finished, fresh


@pytest.fixture
def out(toy_model: Path, tmp_path: Path) -> Path:
    """Return the folder of a finished build, in which its user has put a file of his own."""
    folder = tmp_path / "b"
    build(toy_model, folder)
    (folder / "notes.txt").write_text("mine")
    return folder


def undisturbed(model: Path, out: Path, **options) -> dict[str, str]:
    """Return what a first build gives in a folder of that name; the folder is left as it is."""
    aside = out.rename(out.with_name("aside"))
    build(model, out, **options)
    seen = contents(out) | {"notes.txt": contents(aside)["notes.txt"]}
    fresh(out)
    aside.rename(out)
    return seen


class TestUnfinished:
    def test_stop_leaves_the_finished_build(self, toy_model: Path, out: Path) -> None:
        before, wanted = finished(out), undisturbed(toy_model, out, verify_seed=5)
        half = build(toy_model, out, verify_seed=5, stop_step="generate")
        assert half.out == out / ".next" and not half.complete
        assert half.ran == NAMES[:2] and half.reused == ()
        assert finished(out) == before
        assert toy.Weight.load(half.out, "generate").value == 21
        rest = build(toy_model, out, verify_seed=5)
        assert rest.ran == NAMES[2:] and rest.reused == NAMES[:2]
        assert rest.out == out and rest.complete and rest.seconds.keys() == set(NAMES)
        assert contents(out) == wanted

    @pytest.mark.parametrize(
        "error",
        [
            UserError("no good"),
            ToolMissing("no g++"),
            VerificationError("differs"),
            ZeroDivisionError("bug"),
            KeyboardInterrupt(),
            OSError(errno.ENOSPC, "No space left on device"),
        ],
        ids=repr,
    )
    def test_error_leaves_the_finished_build(
        self, toy_model: Path, out: Path, error: BaseException
    ) -> None:
        before, wanted = finished(out), undisturbed(toy_model, out, verify_seed=5)
        expected = disk.DiskError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected):
            build(toy_model, out, steps=failing(error), verify_seed=5)
        assert finished(out) == before
        assert build(toy_model, out).ran == (), "the finished build is still what it was"
        with pytest.raises(expected):
            build(toy_model, out, steps=failing(error), verify_seed=5)
        assert type(error).__name__ in (out / ".next/build.log").read_text()
        result = build(toy_model, out, verify_seed=5)
        assert result.reused == NAMES[:2] and result.complete
        seen = contents(out)
        del seen["partial.txt"]  # no step of this list owns it
        assert seen == wanted

    def test_option_changed_and_back(self, toy_model: Path, out: Path) -> None:
        before = finished(out)
        build(toy_model, out, verify_frames=7, stop_step="measure")
        result = build(toy_model, out)
        assert result.ran == () and result.complete and result.out == out
        assert finished(out) == before
        assert not (out / ".next").exists()

    def test_another_option_meanwhile(self, toy_model: Path, out: Path) -> None:
        """What an unfinished next build holds is used as far as it is up to date."""
        wanted = undisturbed(toy_model, out, verify_seed=5, verify_frames=7)
        build(toy_model, out, verify_seed=5, stop_step="measure")
        result = build(toy_model, out, verify_seed=5, verify_frames=7)
        assert result.reused == NAMES[:2] and result.ran == NAMES[2:]
        assert contents(out) == wanted

    def test_the_finished_build_has_more_to_keep(self, toy_model: Path, out: Path) -> None:
        wanted = undisturbed(toy_model, out, verify_frames=7)
        build(toy_model, out, verify_seed=5, stop_step="measure")
        result = build(toy_model, out, verify_frames=7)
        assert result.reused == NAMES[:2] and result.ran == NAMES[2:]
        assert contents(out) == wanted

    @pytest.mark.parametrize("damage", ["stitched_ip/sub/0.v", "intermediate_models/generate.txt"])
    def test_damaged_next_build(self, toy_model: Path, out: Path, damage: str) -> None:
        wanted = undisturbed(toy_model, out, verify_seed=5)
        build(toy_model, out, verify_seed=5, stop_step="measure")
        (out / ".next" / damage).write_text("?")
        assert build(toy_model, out, verify_seed=5).reused == NAMES[:1]
        assert contents(out) == wanted

    def test_stop_where_all_can_be_kept(self, toy_model: Path, out: Path) -> None:
        before = finished(out)
        result = build(toy_model, out, verify_frames=7, stop_step="generate")
        assert result.ran == () and result.reused == NAMES[:2] and not result.complete
        assert finished(out) == before

    def test_force(self, toy_model: Path, out: Path) -> None:
        before, wanted = finished(out), undisturbed(toy_model, out)
        for _ in range(2):  # the second does not take the first one's steps
            half = build(toy_model, out, force=True, stop_step="measure")
            assert half.ran == NAMES[:3] and half.out == out / ".next"
            assert finished(out) == before
        result = build(toy_model, out, force=True)
        assert result.ran == NAMES and result.out == out
        assert contents(out) == wanted

    def test_start_step(self, toy_model: Path, out: Path) -> None:
        before = finished(out)
        half = build(toy_model, out, start_step="generate", stop_step="measure")
        assert half.ran == NAMES[1:3] and half.reused == NAMES[:1]
        assert half.out == out / ".next" and finished(out) == before
        result = build(toy_model, out, start_step="generate")
        assert result.ran == NAMES[1:] and result.out == out

    def test_start_step_of_the_next_build(self, toy_model: Path, out: Path) -> None:
        wanted = undisturbed(toy_model, out, verify_seed=5)
        build(toy_model, out, verify_seed=5, stop_step="generate")
        result = build(toy_model, out, verify_seed=5, start_step="generate")
        assert result.reused == NAMES[:1] and result.ran == NAMES[1:]
        assert contents(out) == wanted

    def test_refused_start_step_leaves_the_next_build(self, toy_model: Path, out: Path) -> None:
        build(toy_model, out, verify_seed=5, stop_step="seed")
        before = finished(out / ".next")
        with pytest.raises(UserError, match="the step generate before it is out of date"):
            build(toy_model, out, verify_seed=5, start_step="measure")
        assert finished(out / ".next") == before

    @pytest.mark.parametrize("version", [1, 99])
    def test_build_of_another_version(self, toy_model: Path, out: Path, version: int) -> None:
        """Nothing in it can be reused, but neither is it lost to a build that fails."""
        wanted = undisturbed(toy_model, out)
        record = {"format": version, "complete": True, "steps": {"seed": {"checkpoint": "x"}}}
        (out / disk.STATE_FILE).write_text(json.dumps(record))
        (out / "intermediate_models/old.onnx").write_text("as steps were called then")
        before = finished(out)
        with pytest.raises(ZeroDivisionError):
            build(toy_model, out, steps=failing(ZeroDivisionError()))
        assert finished(out) == before
        assert build(toy_model, out).reused == NAMES[:2]
        seen = contents(out)
        del seen["partial.txt"]
        assert seen == wanted


class TestNext:
    def test_kept_steps_take_no_room(self, toy_model: Path, out: Path) -> None:
        half = build(toy_model, out, verify_frames=7, stop_step="measure")
        for name in ("intermediate_models/seed.txt", "stitched_ip/sub/3.v"):
            assert (half.out / name).samefile(out / name)
        assert not (half.out / "report/measured.json").samefile(out / "report/measured.json")

    def test_a_kept_step_that_wrote_nothing_leaves_no_folder(
        self, toy_model: Path, out: Path
    ) -> None:
        def step_idle(cfg) -> None: ...

        steps = [*toy.steps()[:2], Step(step_idle, outputs=("idle/file.txt",)), *toy.steps()[2:]]
        build(toy_model, out, steps=steps)
        assert "idle" in build(toy_model, out, steps=steps, verify_frames=7).reused
        assert not (out / "idle").exists()

    def test_file_system_without_links(
        self, toy_model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(source: object, target: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(source))

        wanted = undisturbed(toy_model, out, verify_frames=7)
        monkeypatch.setattr(os, "link", refuse)
        assert build(toy_model, out, verify_frames=7).ran == NAMES[2:]
        assert contents(out) == wanted

    def test_log_is_that_of_all_steps(self, toy_model: Path, out: Path) -> None:
        def steps_in(folder: Path) -> list[str]:
            lines = (folder / "build.log").read_text().splitlines()
            return [line.split()[-1] for line in lines if line.startswith("===")]

        assert steps_in(out) == list(NAMES)
        build(toy_model, out, verify_frames=7, stop_step="measure")
        assert steps_in(out) == list(NAMES)
        assert steps_in(out / ".next") == [*NAMES, "measure"]
        build(toy_model, out, verify_frames=7)
        assert steps_in(out) == [*NAMES, "measure", "pack"]
        build(toy_model, out, force=True)
        assert steps_in(out) == list(NAMES)

    def test_times_of_the_last_build_are_expected(self, toy_model: Path, out: Path) -> None:
        expected: dict[str, float | None] = {}

        class Listener(Reporter):
            def started(self, index, total, name, expected_=None):
                expected[name] = expected_

        record = json.loads((out / disk.STATE_FILE).read_text())
        for index, name in enumerate(NAMES):
            record["steps"][name]["seconds"] = 10.0 + index
        (out / disk.STATE_FILE).write_text(json.dumps(record))
        for stop in ("generate", None):  # the second run goes on with the next build
            cfg = toy.config(toy_model, out, verify_seed=5, stop_step=stop)
            run_steps(toy.steps(), cfg, reporter=Listener())
        assert expected == {"seed": 10.0, "generate": 11.0, "measure": 12.0, "pack": 13.0}

    def test_files_of_no_step_stay_and_come_along(self, toy_model: Path, out: Path) -> None:
        def step_litter(cfg) -> None:
            (cfg.out / "vivado/made").mkdir(parents=True, exist_ok=True)
            (cfg.out / "vivado/made/stray.log").write_text(str(cfg.verify_seed))
            (cfg.out / "vivado/build.tcl").write_text("")

        steps = [*toy.steps(), Step(step_litter, outputs=("vivado/build.tcl",))]
        assert build(toy_model, out, steps=steps).strays == ("vivado/made/stray.log",)
        (out / "vivado/made/project.xpr").write_text("what Vivado left")
        (out / "vivado/project").mkdir()
        (out / "vivado/project/vivado.log").write_text("too")
        result = build(toy_model, out, steps=steps, verify_seed=5)
        assert result.out == out and result.strays == ("vivado/made/stray.log",)
        texts = {str(p.relative_to(out)): p.read_text() for p in out.glob("vivado/*/*")}
        assert texts == {
            "vivado/made/stray.log": "5",
            "vivado/made/project.xpr": "what Vivado left",
            "vivado/project/vivado.log": "too",
        }
        assert (out / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize("folder_was", ["the user's", "the build's"])
    def test_a_file_where_a_folder_was(self, toy_model: Path, out: Path, folder_was: str) -> None:
        def step_file(cfg) -> None:
            (cfg.out / "thing").write_text("file")

        def step_folder(cfg) -> None:
            (cfg.out / "thing").mkdir()
            (cfg.out / "thing/part").write_text("folder")

        owned = Step(step_folder, outputs=("thing",)), Step(step_file, outputs=("thing",))
        if folder_was == "the user's":
            (out / "thing").mkdir()
            (out / "thing/part").write_text("of a name that a step needs")
        else:
            build(toy_model, out, steps=[*toy.steps(), owned[0]])
        build(toy_model, out, steps=[*toy.steps(), owned[1]])
        assert (out / "thing").read_text() == "file"
        build(toy_model, out, steps=[*toy.steps(), owned[0]])
        assert (out / "thing/part").read_text() == "folder"


class Ended(Exception):
    """Stands for the end of the process."""


def ended_at(monkeypatch: pytest.MonkeyPatch, moment: int, run: Callable[[], object]) -> bool:
    """Run until just before the n-th change of the disk, and tell whether it got there.

    Nothing is changed from then on, as by a process that is gone.
    """
    left = moment

    def until(change: Callable[..., object]) -> Callable[..., object]:
        def change_or_end(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Ended
            return change(*args, **options)

        return change_or_end

    with monkeypatch.context() as patched:
        for module, name in (
            (os, "replace"),
            (os, "unlink"),
            (os, "rmdir"),
            (os, "mkdir"),
            (Path, "write_text"),
        ):
            patched.setattr(module, name, until(getattr(module, name)))
        try:
            run()
        except Ended:
            return True
    return False


@pytest.mark.parametrize(
    ("then", "ran"),
    [
        ({"verify_seed": 5}, ()),
        ({"verify_seed": 5, "verify_frames": 7}, (*NAMES[2:], "late")),
        ({}, (*NAMES, "late")),
    ],
)
def test_taking_the_place_ended_at_each_change(
    toy_model: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    then: dict,
    ran: tuple[str, ...],
) -> None:
    def step_old(cfg) -> toy.Extra:
        (cfg.out / "ipgen/sub").mkdir(parents=True)
        (cfg.out / "ipgen/sub/old.v").write_text("around what a step of the new list owns")
        return toy.Extra(1)

    def step_late(cfg) -> None:
        (cfg.out / "ipgen/new").mkdir(parents=True)
        (cfg.out / "ipgen/new/late.v").write_text("new")
        (cfg.out / "stray").mkdir(exist_ok=True)
        (cfg.out / "stray/late.txt").write_text("new")

    new = [*toy.steps(), Step(step_late, outputs=("ipgen/new",))]
    wanted = undisturbed(toy_model, out, steps=new, **then)
    build(toy_model, out, steps=[*toy.steps(), Step(step_old, outputs=("ipgen",))])
    with monkeypatch.context() as patched:
        patched.setattr(disk, "adopt_next", lambda *given: (_ for _ in ()).throw(Ended))
        with pytest.raises(Ended):
            build(toy_model, out, steps=new, verify_seed=5)
    assert disk.State.load(out / ".next").complete and disk.State.load(out).complete
    ready = shutil.copytree(out, out.with_name("ready"))

    moment = halfway = 0
    while ended_at(monkeypatch, moment, lambda: build(toy_model, out, steps=new, verify_seed=5)):
        assert (out / "notes.txt").read_text() == "mine"
        halfway += not disk.State.load(out).complete
        result = build(toy_model, out, steps=new, **then)
        assert result.ran == ran, "all that was finished has moved"
        assert contents(out) == wanted, f"ended before change {moment}"
        fresh(out)
        shutil.copytree(ready, out)
        moment += 1
    assert moment > 20 and halfway > 15
