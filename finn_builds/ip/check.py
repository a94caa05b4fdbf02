"""The parallel core in the simulator, and its netlist gate by gate, with the frames of a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.packing import padded
from finn_builds.network.types import step_of
from finn_builds.sim import SimDesign, Simulator, compile_designs
from finn_builds.sparse.core_ports import CorePorts, Port
from finn_builds.sparse.device import Kind
from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import Bit, Netlist

#: Chance per clock that no frame comes, in the run with pauses.
PAUSE = 0.4

#: Frames that one lane of the gate-level simulation sees one after another.
FRAMES_PER_LANE = 4

_ADAPTER = """\
// {name} between streams: its source may pause, its sink never does.
module {name}_stream (
    input wire ap_clk,
    input wire ap_rst_n,
    input wire [{in_pad}-1:0] s_axis_0_tdata,
    input wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{out_pad}-1:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input wire m_axis_0_tready
);
  wire [{out_bits}-1:0] y;
  {name} core (
      .clk(ap_clk),
      .rst(~ap_rst_n),
{ce}      .valid_in(s_axis_0_tvalid),
{ports},
      .valid_out(m_axis_0_tvalid)
  );
  assign s_axis_0_tready = ap_rst_n;
  assign m_axis_0_tdata = y;
endmodule
"""


@dataclass(frozen=True, eq=False)
class CoreRun:
    """What the core gave, int64 (frames, n_out), and how fast it was, in clocks."""

    y: np.ndarray
    with_pauses: np.ndarray
    latencies: tuple[int, ...]  # that were seen: one, where it is fixed
    interval: int


def _codes(ports: Sequence[Port], values: np.ndarray) -> np.ndarray:
    """Return frames, (frames, elements), as bits, uint8 (frames, bits), lowest first."""
    columns, at = [], 0
    for port in ports:
        part = values[:, at : at + port.elements]
        at += port.elements
        part = (part + 1) // 2 if step_of(port.datatype) == 2 else part
        places = np.arange(port.width, dtype=np.int64)
        bits = (part[:, :, None] >> places) & 1
        columns.append(bits.reshape(len(values), -1).astype(np.uint8))
    return np.concatenate(columns, axis=1)


def _values(ports: Sequence[Port], bits: np.ndarray) -> np.ndarray:
    """Undo `_codes`."""
    columns, at = [], 0
    for port in ports:
        part = bits[:, at : at + port.bits].reshape(len(bits), port.elements, port.width)
        at += port.bits
        weights = np.int64(1) << np.arange(port.width, dtype=np.int64)
        if port.signed:
            weights[-1] = -weights[-1]
        code = part.astype(np.int64) @ weights
        columns.append(2 * code - 1 if step_of(port.datatype) == 2 else code)
    return np.concatenate(columns, axis=1)


def run_core(core: CorePorts, verilog: str, x: np.ndarray, folder: Path, seed: int) -> CoreRun:
    """Run frames, (frames, n_in), through the core in Verilator: one every clock, then with pauses.

    Registers start with random contents.
    """
    in_bits, out_bits = (sum(p.bits for p in ports) for ports in (core.inputs, core.outputs))
    places, at = [], 0
    for port in core.inputs:
        places.append(f"      .{port.name}(s_axis_0_tdata[{at + port.bits - 1}:{at}])")
        at += port.bits
    at = 0
    for port in core.outputs:
        places.append(f"      .{port.name}(y[{at + port.bits - 1}:{at}])")
        at += port.bits
    adapter = _ADAPTER.format(
        name=core.name,
        in_pad=padded(in_bits),
        out_pad=padded(out_bits),
        out_bits=out_bits,
        ce="      .ce(1'b1),\n" if core.with_ce else "",
        ports=",\n".join(places),
    )
    folder.mkdir(parents=True, exist_ok=True)
    sources = [folder / f"{core.name}.v", folder / f"{core.name}_stream.v"]
    for path, text in zip(sources, (verilog, adapter), strict=True):
        path.write_text(text, encoding="utf-8")
    top = f"{core.name}_stream"
    design = SimDesign(top, sources, top, padded(in_bits), padded(out_bits))
    library = compile_designs([design], build_dir=folder / "build")
    beats = np.packbits(_padded(_codes(core.inputs, x)), axis=1, bitorder="little")
    drain = 2 * core.latency + 10
    with Simulator(library, folder, design=top, randomise=seed) as simulator:
        free = simulator.run(beats, len(beats), drain=drain)
        paused = simulator.run(beats, len(beats), stall_in=PAUSE, seed=seed, drain=drain)
    first, second = (
        _values(core.outputs, np.unpackbits(run.outputs, axis=1, bitorder="little"))
        for run in (free, paused)
    )
    waits = {int(w) for run in (free, paused) for w in run.out_cycles - run.in_cycles}
    gaps = np.diff(free.out_cycles.astype(np.int64))
    return CoreRun(first, second, tuple(sorted(waits)), int(gaps.max(initial=1)))


def _padded(bits: np.ndarray) -> np.ndarray:
    return np.pad(bits, ((0, 0), (0, padded(bits.shape[1]) - bits.shape[1])))


def run_gates(
    core: CorePorts,
    netlist: Netlist,
    x: np.ndarray,
    known: Mapping[str, Kind],
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Return what the mapped netlist of the core gives for frames, int64 (frames, n_out).

    Lanes see a few frames each, one every clock; a result is read after the latency of the core,
    and is all ones where the netlist does not say then that it is valid. `progress` is called with
    the share of the clocks that have passed. Raises NotSimulated if the netlist has cells that the
    simulator does not know.
    """
    codes = _codes(core.inputs, x)
    lanes = -(-len(codes) // FRAMES_PER_LANE)
    missing = lanes * FRAMES_PER_LANE - len(codes)
    codes = np.concatenate([codes, np.repeat(codes[-1:], missing, axis=0)])
    lanewise = codes.reshape(lanes, FRAMES_PER_LANE, -1)
    simulator = GateSimulator(netlist, lanes, known)
    ports = netlist.ports
    into = [bit for port in core.inputs for bit in ports[port.name]]
    out = [bit for port in core.outputs for bit in ports[port.name]]
    results = np.zeros((lanes, FRAMES_PER_LANE, len(out)), dtype=np.uint8)
    clocks = range(-core.latency - 1, FRAMES_PER_LANE + core.latency)
    for clock in clocks:
        if progress is not None:
            progress((clock - clocks.start) / len(clocks))
        # Before the first frame the valid bits are cleared, and any data may run through.
        given = lanewise[:, min(max(clock, 0), FRAMES_PER_LANE - 1)]
        inputs: dict[Bit, int] = {}
        for bit, column in zip(into, given.T, strict=True):
            inputs[bit] = _number(column)
        every = simulator.ones
        inputs[ports["rst"][0]] = every if clock < 0 else 0
        inputs[ports["valid_in"][0]] = every if 0 <= clock < FRAMES_PER_LANE else 0
        if core.with_ce:
            inputs[ports["ce"][0]] = every
        simulator.settle({bit: v for bit, v in inputs.items() if isinstance(bit, int)})
        frame = clock - core.latency
        if frame >= 0:
            valid = _bits(simulator.read(ports["valid_out"][0]), lanes)
            for k, bit in enumerate(out):
                results[:, frame, k] = _bits(simulator.read(bit), lanes) | ~valid & 1
        simulator.clock()
    return _values(core.outputs, results.reshape(lanes * FRAMES_PER_LANE, -1)[: len(x)])


def _number(column: np.ndarray) -> int:
    """Return a bit per lane as one integer, lane 0 the lowest."""
    return int.from_bytes(np.packbits(column, bitorder="little").tobytes(), "little")


def _bits(value: int, lanes: int) -> np.ndarray:
    """Return a bit per lane, uint8."""
    raw = np.frombuffer(value.to_bytes(-(-lanes // 8), "little"), dtype=np.uint8)
    return np.unpackbits(raw, count=lanes, bitorder="little")
