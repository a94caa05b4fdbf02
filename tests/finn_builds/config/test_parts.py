"""Parts by their names: family, grade, resources, and what a build for a part needs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from finn_builds import BuildConfig
from finn_builds.config.parts import part_target
from finn_builds.errors import UserError
from finn_builds.sparse.families import family_named
from finn_builds.sparse.families.xcup import XCUP


@pytest.mark.parametrize(
    ("part", "family", "lut"),
    [
        ("xcvu9p-flga2104-2L-e", "xcup-2", 1_182_240),
        ("xcvu13p-flga2577-2-e", "xcup-2", 1_728_000),
        ("xc7vx690tffg1927-2", "xc7-2", 433_200),
        ("xcku115-flva1517-2-e", "xcu-2", 663_360),
        ("XC7A100TCSG324-1", "xc7-1", 63_400),
        ("xcku5p-ffvb676-3-e", "xcup-3", 216_960),
        ("xc7z020clg400-1", "xc7-1", None),
        ("xczu7ev-ffvc1156-2-e", "xcup-2", None),
        ("xck26-sfvc784-2LV-c", "xcup-2", None),
        ("xcu250-figd2104-2L-e", "xcup-2", None),
        ("xcvu095-ffva2104-2-e", "xcu-2", None),
        ("xcau15p-ffvb676-2-e", "xcup-2", None),
        ("xc7s50csga324-1", "xc7-1", None),
    ],
)
def test_a_name_says_family_and_grade(part: str, family: str, lut: int | None) -> None:
    target = part_target(part)
    assert (target.part, target.family) == (part, family)
    assert (target.resources and target.resources.LUT) == lut
    assert target.budget["LUT"] == (math.inf if lut is None else 0.7 * lut)


@pytest.mark.parametrize("part", ["xcvu9p", "vu9p-flga2104-2-e", "10AX115", "xc7a100t", ""])
def test_another_name_is_refused_with_examples(part: str) -> None:
    with pytest.raises(UserError, match="xc7vx690tffg1927-2"):
        part_target(part)


def test_faster_grades_have_shorter_delays() -> None:
    one, two, three = (family_named(f"xcup-{grade}") for grade in (1, 2, 3))
    assert one == XCUP
    assert two.t_lut == pytest.approx(0.87 * XCUP.t_lut)
    assert three.adder(20) == pytest.approx(0.75 * XCUP.adder(20))
    assert family_named("xcu").t_lut > XCUP.t_lut
    with pytest.raises(UserError, match="device family"):
        family_named("xcup-9")


def config(tmp_path: Path, **options) -> BuildConfig:
    return BuildConfig(output_dir=tmp_path / "out", **options)


def test_a_part_stands_in_for_a_board(tmp_path: Path) -> None:
    cfg = config(tmp_path, fpga_part="xcvu9p-flga2104-2L-e").validate()
    assert (cfg.target.name, cfg.clock_ns) == ("xcvu9p-flga2104-2L-e", 2.78)
    assert cfg.makes_ip and not cfg.makes_overlay


@pytest.mark.parametrize(
    ("package", "ip", "overlay"),
    [(None, False, True), ("pynq", False, True), ("ip", True, False), ("both", True, True)],
)
def test_a_board_has_either_package(
    package: str | None, ip: bool, overlay: bool, tmp_path: Path
) -> None:
    cfg = config(tmp_path, board="Pynq-Z1", package=package).validate()
    assert (cfg.makes_ip, cfg.makes_overlay) == (ip, overlay)


@pytest.mark.parametrize("option", [{"package": "pynq"}, {"package": "both"}, {"bitfile": True}])
def test_what_needs_a_processing_system_needs_a_board(option: dict, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a board"):
        config(tmp_path, fpga_part="xcvu9p-flga2104-2L-e", **option).validate()


def test_a_part_beside_a_board_is_that_of_the_board(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Pynq-Z1 carries"):
        config(tmp_path, board="Pynq-Z1", fpga_part="xcvu9p-flga2104-2L-e").validate()


def test_nets_of_large_designs_are_longer() -> None:
    """By the same amount for every doubling, from the size on that the delays were fitted to."""
    ecp5 = family_named("ecp5")
    assert ecp5.of_size(0) == ecp5.of_size(ecp5.compact) == ecp5
    one, two = ecp5.of_size(2 * ecp5.compact), ecp5.of_size(4 * ecp5.compact)
    assert one.t_lut - ecp5.t_lut == pytest.approx(two.t_lut - one.t_lut) == ecp5.t_spread
    assert two.t_carry_in == ecp5.t_carry_in  # no net
    eight = family_named("ecp5-8")
    assert eight.of_size(9000).t_reg == pytest.approx(0.77 * ecp5.of_size(9000).t_reg)
    assert XCUP.of_size(1e6) == XCUP
