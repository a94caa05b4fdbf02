"""Words through a mapped netlist with stream ports, under random stalls, at gate level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from finn_builds.sparse.device import Kind
from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import Bit, Netlist

#: Clocks of reset before a run.
RESET_CLOCKS = 4
#: Frames that one lane sees one after the other.
FRAMES_PER_LANE = 4


@dataclass(frozen=True)
class GateRun:
    """What came out of a netlist: words (n_out, bytes), after clocks with all lanes side by side.

    Words that never came are `missing`, and zeros in `words`.
    """

    words: np.ndarray
    clocks: int
    lanes: int
    missing: int


class _Lanes:
    """Streams side by side: what each of them sends, has sent, and has received."""

    def __init__(self, words: np.ndarray, lanes: int, expected: int, out_bits: int) -> None:
        bits = np.unpackbits(words, axis=1, bitorder="little")
        self.words = bits.reshape(lanes, -1, bits.shape[1])
        self.sent = np.zeros(lanes, dtype=np.int64)
        self.received = np.zeros(lanes, dtype=np.int64)
        self.out = np.zeros((lanes, expected, out_bits), dtype=np.uint8)
        self.rows = np.arange(lanes)

    def offered(self, bits: int) -> np.ndarray:
        """Return the words that lie on the inputs, shape (lanes, bits)."""
        at = np.minimum(self.sent, self.words.shape[1] - 1)
        return self.words[self.rows, at, :bits]

    def take(self, passed: np.ndarray, data: np.ndarray) -> None:
        """Note the words that passed the output; one too many shows as a word that differs."""
        rows = self.rows[passed]
        at = np.minimum(self.received[rows], self.out.shape[1] - 1)
        surplus = self.received[rows] >= self.out.shape[1]
        self.out[rows, at] = np.where(surplus[:, None], 1 - self.out[rows, at], data[rows])
        self.received[rows] += 1


def run_words(
    netlist: Netlist,
    words: np.ndarray,
    per_frame: tuple[int, int],
    out_bytes: int,
    known: Mapping[str, Kind],
    *,
    frames_per_lane: int = FRAMES_PER_LANE,
    stall: float = 0.3,
    seed: int = 0,
    idle_limit: int = 1_000,
    watch: Callable[[GateSimulator], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> GateRun:
    """Send words through a netlist, divided among independent lanes of a few frames each.

    Parameters
    ----------
    words : ndarray of uint8, shape (n, bytes)
        Beats of whole frames, little-endian.
    per_frame : tuple of int
        Beats of a frame at the input and at the output.
    out_bytes : int
        Bytes of a beat at the output.
    known : mapping of str to Kind
        What each kind of cell computes.
    frames_per_lane : int
        Frames that one lane sees one after the other.
    stall : float
        Chance per clock and lane that the source has nothing, and that the sink takes nothing.
    idle_limit : int
        Clocks without a word in any lane after which the run ends as it is.
    watch : callable, optional
        Called with the simulator right before every edge of the clock after the reset.
    progress : callable, optional
        Called after every clock with the number of those that have passed.

    Raises
    ------
    NotSimulated
        The netlist has cells that the simulator does not know.
    """
    beats_in, beats_out = per_frame
    frames = len(words) // beats_in
    lanes = -(-frames // frames_per_lane)
    # The last lane repeats the last frame, and what it gives for that is cut off.
    filled = lanes * frames_per_lane
    per = words.reshape(frames, beats_in, -1)
    per = np.concatenate([per, np.repeat(per[-1:], filled - frames, axis=0)])
    ports = netlist.ports
    into, out = ports["s_axis_0_tdata"], ports["m_axis_0_tdata"]
    streams = _Lanes(
        per.reshape(filled * beats_in, -1), lanes, frames_per_lane * beats_out, out_bytes * 8
    )
    simulator = GateSimulator(netlist, lanes, known)
    rng = np.random.default_rng(seed)
    reset = _drive(ports.get("ap_rst_n", ()), 0)
    quiet = _drive((*into, *ports["s_axis_0_tvalid"], *ports["m_axis_0_tready"]), 0)
    for _ in range(RESET_CLOCKS):
        simulator.settle(quiet | reset)
        simulator.clock()
    reset = _drive(ports.get("ap_rst_n", ()), simulator.ones)
    clocks = idle = 0
    valid = np.zeros(lanes, dtype=bool)
    while (streams.received < streams.out.shape[1]).any() and idle < idle_limit:
        # A word that was offered stays until it is taken.
        valid = (valid | (rng.random(lanes) >= stall)) & (streams.sent < streams.words.shape[1])
        ready = rng.random(lanes) >= stall
        offered = streams.offered(len(into))
        inputs = dict(reset)
        for bit, column in zip(into, offered.T, strict=True):
            if isinstance(bit, int):
                inputs[bit] = _number(column)
        inputs |= _drive(ports["s_axis_0_tvalid"], _number(valid))
        inputs |= _drive(ports["m_axis_0_tready"], _number(ready))
        simulator.settle(inputs)
        if watch is not None:
            watch(simulator)
        taken = valid & _bits(simulator.read(ports["s_axis_0_tready"][0]), lanes)
        given = ready & _bits(simulator.read(ports["m_axis_0_tvalid"][0]), lanes)
        if given.any():
            data = np.zeros((lanes, out_bytes * 8), dtype=np.uint8)
            for k, bit in enumerate(out):
                data[:, k] = _bits(simulator.read(bit), lanes)
            streams.take(given, data)
        streams.sent += taken
        valid &= ~taken
        simulator.clock()
        clocks += 1
        if progress is not None:
            progress(clocks)
        idle = 0 if taken.any() or given.any() else idle + 1
    packed = np.packbits(streams.out, axis=2, bitorder="little").reshape(-1, out_bytes)
    missing = int(np.maximum(streams.out.shape[1] - streams.received, 0).sum())
    return GateRun(packed[: frames * beats_out], clocks, lanes, missing)


def _drive(bits: tuple[Bit, ...], value: int) -> dict[Bit, int]:
    return {bit: value for bit in bits if isinstance(bit, int)}


def _number(column: np.ndarray) -> int:
    """Return a bit per lane as one integer, lane 0 the lowest."""
    return int.from_bytes(np.packbits(column, bitorder="little").tobytes(), "little")


def _bits(value: int, lanes: int) -> np.ndarray:
    """Return a bit per lane as booleans."""
    raw = np.frombuffer(value.to_bytes(-(-lanes // 8), "little"), dtype=np.uint8)
    return np.unpackbits(raw, count=lanes, bitorder="little").astype(bool)
