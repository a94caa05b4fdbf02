"""The runner: reuse, resuming, kills at any moment, locks, and what it refuses."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finn_builds.console import Reporter
from finn_builds.errors import UserError, VerificationError
from finn_builds.fingerprint import file_digest
from finn_builds.run import state as disk
from finn_builds.run.lock import folder_lock
from finn_builds.run.pipeline import check_ownership, step_keys
from finn_builds.run.runner import Step, run_steps
from tests.finn_builds import toy_build as toy

NAMES = ("seed", "generate", "measure", "pack")

# What may differ between two builds of the same thing: when and how long they ran.
VOLATILE = {"build.log", "report/time_per_step.json", disk.STATE_FILE, ".build.lock"}


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys comparable while somebody edits the sources, and spare the disk.

    That sources decide is tested with the configuration; fsync guards against power cuts alone.
    """
    monkeypatch.setattr("finn_builds.config.BuildConfig.environment", lambda self: {})
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "toy.onnx"
    toy.make_model().save(str(path))
    return path


def build(model: Path, out: Path, *, steps: list[Step] | None = None, **options):
    return run_steps(steps or toy.steps(), toy.config(model, out, **options), toy.load)


def contents(out: Path) -> dict[str, str]:
    """Return a digest per file of a build folder, without what is bound to differ."""
    files = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    found = {name: file_digest(path) for name, path in files.items() if name not in VOLATILE}
    state = json.loads((out / disk.STATE_FILE).read_text())
    found["complete"] = state["complete"]
    for name, record in state["steps"].items():
        found[f"record of {name}"] = json.dumps({**record, "seconds": 0})
    return found


class TestReuse:
    def test_first_run_runs_all_and_second_none(self, toy_model: Path, tmp_path: Path) -> None:
        first = build(toy_model, tmp_path / "b")
        assert first.ran == NAMES and first.reused == () and first.complete
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "b").rglob("*")}
        second = build(toy_model, tmp_path / "b")
        assert second.ran == () and second.reused == NAMES and second.complete
        after = {p: p.stat().st_mtime_ns for p in (tmp_path / "b").rglob("*")}
        assert after == before, "a run without changes writes nothing"

    def test_steps_are_applied_in_order(self, toy_model: Path, tmp_path: Path) -> None:
        result = build(toy_model, tmp_path / "b", verify_seed=5, verify_frames=10)
        assert toy.weight(result.model) == (2 + 5) * 3 * 10
        weights = [toy.weight(disk.checkpoint(tmp_path / "b", name)) for name in NAMES]
        assert weights == [7, 21, 210, 210]

    def test_change_reruns_from_the_first_step_that_reads_it(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        assert build(toy_model, out, verify_frames=7).ran == ("measure", "pack")
        assert json.loads((out / "report/measured.json").read_text())["frames"] == 7
        assert build(toy_model, out, verify_frames=7, verify_seed=1).ran == NAMES
        # A field no step has declared decides nothing.
        assert build(toy_model, out, verify_frames=7, verify_seed=1, top1=True).ran == ()

    def test_undeclared_reads_mean_every_field(self, toy_model: Path, tmp_path: Path) -> None:
        def step_all(model, cfg):
            return model

        steps = [*toy.steps(), Step(step_all)]
        build(toy_model, tmp_path / "b", steps=steps)
        assert build(toy_model, tmp_path / "b", steps=steps, top1=True).ran == ("all",)

    def test_model_of_other_content_reruns_all(self, tmp_path: Path) -> None:
        model = tmp_path / "m.onnx"
        toy.make_model(1.0).save(str(model))
        build(model, tmp_path / "b")
        toy.make_model(2.0).save(str(model))
        result = build(model, tmp_path / "b")
        assert result.ran == NAMES
        assert toy.weight(result.model) == 2 * 2 * 3 * 1000

    def test_changed_source_reruns_all(
        self, toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build(toy_model, tmp_path / "b")
        monkeypatch.setattr(
            "finn_builds.config.BuildConfig.environment", lambda self: {"sources": "other"}
        )
        assert build(toy_model, tmp_path / "b").ran == NAMES

    @pytest.mark.parametrize(
        ("file", "ran"),
        [
            ("intermediate_models/seed.onnx", NAMES),
            ("stitched_ip/sub/3.v", NAMES[1:]),
            ("report/measured.json", NAMES[2:]),
            ("intermediate_models/pack.onnx", NAMES[3:]),
        ],
    )
    @pytest.mark.parametrize("damage", ["delete", "change"])
    def test_damaged_output_is_made_again(
        self, toy_model: Path, tmp_path: Path, file: str, ran: tuple[str, ...], damage: str
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)
        if damage == "delete":
            (out / file).unlink()
        else:
            (out / file).write_bytes((out / file).read_bytes()[:-1] + b"?")
        assert build(toy_model, out).ran == ran
        assert contents(out) == whole

    def test_added_file_in_an_owned_folder_is_damage(self, toy_model: Path, tmp_path: Path) -> None:
        build(toy_model, tmp_path / "b")
        (tmp_path / "b/stitched_ip/extra.v").write_text("")
        assert build(toy_model, tmp_path / "b").ran == NAMES[1:]
        assert not (tmp_path / "b/stitched_ip/extra.v").exists()

    def test_outputs_of_later_steps_do_not_outlive_a_change(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        result = build(toy_model, out, verify_seed=3, stop_step="generate")
        assert result.ran == ("seed", "generate") and not result.complete
        assert not (out / "report/measured.json").exists()
        assert not (out / "deploy").exists()
        assert not (out / "intermediate_models/pack.onnx").exists()
        assert not (out / "report/time_per_step.json").exists()

    def test_outputs_of_a_step_that_is_gone_are_removed(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        build(toy_model, tmp_path / "b")
        build(toy_model, tmp_path / "b", steps=toy.steps()[:3])
        assert not (tmp_path / "b/deploy").exists()
        assert not (tmp_path / "b/intermediate_models/pack.onnx").exists()

    def test_force_runs_all_but_keeps_the_users_files(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        build(toy_model, tmp_path / "b")
        (tmp_path / "b/notes.txt").write_text("mine")
        assert build(toy_model, tmp_path / "b", force=True).ran == NAMES
        assert (tmp_path / "b/notes.txt").read_text() == "mine"

    def test_lost_time_report_is_written_again(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        times = json.loads((out / "report/time_per_step.json").read_text())
        assert list(times) == [*(f"step_{name}" for name in NAMES), "total_build_time"]
        assert times["total_build_time"] == pytest.approx(sum(times.values()) / 2, abs=1e-6)
        (out / "report/time_per_step.json").unlink()
        assert build(toy_model, out).ran == ()
        assert json.loads((out / "report/time_per_step.json").read_text()) == times

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
    def test_unreadable_record_means_nothing_is_done(
        self, toy_model: Path, tmp_path: Path, content: str
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)
        (out / disk.STATE_FILE).write_text(content)
        assert build(toy_model, out).ran == NAMES
        assert contents(out) == whole


class TestRange:
    def test_stop_then_go_on(self, toy_model: Path, tmp_path: Path) -> None:
        half = build(toy_model, tmp_path / "b", stop_step="step_generate")
        assert half.ran == NAMES[:2] and not half.complete
        assert half.checkpoint.name == "generate.onnx"
        rest = build(toy_model, tmp_path / "b")
        assert rest.ran == NAMES[2:] and rest.reused == NAMES[:2] and rest.complete

    def test_start_runs_again_what_is_unchanged(self, toy_model: Path, tmp_path: Path) -> None:
        build(toy_model, tmp_path / "b")
        result = build(toy_model, tmp_path / "b", start_step="measure")
        assert result.ran == NAMES[2:] and result.complete

    def test_stop_before_finished_steps_leaves_them(self, toy_model: Path, tmp_path: Path) -> None:
        build(toy_model, tmp_path / "b")
        result = build(toy_model, tmp_path / "b", stop_step="seed")
        assert result.ran == () and result.checkpoint.name == "seed.onnx"
        assert build(toy_model, tmp_path / "b").ran == ()

    def test_start_without_the_step_before(self, toy_model: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="cannot start at measure: the step seed before it has"):
            build(toy_model, tmp_path / "b", start_step="measure")
        assert not (tmp_path / "b").exists()

    def test_start_with_the_step_before_out_of_date(self, toy_model: Path, tmp_path: Path) -> None:
        build(toy_model, tmp_path / "b")
        whole = contents(tmp_path / "b")
        with pytest.raises(UserError, match="step seed before it is out of date"):
            build(toy_model, tmp_path / "b", start_step="measure", verify_seed=9)
        assert contents(tmp_path / "b") == whole

    @pytest.mark.parametrize("which", ["start_step", "stop_step"])
    def test_unknown_step(self, toy_model: Path, tmp_path: Path, which: str) -> None:
        with pytest.raises(UserError, match="unknown step 'synth': the steps are seed, generate"):
            build(toy_model, tmp_path / "b", **{which: "synth"})
        assert not (tmp_path / "b").exists()

    def test_start_after_stop(self, toy_model: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="pack to start at comes after seed to stop at"):
            build(toy_model, tmp_path / "b", start_step="pack", stop_step="seed")


class TestErrors:
    @staticmethod
    def failing(error: BaseException, after: int = 2) -> list[Step]:
        def step_fail(model, cfg):
            (cfg.out / "partial.txt").write_text("half")
            raise error

        return [*toy.steps()[:after], Step(step_fail, reads=(), outputs=("partial.txt",))]

    def test_user_error_leaves_no_new_folder(self, toy_model: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no good"):
            build(toy_model, tmp_path / "a/b/c", steps=self.failing(UserError("no good")))
        assert list(tmp_path.iterdir()) == []

    def test_user_error_empties_a_folder_that_was_empty(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "b").mkdir()
        with pytest.raises(UserError):
            build(toy_model, tmp_path / "b", steps=self.failing(UserError("no good")))
        assert list((tmp_path / "b").iterdir()) == []

    def test_user_error_in_loading_leaves_a_whole_build(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)

        def refuse(cfg):
            raise UserError("not a model")

        other = tmp_path / "other.onnx"
        toy.make_model(9.0).save(str(other))
        with pytest.raises(UserError, match="not a model"):
            run_steps(toy.steps(), toy.config(other, out), refuse)
        assert contents(out) == whole

    @pytest.mark.parametrize("error", [VerificationError("differs"), ZeroDivisionError("bug")])
    def test_failed_step_is_not_recorded(
        self, toy_model: Path, tmp_path: Path, error: Exception
    ) -> None:
        out = tmp_path / "b"
        with pytest.raises(type(error)):
            build(toy_model, out, steps=self.failing(error))
        found = disk.State.load(out)
        assert list(found.steps) == ["seed", "generate"] and not found.complete
        assert type(error).__name__ in (out / "build.log").read_text()
        result = build(toy_model, out)
        assert result.reused == ("seed", "generate")
        assert not (out / "intermediate_models/fail.onnx").exists()

    def test_interrupt_keeps_finished_steps(self, toy_model: Path, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            build(toy_model, tmp_path / "b", steps=self.failing(KeyboardInterrupt()))
        assert build(toy_model, tmp_path / "b").reused == ("seed", "generate")

    def test_interrupt_before_anything_is_done_leaves_nothing(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            build(toy_model, tmp_path / "b", steps=self.failing(KeyboardInterrupt(), after=0))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("force", [False, True])
    def test_foreign_folder_is_refused(self, toy_model: Path, tmp_path: Path, force: bool) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(UserError, match="holds files that are not of a build"):
            build(toy_model, tmp_path, force=force)
        assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]

    def test_unwritable_folder(self, toy_model: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match="cannot write to"):
            build(toy_model, tmp_path / "file/b")

    def test_full_disk(self, toy_model: Path, tmp_path: Path) -> None:
        full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "b/x"))
        with pytest.raises(UserError, match=r"cannot write to .*/b: No space left on device"):
            build(toy_model, tmp_path / "b", steps=self.failing(full))

    @pytest.mark.parametrize(
        ("where", "kind"), [("b/x", UserError), ("elsewhere/x", PermissionError)]
    )
    def test_refused_writes_are_the_users_only_in_the_folder(
        self, toy_model: Path, tmp_path: Path, where: str, kind: type[Exception]
    ) -> None:
        refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / where))
        with pytest.raises(kind, match="Permission denied"):
            build(toy_model, tmp_path / "b", steps=self.failing(refused))

    @pytest.mark.parametrize("gone", [False, True])
    def test_input_that_changes_meanwhile(self, tmp_path: Path, gone: bool) -> None:
        model = tmp_path / "m.onnx"
        toy.make_model(1.0).save(str(model))

        def step_slow(loaded, cfg):
            model.unlink() if gone else toy.make_model(2.0).save(str(model))
            return loaded

        with pytest.raises(UserError, match="another input file changed during the build"):
            build(model, tmp_path / "b", steps=[Step(step_slow)])

    def test_step_must_not_change_another_checkpoint(self, toy_model: Path, tmp_path: Path) -> None:
        def step_meddle(model, cfg):
            model.save(str(disk.checkpoint_path(cfg.out, "seed")))
            return model

        steps = [*toy.steps(), Step(step_meddle, reads=())]
        with pytest.raises(RuntimeError, match=r"meddle changed intermediate_models/seed\.onnx"):
            build(toy_model, tmp_path / "b", steps=steps)

    def test_step_must_declare_what_it_reads(self, toy_model: Path, tmp_path: Path) -> None:
        def step_curious(model, cfg):
            assert cfg.verify_seed == 0  # read by the step before, so it is in this one's key
            assert not cfg.top1
            return model

        steps = [*toy.steps()[:1], Step(step_curious, reads=())]
        with pytest.raises(RuntimeError, match=r"reads cfg\.top1 without declaring it"):
            build(toy_model, tmp_path / "b", steps=steps)

    def test_step_must_return_a_model(self, toy_model: Path, tmp_path: Path) -> None:
        def step_forgetful(model, cfg):
            pass

        with pytest.raises(TypeError, match="step forgetful returned NoneType"):
            build(toy_model, tmp_path / "b", steps=[Step(step_forgetful)])

    def test_step_must_not_change_what_another_owns(self, toy_model: Path, tmp_path: Path) -> None:
        def step_meddle(model, cfg):
            (cfg.out / "report/measured.json").write_text("{}")
            return model

        steps = [*toy.steps(), Step(step_meddle, reads=())]
        with pytest.raises(RuntimeError, match=r"meddle changed report/measured\.json, which"):
            build(toy_model, tmp_path / "b", steps=steps)

    def test_strays_are_told(self, toy_model: Path, tmp_path: Path) -> None:
        def step_litter(model, cfg):
            (cfg.out / "tmp.txt").write_text("")
            return model

        assert build(toy_model, tmp_path / "a").strays == ()
        result = build(toy_model, tmp_path / "b", steps=[Step(step_litter, reads=())])
        assert result.strays == ("tmp.txt",)

    def test_scratch_folder_is_each_steps_own(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"

        used = []

        def step_use(model, cfg):
            used.append(cfg.scratch)
            assert cfg.scratch.parent == out and list(cfg.scratch.iterdir()) == []
            (cfg.scratch / "object.o").write_text("")
            return model

        def step_fail(model, cfg):
            step_use(model, cfg)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            build(toy_model, out, steps=[Step(step_use), Step(step_fail)])
        (out / ".scratch-killed").mkdir()  # as a kill would leave it
        result = build(toy_model, out, steps=[Step(step_use)], force=True)
        assert len(set(used)) == 3 and result.strays == ()
        assert not list(out.glob(".scratch*"))

    def test_changes_of_the_configuration_end_with_the_step(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        seen = []

        def step_change(model, cfg):
            cfg.verify_frames = 1
            return model

        def step_look(model, cfg):
            seen.append(cfg.verify_frames)
            return model

        build(toy_model, tmp_path / "b", steps=[Step(step_change), Step(step_look)])
        assert seen == [1000]

    @pytest.mark.parametrize(
        "outputs",
        [
            ("a", "a"),
            ("a", "a/b"),
            ("report/time_per_step.json",),
            ("intermediate_models/x",),
            ("build.log",),
        ],
    )
    def test_outputs_have_one_owner(self, outputs: tuple[str, ...]) -> None:
        steps = [Step(f"m:step_{i}", outputs=(output,)) for i, output in enumerate(outputs)]
        with pytest.raises(ValueError, match="owned twice"):
            check_ownership(steps)

    @pytest.mark.parametrize("output", ["", "/etc", "..", "a/../../b"])
    def test_outputs_lie_in_the_folder(self, output: str) -> None:
        with pytest.raises(ValueError, match="no path below"):
            Step("m:step_x", outputs=(output,))


class TestOutput:
    def test_prints_go_to_the_log(
        self, toy_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def step_noisy(model, cfg):
            import logging

            print("from print")
            print("from stderr", file=sys.stderr)
            os.write(1, b"from C\n")
            subprocess.run(["echo", "from a child"], check=True)
            logging.getLogger("finn").warning("from logging")
            return model

        build(toy_model, tmp_path / "b", steps=[Step(step_noisy)])
        out, err = capfd.readouterr()
        assert "from" not in out + err
        log = (tmp_path / "b/build.log").read_text()
        for source in ("print", "stderr", "C", "a child", "logging"):
            assert f"from {source}" in log
        print("after")
        assert capfd.readouterr().out == "after\n"

    def test_reporter_hears_all(self, toy_model: Path, tmp_path: Path) -> None:
        heard: list[tuple] = []
        times: list[float | None] = []

        class Listener(Reporter):
            def reused(self, count, total):
                heard.append(("reused", count, total))

            def started(self, index, total, name, expected=None):
                heard.append(("started", index, total, name))
                times.append(expected)

            def progress(self, done, total, what=""):
                heard.append(("progress", done, total, what))

            def finished(self, index, total, name, seconds):
                heard.append(("finished", index, total, name))

            def close(self):
                heard.append(("close",))

        cfg = toy.config(toy_model, tmp_path / "b", stop_step="generate")
        run_steps(toy.steps(), cfg, toy.load, reporter=Listener())
        assert heard == [
            ("started", 1, 4, "seed"),
            ("finished", 1, 4, "seed"),
            ("started", 2, 4, "generate"),
            *(("progress", i, 6, "files") for i in range(6)),
            ("finished", 2, 4, "generate"),
            ("close",),
        ]
        heard.clear()
        run_steps(toy.steps(), cfg, toy.load, reporter=Listener())
        assert heard == [("reused", 2, 4), ("close",)]
        assert times == [None, None], "nobody knows how long a first run takes"
        times.clear()
        cfg = toy.config(toy_model, tmp_path / "b", force=True)
        run_steps(toy.steps(), cfg, toy.load, reporter=Listener())
        assert [time is None for time in times] == [False, False, True, True]


class TestLock:
    def test_two_runs_in_one_folder(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        with (
            folder_lock(out),
            pytest.raises(UserError, match=r"another build is running in .*/b: wait"),
        ):
            build(toy_model, out)
        assert build(toy_model, out).ran == ()

    def test_lock_dies_with_its_process(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        command = [sys.executable, toy.__file__, str(toy_model), str(out), "--pause", "60"]
        environment = {**os.environ, "PYTHONPATH": str(Path(disk.__file__).parents[1])}
        child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            while not (out / disk.STATE_FILE).exists():
                assert child.poll() is None
                time.sleep(0.02)
            with pytest.raises(UserError, match="another build is running"):
                build(toy_model, out)
        finally:
            child.kill()
            child.wait()
        assert build(toy_model, out).ran == NAMES


def killed_run(model: Path, out: Path, moment: int | float, **options) -> bool:
    """Run a build in a child that is killed, and tell whether it was before its end.

    Parameters
    ----------
    moment
        An int: at the child's n-th change to the disk, just before it. A float: after so many s.
    """
    cfg = toy.config(model, out, **options)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            left = moment
            changing = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}

            def kill(event: str, args: tuple) -> None:
                nonlocal left
                writes = event == "open" and isinstance(args[2], int) and args[2] & 0o3
                if not (event in changing or writes) or str(tmp) not in str(args[0]):
                    return
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            tmp = out.parent
            if isinstance(moment, int):
                sys.addaudithook(kill)
            run_steps(toy.steps(0.0 if isinstance(moment, int) else 0.004), cfg, toy.load)
            code = 0
        finally:
            os._exit(code)
    if isinstance(moment, float):
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.slow
class TestKill:
    def test_first_build_killed_before_each_write(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)
        moment = 0
        while killed_run(toy_model, self.fresh(out), moment):
            if disk.State.load(out).complete:
                assert contents(out) == whole
            build(toy_model, out)
            assert contents(out) == whole, f"killed before write {moment}"
            moment += 1
        assert moment > 25, "the toy writes at least its files, checkpoints and records"

    def test_rebuild_killed_before_each_write(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out, verify_frames=5)
        new = contents(out)
        build(toy_model, self.fresh(out))
        old = contents(out)
        moment = 0
        while killed_run(toy_model, out, moment, verify_frames=5):
            # On with the new option or back to the old one: both as if nothing had happened.
            frames, wanted = ((5, new), (1000, old))[moment % 2]
            build(toy_model, out, verify_frames=frames)
            assert contents(out) == wanted, f"killed before write {moment}"
            build(toy_model, out)
            assert contents(out) == old
            moment += 1
        assert moment > 12

    def test_killed_at_random_times_until_done(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)
        generator = random.Random(20)
        kills = 0
        for _ in range(8):
            self.fresh(out)
            longest = 0.02  # grows, so that a slow machine gets on, too
            while killed_run(toy_model, out, generator.uniform(0.0, longest)):
                kills += 1
                longest += 0.01
            assert contents(out) == whole
        assert kills > 0

    def test_killed_command(self, toy_model: Path, tmp_path: Path) -> None:
        """The same from the outside: a process of its own, killed while a step runs."""
        build(toy_model, tmp_path / "whole")
        command = [sys.executable, toy.__file__, str(toy_model), str(tmp_path / "b")]
        environment = {**os.environ, "PYTHONPATH": str(Path(disk.__file__).parents[1])}
        child = subprocess.Popen(
            [*command, "--pause", "0.4"], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert child.stderr is not None
        while "generate" not in child.stderr.readline():
            assert child.poll() is None
        time.sleep(0.1)
        child.kill()
        child.communicate()
        again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert json.loads(again.stdout) == {
            "ran": ["measure", "pack"],
            "reused": ["seed", "generate"],
        }
        a, b = (
            {n: d for n, d in contents(tmp_path / folder).items() if not n.startswith("record")}
            for folder in ("whole", "b")
        )
        assert a == b

    @staticmethod
    def fresh(out: Path) -> Path:
        import shutil

        shutil.rmtree(out, ignore_errors=True)
        return out


FIELDS = {
    "verify_seed": st.integers(0, 3),
    "verify_frames": st.integers(1, 3),
    "top1": st.booleans(),
    "trace": st.sampled_from([None, "vcd", "fst"]),
}
READS = st.none() | st.sets(st.sampled_from(sorted(FIELDS))).map(lambda s: tuple(sorted(s)))


class TestKeys:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        reads=st.lists(READS, min_size=1, max_size=6),
        old=st.fixed_dictionaries(FIELDS),
        new=st.fixed_dictionaries(FIELDS),
    )
    def test_key_changes_from_the_first_reader_on(
        self, toy_model: Path, tmp_path: Path, reads, old: dict, new: dict
    ) -> None:
        steps = [Step(f"m:step_{index}", reads=names) for index, names in enumerate(reads)]
        cfg = toy.config(toy_model, tmp_path / "b")
        keys = [step_keys(steps, dataclasses.replace(cfg, **options)) for options in (old, new)]
        changed = {name for name in FIELDS if old[name] != new[name]}
        stale = False
        for names, a, b in zip(reads, *keys, strict=True):
            stale |= bool(changed if names is None else changed & set(names))
            assert (a != b) == stale

    def test_every_field_decides_when_none_are_named(self, toy_model: Path, tmp_path: Path) -> None:
        cfg = toy.config(toy_model, tmp_path / "b")
        folding = tmp_path / "folding.json"
        folding.write_text("{}")
        others = {
            "board": "ZCU104",
            "synth_clk_period_ns": 4.0,
            "target_fps": 1e5,
            "folding_config_file": folding,
            "data": "digits",
            "standardise": True,
            "verify_frames": 2,
            "verify_seed": 1,
            "style": "folded",
            "input_quant": "INT8",
            "input_scale": 0.5,
            "top1": True,
            "trace": "vcd",
        }
        steps = [Step("m:step_x")]
        keys = {step_keys(steps, dataclasses.replace(cfg, **{k: v}))[0] for k, v in others.items()}
        keys |= set(step_keys(steps, cfg))
        assert len(keys) == len(others) + 1
        for run_field in ({"force": True}, {"start_step": "x"}, {"stop_step": "x"}):
            assert step_keys(steps, dataclasses.replace(cfg, **run_field)) == step_keys(steps, cfg)

    def test_name_outputs_and_order_decide(self, toy_model: Path, tmp_path: Path) -> None:
        cfg = toy.config(toy_model, tmp_path / "b")
        a, b = Step("m:step_a", reads=()), Step("m:step_b", reads=())
        owner = Step("m:step_a", reads=(), outputs=("x",))
        keys = [step_keys(steps, cfg)[-1] for steps in ([a], [b], [owner], [a, b], [b, a])]
        assert len(set(keys)) == len(keys)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        history=st.lists(
            st.tuples(
                st.integers(0, 1), st.integers(1, 2), st.sampled_from([None, *NAMES]), st.booleans()
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_any_history_ends_like_a_fresh_build(
        self, toy_model: Path, tmp_path_factory: pytest.TempPathFactory, history
    ) -> None:
        out = tmp_path_factory.mktemp("history") / "b"
        for seed, frames, stop, force in history:
            options = {"verify_seed": seed, "verify_frames": frames}
            build(toy_model, out, stop_step=stop, force=force, **options)
        build(toy_model, out, **options)
        seen = contents(out)
        TestKill.fresh(out)
        build(toy_model, out, **options)
        assert contents(out) == seen
