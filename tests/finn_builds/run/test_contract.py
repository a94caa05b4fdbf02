"""What a step may do: its files, its reads, its scratch folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from finn_builds.run import state as disk
from finn_builds.run.pipeline import check_ownership
from finn_builds.run.runner import Step
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import build


def test_step_must_not_change_another_checkpoint(toy_model: Path, tmp_path: Path) -> None:
    def step_meddle(model, cfg):
        model.save(str(disk.checkpoint_path(cfg.out, "seed")))
        return model

    steps = [*toy.steps(), Step(step_meddle, reads=())]
    with pytest.raises(RuntimeError, match=r"meddle changed intermediate_models/seed\.onnx"):
        build(toy_model, tmp_path / "b", steps=steps)


def test_step_must_declare_what_it_reads(toy_model: Path, tmp_path: Path) -> None:
    def step_curious(model, cfg):
        assert cfg.verify_seed == 0  # read by the step before, so it is in this one's key
        assert not cfg.top1
        return model

    steps = [*toy.steps()[:1], Step(step_curious, reads=())]
    with pytest.raises(RuntimeError, match=r"reads cfg\.top1 without declaring it"):
        build(toy_model, tmp_path / "b", steps=steps)


def test_step_must_return_a_model(toy_model: Path, tmp_path: Path) -> None:
    def step_forgetful(model, cfg):
        pass

    with pytest.raises(TypeError, match="step forgetful returned NoneType"):
        build(toy_model, tmp_path / "b", steps=[Step(step_forgetful)])


def test_step_must_not_change_what_another_owns(toy_model: Path, tmp_path: Path) -> None:
    def step_meddle(model, cfg):
        (cfg.out / "report/measured.json").write_text("{}")
        return model

    steps = [*toy.steps(), Step(step_meddle, reads=())]
    with pytest.raises(RuntimeError, match=r"meddle changed report/measured\.json, which"):
        build(toy_model, tmp_path / "b", steps=steps)


def test_strays_are_told(toy_model: Path, tmp_path: Path) -> None:
    def step_litter(model, cfg):
        (cfg.out / "tmp.txt").write_text("")
        return model

    assert build(toy_model, tmp_path / "a").strays == ()
    result = build(toy_model, tmp_path / "b", steps=[Step(step_litter, reads=())])
    assert result.strays == ("tmp.txt",)


def test_scratch_folder_is_each_steps_own(toy_model: Path, tmp_path: Path) -> None:
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


def test_changes_of_the_configuration_end_with_the_step(toy_model: Path, tmp_path: Path) -> None:
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
def test_outputs_have_one_owner(outputs: tuple[str, ...]) -> None:
    steps = [Step(f"m:step_{i}", outputs=(output,)) for i, output in enumerate(outputs)]
    with pytest.raises(ValueError, match="owned twice"):
        check_ownership(steps)


@pytest.mark.parametrize("output", ["", "/etc", "..", "a/../../b"])
def test_outputs_lie_in_the_folder(output: str) -> None:
    with pytest.raises(ValueError, match="no path below"):
        Step("m:step_x", outputs=(output,))
