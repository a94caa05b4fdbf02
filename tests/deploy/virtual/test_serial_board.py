"""The serial shell in simulation: the unchanged driver with pyserial, and what goes wrong."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy import serial_link
from deploy.driver_uart import SerialOverlay
from deploy.registers import DriverError
from deploy.serial_link import IDENTIFY, RUN, SerialLink, crc16
from deploy.virtual.serial_board import SerialBoard
from finn_builds.shell.uart import UartSpec
from finn_builds.shell.uart_compile import compile_uart

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]

#: Two beats of two bytes in, three beats of a byte out: the sums of the beats, and 0x55. It takes a
#: frame only after the one before has left, and hangs after a frame that begins with FFFF.
ACCELERATOR = """
module echo (
    input wire ap_clk, input wire ap_rst_n,
    input wire [15:0] s_axis_0_tdata, input wire s_axis_0_tvalid, output wire s_axis_0_tready,
    output wire [7:0] m_axis_0_tdata, output wire m_axis_0_tvalid, input wire m_axis_0_tready
);
  reg [1:0] got, left;
  reg [7:0] first, second;
  reg stuck;
  assign s_axis_0_tready = got != 2 && !stuck;
  assign m_axis_0_tvalid = left != 0 && !stuck;
  assign m_axis_0_tdata = left == 3 ? first : left == 2 ? second : 8'h55;
  always @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      got <= 0;
      left <= 0;
      stuck <= 0;
    end else begin
      if (s_axis_0_tvalid && s_axis_0_tready) begin
        got <= got + 1;
        if (got == 0) begin
          first <= s_axis_0_tdata[7:0] + s_axis_0_tdata[15:8];
          stuck <= s_axis_0_tdata == 16'hffff;
        end else begin
          second <= s_axis_0_tdata[7:0] + s_axis_0_tdata[15:8];
          left <= 3;
        end
      end
      if (m_axis_0_tvalid && m_axis_0_tready) begin
        left <= left - 1;
        if (left == 1) got <= 0;
      end
    end
  end
endmodule
"""

SHAPES = {
    "idt": ["UINT8"],
    "odt": ["UINT8"],
    "ishape_normal": [[1, 4]],
    "ishape_folded": [[1, 2, 2]],
    "ishape_packed": [[1, 2, 2]],
    "oshape_normal": [[1, 3]],
    "oshape_folded": [[1, 3, 1]],
    "oshape_packed": [[1, 3, 1]],
}
# A slow clock, so that time-outs of the shell take few cycles to simulate.
SPEC = UartSpec("echo", 2, 1, 2, 3, mhz=3.0, baud=115200, build_id=0x1234ABCD)
BAUD = SPEC.baud


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serial")
    (folder / "echo.v").write_text(ACCELERATOR)
    return compile_uart(SPEC.description(), [folder / "echo.v"], folder / "build")


@pytest.fixture
def board(program: Path) -> Iterator[SerialBoard]:
    running = SerialBoard(program, program.parent)
    yield running
    running.close()


@pytest.fixture
def overlay(board: SerialBoard) -> Iterator[SerialOverlay]:
    made = SerialOverlay(board.port, BAUD, SHAPES, 100, SPEC.mhz)
    yield made
    made.link.close()


def expected(x: np.ndarray) -> np.ndarray:
    sums = x.reshape(-1, 2, 2).sum(axis=2) & 0xFF
    return np.concatenate([sums, np.full((len(x), 1), 0x55)], axis=1)


def test_crc_is_the_published_one() -> None:
    assert crc16(b"123456789") == 0x29B1  # CRC-16/CCITT-FALSE's check value


def test_frames_come_back_computed(overlay: SerialOverlay) -> None:
    rng = np.random.default_rng(1)
    for frames in (1, 2, 255, 700):  # more than a packet and more than a batch holds
        x = rng.integers(0, 255, (frames, 4))
        assert np.array_equal(overlay.execute(x), expected(x))


def test_the_meter_counts_what_the_accelerator_takes(overlay: SerialOverlay) -> None:
    overlay.execute(np.arange(40).reshape(10, 4))
    found = overlay.counters()
    assert (found["frames_in"], found["frames_out"]) == (10, 10)
    # Two beats in, then three out: the last leaves four cycles after the first came.
    assert found["latency_first_cycles"] == found["latency_max_cycles"] == 4
    assert found["interval_cycles"] == 5
    assert found["stall_out_cycles"] == 0


def test_a_damaged_packet_is_sent_again(overlay: SerialOverlay, monkeypatch) -> None:
    x = np.arange(8).reshape(2, 4)
    real = overlay.link._line.write
    damaged = []

    def write(packet: bytes) -> int:
        if not damaged:
            damaged.append(packet)
            packet = packet[:6] + bytes([packet[6] ^ 1]) + packet[7:]
        return real(packet)

    monkeypatch.setattr(overlay.link._line, "write", write)
    assert np.array_equal(overlay.execute(x), expected(x))
    assert damaged


def test_a_broken_off_packet_is_forgotten(overlay: SerialOverlay) -> None:
    line = overlay.link._line
    line.write(bytes([0xA5, RUN, 1, 40, 0]) + bytes(7))  # the rest never comes
    x = np.arange(8).reshape(2, 4)
    # The next packet is swallowed by the broken one, or comes after it was forgotten.
    assert np.array_equal(overlay.execute(x), expected(x))
    line.write(os.urandom(50).replace(b"\xa5", b""))
    assert np.array_equal(overlay.execute(x), expected(x))


def test_wrong_lengths_and_kinds_are_refused(overlay: SerialOverlay) -> None:
    with pytest.raises(DriverError, match="no packet of this length"):
        overlay.link.ask(RUN, bytes(5), expected=3)
    with pytest.raises(DriverError, match="no packet of this length"):
        overlay.link.ask(RUN, b"", expected=0)
    with pytest.raises(DriverError, match="does not know this request"):
        overlay.link.ask(0x77)
    overlay.soft_reset()
    x = np.arange(4).reshape(1, 4)
    assert np.array_equal(overlay.execute(x), expected(x))


def test_an_accelerator_that_hangs_is_reset(overlay: SerialOverlay) -> None:
    stuck = np.full((1, 4), 255)
    with pytest.raises(DriverError, match="did not give all results in time"):
        overlay.execute(stuck)
    x = np.arange(4).reshape(1, 4)
    assert np.array_equal(overlay.execute(x), expected(x))


def test_a_reset_in_between_is_noticed(overlay: SerialOverlay, board: SerialBoard) -> None:
    overlay.execute(np.arange(4).reshape(1, 4))
    board.reset()
    with pytest.raises(DriverError, match="was reset in the middle"):
        for _ in range(20):
            overlay.execute(np.arange(4).reshape(1, 4))


def test_a_wrong_rate_is_an_error(board: SerialBoard, monkeypatch) -> None:
    monkeypatch.setattr(serial_link, "ANSWER_S", 0.3)
    with pytest.raises(DriverError, match=r"3 times, on .* at 57600 baud.*--baud"):
        SerialOverlay(board.port, 57600, SHAPES)
    # After that the right one works.
    overlay = SerialOverlay(board.port, BAUD, SHAPES)
    x = np.arange(4).reshape(1, 4)
    assert np.array_equal(overlay.execute(x), expected(x))
    overlay.link.close()


def test_a_simulated_board_may_be_slow(board: SerialBoard, monkeypatch) -> None:
    """A real one answers in time; a simulation of a large design takes seconds for a packet."""
    monkeypatch.setattr(serial_link, "ANSWER_S", -1.0)
    monkeypatch.setattr(serial_link, "RUN_S", 0.0)
    os.kill(board._process.pid, signal.SIGSTOP)
    with pytest.raises(DriverError, match="no answer came within"):
        SerialOverlay(board.port, BAUD, SHAPES, 100, SPEC.mhz)
    os.kill(board._process.pid, signal.SIGCONT)
    overlay = SerialOverlay(board.port, BAUD, SHAPES, 100, SPEC.mhz, device=board)
    x = np.arange(400).reshape(100, 4) & 0xFF
    assert np.array_equal(overlay.execute(x), expected(x))
    overlay.link.close()
    # One that is at nothing is not waited for.
    with pytest.raises(DriverError, match=r"no answer|not an answer"):
        SerialOverlay(board.port, 57600, SHAPES, 100, SPEC.mhz, device=board)


def test_two_hosts_are_one_too_many(overlay: SerialOverlay, board: SerialBoard) -> None:
    with pytest.raises(DriverError, match="another program uses"):
        SerialOverlay(board.port, BAUD, SHAPES)


def test_another_build_s_board_is_refused(board: SerialBoard) -> None:
    other = {**SHAPES, "ishape_packed": [[1, 2, 3]]}
    with pytest.raises(DriverError, match=r"4 bytes in and 3 out, the description 6 and 3"):
        SerialOverlay(board.port, BAUD, other)


def test_the_bitfile_of_another_model_is_refused(program: Path, board: SerialBoard) -> None:
    """It has frames of the same size."""
    with pytest.raises(DriverError, match=r"the bitfile is of build 1234abcd, .* of 00000001: "):
        SerialOverlay(board.port, BAUD, SHAPES, build_id=1)
    SerialOverlay(board.port, BAUD, SHAPES, build_id=SPEC.build_id).link.close()


def test_no_board(monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"can.t open .*--port"):
        SerialLink(str(tmp_path / "ttyUSB9"), BAUD)
    monkeypatch.setattr(serial_link, "ANSWER_S", 0.1)
    host, terminal = pty.openpty()
    link = SerialLink(os.ttyname(terminal), BAUD)
    with pytest.raises(DriverError, match="no answer came"):
        link.ask(IDENTIFY, expected=14)
    link.close()
    os.close(host)
    os.close(terminal)


def test_a_lost_cable_is_an_error(program: Path) -> None:
    board = SerialBoard(program, program.parent)
    overlay = SerialOverlay(board.port, BAUD, SHAPES)
    board.close()
    with pytest.raises(DriverError, match=r"has gone|no answer"):
        overlay.execute(np.arange(4).reshape(1, 4))


def test_a_board_that_lies_is_not_believed(monkeypatch) -> None:
    """An answer with a wrong CRC is not taken, three times over."""
    monkeypatch.setattr(serial_link, "ANSWER_S", 0.5)
    host, terminal = pty.openpty()
    link = SerialLink(os.ttyname(terminal), BAUD)

    def answer() -> None:
        for _ in range(3):
            request = os.read(host, 100)
            body = struct.pack("<BBBH", request[1], request[2], 0, 1) + b"\x42"
            os.write(host, b"\x5a" + body + struct.pack("<H", crc16(body) ^ 1))

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(DriverError, match="an answer came with a wrong CRC, 3 times"):
        link.ask(IDENTIFY, expected=1)
    thread.join()
    link.close()
    os.close(host)
    os.close(terminal)


def test_the_spec_refuses_what_does_not_fit() -> None:
    from finn_builds.errors import UserError

    with pytest.raises(UserError, match="3000000 baud at 8 MHz"):
        UartSpec("a", 1, 1, 1, 1, mhz=8.0, baud=3_000_000)
    with pytest.raises(UserError, match="at most 65535 bytes"):
        UartSpec("a", 70_000, 1, 1, 1, mhz=100.0, baud=1_000_000)
    spec = UartSpec("a", 12, 6, 1, 1, mhz=100.0, baud=1_000_000)
    assert (spec.clocks, spec.frames) == (100, 256)
    assert json.loads(json.dumps(spec.description()))["word_bytes"] == 12
