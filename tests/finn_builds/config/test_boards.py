"""Boards: the shipped files, their agreement with FINN's tables, and bad files."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pynq.ps import _ClocksUltrascale, _ClocksZynq

from deploy.fabric_clock import set_fabric_clock
from finn_builds.config.boards import BOARD_DIR, board_names, load_board
from finn_builds.config.zynq_boards import CLOCK_DIGITS, Board, Pll, floor_ns, same_clock
from finn_builds.errors import UserError

SHIPPED = [
    "AUP-ZU3",
    "KV260_SOM",
    "Pynq-Z1",
    "Pynq-Z2",
    "RFSoC2x2",
    "RFSoC4x2",
    "Ultra96-V2",
    "ZCU102",
    "ZCU104",
]

# FINN names this board after its memory.
FINN_NAMES = {"AUP-ZU3": "AUP-ZU3_8GB"}


def test_shipped_boards() -> None:
    assert set(SHIPPED) <= set(board_names())  # more may be added


@pytest.mark.parametrize("name", SHIPPED)
def test_part_and_port_width_are_finns(name: str) -> None:
    from finn.util.basic import pynq_native_port_width, pynq_part_map

    board = load_board(name)
    assert board.part == pynq_part_map[FINN_NAMES.get(name, name)]
    assert board.dma_width == pynq_native_port_width[FINN_NAMES.get(name, name)]


@pytest.mark.parametrize("name", [*SHIPPED[:1], *SHIPPED[2:4], *SHIPPED[6:]])
def test_resources_are_near_finns(name: str) -> None:
    """FINN rounds; a wrong digit of ours would still show. It has not the other three devices."""
    from finn.util.platforms import platforms

    finn_name = {**FINN_NAMES, "Ultra96-V2": "Ultra96"}.get(name, name)
    ours = load_board(name).resources.model_dump()
    finns = platforms[finn_name]().resource_count_dict["slr0"]
    assert ours == pytest.approx(finns, rel=0.05)


@pytest.mark.parametrize("name", SHIPPED)
def test_figures_agree_with_each_other(name: str) -> None:
    """Every slice of these families has two flip-flops a LUT, and block RAMs come in pairs."""
    has = load_board(name).resources
    assert has.FF == 2 * has.LUT
    assert has.BRAM_18K % 2 == 0


@pytest.mark.parametrize("name", SHIPPED)
def test_board_part_is_the_boards(name: str) -> None:
    board_part = load_board(name).board_part
    assert board_part is not None
    vendor, board = board_part.split(":")
    assert vendor
    assert board.replace("-8gb", "").replace("-", "") == name.lower().replace("-", "")


def pynq_clocks(board: Board, crystal_mhz: float) -> _ClocksUltrascale | _ClocksZynq:
    """Return pynq's own clocks with the registers that the board has after boot."""
    kind = _ClocksZynq if board.ps_type == "zynq_7000" else _ClocksUltrascale
    clocks = object.__new__(kind)  # its constructor maps registers
    clocks._ref_clk_mhz = crystal_mhz
    clocks.PL_CLK_CTRLS = [SimpleNamespace(SRCSEL=0, DIVISOR0=15, DIVISOR1=1)]
    pll = {"PRE_SRC": 0, "FBDIV": 2 * board.pll.multiplier, "DIV2": 1}
    clocks.PL_SRC_PLL_CTRLS = [SimpleNamespace(**pll, PLL_FDIV=board.pll.multiplier)]
    return clocks


@pytest.mark.parametrize("name", SHIPPED)
def test_pynq_makes_the_default_clock(name: str) -> None:
    """pynq takes the nearest clock, even one that is faster: it must be the one asked for."""
    board = load_board(name)
    asked = 1000 / board.clock_ns
    clocks = pynq_clocks(board, board.pll.crystal_mhz)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns of a clock that is not the one asked for
        clocks.set_pl_clk(0, clk_mhz=asked)
    made = clocks.get_pl_clk(0)
    assert made <= asked
    assert made == pytest.approx(asked, rel=CLOCK_DIGITS)
    assert made == pytest.approx(board.pll.fastest_mhz(asked), rel=1e-6)
    # pynq takes every UltraScale+ board's crystal for 33.333 MHz: the dividers are the same.
    divisor = clocks.PL_CLK_CTRLS[0].DIVISOR0 * clocks.PL_CLK_CTRLS[0].DIVISOR1
    other = pynq_clocks(board, type(clocks).DEFAULT_SRC_CLK_MHZ)
    other.set_pl_clk(0, clk_mhz=asked)
    assert divisor == other.PL_CLK_CTRLS[0].DIVISOR0 * other.PL_CLK_CTRLS[0].DIVISOR1
    assert divisor == (10 if board.ps_type == "zynq_7000" else 8)


class AsClocks:
    """The part of pynq's ``Clocks`` that the driver uses, over the clocks of a processor."""

    def __init__(self, clocks: _ClocksUltrascale | _ClocksZynq) -> None:
        self.clocks = clocks
        self.set_pl_clk = clocks.set_pl_clk

    @property
    def fclk0_mhz(self) -> float:
        return self.clocks.get_pl_clk(0)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_driver_finds_the_clock_by_the_period_that_was_constrained(name: str) -> None:
    """To the picosecond, and with the crystal that pynq takes for the board's."""
    board = load_board(name)
    for ns in (2, 2.667, 3.33, 4, 5, 5.334, 6.667, 7.123, 8, 10, 33.333, 100, board.clock_ns):
        made = board.fabric_mhz(ns)
        for digits in (3, 6):
            clocks = pynq_clocks(board, board.pll.crystal_mhz)
            clocks._ref_clk_mhz = type(clocks).DEFAULT_SRC_CLK_MHZ
            assert set_fabric_clock(AsClocks(clocks), 1000 / round(1000 / made, digits), keep=False)
            control = clocks.PL_CLK_CTRLS[0]
            runs = board.pll.mhz / (control.DIVISOR0 * control.DIVISOR1)
            assert runs == pytest.approx(made, rel=1e-6), f"{ns} ns"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_next_faster_clock_is_far(name: str) -> None:
    board = load_board(name)
    made = board.pll.fastest_mhz(1000 / board.clock_ns)
    divisor = round(board.pll.mhz / made)
    assert board.pll.mhz / (divisor - 1) > 1.1 * made
    assert floor_ns(made) == board.clock_ns


def test_there_is_no_200_mhz_from_1500() -> None:
    pll = load_board("KV260_SOM").pll
    assert pll.mhz == pytest.approx(1499.985)
    assert pll.fastest_mhz(200) == pytest.approx(187.498, abs=1e-3)
    assert pll.fastest_mhz(250) == pytest.approx(249.9975)
    assert pll.fastest_mhz(0.1) == pytest.approx(1499.985 / 63**2), "the slowest there is"
    # Periods are given with a few digits: these are 150 and 187.5 MHz, as everyone writes them.
    assert pll.fastest_mhz(1000 / 6.667) == pytest.approx(149.9985)
    assert pll.fastest_mhz(1000 / 5.334) == pytest.approx(187.498125)
    assert pll.fastest_mhz(1000 / 5.339) == pytest.approx(166.665)
    assert floor_ns(187.498125) == 5.333
    assert floor_ns(100.0) == 10.0


@pytest.mark.parametrize(
    ("given", "near"),
    [("pynq-z1", "Pynq-Z1"), ("ZCU-104", "ZCU104"), ("KV260", "KV260_SOM"), ("Nope", None)],
)
def test_unknown_board_names_the_known_ones(given: str, near: str | None) -> None:
    with pytest.raises(UserError) as error:
        load_board(given)
    message = str(error.value)
    assert message.startswith(f"unknown board {given!r}")
    assert all(name in message for name in SHIPPED)
    assert "\n" not in message
    assert (f"did you mean {near}?" in message) == (near is not None)


@pytest.mark.parametrize("name", ["../Pynq-Z1", "README", "", "Pynq-Z1.yaml"])
def test_only_board_files_are_read(name: str) -> None:
    with pytest.raises(UserError, match="unknown board"):
        load_board(name)


@given(
    st.floats(30, 60), st.integers(10, 60), st.floats(0.1, 2000), st.integers(1, 63),
    st.integers(1, 63),
)  # fmt: skip
def test_the_clock_is_the_fastest_that_is_not_above(
    crystal: float, multiplier: int, asked: float, first: int, second: int
) -> None:
    """Of any PLL: none of its clocks lies between the one that is made and the one asked for."""
    pll = Pll(crystal_mhz=crystal, multiplier=multiplier)
    made = pll.fastest_mhz(asked)
    slowest = pll.mhz / 63**2
    assert made <= asked * (1 + CLOCK_DIGITS) or made == pytest.approx(slowest)
    other = pll.mhz / (first * second)
    assert other <= made * (1 + 1e-12) or other > asked * (1 + CLOCK_DIGITS)
    # The period that is printed asks for this very clock.
    assert same_clock(pll.fastest_mhz(1000 / floor_ns(made)), made)


@pytest.fixture
def good() -> dict:
    return yaml.safe_load((BOARD_DIR / "Pynq-Z1.yaml").read_text())


def write(folder: Path, content: object, name: str = "Pynq-Z1") -> None:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / f"{name}.yaml").write_text(text)


def test_a_new_board_is_one_file(tmp_path: Path, good: dict) -> None:
    write(tmp_path, {**good, "name": "Mine", "clock_ns": 8, "board_part": None}, "Mine")
    assert board_names(tmp_path) == ["Mine"]
    board = load_board("Mine", tmp_path)
    assert (board.clock_ns, board.board_part, board.part) == (8.0, None, good["part"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, r"unknown key colour; known keys are name, part"),
        (
            {"resources": {"LUT": 1, "FF": 2, "BRAM_18K": 0, "DSP": 0}},
            r"the key resources\.URAM is",
        ),
        (
            {"resources": {"LUT": 1, "FF": 2, "BRAM_18K": 0, "DSP": 0, "URAM": 0, "BRAM": 1}},
            r"unknown key resources\.BRAM; known keys are LUT",
        ),
        ({"clock_ns": 0}, r"clock_ns: expected greater than 0, found 0; change it"),
        ({"clock_ns": float("inf")}, r"clock_ns: expected a finite number"),
        ({"clock_ns": "10"}, r"clock_ns: expected a valid number, found '10'"),
        ({"dma_width": 32}, r"dma_width: expected 64 or 128, found 32"),
        ({"dma_width": 128}, r"dma_width: zynq_7000 has 64, found 128"),
        ({"family": "xcup"}, r"family: zynq_7000 has xc7, found xcup"),
        ({"part": "xczu3eg-sbva484-1-i"}, r"part: zynq_7000 parts begin with xc7z, found xczu3eg"),
        ({"ps_type": "versal"}, r"ps_type: expected 'zynq_7000' or"),
        (
            {"clock_ns": 7.5},
            r"clock_ns: the PLL's 1000 MHz.*133\.333 MHz; its nearest clocks are "
            r"7\.0 ns \(142\.857 MHz\) and 8\.0 ns \(125\.000 MHz\)$",
        ),
        ({"clock_ns": 3.0}, r"clock_ns: .* 333\.333 MHz; .* 4\.0 ns \(250\.000 MHz\)$"),
        ({"clock_ns": 9000}, r"clock_ns: .* nearest clocks are 3969\.0 ns \(0\.252 MHz\)$"),
        ({"axi_data": "S_AXI_HP1"}, r"axi_data: zynq_7000 has S_AXI_HP0, found S_AXI_HP1"),
        ({"axi_control": "M_AXI_GP1"}, r"axi_control: zynq_7000 has M_AXI_GP0, found M_AXI_GP1"),
        ({"part": "xc7z020 clg400-1"}, r"part: expected letters, digits, .*found 'xc7z020 clg"),
        ({"name": "My [board]"}, r"name: expected letters, digits, .*found 'My \[board\]'"),
        ({"board_part": "tul: {x}"}, r"board_part: expected vendor:name without a version, found"),
        ({"pll": {"crystal_mhz": 50.0}}, r"the key pll\.multiplier is missing"),
        ({"pll": {"crystal_mhz": 50.0, "multiplier": 20, "x": 1}}, r"unknown key pll\.x; known ke"),
        ({"board_part": "tul:pynq:part0:1.0"}, r"board_part: expected vendor:name without a ver"),
        ({"name": "Other"}, r"name: expected the file's name, Pynq-Z1, found Other"),
    ],
)
def test_bad_value_names_file_and_key(
    tmp_path: Path, good: dict, change: dict, message: str
) -> None:
    write(tmp_path, {**good, **change})
    with pytest.raises(UserError, match=rf"Pynq-Z1\.yaml: {message}"):
        load_board("Pynq-Z1", tmp_path)


@pytest.mark.parametrize("key", list(Board.model_fields))
def test_every_key_is_needed(tmp_path: Path, good: dict, key: str) -> None:
    del good[key]
    write(tmp_path, good)
    with pytest.raises(UserError, match=rf"Pynq-Z1\.yaml: the key {key} is missing"):
        load_board("Pynq-Z1", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "line 1: not a YAML file"),
        ("a: 1\nb: {", "line 2: not a YAML file"),
        ("- a", "expected one mapping of keys, found list"),
        ("", "expected one mapping of keys, found NoneType"),
        ("!!python/object/apply:os.system ['true']", "not a YAML file"),
    ],
)
def test_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UserError, match=rf"Pynq-Z1\.yaml.*{message}"):
        load_board("Pynq-Z1", tmp_path)


def test_a_board_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_board("Pynq-Z1").clock_ns = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("family", "ecp5-7", r"expected 'ecp5', 'ecp5-8', .*found 'ecp5-7'"),
        ("led", "M1", r"pin M1 is uart_rx already; give each its own"),
        ("uart_rx", "G2", r"pin G2 is clock_pin already"),
        ("io_standard", "LVCMOS34", r"expected 'LVCMOS33', .*found 'LVCMOS34'"),
        ("loader", "x; reboot", r"expected letters, digits, .*found 'x; reboot'"),
        ("baud", 0, r"expected greater than 0, found 0"),
        ("uart_tx", 4, r"expected a valid string, found 4"),
    ],
)
def test_a_bad_value_of_an_open_board(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    content = yaml.safe_load((BOARD_DIR / "ULX3S-25F.yaml").read_text())
    (tmp_path / "ULX3S-25F.yaml").write_text(yaml.safe_dump({**content, key: value}))
    with pytest.raises(UserError, match=rf"ULX3S-25F\.yaml: {key}: {message}"):
        load_board("ULX3S-25F", tmp_path)
