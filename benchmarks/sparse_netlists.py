"""Mapped netlists of `bench_sparse.py` against the network that they are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finn_builds.network import IntegerNetwork
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import Netlist

FRAMES = 500


@dataclass(frozen=True)
class Ports:
    """How a datapath without handshake takes and gives integers.

    Attributes
    ----------
    data_in, data_out : str
        Ports, element 0 in the lowest bits.
    in_widths, out_widths : sequence of int
        Bits of each element, two's complement.
    out_zeros : sequence of int
        Low bits of each element given that are 0 and left out; as many as in `out_widths`.
    latency : int
        Clocks from one to the other.
    enable : str or None
        A port that is held at 1.
    """

    data_in: str
    data_out: str
    in_widths: Sequence[int]
    out_widths: Sequence[int]
    out_zeros: Sequence[int]
    latency: int
    enable: str | None = None


def frames_of(network: IntegerNetwork, n: int) -> NDArray[np.int64]:
    """Return random frames, shape (n, n_in)."""
    low, high = network.input.low, network.input.high
    return np.random.default_rng(1).integers(low, high + 1, (n, network.input.size))


def checked(netlist: Netlist, network: IntegerNetwork, ports: Ports) -> int:
    """Compare a mapped datapath with its network gate by gate; return the frames.

    Raises
    ------
    AssertionError
        If an output differs.
    """
    x = frames_of(network, FRAMES)
    simulator = GateSimulator(netlist, len(x), XC7.kinds)
    inputs = dict(zip(netlist.ports[ports.data_in], _lanes(x, ports.in_widths), strict=True))
    if ports.enable is not None:
        inputs[netlist.ports[ports.enable][0]] = simulator.ones
    for _ in range(ports.latency):
        simulator.settle(inputs)
        simulator.clock()
    simulator.settle(inputs)
    y = network.execute(x)
    if (y & ((1 << np.array(ports.out_zeros)) - 1)).any():
        raise AssertionError("bits are left out that the network sets")
    expected = _lanes(y >> np.array(ports.out_zeros), ports.out_widths)
    for bit, lanes in zip(netlist.ports[ports.data_out], expected, strict=True):
        if simulator.read(bit) != lanes:
            raise AssertionError("the mapped netlist differs from the network")
    return len(x)


def _lanes(values: NDArray[np.int64], widths: Sequence[int]) -> list[int]:
    """Return every bit of all elements, each over all frames as one number."""
    columns = [
        (values[:, element] >> bit) & 1
        for element, width in enumerate(widths)
        for bit in range(width)
    ]
    return [
        int.from_bytes(np.packbits(c.astype(np.uint8), bitorder="little").tobytes(), "little")
        for c in columns
    ]
