"""The blocks as Icarus simulates them and as Yosys synthesises them for 7-series."""

import json
from pathlib import Path

import numpy as np
import pytest

from deploy.packing import pack
from finn_builds import tools
from tests.finn_builds.random_beats import random_beats

N_FRAMES = 200
FIFOS = [(8, 2, 1), (13, 7, 1), (24, 7, 2), (8, 7, 3), (8, 33, 0), (72, 40, 0)]
TOP1S = [(10, 5, 7, 1), (10, 2, 12, 1), (6, 1, 4, 0), (5, 5, 16, 1)]


@pytest.fixture(scope="session")
def icarus():
    """The compiler and the simulator."""
    programs = tools.icarus()
    if programs is None:
        pytest.skip("Icarus Verilog (iverilog, vvp) is not installed")
    return programs


def icarus_run(icarus, folder, sources, dut, params, beats, in_bits, out_bits, n_out, stall):
    """Return the output beats (n_out, bytes), least significant byte first."""
    compiler, simulator = icarus
    lines = [row[::-1].tobytes().hex() for row in beats]
    (folder / "vectors.hex").write_text("\n".join(lines) + "\n")
    macros = {
        "DUT": dut,
        "PARAMS": ", ".join(f".{name}({value})" for name, value in params.items()),
        "IN_BITS": in_bits,
        "OUT_BITS": out_bits,
        "BEATS_IN": len(beats),
        "BEATS_OUT": n_out,
        "STALL": stall,
    }
    tools.run(
        [compiler, "-g2012", "-Wall", "-o", "tb.vvp", "-s", "vectors_tb"]
        + [f"-D{name}={value}" for name, value in macros.items()]
        + [*sources, Path(__file__).with_name("vectors_tb.sv")],
        cwd=folder,
        timeout=60,
    )
    out = tools.run([simulator, "-n", "tb.vvp"], cwd=folder, timeout=60).stdout.split("\n")
    rows = [line.split() for line in out if line and "$finish" not in line]
    assert {row[0] for row in rows} == {"out"}, out[:20]
    return np.array([list(bytes.fromhex(row[1])[::-1]) for row in rows], np.uint8)


@pytest.mark.parametrize(("width", "depth", "style"), FIFOS)
@pytest.mark.parametrize("stall", [0, 128])
def test_fifo_in_icarus(icarus, rtl, adapters, tmp_path, width, depth, style, stall):
    bits = -(-width // 8) * 8
    data = random_beats(400, width, depth)
    got = icarus_run(
        icarus,
        tmp_path,
        [rtl / "stream_fifo.sv", adapters / "fifo_adapter.sv"],
        "fifo_adapter",
        {"WIDTH": width, "DEPTH": depth, "STYLE": style},
        data,
        bits,
        bits,
        400,
        stall,
    )
    np.testing.assert_array_equal(got, data)


def test_sized_fifo_in_icarus(icarus, rtl, adapters, tmp_path):
    data = random_beats(400, 16)
    got = icarus_run(
        icarus,
        tmp_path,
        [rtl / "stream_fifo_sized.sv", adapters / "sized_adapter.sv"],
        "sized_adapter",
        {"WIDTH": 16, "MAX_DEPTH": 9},
        data,
        16,
        16,
        400,
        128,
    )
    np.testing.assert_array_equal(got, data)


@pytest.mark.parametrize(("n", "pe", "width", "signed"), TOP1S)
@pytest.mark.parametrize("stall", [0, 128])
def test_top1_in_icarus(icarus, rtl, adapters, tmp_path, n, pe, width, signed, stall):
    rng = np.random.default_rng(n)
    low = -(1 << (width - 1)) if signed else 0
    values = rng.integers(low, low + (1 << width), (N_FRAMES, n))
    values[::2] = rng.integers(low, low + 2, values[::2].shape)  # ties
    beats = pack(values.reshape(-1, pe), width, bool(signed))
    got = icarus_run(
        icarus,
        tmp_path,
        [rtl / "top1.sv", adapters / "top1_adapter.sv"],
        "top1_adapter",
        {"N": n, "PE": pe, "WIDTH": width, "SIGNED": signed},
        beats,
        beats.shape[1] * 8,
        8,
        N_FRAMES,
        stall,
    )
    np.testing.assert_array_equal(got[:, 0], values.argmax(axis=1))


def synthesise(folder, rtl, file, top, cases):
    """Return the cell counts of `top` for each case, all in one call of Yosys."""
    (folder / file).write_text((rtl / file).read_text())
    script = []
    for i, params in enumerate(cases):
        values = " ".join(f"-set {name} {value}" for name, value in params.items())
        script += [
            "design -reset",
            f"read_verilog -defer -sv {file}",
            f"chparam {values} {top}",
            f"synth_xilinx -family xc7 -flatten -abc9 -noiopad -top {top}",
            "check -assert",
            f"tee -q -o {i}.json stat -json",
        ]
    (folder / "synth.ys").write_text("\n".join(script) + "\n")
    tools.run(
        [*tools.yosys_command(), "-q", "-s", "synth.ys"],
        cwd=folder,
        log=folder / "yosys.log",
        timeout=300,
    )
    return [
        json.loads((folder / f"{i}.json").read_text())["design"]["num_cells_by_type"]
        for i in range(len(cases))
    ]


def luts(cells):
    return sum(n for cell, n in cells.items() if cell.startswith("LUT"))


@pytest.mark.slow
def test_fifo_in_yosys(rtl, tmp_path):
    cases = [
        {"WIDTH": 16, "DEPTH": d, "STYLE": s} for d, s in ((33, 0), (200, 0), (2000, 0), (24, 2))
    ]
    shift, lutram, block, chosen = synthesise(tmp_path, rtl, "stream_fifo.sv", "stream_fifo", cases)
    # One addressable shift register a bit up to 32 words behind the output register.
    assert shift["SRLC32E"] == 16
    assert luts(shift) < 60
    # 199 words: four RAM64M (3 bits each) deep, six wide.
    assert lutram["RAM64M"] == 24
    assert any(c.startswith("RAM32M") for c in chosen)
    # 2000 x 16 bits are 32,000: one 36 kbit memory, or two of 18 kbit.
    assert block.get("RAMB36E1", 0) * 2 + block.get("RAMB18E1", 0) == 2
    assert luts(block) < 150
    for cells in (shift, lutram, block, chosen):
        assert sum(n for c, n in cells.items() if c.startswith("FD")) < 80  # no memory of registers


@pytest.mark.slow
def test_top1_in_yosys(rtl, tmp_path):
    names = ("N", "PE", "WIDTH", "SIGNED")
    cases = [dict(zip(names, c, strict=True)) for c in (TOP1S[0], (10, 10, 4, 0))]
    for params, cells in zip(
        cases, synthesise(tmp_path, rtl, "top1.sv", "top1", cases), strict=True
    ):
        assert not {c for c in cells if c.startswith(("LD", "RAM"))}  # no latch, no memory
        assert luts(cells) < params["PE"] * (2 * params["WIDTH"] + 8) + 2 * params["WIDTH"] + 60


@pytest.mark.slow
def test_sized_fifo_is_read_by_yosys(rtl, tmp_path):
    file = "stream_fifo_sized.sv"
    (tmp_path / file).write_text((rtl / file).read_text())
    script = (
        f"read_verilog -sv {file}; hierarchy -check -top stream_fifo_sized; proc; check -assert"
    )
    tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=tmp_path, timeout=300)


@pytest.mark.parametrize("file", ["stream_fifo.sv", "stream_fifo_sized.sv", "top1.sv"])
def test_verilator_has_no_complaint(rtl, tmp_path, file):
    argv, env = tools.verilator_command()
    # Bits that only pad a beat or a level of the tree are meant to be unused.
    options = ["--lint-only", "-Wall", "-Wno-UNUSEDSIGNAL", "-Wno-UNUSEDPARAM"]
    sizes = {
        "stream_fifo.sv": ["-GDEPTH=2", "-GDEPTH=3", "-GDEPTH=100", "-GDEPTH=2000"],
        "stream_fifo_sized.sv": ["-GWIDTH=5"],
        "top1.sv": ["-GN=1", "-GN=300", "-GPE=2"],
    }
    for size in sizes[file]:
        tools.run([*argv, *options, size, rtl / file], cwd=tmp_path, env=env)
