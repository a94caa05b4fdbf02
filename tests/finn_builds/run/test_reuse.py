"""What a second run does again, and which steps a run is told to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finn_builds.errors import UserError
from finn_builds.run import state as disk
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import NAMES, build, contents, finished


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
        out = tmp_path / "b"
        build(toy_model, out, verify_seed=5, verify_frames=10)
        assert [toy.Weight.load(out, name).value for name in NAMES[:2]] == [7, 21]
        assert toy.Measured.load(out, "measure").weight == 210
        assert (out / "deploy/all.txt").read_text().startswith("21 Measured(frames=10,")

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

    def test_model_of_other_content_reruns_all(self, tmp_path: Path) -> None:
        model = tmp_path / "m.onnx"
        toy.write_model(model)
        build(model, tmp_path / "b")
        toy.write_model(model, 2)
        assert build(model, tmp_path / "b").ran == NAMES
        assert toy.Measured.load(tmp_path / "b", "measure").weight == 2 * 2 * 3 * 1000

    def test_changed_source_reruns_all(
        self, toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build(toy_model, tmp_path / "b")
        monkeypatch.setattr(
            "finn_builds.config.build.BuildConfig.environment", lambda self: {"sources": "other"}
        )
        assert build(toy_model, tmp_path / "b").ran == NAMES

    @pytest.mark.parametrize(
        ("file", "ran"),
        [
            ("intermediate_models/seed.txt", NAMES),
            ("stitched_ip/sub/3.v", NAMES[1:]),
            ("report/measured.json", NAMES[2:]),
            ("deploy/all.txt", NAMES[3:]),
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
        build(toy_model, out, stop_step="measure")
        assert (out / "report/measured.json").exists()
        result = build(toy_model, out, verify_seed=3, stop_step="seed")
        assert result.ran == ("seed",) and not result.complete and result.out == out
        assert not (out / "report/measured.json").exists()
        assert not (out / "stitched_ip").exists()
        assert [path.name for path in (out / "intermediate_models").iterdir()] == ["seed.txt"]
        assert list(disk.State.load(out).steps) == ["seed"]

    def test_outputs_of_a_step_that_is_gone_are_removed(
        self, toy_model: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        result = build(toy_model, out, steps=[toy.steps()[0], toy.steps()[2]])
        assert result.ran == ("measure",) and result.complete
        assert not (out / "deploy").exists() and not (out / "stitched_ip").exists()
        assert build(toy_model, out, steps=toy.steps()[:1]).ran == ()
        assert [path.name for path in (out / "intermediate_models").iterdir()] == ["seed.txt"]
        assert not (out / "report/measured.json").exists()

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
        assert half.out == tmp_path / "b" and disk.State.load(half.out).complete is False
        rest = build(toy_model, tmp_path / "b")
        assert rest.ran == NAMES[2:] and rest.reused == NAMES[:2] and rest.complete

    def test_start_runs_again_what_is_unchanged(self, toy_model: Path, tmp_path: Path) -> None:
        build(toy_model, tmp_path / "b")
        result = build(toy_model, tmp_path / "b", start_step="measure")
        assert result.ran == NAMES[2:] and result.complete

    def test_stop_before_finished_steps_leaves_them(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out, stop_step="measure")
        before = finished(out)
        result = build(toy_model, out, stop_step="seed")
        assert result.ran == () and result.reused == NAMES[:3] and not result.complete
        assert finished(out) == before
        assert build(toy_model, out).ran == NAMES[3:]
        result = build(toy_model, out, stop_step="seed")
        assert result.ran == () and result.reused == NAMES and result.complete

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
