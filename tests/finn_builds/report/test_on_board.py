"""What memory port, DMAs and serial line make of an accelerator's pace."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from finn_builds.report.on_board import on_board, on_line
from finn_builds.run.terminal import summary_table
from finn_builds.shell.uart import packet_frames
from finn_builds.vivado.project import INTERCONNECT
from tests.finn_builds.report.examples import performance

MEASURED = Path(__file__).parents[3] / "benchmarks" / "results" / "shell.json"


@pytest.mark.parametrize(
    ("bits", "own", "interval", "limit"),
    [
        (64, 1.0, 2.0, "the memory port, 8 bytes a cycle"),  # 16 bytes in, 8 a cycle
        (128, 1.0, 1.0, "the accelerator"),
        (64, 5.0, 5.0, "the accelerator"),
    ],
)
def test_the_slower_of_core_and_memory_sets_the_pace(bits, own, interval, limit):
    found = on_board(performance(9, own), bits)
    assert (found.interval_cycles, found.limit) == (interval, limit)
    assert found.fps * interval == pytest.approx(1e9 / performance(9, own).clock_ns)
    assert on_board(performance(9, own), bits, 125.0).fps * interval == pytest.approx(125e6)
    assert found.fps == pytest.approx(1e8 / interval)


def test_the_screen_has_both():
    board = {"added_latency_cycles": 40, "fps": 5e7, "limit": "the memory port, 8 bytes a cycle"}
    text = summary_table({"latency_cycles": 9, "fps": 1e8, "board_throughput": board})
    assert "9 cycles; through the board's DMAs about 40 cycles and twice the memory's" in text
    assert "100,000,000 frames/s; on the board at most 50,000,000, set by the memory port" in text


def test_a_serial_line_sets_the_pace_of_an_open_board() -> None:
    found = on_line(performance(9, 1.0), 1_000_000)
    bytes_in, bytes_out = performance(9, 1.0).frame_bytes
    # Full packets: ten bits a byte, eight bytes of head and CRC on each way.
    frames = packet_frames(bytes_in, bytes_out)
    bits = 10 * (16 + frames * (bytes_in + bytes_out))
    assert found.fps == pytest.approx(frames * 1e6 / bits)
    summary = {"latency_cycles": 9, "fps": 1e8, "board_throughput": asdict(found)}
    text = summary_table(summary)
    assert f"at most {found.fps:,.0f}, set by the serial line, 1,000,000 baud" in text
    assert "DMAs" not in text


@pytest.mark.parametrize("bits", [64, 128])
def test_what_is_around_the_accelerator_is_told_beside_it(bits):
    """The shell as it was counted, and Vivado's blocks, whose figures nobody has measured here."""
    counted = json.loads(MEASURED.read_text())["resources"]
    kind = "zynq_7000:" if bits == 64 else "zynq_ultrascale:"
    luts = {blocks["shell"]["LUT"] for name, blocks in counted.items() if name.startswith(kind)}
    text = on_board(performance(9, 1.0), bits).around
    low, high = (int(n.replace(",", "")) for n in re.findall(r"[\d,]+", text)[:2])
    assert {low, high} <= luts
    assert f"({INTERCONNECT}, estimated)" in text
