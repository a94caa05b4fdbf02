"""Test accelerators, their models, and shells compiled around them once per run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.virtual.simulator import IDMA, ODMA, ShellSimulator
from finn_builds.shell import ShellSpec, compile_shell

# What goes in comes out, each byte inverted: frames of any size. The FIFO is what the ends of real
# accelerators have too.
INVERTER = """
module inverter (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [8*{in_bytes}-1:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [8*{in_bytes}-1:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    stream_fifo #(.WIDTH(8*{in_bytes}), .DEPTH(8)) fifo (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data(~s_axis_0_tdata), .s_valid(s_axis_0_tvalid), .s_ready(s_axis_0_tready),
        .m_data(m_axis_0_tdata), .m_valid(m_axis_0_tvalid), .m_ready(m_axis_0_tready)
    );
endmodule
"""

# Takes IN_BEATS beats, sums their bytes, then gives OUT_BEATS beats of the sum plus the position:
# a folded accelerator, which takes and gives in turns and never both at once.
SUMMER = """
module summer (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [8*{in_bytes}-1:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [8*{out_bytes}-1:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    reg giving;
    reg [15:0] beat;
    reg [7:0] sum;
    reg [7:0] added;
    integer i;
    always @* begin
        added = 8'd0;
        for (i = 0; i < {in_bytes}; i = i + 1) added = added + s_axis_0_tdata[8*i +: 8];
    end
    genvar g;
    generate
        for (g = 0; g < {out_bytes}; g = g + 1) begin : gen_byte
            assign m_axis_0_tdata[8*g +: 8] = sum + beat[7:0] * 8'd{out_bytes} + 8'd0 + g;
        end
    endgenerate
    assign s_axis_0_tready = !giving;
    assign m_axis_0_tvalid = giving;
    always @(posedge ap_clk) begin
        if (!ap_rst_n) begin
            giving <= 1'b0;
            beat <= 16'd0;
            sum <= 8'd0;
        end else if (giving) begin
            if (m_axis_0_tready) begin
                beat <= beat == {out_beats} - 1 ? 16'd0 : beat + 16'd1;
                if (beat == {out_beats} - 1) begin
                    giving <= 1'b0;
                    sum <= 8'd0;
                end
            end
        end else if (s_axis_0_tvalid) begin
            sum <= sum + added;
            beat <= beat == {in_beats} - 1 ? 16'd0 : beat + 16'd1;
            if (beat == {in_beats} - 1) giving <= 1'b1;
        end
    end
endmodule
"""


def summed(frames: np.ndarray, spec: ShellSpec) -> np.ndarray:
    """Return what the summer makes of frames (n, in_frame_bytes) uint8."""
    sums = frames.sum(axis=1, dtype=np.uint64)[:, None]
    return (sums + np.arange(spec.out_frame_bytes, dtype=np.uint64)).astype(np.uint8)


class Bench:
    """A compiled shell and the way to run frames through it as a driver would."""

    def __init__(
        self,
        library: Path,
        spec: ShellSpec,
        model: Callable[[np.ndarray, ShellSpec], np.ndarray],
        runtime_sizes: bool,
    ) -> None:
        self.library, self.spec, self.model = library, spec, model
        self.runtime_sizes = runtime_sizes

    def simulator(self, **options: object) -> ShellSimulator:
        simulator = ShellSimulator(self.library, **options)
        if self.runtime_sizes:
            self.set_sizes(simulator)
        return simulator

    def set_sizes(self, sim: ShellSimulator) -> None:
        spec = self.spec
        sim.set_sizes(spec.in_beats, spec.out_beats, spec.in_frame_bytes, spec.out_frame_bytes)

    def start(self, sim: ShellSimulator, frames: int, source: int, target: int) -> None:
        """Write address, frames and start of both DMAs as FINN's driver does."""
        for dma, offset in ((ODMA, target), (IDMA, source)):
            sim.write(dma, 0x10, (sim.base + offset) & 0xFFFFFFFF)
            sim.write(dma, 0x14, (sim.base + offset) >> 32)
            sim.write(dma, 0x1C, frames)
            sim.write(dma, 0x00, 1)

    def wait(self, sim: ShellSimulator, *, patience: int = 400_000) -> None:
        """Let time go on until both DMAs are done."""
        began = sim.cycle
        for dma in (ODMA, IDMA):
            while not sim.read(dma, 0x00) & 2:
                assert sim.cycle - began < patience, self.story(sim)
                sim.step(20)

    def story(self, sim: ShellSimulator) -> str:
        registers = {
            name: [hex(sim.read(dma, r)) for r in (0x00, 0x20, 0x28)]
            for name, dma in (("idma", IDMA), ("odma", ODMA))
        }
        return f"not done: control, status, bytes left: {registers}; {sim.counts()}"

    def check_run(
        self,
        sim: ShellSimulator,
        rng: np.random.Generator,
        frames: int,
        *,
        source: int = 0,
        target: int = 0,
    ) -> None:
        """Run random frames from `source` to `target` and compare all of memory."""
        size_in = frames * self.spec.in_frame_bytes
        size_out = frames * self.spec.out_frame_bytes
        middle = len(sim.memory) // 2
        assert source + size_in <= middle
        assert middle + target + size_out <= len(sim.memory)
        sim.memory[:] = 0xA5
        data = rng.integers(0, 256, (frames, self.spec.in_frame_bytes), dtype=np.uint8)
        sim.memory[source : source + size_in] = data.ravel()
        expected = sim.memory.copy()
        at = middle + target
        expected[at : at + size_out] = self.model(data, self.spec).ravel()
        self.start(sim, frames, source, at)
        self.wait(sim)
        wrong = np.flatnonzero(sim.memory != expected)
        assert not len(wrong), f"byte {wrong[0]:#x} of {at:#x}..{at + size_out:#x}"
        for dma in (IDMA, ODMA):
            assert sim.read(dma, 0x00) == 6
            assert sim.read(dma, 0x20) == 0
            assert sim.read(dma, 0x28) == 0
        assert sim.breaches() == []

    def sized(self, beats: int) -> Bench:
        """Return the same shell with frames of another size."""
        assert self.runtime_sizes
        spec = replace(self.spec, in_beats=beats, out_beats=beats)
        return Bench(self.library, spec, self.model, True)


@pytest.fixture(scope="session")
def make_bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bench]:
    folder = tmp_path_factory.mktemp("shells")

    def make(spec: ShellSpec, *, runtime_sizes: bool = False) -> Bench:
        template = INVERTER if spec.accelerator == "inverter" else SUMMER
        values = {n: getattr(spec, n) for n in ("in_bytes", "out_bytes", "in_beats", "out_beats")}
        text = template.format(**values)
        source = folder / f"{spec.accelerator}_{abs(hash(spec))}.v"
        source.write_text(text)
        library = compile_shell(spec, [source], folder, runtime_sizes=runtime_sizes)
        model = (lambda x, _: ~x) if spec.accelerator == "inverter" else summed
        return Bench(library, spec, model, runtime_sizes)

    return make


@pytest.fixture(scope="session")
def narrow(make_bench: Callable[..., Bench]) -> Bench:
    """One byte per beat, Zynq-7000's bus, frames of any size."""
    return make_bench(ShellSpec("inverter", 1, 1, 1, 1), runtime_sizes=True)


@pytest.fixture(scope="session")
def slim(make_bench: Callable[..., Bench]) -> Bench:
    """One byte per beat on UltraScale+'s bus as it is built, frames of any size."""
    spec = ShellSpec(
        "inverter", 1, 1, 1, 1, word_bytes=16, addr_bits=40, read_burst=256, write_burst=16
    )
    return make_bench(spec, runtime_sizes=True)


@pytest.fixture(scope="session")
def wide(make_bench: Callable[..., Bench]) -> Bench:
    """Twenty-one bytes per beat on UltraScale+'s bus, long bursts, frames of any size."""
    spec = ShellSpec(
        "inverter", 21, 21, 1, 1, word_bytes=16, addr_bits=40, read_burst=256, write_burst=256,
        pending=4,
    )  # fmt: skip
    return make_bench(spec, runtime_sizes=True)


@pytest.fixture(scope="session")
def folded(make_bench: Callable[..., Bench]) -> Bench:
    """Five beats of 3 bytes in, two beats of 13 bytes out, in turns."""
    return make_bench(ShellSpec("summer", 3, 13, 5, 2, build_id=0x89ABCDEF))
