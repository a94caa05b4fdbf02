"""What decides a step's key, and that it decides the result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finn_builds.run.pipeline import step_keys
from finn_builds.run.runner import Step
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import NAMES, build, contents, fresh

FIELDS = {
    "verify_seed": st.integers(0, 3),
    "verify_frames": st.integers(3, 5),
    "top1": st.booleans(),
    "trace": st.sampled_from([None, "vcd", "fst"]),
}
READS = st.none() | st.sets(st.sampled_from(sorted(FIELDS))).map(lambda s: tuple(sorted(s)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    reads=st.lists(READS, min_size=1, max_size=6),
    old=st.fixed_dictionaries(FIELDS),
    new=st.fixed_dictionaries(FIELDS),
)
def test_key_changes_from_the_first_reader_on(
    toy_model: Path, tmp_path: Path, reads, old: dict, new: dict
) -> None:
    steps = [Step(f"m:step_{index}", reads=names) for index, names in enumerate(reads)]
    cfg = toy.config(toy_model, tmp_path / "b")
    keys = [step_keys(steps, dataclasses.replace(cfg, **options)) for options in (old, new)]
    changed = {name for name in FIELDS if old[name] != new[name]}
    stale = False
    for names, a, b in zip(reads, *keys, strict=True):
        stale |= bool(changed if names is None else changed & set(names))
        assert (a != b) == stale


def test_every_field_decides_when_none_are_named(toy_model: Path, tmp_path: Path) -> None:
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
    steps = [Step("m:step_x")]
    keys = {step_keys(steps, dataclasses.replace(cfg, **{k: v}))[0] for k, v in others.items()}
    keys |= set(step_keys(steps, cfg))
    assert len(keys) == len(others) + 1
    for run_field in ({"force": True}, {"start_step": "x"}, {"stop_step": "x"}):
        assert step_keys(steps, dataclasses.replace(cfg, **run_field)) == step_keys(steps, cfg)


def test_name_outputs_and_order_decide(toy_model: Path, tmp_path: Path) -> None:
    cfg = toy.config(toy_model, tmp_path / "b")
    a, b = Step("m:step_a", reads=()), Step("m:step_b", reads=())
    owner = Step("m:step_a", reads=(), outputs=("x",))
    keys = [step_keys(steps, cfg)[-1] for steps in ([a], [b], [owner], [a, b], [b, a])]
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
