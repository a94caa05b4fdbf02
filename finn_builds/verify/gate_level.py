"""The mapped netlist against the QONNX model: the result of synthesis is verified too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from finn_builds.errors import VerificationError
from finn_builds.network import IntegerNetwork
from finn_builds.network.types import step_of
from finn_builds.sparse.device import Kind, NotSimulated
from finn_builds.stitch.design import Design
from finn_builds.stitch.streams import StreamFormat
from finn_builds.synth.gate_stream import GateRun, run_words
from finn_builds.synth.netlist import Netlist, chain
from finn_builds.synth.report import GateLevel
from finn_builds.verify.exactness import check_equal

#: Random frames for a node that is checked alone.
NODE_FRAMES = 500
#: Clocks without any transfer after which a netlist counts as stuck, beside its own latency.
PATIENCE = 1_000


def check_gates(
    design: Design,
    netlists: Mapping[str, Netlist],
    sparse: Mapping[str, tuple[IntegerNetwork, StreamFormat, StreamFormat]],
    x: np.ndarray,
    y: np.ndarray,
    known: Mapping[str, Kind],
    *,
    latency: int,
    seed: int,
) -> GateLevel:
    """Compare the netlist with the reference under random stalls, whole or by sparse nodes.

    DSP blocks and memories are not simulated at gate level. Of a design that has them the sparse
    nodes, each given with what it stands for and its streams, are compared one by one with random
    frames. `netlists` are those of every node in the design's order, `known` says what their cells
    compute, `latency` is the clocks that a frame may take at most. Returned are ``frames`` compared
    of the whole design, ``mismatches``, and where the whole could not be simulated ``why``, and the
    frames of each sparse node under ``nodes``. Raises VerificationError on one mismatch, or where
    words went missing.
    """
    idle = 2 * latency + PATIENCE
    try:
        whole = chain(list(netlists.values()))
        what = "the netlist after synthesis"
        return check_whole(whole, design, x, y, known, latency=latency, seed=seed, what=what)
    except NotSimulated as reason:
        rng = np.random.default_rng(seed)
        nodes = {
            name: _check_node(name, netlists[name], *sparse[name], known, rng=rng, idle=idle)
            for name in netlists
            if name in sparse
        }
        return GateLevel(0, 0, why=str(reason), nodes=nodes)


def check_whole(
    netlist: Netlist,
    design: Design,
    x: np.ndarray,
    y: np.ndarray,
    known: Mapping[str, Kind],
    *,
    latency: int,
    seed: int,
    what: str,
) -> GateLevel:
    """Compare a netlist of the whole design, called `what`, with the reference as `check_gates`.

    Raises
    ------
    NotSimulated
        It has cells that are not simulated at gate level.
    VerificationError
        A frame differs, or words went missing.
    """
    idle = 2 * latency + PATIENCE
    run = _run(netlist, x, design.input, design.output, known, seed=seed, idle=idle)
    _check_run(run, y, design.output, what)
    return GateLevel(len(x), 0, run.lanes, run.clocks)


def _check_node(
    name: str,
    netlist: Netlist,
    network: IntegerNetwork,
    into: StreamFormat,
    out: StreamFormat,
    known: Mapping[str, Kind],
    *,
    rng: np.random.Generator,
    idle: int,
) -> int:
    """Compare one sparse node with what it stands for; return the frames, 0 if it can't be."""
    x = _frames(network, rng)
    try:
        run = _run(netlist, x, into, out, known, seed=int(rng.integers(1 << 31)), idle=idle)
    except NotSimulated:
        return 0
    _check_run(run, network.execute(x), out, f"the netlist of {name} after synthesis")
    return NODE_FRAMES


def _frames(network: IntegerNetwork, rng: np.random.Generator) -> np.ndarray:
    """Return random legal frames, (NODE_FRAMES, n_in), the inputs side by side."""
    parts = []
    for source in network.inputs:
        step = step_of(source.datatype)
        size = (NODE_FRAMES, source.size)
        steps = rng.integers(0, (source.high - source.low) // step + 1, size)
        parts.append(source.low + step * steps)
    return np.concatenate(parts, axis=1)


def _run(
    netlist: Netlist,
    x: np.ndarray,
    into: StreamFormat,
    out: StreamFormat,
    known: Mapping[str, Kind],
    *,
    seed: int,
    idle: int,
) -> GateRun:
    beats = (into.beats, out.beats)
    words = into.to_beats(x)
    return run_words(netlist, words, beats, out.width // 8, known, seed=seed, idle_limit=idle)


def _check_run(run: GateRun, expected: np.ndarray, out: StreamFormat, what: str) -> None:
    """Compare the output of a netlist; missing words do not count as zeros."""
    check_equal(expected, out.from_beats(run.words), what)
    if run.missing:
        raise VerificationError(
            f"{what} gave {run.missing:,} words less than the QONNX model asks for and stood "
            "still. This is a fault of the flow, not of the model: please report it with the "
            "model and the command"
        )
