"""What the page of a build says of the hardware, as plain data: layers, nodes, traffic, amounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field, InstanceOf

#: An array of which the page shows a picture; ``report/report.json`` leaves it out.
Drawn = Annotated[InstanceOf[np.ndarray], Field(exclude=True)]

#: Resources that the page shows, in its order, under FINN's names.
RESOURCES = ("LUT", "FF", "DSP", "BRAM_18K")

ESTIMATED = "estimated"
SYNTHESISED = "synthesised"


@dataclass(frozen=True)
class Use:
    """One resource of the whole design."""

    name: str  # FINN's name of it
    # What the design needs; None where it is not known
    estimated: float | None
    synthesised: float | None
    device: int  # what the board's device holds

    @property
    def best(self) -> float | None:
        """The synthesised figure, or the estimated one where there is none."""
        return self.estimated if self.synthesised is None else self.synthesised

    @property
    def kind(self) -> str:
        """What kind of figure ``best`` is."""
        return ESTIMATED if self.synthesised is None else SYNTHESISED

    @property
    def share(self) -> float | None:
        """Share of the device that ``best`` is."""
        return None if self.best is None or not self.device else self.best / self.device


@dataclass(frozen=True)
class Layer:
    """One layer of the network and the hardware it became.

    What is said of weights holds of table edges where `tables` is set: an edge whose table has one
    value only counts as a zero.
    """

    # Inputs and neurons
    n_in: int
    n_out: int
    # QONNX names
    input_type: str
    weight_type: str
    accumulator_type: str
    output_type: str
    steps: int  # thresholds of a neuron; 0 where the layer gives its accumulators
    nonzero: int  # weights that are not zero
    # Least, mean (rounded) and most weights of a neuron that are not zero
    fan_in: tuple[int, int, int]
    idle_neurons: int  # neurons without any weight but zero
    # Neurons whose output no input of the network can change
    constant_neurons: int
    style: str  # ``folded`` or ``sparse``
    folding: tuple[int, int] | None  # PE and SIMD of a folded layer
    node: str  # the hardware node that computes it
    # What the layer alone was estimated to cost as sparse logic: LUT and latency in cycles
    as_sparse: dict[str, int] | None
    # Entries of its matrices
    entries: int
    tables: bool = False  # each edge is a table of an input's codes, not a weight
    # What each of its operations does, where it is more than edges and thresholds
    operations: tuple[str, ...] = ()
    # shape (n_in, n_out); empty where there is not one matrix; of tables, how far each moves a sum
    weights: Drawn = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)
    # shape (n_in, n_out, codes): the tables; empty where there are weights
    curves: Drawn = field(default_factory=lambda: np.empty((0, 0, 0)), repr=False, compare=False)

    @property
    def edge(self) -> str:
        """What joins an input to a neuron."""
        return "table edge" if self.tables else "weight"

    @property
    def sparsity(self) -> float:
        """Share of weights that are zero."""
        return 1 - self.nonzero / self.entries if self.entries else 0.0


@dataclass(frozen=True)
class Part:
    """Resources of a part of a node: a layer alone as estimated, and as it was synthesised."""

    name: str
    estimated: dict[str, float]
    synthesised: dict[str, float]


@dataclass(frozen=True)
class Synthesis:
    """What synthesised the design, and how long its longest path is before placement."""

    # Name and version, and what was synthesised how far
    tool: str
    stage: str = ""
    path_ns: float | None = None  # estimated longest path between two registers in ns
    depth: int | None = None  # levels of logic between two registers
    path_source: str = ""  # what the estimate of the path rests on
    why_not: str = ""  # why there are no figures of the whole design, where there are none
    gates: str = ""  # what the mapped netlist was compared with, gate by gate
    sites: str = ""  # LUT sites of a Xilinx device


@dataclass(frozen=True)
class Node:
    """Resources of one hardware node."""

    # Its name, and what it is in words
    name: str
    kind: str
    layers: tuple[int, ...]  # layers that it computes, counted from 1
    # By resource; empty where they are not known
    estimated: dict[str, float]
    synthesised: dict[str, float]
    # Why there is no synthesised figure, or Yosys' count beside another tool's
    note: str = ""
    # Its layers and what is around them, where the synthesised cells could be counted by layer
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Passage:
    """One frame's way through one node, in cycles from its first beat at the input."""

    name: str
    kind: str
    # First beat taken, first beat given, last beat given
    enters: int
    first_out: int
    leaves: int
    adds: int  # cycles by which the node puts off the last beat of the frame
    # For several layers in one pipeline: what each adds, from the placed registers
    parts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Stream:
    """What one stream did between its first and its last beat of the free run."""

    # The nodes at its ends; ``input`` and ``output`` outside
    source: str
    sink: str
    beats: int
    window: int  # cycles from the first to the last beat
    # Shares of these cycles in which a beat moved, and in which one waited for the receiver
    moved: float
    stalled: float

    @property
    def empty(self) -> float:
        """Share of the cycles in which there was nothing to move."""
        return max(0.0, 1 - self.moved - self.stalled)
