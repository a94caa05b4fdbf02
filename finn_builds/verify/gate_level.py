"""The mapped netlist against the QONNX model: the result of synthesis is verified too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from finn_builds.errors import VerificationError
from finn_builds.network import IntegerNetwork
from finn_builds.network.types import step_of
from finn_builds.sparse.device import Kind, NotSimulated
from finn_builds.stitch.blocks import SPARSE, Block
from finn_builds.stitch.streams import StreamFormat
from finn_builds.synth.gate_stream import FRAMES_PER_LANE, GateRun, run_words
from finn_builds.synth.netlist import Netlist, chain
from finn_builds.synth.report import GateLevel
from finn_builds.verify.exactness import check_equal
from finn_builds.verify.locate import Recompile, part_of
from finn_builds.verify.locate_gates import GateLocator

#: Random frames for a node that is checked alone.
NODE_FRAMES = 500
#: Clocks without any transfer after which a netlist counts as stuck, beside its own latency.
PATIENCE = 1_000


def check_gates(
    network: IntegerNetwork,
    blocks: Sequence[Block],
    netlists: Mapping[str, Netlist],
    x: np.ndarray,
    y: np.ndarray,
    known: Mapping[str, Kind],
    *,
    latency: int,
    seed: int,
    recompile: Recompile,
    waveform: Path,
    progress: Callable[[float], None] | None = None,
) -> GateLevel:
    """Compare the netlist with the reference under random stalls, whole or by sparse nodes.

    DSP blocks and memories are not simulated at gate level. Of a design that has them the sparse
    nodes are compared one by one with random frames. `netlists` are those of every block in the
    design's order, `known` says what their cells compute, `latency` is the clocks that a frame may
    take at most. Returned are ``frames`` compared of the whole design, ``mismatches``, and where
    the whole could not be simulated ``why``, and the frames of each sparse node under ``nodes``.
    `progress` is called with the share of the work that is done. Raises VerificationError on one
    mismatch, which names the first tensor that differs and leaves a `waveform`, or where words
    went missing.
    """
    idle = 2 * latency + PATIENCE
    locate = GateLocator(network, blocks, netlists, known, recompile, waveform, idle)
    into, out = blocks[0].input, blocks[-1].output
    try:
        whole = chain([netlists[block.name] for block in blocks])
        what = "the netlist after synthesis"
        ends = (into, out)
        return check_whole(
            whole,
            ends,
            x,
            y,
            known,
            latency=latency,
            seed=seed,
            what=what,
            locate=locate,
            progress=progress,
        )
    except NotSimulated as reason:
        rng = np.random.default_rng(seed)
        sparse = [block for block in blocks if block.kind == SPARSE]
        nodes = {}
        for index, block in enumerate(sparse):
            nodes[block.name] = _check_node(block, locate, rng, _part(progress, index, len(sparse)))
        return GateLevel(0, 0, why=str(reason), nodes=nodes)


def check_whole(
    netlist: Netlist,
    ends: tuple[StreamFormat, StreamFormat],
    x: np.ndarray,
    y: np.ndarray,
    known: Mapping[str, Kind],
    *,
    latency: int,
    seed: int,
    what: str,
    locate: GateLocator | None = None,
    progress: Callable[[float], None] | None = None,
) -> GateLevel:
    """Compare a netlist of the whole design, called `what`, with the reference as `check_gates`.

    `ends` are the streams at its input and output. Raises NotSimulated for cells that are not
    simulated at gate level, VerificationError if a frame differs or words went missing.
    """
    into, out = ends
    idle = 2 * latency + PATIENCE
    run = _run(
        netlist,
        x,
        into,
        out,
        known,
        seed=seed,
        idle=idle,
        progress=progress and _by_clocks(progress, into, out, latency),
    )
    story = None if locate is None else lambda frame: locate(x, frame)
    _check_run(run, y, out, what, story)
    return GateLevel(len(x), 0, run.lanes, run.clocks)


def _part(
    progress: Callable[[float], None] | None, index: int, parts: int
) -> Callable[[float], None] | None:
    """Return what reports the progress of one of some parts."""
    return progress and (lambda share: progress((index + share) / parts))


def _check_node(
    block: Block,
    locate: GateLocator,
    rng: np.random.Generator,
    progress: Callable[[float], None] | None,
) -> int:
    """Compare one sparse node with what it stands for; return the frames, 0 if it can't be."""
    network = part_of(locate.network, block)
    x = _frames(network, rng)
    seed = int(rng.integers(1 << 31))
    try:
        run = _run(
            locate.netlists[block.name],
            x,
            block.input,
            block.output,
            locate.known,
            seed=seed,
            idle=locate.idle,
            progress=progress and _by_clocks(progress, block.input, block.output, block.latency),
        )
    except NotSimulated:
        return 0
    what = f"the netlist of {block.name} after synthesis"
    y = network.execute(x)
    _check_run(run, y, block.output, what, lambda frame: locate.of_block(block, x, frame))
    return NODE_FRAMES


def _by_clocks(
    progress: Callable[[float], None], into: StreamFormat, out: StreamFormat, latency: int
) -> Callable[[int], None]:
    """Return what reports the share of a run from its clocks.

    With random stalls at both ends the slowest of some hundred lanes takes about two clocks a word;
    found with latencies of 4 and 13 clocks.
    """
    expected = latency + 2 * FRAMES_PER_LANE * max(into.beats, out.beats) + 8
    return lambda clocks: progress(min(1.0, clocks / expected))


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
    progress: Callable[[int], None] | None,
) -> GateRun:
    return run_words(
        netlist,
        into.to_beats(x),
        (into.beats, out.beats),
        out.width // 8,
        known,
        seed=seed,
        idle_limit=idle,
        progress=progress,
    )


def _check_run(
    run: GateRun,
    expected: np.ndarray,
    out: StreamFormat,
    what: str,
    locate: Callable[[int], str] | None,
) -> None:
    """Compare the output of a netlist; missing words do not count as zeros."""
    check_equal(expected, out.from_beats(run.words), what, locate)
    if run.missing:
        raise VerificationError(
            f"{what} gave {run.missing:,} words less than the QONNX model asks for and stood "
            "still. This is a fault of the flow, not of the model: please report it with the "
            "model and the command"
        )
