"""What a step may do: its files, its reads, its scratch folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from finn_builds.errors import UserError
from finn_builds.run import state as disk
from finn_builds.run.pipeline import check_ownership
from finn_builds.run.runner import Step, result_of
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import build


def test_step_must_not_change_another_checkpoint(toy_model: Path, tmp_path: Path) -> None:
    def step_meddle(weight: toy.Weight, cfg) -> None:
        weight.save(cfg.out, "seed")

    steps = [*toy.steps(), Step(step_meddle)]
    with pytest.raises(RuntimeError, match=r"meddle changed intermediate_models/seed\.txt"):
        build(toy_model, tmp_path / "b", steps=steps)


def test_what_a_step_reads_is_recorded(toy_model: Path, tmp_path: Path) -> None:
    def step_curious(cfg) -> None:
        assert not cfg.top1
        assert cfg.board_spec.family == "xc7"

    build(toy_model, tmp_path / "b", steps=[Step(step_curious)])
    record = disk.State.load(tmp_path / "b").steps["curious"]
    assert record.reads == ["board", "top1"]


def test_the_folders_of_a_step_s_files_are_there_and_none_stays_empty(
    toy_model: Path, tmp_path: Path
) -> None:
    """A package for firmware alone leaves no empty ``deploy/``."""

    def step_idle(cfg) -> None:
        assert (cfg.out / "board").is_dir()

    def step_busy(cfg) -> None:
        (cfg.out / "page/of/it.txt").write_text("it")

    out = tmp_path / "b"
    steps = [
        *toy.steps(),
        Step(step_idle, outputs=("board/driver.py", "page/of/it.json", "board.zip")),
        Step(step_busy, outputs=("page/of/it.txt",)),
    ]
    build(toy_model, out, steps=steps)
    assert not (out / "board").exists()
    assert (out / "page/of/it.txt").is_file()


def test_results_are_found_by_their_types(toy_model: Path, tmp_path: Path) -> None:
    seen = []

    def step_look(
        measured: toy.Measured, absent: toy.Extra | None, weight: toy.Weight, cfg
    ) -> toy.Extra:
        seen.append((measured, absent, weight.value))
        return toy.Extra(7)

    def step_look_again(extra: toy.Extra | None, cfg) -> None:
        assert extra is not None
        seen.append(extra.value)

    out = tmp_path / "b"
    build(toy_model, out, steps=[*toy.steps(), Step(step_look), Step(step_look_again)])
    sizes = tuple((out / f"stitched_ip/sub/{index}.v").stat().st_size for index in range(6))
    assert seen == [(toy.Measured(1000, sizes, 6000), None, 6), 7]
    assert result_of(out, toy.Extra).value == 7
    assert result_of(out, toy.Weight).value == 6, "of several, the last"


def test_results_are_read_again_from_their_files(toy_model: Path, tmp_path: Path) -> None:
    """What a step changes in its result after it returned it is not seen by a later one."""
    kept = []

    def step_make(cfg) -> toy.Weight:
        kept.append(toy.Weight(1))
        return kept[0]

    def step_change(weight: toy.Weight, cfg) -> None:
        kept[0].value = weight.value = 2

    def step_look(weight: toy.Weight, cfg) -> None:
        assert weight.value == 1

    build(toy_model, tmp_path / "b", steps=[Step(step_make), Step(step_change), Step(step_look)])


def test_a_result_that_none_returns(toy_model: Path, tmp_path: Path) -> None:
    def step_eager(extra: toy.Extra, cfg) -> None:
        pass

    with pytest.raises(TypeError, match="step eager wants a Extra, which none returns"):
        build(toy_model, tmp_path / "b", steps=[Step(step_eager)])
    build(toy_model, tmp_path / "c", stop_step="seed")
    with pytest.raises(UserError, match="holds no Extra: run the build to its end first"):
        result_of(tmp_path / "c", toy.Extra)


def test_parameters_have_types(toy_model: Path, tmp_path: Path) -> None:
    def step_vague(weight, cfg) -> None:
        pass

    with pytest.raises(TypeError, match="step_vague: the parameter weight has no type"):
        build(toy_model, tmp_path / "b", steps=[*toy.steps(), Step(step_vague)])


def test_step_must_not_change_what_another_owns(toy_model: Path, tmp_path: Path) -> None:
    def step_meddle(cfg) -> None:
        (cfg.out / "report/measured.json").write_text("{}")

    steps = [*toy.steps(), Step(step_meddle)]
    with pytest.raises(RuntimeError, match=r"meddle changed report/measured\.json, which"):
        build(toy_model, tmp_path / "b", steps=steps)


def test_strays_are_told(toy_model: Path, tmp_path: Path) -> None:
    def step_litter(cfg) -> None:
        (cfg.out / "tmp.txt").write_text("")

    assert build(toy_model, tmp_path / "a").strays == ()
    result = build(toy_model, tmp_path / "b", steps=[Step(step_litter)])
    assert result.strays == ("tmp.txt",)


def test_scratch_folder_is_each_steps_own(toy_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"

    used = []

    def step_use(cfg) -> None:
        used.append(cfg.scratch)
        assert cfg.scratch.parent == out and list(cfg.scratch.iterdir()) == []
        (cfg.scratch / "object.o").write_text("")

    def step_fail(cfg) -> None:
        step_use(cfg)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(toy_model, out, steps=[Step(step_use), Step(step_fail)])
    (out / ".scratch-killed").mkdir()  # as a kill would leave it
    result = build(toy_model, out, steps=[Step(step_use)], force=True)
    assert len(set(used)) == 3 and result.strays == ()
    assert not list(out.glob(".scratch*"))


def test_changes_of_the_configuration_end_with_the_step(toy_model: Path, tmp_path: Path) -> None:
    seen = []

    def step_change(cfg) -> None:
        cfg.verify_frames = 1

    def step_look(cfg) -> None:
        seen.append(cfg.verify_frames)

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
        (".next/x",),
    ],
)
def test_outputs_have_one_owner(outputs: tuple[str, ...]) -> None:
    steps = [Step(f"m:step_{i}", outputs=(output,)) for i, output in enumerate(outputs)]
    with pytest.raises(ValueError, match="owned twice"):
        check_ownership(steps)


@pytest.mark.parametrize("output", ["", "/etc", "..", "a/../../b"])
def test_outputs_lie_in_the_folder(output: str) -> None:
    with pytest.raises(ValueError, match="no path below"):
        Step("m:step_x", outputs=(output,))


def test_a_signal_while_a_scratch_folder_goes_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, calls = shutil.rmtree, []

    def interrupted(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(*args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), disk.scratch(tmp_path) as folder:
        (folder / "object.o").write_text("")
    assert not list(tmp_path.iterdir())
