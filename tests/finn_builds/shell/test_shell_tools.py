"""The shell in other tools: Icarus simulates it alike, Yosys and Verilator have no complaint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.virtual.simulator import CONTROL, MemoryTiming
from finn_builds import tools
from finn_builds.config.boards import load_board
from finn_builds.shell import ShellSpec
from finn_builds.shell.top import CONTROL as CONTROL_MODULE
from finn_builds.shell.top import IDMA as IDMA_MODULE
from finn_builds.shell.top import ODMA as ODMA_MODULE
from finn_builds.shell.top import shell_files, shell_sources
from tests.finn_builds.shell.conftest import SUMMER

pytestmark = pytest.mark.slow  # small compilations

FRAMES, SOURCE, TARGET = 40, 0x103, 0x1005
METER = range(0x08, 0x40, 4)
# A sparse network's streams: a frame per beat, neither side a power of two
BOARDS = {"Pynq-Z1": (16, 7), "ZCU104": (21, 5)}


def board_spec(name: str) -> ShellSpec:
    into, out = BOARDS[name]
    return ShellSpec.for_board(
        load_board(name), "summer", in_bytes=into, out_bytes=out, in_beats=1, out_beats=1
    )


def icarus_run(folder: Path, spec: ShellSpec, memory: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the memory and the meter's registers after one run."""
    programs = tools.icarus()
    if programs is None:
        pytest.skip("Icarus Verilog (iverilog, vvp) is not installed")
    compiler, simulator = programs
    (folder / "memory.hex").write_text("\n".join(f"{b:02x}" for b in memory))
    names = ("in_bytes", "out_bytes", "in_beats", "out_beats")
    (folder / "summer.v").write_text(SUMMER.format(**{n: getattr(spec, n) for n in names}))
    for name, text in shell_files(spec).items():
        (folder / name).write_text(text)
    macros = {
        "WORD": spec.word_bytes,
        "ADDR_BITS": spec.addr_bits,
        "FRAMES": FRAMES,
        "SOURCE": SOURCE,
        "TARGET": TARGET,
        "LATENCY": 10,
    }
    tools.run(
        [compiler, "-g2012", "-o", "tb.vvp", "-s", "shell_tb"]
        + [f"-D{name}={value}" for name, value in macros.items()]
        + [*shell_sources(), "summer.v", *shell_files(spec)]
        + [Path(__file__).with_name("shell_tb.sv")],
        cwd=folder,
        timeout=60,
    )
    lines = tools.run([simulator, "-n", "tb.vvp"], cwd=folder, timeout=120).stdout.splitlines()
    rows = [line.split() for line in lines if "$finish" not in line]
    assert {row[0] for row in rows} == {"control", "meter", "byte"}, lines[:5]
    assert [row[2] for row in rows if row[0] == "control"] == ["00000006", "00000006", "00000000"]
    result = np.array([int(row[1], 16) for row in rows if row[0] == "byte"], np.uint8)
    return result, [int(row[2], 16) for row in rows if row[0] == "meter"]


@pytest.mark.parametrize("case", ["folded", "ZCU104"])
def test_icarus_and_verilator_agree(make_bench, tmp_path, case):
    """All of memory byte for byte, and what the accelerator measured cycle for cycle."""
    spec = ShellSpec("summer", 3, 13, 5, 2) if case == "folded" else board_spec(case)
    bench = make_bench(spec)
    rng = np.random.default_rng(1)
    memory = rng.integers(0, 256, 8192, dtype=np.uint8)
    got, meter = icarus_run(tmp_path, spec, memory)
    with bench.simulator(memory_bytes=8192, base=0, timing=MemoryTiming(latency=10)) as sim:
        sim.memory[:] = memory
        bench.start(sim, FRAMES, SOURCE, TARGET)
        bench.wait(sim)
        np.testing.assert_array_equal(got, sim.memory)
        # The two memories differ in when they answer, and so in how long the run takes.
        measured = {at: sim.read(CONTROL, at) for at in METER}
    frames = memory[SOURCE : SOURCE + FRAMES * spec.in_frame_bytes].reshape(FRAMES, -1)
    expected = bench.model(frames, spec).ravel()
    np.testing.assert_array_equal(got[TARGET : TARGET + len(expected)], expected)
    other = dict(zip(METER, meter, strict=True))
    same = [at for at in METER if at not in (0x24, 0x28, 0x30, 0x34)]
    if case == "folded":  # here the latency depends on how the beats of a frame come
        same = [at for at in same if at not in (0x10, 0x18, 0x1C)]
    assert {at: other[at] for at in same} == {at: measured[at] for at in same}


@pytest.mark.parametrize("board", BOARDS)
def test_yosys_reads_every_block(tmp_path, board):
    """Without a warning, a latch or a loop, for the sizes of a board."""
    files = shell_files(board_spec(board))
    for path in shell_sources():
        (tmp_path / path.name).write_text(path.read_text())
    wrappers = [f"{name}.v" for name in (IDMA_MODULE, ODMA_MODULE, CONTROL_MODULE)]
    for name in wrappers:
        (tmp_path / name).write_text(files[name])
    names = " ".join([*(path.name for path in shell_sources()), *wrappers])
    script = f"read_verilog -sv -D SYNTHESIS {names}; "
    for name in wrappers:
        top = name.removesuffix(".v")
        script += (
            f"design -push-copy; hierarchy -check -top {top}; proc; flatten; opt; check -assert; "
            "select -assert-none t:$dlatch t:$_DLATCH_*; design -pop; "
        )
    out = tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=tmp_path, timeout=300).stdout
    assert "ERROR" not in out and "Warning" not in out, out[-2000:]


@pytest.mark.parametrize("board", BOARDS)
def test_verilator_has_no_complaint(tmp_path, board):
    spec = board_spec(board)
    names = ("in_bytes", "out_bytes", "in_beats", "out_beats")
    (tmp_path / "summer.v").write_text(SUMMER.format(**{n: getattr(spec, n) for n in names}))
    files = shell_files(spec)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    argv, env = tools.verilator_command()
    options = ["--lint-only", "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDPARAM"]
    options += ["-Wno-UNUSEDSIGNAL"]
    (tmp_path / "waive.vlt").write_text(
        '`verilator_config\nlint_off -file "*summer.v"\nlint_off -rule PINCONNECTEMPTY\n'
    )
    sources = ["waive.vlt", *shell_sources(), "summer.v", *files]
    top = ["--top-module", "prunestream_shell"]
    tools.run([*argv, *options, *top, *sources], cwd=tmp_path, env=env)
