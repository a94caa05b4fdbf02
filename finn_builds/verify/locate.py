"""Which tensor of the network is the first that hardware gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finn_builds.network import IntegerNetwork, Tensor
from finn_builds.network.ops import IntArray
from finn_builds.sparse.compiler import CompiledNetwork
from finn_builds.sparse.probes import Difference, Probes
from finn_builds.stitch.blocks import MVAU, SPARSE, THRESHOLDING, TOP1, Block
from finn_builds.verify.waves import Waves

#: Frames around the one that differs that are sent again, and frames of the verification that
#: show how sums lie on nets.
BEFORE, AFTER, SAMPLES = 2, 2, 300

#: Compiles a sparse block again, to the same nets.
Recompile = Callable[[Block], CompiledNetwork]


@dataclass(frozen=True)
class Boundary:
    """What a stream between two blocks carries: tensors side by side, their integers by frame."""

    tensors: tuple[Tensor, ...]
    values: IntArray  # (frames, n)

    def element(self, at: int) -> tuple[str, int]:
        """Return tensor and number of an element of the stream."""
        for tensor in self.tensors:
            if at < tensor.size:
                return tensor.name, at
            at -= tensor.size
        raise IndexError(at)


def boundaries(network: IntegerNetwork, blocks: Sequence[Block], x: IntArray) -> list[Boundary]:
    """Return what each stream carries for frames (frames, n_in), the input first."""
    values = network.values(network.split(x))
    layers = network.layers()

    def boundary(tensors: Sequence[Tensor]) -> Boundary:
        parts = [values[tensor.name] for tensor in tensors]
        return Boundary(tuple(tensors), np.concatenate(parts, axis=1))

    found = [boundary(network.inputs)]
    for block in blocks:
        if block.kind == TOP1:
            found.append(boundary([network.output]))
        elif block.kind in (SPARSE, THRESHOLDING):
            found.append(boundary(layers[block.layers[-1] - 1].outputs))
        elif block.kind == MVAU:
            found.append(boundary([layers[block.layers[-1] - 1].accumulators]))
        else:
            found.append(found[-1])
    return found


def part_of(network: IntegerNetwork, block: Block) -> IntegerNetwork:
    """Return the layers of a block as a network."""
    return network.part(network.layers()[block.layers[0] - 1 : block.layers[-1]])


@dataclass(frozen=True)
class Handshakes:
    """The edges at which a stream takes a beat, and those at which it would."""

    taken: list[int]
    ready: list[int]

    @classmethod
    def of(cls, waves: Waves, stream: str, reset: str) -> Handshakes:
        """Find the handshakes of a stream, by the path of its wires in front of ``_tvalid``."""
        running = [e for e in range(waves.edges) if waves.bits(reset, e)]
        ready = [e for e in running if waves.bits(f"{stream}_tready", e)]
        return cls([e for e in ready if waves.bits(f"{stream}_tvalid", e)], ready)


def in_pipeline(
    probes: Probes, waves: Waves, handshakes: Handshakes, frame: int, scope: str
) -> tuple[Difference, int] | None:
    """Return the first net of a sparse block that differs, and the edge at which it does.

    None if none does, or the block never took the frame.

    Parameters
    ----------
    handshakes
        Of the block's input.
    frame
        Its number among the frames that the block took, which those of `probes` begin with.
    scope
        In front of the names of the datapath's nets.
    """
    if frame >= len(handshakes.taken):
        return None
    # The pipeline moves at each edge at which the input is ready.
    begin = handshakes.ready.index(handshakes.taken[frame])
    moves = handshakes.ready[begin:]

    def read(net: str, stage: int) -> tuple[int, int] | None:
        return waves.at(f"{scope}{net}", moves[stage]) if stage < len(moves) else None

    found = probes.first_difference(frame, read)
    return None if found is None else (found, moves[found.stage])


def probes_of(
    recompile: Recompile, network: IntegerNetwork, block: Block, x: IntArray, samples: IntArray
) -> Probes:
    """Return the nets of a sparse block, for frames at its input and then further ones."""
    return Probes(recompile(block), part_of(network, block), np.concatenate([x, samples]))


def edge_of(waves: Waves, stream: str, reset: str, beat: int) -> int:
    """Return the edge at which a beat passes a stream, the last that did if it never came."""
    taken = Handshakes.of(waves, stream, reset).taken
    return taken[min(beat, len(taken) - 1)] if taken else 0


@dataclass(frozen=True)
class Finding:
    """Where a frame first goes wrong."""

    element: tuple[str, int] | None  # tensor and number; None: a net of no tensor's own
    block: str
    expected: int
    found: int | None  # None: nothing came
    net: str = ""  # where the difference begins
    edge: int = 0  # of the clock, in the waveform


def in_words(
    finding: Finding, network: IntegerNetwork, frame: int, waveform: Path, remark: str = ""
) -> str:
    """Return two sentences for the user."""
    what = "none by itself"
    if finding.element is not None:
        tensor, element = finding.element
        origin = next((n.origin for n in network.nodes if n.output.name == tensor), "")
        what = f"'{tensor}'{f' (of {origin})' if origin else ''}, element {element}"
    found = "nothing" if finding.found is None else finding.found
    return (
        f"The first tensor that differs in frame {frame} is {what}, in {finding.block}: expected "
        f"{finding.expected}, found {found}, beginning with {finding.net}{remark}. See it with "
        f"`gtkwave {waveform}`, at time {2 * finding.edge + 1}"
    )


def finding_of(difference: Difference, block: str, path: str, edge: int) -> Finding:
    """Return the finding for a net that differs at an edge of the clock."""
    net = f"net {path} (expected {difference.values[0]}, found {difference.values[1]})"
    if difference.element is None or difference.integers is None:
        return Finding(None, block, *difference.values, net, edge)
    element = difference.element.tensor, difference.element.index
    return Finding(element, block, *difference.integers, net, edge)


def compare_boundary(expected: Boundary, frame: int, found: IntArray, block: str) -> Finding | None:
    """Return the first element of a stream's frame that differs, if any; `found` may be short."""
    for at, value in enumerate(expected.values[frame].tolist()):
        if at >= len(found):
            return Finding(expected.element(at), block, value, None)
        if int(found[at]) != value:
            return Finding(expected.element(at), block, value, int(found[at]))
    return None
