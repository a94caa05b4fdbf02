"""The fabric's clock: the fastest that a design takes, and never a faster one on the way."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from deploy import driver, validate
from deploy.driver_base import FINNExampleOverlay
from deploy.fabric_clock import set_fabric_clock
from deploy.package import Package
from deploy.registers import DriverError
from deploy.virtual.simulate import simulate_package
from finn_builds.shell.compile import compile_for_virtual_board


class Clocks:
    """pynq's ``Clocks`` on a source of `source` MHz; `every` has every clock that ran."""

    def __init__(self, source: float, first: int, second: int) -> None:
        self.source = source
        self.divisors = [first, second]
        self.every: list[float] = []

    def set_pl_clk(self, index: int, first: int, second: int) -> None:
        assert index == 0 and 1 <= first <= 63 and 1 <= second <= 63
        for i, divisor in enumerate((first, second)):  # one register field after the other
            self.divisors[i] = divisor
            self.every.append(self.fclk0_mhz)

    @property
    def fclk0_mhz(self) -> float:
        return round(self.source / (self.divisors[0] * self.divisors[1]), 6)


@pytest.mark.parametrize("source", [1000.0, 1499.985, 1333.32])
@pytest.mark.parametrize("before", [(10, 1), (2, 1), (63, 63), (5, 3)])
def test_the_fastest_clock_that_is_not_too_fast(source, before):
    possible = sorted({source / (i * j) for i, j in product(range(1, 64), repeat=2)})
    for limit in (0.5, 7.0, 33.3, 99.9, 100.0, 150.0, 187.498, 200.0, 214.28, 333.0):
        clocks = Clocks(source, *before)
        began = clocks.fclk0_mhz
        changed = set_fabric_clock(clocks, limit)
        best = max(mhz for mhz in possible if mhz <= limit * 1.0002)
        assert clocks.fclk0_mhz == pytest.approx(best, rel=2e-3 if not changed else 1e-6)
        assert all(mhz <= max(limit * 1.0002, began) for mhz in clocks.every), "never a faster one"
        assert changed == bool(clocks.every)
        assert not set_fabric_clock(clocks, clocks.fclk0_mhz), "and it stays as it is"
        running, clocks.every = clocks.fclk0_mhz, []
        assert set_fabric_clock(clocks, running, keep=False)
        assert clocks.fclk0_mhz == running == max(clocks.every)
        first, second = clocks.divisors
        assert (first, second) == min(
            ((i, j) for i, j in product(range(1, 64), repeat=2) if i * j == first * second),
            key=lambda pair: pair[1],
        ), "the first divides as much as it can, as pynq's and Vivado's own"


def test_a_clock_below_the_slowest_is_refused():
    with pytest.raises(ValueError, match=r"^0\.251953$"):
        set_fabric_clock(Clocks(1000.0, 10, 1), 0.2)


@pytest.fixture
def board(made):
    board = simulate_package(made.folder, made.description, compile_shell=compile_for_virtual_board)
    yield board
    board.close()


def opened(made, board, fclk_mhz=100.0, download=True, **bitfile) -> FINNExampleOverlay:
    shapes = {**made.description["io_shape_dict"], "bitfile": bitfile}
    return FINNExampleOverlay(
        str(made.folder / "overlay.json"), "zynq-iodma", shapes, 16, fclk_mhz, board, download
    )


pytestmark = pytest.mark.slow  # one small compilation


def test_more_than_the_bitfile_takes_is_not_set(made, board):
    with pytest.warns(UserWarning, match="is 50 MHz and not 125: .* made for at most 50 MHz"):
        overlay = opened(made, board, 125.0, most_mhz=50.0)
    assert overlay.fclk_mhz == overlay.fclk_mhz_actual == board.fclk_mhz == 50.0
    assert overlay.clock_text() == "clock 50 MHz (made for at most 50 MHz, 20 ns)"
    assert (overlay.execute(made.integers) == made.outputs).all()


def test_a_clock_that_runs_too_fast_is_lowered_even_if_it_was_not_asked_for(made, board):
    assert opened(made, board, 0, most_mhz=200.0).fclk_mhz == 100.0, "0 leaves it as it is"
    assert opened(made, board, 0, most_mhz=80.0).fclk_mhz == pytest.approx(1000 / 13)
    assert "is not known" in opened(made, board, 0).clock_text()


def test_the_design_is_reset_after_a_change_and_only_then(made, board, monkeypatch):
    resets = []
    true = FINNExampleOverlay.soft_reset
    monkeypatch.setattr(
        FINNExampleOverlay, "soft_reset", lambda self: (resets.append(1), true(self))
    )
    opened(made, board, 50.0, most_mhz=100.0)
    assert resets == [], "a fabric that was just configured is in its first state"
    # A run that waits for frames is over after the change.
    board.simulator.write(1, 0x1C, 3)
    board.simulator.write(1, 0x00, 1)
    assert board.simulator.read(1, 0x00) == 1
    overlay = opened(made, board, 25.0, most_mhz=100.0, download=False)
    assert resets == [1]
    assert overlay.odma0.read(0x00) == 4
    assert (overlay.execute(made.integers) == made.outputs).all()
    opened(made, board, 25.0, most_mhz=100.0, download=False)
    assert resets == [1], "the clock was right"


def test_the_fabric_is_configured_with_its_clock_set(made, board, with_handoff, monkeypatch):
    """The handoff's dividers give 100 MHz; the clock is right before, and pynq's list is whole."""
    bit = str(with_handoff(made))
    seen = []
    true = board.download
    monkeypatch.setattr(board, "download", lambda *a: (seen.append(board.fclk_mhz), true(*a)))
    shapes = {**made.description["io_shape_dict"], "bitfile": {"most_mhz": 50.0}}
    overlay = FINNExampleOverlay(bit, "zynq-iodma", shapes, 16, 50.0, board)
    assert seen == [50.0] and overlay.fclk_mhz == 50.0
    assert overlay.parser.clock_dict[0]["enable"] == 1
    assert (overlay.execute(made.integers) == made.outputs).all()


def test_a_bitfile_of_another_build_is_refused_before_a_transfer(made, board):
    own = made.description["shell"]["build_id"]
    assert own == Package(made.folder).io_shape_dict()["bitfile"]["build_id"] != 0
    assert opened(made, board, build_id=own).idma0.read(0x10) == 0
    with pytest.raises(
        DriverError, match=rf"(?s)is of build {own:08x}.*of {own ^ 1:08x}.*PL.reset"
    ):
        opened(made, board, build_id=own ^ 1)
    assert [board.simulator.read(dma, 0x10) for dma in (0, 1)] == [0, 0], "nothing was begun"


@pytest.fixture
def package(made, tmp_path) -> Path:
    """A copy of the package, to which facts of a bitfile can be added."""
    shutil.copytree(made.folder, tmp_path / "deploy")
    (tmp_path / "virtual_board").symlink_to(made.folder.parent / "virtual_board")
    (tmp_path / "deploy" / "bitfile").mkdir(exist_ok=True)
    return tmp_path / "deploy"


FACTS = {
    "clock": {"asked_mhz": 100.0, "actual_mhz": 76.923, "period_ns": 13.0},
    "board_files": {"found": "tul.com.tw:pynq-z2:part0:1.0", "note": "the newest installed"},
    "vivado": "2024.1",
    "timing": {"met": True, "wns": 0.3, "whs": 0.02},
}


def test_what_vivado_wrote_beside_the_bitfile_counts(package, capsys):
    """It replaces the description's, which knows only what was asked for."""
    own = Package(package).description["shell"]["build_id"]
    (package / "bitfile" / "finn-accel.json").write_text(json.dumps({**FACTS, "build_id": own}))
    assert Package(package).io_shape_dict()["bitfile"]["most_mhz"] == pytest.approx(1000 / 13)
    assert validate.main(["--virtual", "--package", str(package)]) == 0
    out = capsys.readouterr().out
    assert "clock 76.9231 MHz (made for at most 76.9231 MHz, 13 ns)" in out
    assert "board files: the newest installed" in out
    assert "bitfile: made by Vivado 2024.1" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**FACTS, "timing": {"met": False, "wns": -0.2, "whs": 0.0}}, "missed its timing"),
        ({**FACTS, "clock": "fast"}, "copy it again"),
        ({**FACTS, "build_id": 7}, "is of build 00000007, the description of"),
        ([], "copy it again"),
        ("{", "copy it again"),
    ],
)
def test_facts_that_forbid_a_run_are_told(package, capsys, content, message):
    text = content if isinstance(content, str) else json.dumps(content)
    (package / "bitfile" / "finn-accel.json").write_text(text)
    argv = ["--virtual", "--package", str(package), "--exec_mode", "latency_test"]
    assert driver.main(argv) == 2
    assert message in capsys.readouterr().err


def test_the_description_s_clock_is_taken_without_a_bitfile(package):
    path = package / "overlay.json"
    description = json.loads(path.read_text())
    description["clock"] = {"asked_mhz": 100.0, "actual_mhz": None, "period_ns": 16.0}
    path.write_text(json.dumps(description))
    overlay = Package(package).open(virtual=True)
    assert overlay.fclk_mhz == 62.5
    del description["clock"]  # of a package that is older than this entry
    path.write_text(json.dumps(description))
    assert Package(str(package)).io_shape_dict()["bitfile"]["most_mhz"] == 100.0
