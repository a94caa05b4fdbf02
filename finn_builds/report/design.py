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
    """One resource of the whole design.

    Attributes
    ----------
    name : str
        FINN's name of it.
    estimated, synthesised : float or None
        What the design needs; None where it is not known.
    device : int
        What the board's device holds.
    """

    name: str
    estimated: float | None
    synthesised: float | None
    device: int

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

    Attributes
    ----------
    n_in, n_out : int
        Inputs and neurons.
    input_type, weight_type, accumulator_type, output_type : str
        QONNX names.
    steps : int
        Thresholds of a neuron; 0 where the layer gives its accumulators.
    nonzero : int
        Weights that are not zero.
    fan_in : tuple of int
        Least, mean (rounded) and most weights of a neuron that are not zero.
    idle_neurons : int
        Neurons without any weight but zero.
    constant_neurons : int
        Neurons whose output no input of the network can change.
    style : str
        ``folded`` or ``sparse``.
    folding : tuple of int or None
        PE and SIMD of a folded layer.
    node : str
        The hardware node that computes it.
    as_sparse : dict or None
        What the layer alone was estimated to cost as sparse logic: LUT and latency in cycles.
    weights : ndarray of int64, shape (n_in, n_out)
    """

    n_in: int
    n_out: int
    input_type: str
    weight_type: str
    accumulator_type: str
    output_type: str
    steps: int
    nonzero: int
    fan_in: tuple[int, int, int]
    idle_neurons: int
    constant_neurons: int
    style: str
    folding: tuple[int, int] | None
    node: str
    as_sparse: dict[str, int] | None
    weights: Drawn = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)

    @property
    def sparsity(self) -> float:
        """Share of weights that are zero."""
        return 1 - self.nonzero / (self.n_in * self.n_out)


@dataclass(frozen=True)
class Part:
    """Resources of a part of a node: a layer alone as estimated, and as it was synthesised."""

    name: str
    estimated: dict[str, float]
    synthesised: dict[str, float]


@dataclass(frozen=True)
class Synthesis:
    """What synthesised the design, and how long its longest path is before placement.

    Attributes
    ----------
    tool, stage : str
        Name and version, and what was synthesised how far.
    path_ns : float or None
        Estimated longest path between two registers in ns.
    depth : int or None
        Levels of logic between two registers.
    path_source : str
        What the estimate of the path rests on.
    why_not : str
        Why there are no figures of the whole design, where there are none.
    gates : str
        What the mapped netlist was compared with, gate by gate.
    """

    tool: str
    stage: str = ""
    path_ns: float | None = None
    depth: int | None = None
    path_source: str = ""
    why_not: str = ""
    gates: str = ""


@dataclass(frozen=True)
class Node:
    """Resources of one hardware node.

    Attributes
    ----------
    name, kind : str
        Its name, and what it is in words.
    layers : tuple of int
        Layers that it computes, counted from 1.
    estimated, synthesised : dict of str to float
        By resource; empty where they are not known.
    note : str
        Why there is no synthesised figure, where there is a reason.
    parts : tuple of Part
        Its layers and what is around them, where the synthesised cells could be counted by layer.
    """

    name: str
    kind: str
    layers: tuple[int, ...]
    estimated: dict[str, float]
    synthesised: dict[str, float]
    note: str = ""
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Passage:
    """One frame's way through one node, in cycles from its first beat at the input.

    Attributes
    ----------
    name, kind : str
    enters, first_out, leaves : int
        First beat taken, first beat given, last beat given.
    adds : int
        Cycles by which the node puts off the last beat of the frame.
    parts : tuple of (str, int)
        For several layers in one pipeline: what each adds, from the placed registers.
    """

    name: str
    kind: str
    enters: int
    first_out: int
    leaves: int
    adds: int
    parts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Stream:
    """What one stream did between its first and its last beat of the free run.

    Attributes
    ----------
    source, sink : str
        The nodes at its ends; ``input`` and ``output`` outside.
    beats : int
    window : int
        Cycles from the first to the last beat.
    moved, stalled : float
        Shares of these cycles in which a beat moved, and in which one waited for the receiver.
    """

    source: str
    sink: str
    beats: int
    window: int
    moved: float
    stalled: float

    @property
    def empty(self) -> float:
        """Share of the cycles in which there was nothing to move."""
        return max(0.0, 1 - self.moved - self.stalled)
