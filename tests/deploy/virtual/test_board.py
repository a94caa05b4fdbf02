"""The virtual board behaves as a board does: caches, clocks, addresses, time."""

from __future__ import annotations

import gc
import shutil

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the virtual board is a pynq device")

from pynq import MMIO, Clocks, allocate

from deploy import driver
from deploy.package import Package
from deploy.registers import DriverError
from deploy.virtual.board import VirtualBoard
from deploy.virtual.conditions import Conditions
from deploy.virtual.simulate import simulate_package
from deploy.virtual.simulator import VirtualBoardError
from finn_builds.shell.compile import compile_for_virtual_board

pytestmark = pytest.mark.slow  # one small compilation


def test_buffers_have_caches(virtual):
    buffer = allocate((100,), np.uint8, target=virtual)
    at = buffer.device_address - virtual.simulator.base
    memory = virtual.simulator.memory
    buffer[:] = 7
    assert not memory[at : at + 100].any(), "not flushed: memory must not see it"
    buffer.flush()
    assert (memory[at : at + 100] == 7).all()
    memory[at : at + 100] = 9
    assert (buffer == 7).all(), "not invalidated: the program must not see it"
    buffer.invalidate()
    assert (buffer == 9).all()


def test_part_of_a_buffer_can_be_flushed(virtual):
    buffer = allocate((4, 8), np.uint16, target=virtual)
    at = buffer.device_address - virtual.simulator.base
    buffer[:] = 0x0101
    buffer[2:3].flush()
    memory = virtual.simulator.memory[at : at + 64]
    assert (memory[32:48] == 1).all()
    assert memory.sum() == 16


def test_buffers_lie_apart_and_are_freed(virtual):
    size = len(virtual.simulator.memory)
    for _ in range(3):
        buffers = [allocate((size // 4,), np.uint8, target=virtual) for _ in range(4)]
        addresses = sorted(b.device_address for b in buffers)
        assert (np.diff(addresses) >= size // 4).all()
        assert all(a % 4096 == 0 for a in addresses)
        with pytest.raises(VirtualBoardError, match="no room"):
            allocate((1,), np.uint8, target=virtual)
        del buffers
        gc.collect()
    assert allocate((size,), np.uint8, target=virtual).nbytes == size


def test_a_driver_that_forgets_to_flush_is_caught(overlay, made):
    overlay.execute(made.integers[:16])
    overlay.ibuf_packed_device[0][:] = overlay.pack_input(overlay.fold_input(made.integers[16:32]))
    overlay.execute_on_buffers()
    out = np.empty(overlay.oshape_packed(), np.uint8)
    overlay.copy_output_data_from_device(out)
    result = overlay.unfold_output(overlay.unpack_output(out))
    assert (result == made.outputs[:16]).all(), "memory still holds the frames of before"


def test_register_accesses_take_time(overlay, virtual):
    before = virtual.now()
    for _ in range(10):
        overlay.idma0.read(0x00)
    assert virtual.now() - before == pytest.approx(10 * 150e-9, rel=0.05)


def test_time_follows_the_clock(overlay, virtual):
    for mhz in (50.0, 200.0):
        Clocks.fclk0_mhz = mhz
        assert Clocks.fclk0_mhz == virtual.fclk_mhz == mhz
        cycles, seconds = virtual.simulator.cycle, virtual.now()
        for _ in range(20):
            overlay.idma0.read(0x00)
        ratio = (virtual.simulator.cycle - cycles) / (virtual.now() - seconds)
        assert ratio == pytest.approx(mhz * 1e6)


def test_a_stuck_board_costs_no_simulation(overlay, virtual):
    overlay.odma0.write(0x1C, 1)
    overlay.odma0.write(0x00, 1)  # nothing will come
    began = virtual.now()
    while virtual.now() - began < 5:
        overlay.odma0.read(0x00)
    assert virtual.simulator.cycle < 300_000


def test_ultrascale_clocks(made):
    description = {**made.description, "ps_type": "zynq_ultrascale"}
    board = simulate_package(made.folder, description, compile_shell=compile_for_virtual_board)
    Clocks.set_device(board)
    assert Clocks.fclk0_mhz == pytest.approx(99.999)
    Clocks.fclk0_mhz = 300.0
    assert board.fclk_mhz == pytest.approx(299.997)
    board.close()


@pytest.mark.parametrize(
    "text",
    [
        "latency=0,jitter=0",
        "latency=200,jitter=150,ready=0.2,valid=0.3,seed=5",
        "jitter=40, ready=0.6",
    ],
)
def test_any_memory_gives_the_same_results(made, text):
    """As a user of ``--virtual`` asks for it."""
    overlay = Package(made.folder).open(virtual=text, batch_size=32)
    assert (overlay.execute(made.integers) == made.outputs).all()
    assert overlay.device.simulator.breaches() == []


def test_a_slow_memory_takes_longer(made):
    def seconds(text):
        overlay = Package(made.folder).open(virtual=text, batch_size=64)
        before = overlay.now()
        overlay.execute(made.integers[:64])
        return overlay.now() - before

    assert seconds("latency=1500") > seconds("") + 2 * 1400 * 10e-9  # there and back, 10 ns each


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read_error=slverr", "(?s)error on the memory bus.*input DMA 0.*SLVERR"),
        ("read_error=decerr@7", "(?s)error on the memory bus.*input DMA 0.*DECERR"),
        ("write_error=slverr", "(?s)error on the memory bus.*output DMA 0.*SLVERR"),
        ("hang", "did not end within"),
    ],
)
def test_errors_on_demand(made, text, message):
    overlay = Package(made.folder).open(virtual=text, batch_size=32, timeout_s=0.2)
    with pytest.raises(DriverError, match=message):
        overlay.execute(made.integers)
    if text != "hang":
        overlay.device.set_conditions(Conditions())
        assert (overlay.execute(made.integers) == made.outputs).all()


def test_an_error_beside_the_buffers_does_no_harm(made):
    overlay = Package(made.folder).open(virtual="read_error=slverr@1000000", batch_size=32)
    assert (overlay.execute(made.integers) == made.outputs).all()


@pytest.mark.parametrize(
    "text", ["latency", "latency=-1", "ready=0", "valid=2", "read_error=exokay", "hang=1", "x=1"]
)
def test_conditions_that_are_not_understood(made, capsys, text):
    measure = ["--exec_mode", "latency_test"]
    assert driver.main(["--package", str(made.folder), *measure, "--virtual", text]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: --virtual {text}: expected latency=CYCLES")


def test_conditions():
    assert Conditions.parse("") == Conditions()
    assert Conditions.parse("read_error=SLVERR,write_error=decerr@12,hang") == Conditions(
        read_error=(2, None), write_error=(3, 12), hang=True
    )


def test_sources_without_their_memory_contents_are_told(made, tmp_path, capsys):
    """The first run after a copy that lost a file."""
    folder = tmp_path / "deploy"
    shutil.copytree(made.folder, folder)
    source = folder / "rtl" / "tiny_accelerator.v"
    reads = 'reg [7:0] table_[0:1]; initial $readmemh("./gone.dat", table_);\nendmodule'
    source.write_text(source.read_text().replace("endmodule", reads))
    assert driver.main(["--package", str(folder), "--exec_mode", "latency_test", "--virtual"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the simulated board did not start") and "gone.dat" in error


def test_addresses_without_registers_are_told(virtual):
    with pytest.raises(VirtualBoardError, match="0x50000000"):
        MMIO(0x5000_0000, 4, device=virtual).read()


def test_it_is_no_device_until_it_is_made():
    assert VirtualBoard._probe_() == []
