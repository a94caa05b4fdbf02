"""What decides a step's key, and that it decides the result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finn_builds.run.pipeline import step_key
from finn_builds.run.runner import Step
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import NAMES, build, contents, fresh

FIELDS = {
    "verify_seed": st.integers(0, 3),
    "verify_frames": st.integers(3, 5),
    "top1": st.booleans(),
    "trace": st.sampled_from([None, "vcd", "fst"]),
}
READS = st.sets(st.sampled_from(sorted(FIELDS)))


def reader(index: int, names: set[str]):
    """Return a step that reads some fields."""

    def function(cfg) -> None:
        for name in sorted(names):
            getattr(cfg, name)

    function.__name__ = f"step_{index}"
    return Step(function)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    reads=st.lists(READS, min_size=1, max_size=5),
    old=st.fixed_dictionaries(FIELDS),
    new=st.fixed_dictionaries(FIELDS),
)
def test_steps_run_again_from_the_first_reader_of_a_change_on(
    toy_model: Path, tmp_path_factory: pytest.TempPathFactory, reads, old: dict, new: dict
) -> None:
    out = tmp_path_factory.mktemp("reads") / "b"
    steps = [reader(index, names) for index, names in enumerate(reads)]
    build(toy_model, out, steps=steps, **old)
    changed = {name for name in FIELDS if old[name] != new[name]}
    stale = [index for index, names in enumerate(reads) if names & changed]
    first = stale[0] if stale else len(reads)
    result = build(toy_model, out, steps=steps, **new)
    assert result.ran == tuple(str(index) for index in range(first, len(reads)))


def test_a_field_read_only_under_another_value_is_in_the_key_then(
    toy_model: Path, tmp_path: Path
) -> None:
    runs = []

    def step_choose(cfg) -> None:
        runs.append(cfg.top1 and cfg.verify_seed)

    def run(**options) -> None:
        build(toy_model, tmp_path / "b", steps=[Step(step_choose)], **options)

    run(top1=False, verify_seed=1)
    run(top1=False, verify_seed=2)  # not read: the same result
    assert runs == [False]
    run(top1=True, verify_seed=2)
    run(top1=True, verify_seed=3)
    assert runs == [False, 2, 3]


def test_every_field_has_a_digest_of_its_own(toy_model: Path, tmp_path: Path) -> None:
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
        "verify_frames": 20,
        "verify_seed": 1,
        "style": "folded",
        "input_quant": "INT8",
        "input_scale": 0.5,
        "top1": True,
        "trace": "vcd",
    }
    step, plain = Step("m:step_x"), cfg.field_digests()
    keys = {
        step_key("", step, dataclasses.replace(cfg, **{k: v}).field_digests())
        for k, v in others.items()
    }
    keys.add(step_key("", step, plain))
    assert len(keys) == len(others) + 1
    for run_field in ({"force": True}, {"start_step": "x"}, {"stop_step": "x"}):
        assert dataclasses.replace(cfg, **run_field).field_digests() == plain


def test_name_outputs_and_place_decide() -> None:
    a, b = Step("m:step_a"), Step("m:step_b")
    owner = Step("m:step_a", outputs=("x",))
    keys = [step_key("", step, {}) for step in (a, b, owner)]
    keys.append(step_key(keys[1], a, {}))
    assert len(set(keys)) == len(keys)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    history=st.lists(
        st.tuples(
            st.integers(0, 1), st.integers(3, 4), st.sampled_from([None, *NAMES]), st.booleans()
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_history_ends_like_a_fresh_build(
    toy_model: Path, tmp_path_factory: pytest.TempPathFactory, history
) -> None:
    out = tmp_path_factory.mktemp("history") / "b"
    for seed, frames, stop, force in history:
        options = {"verify_seed": seed, "verify_frames": frames}
        build(toy_model, out, stop_step=stop, force=force, **options)
    build(toy_model, out, **options)
    seen = contents(out)
    fresh(out)
    build(toy_model, out, **options)
    assert contents(out) == seen
