"""What the page of a build says, as plain data: figures and where each of them comes from.

Nothing here is formatted. ``report/report.json`` is this data, without the pictures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

#: Resources that the page shows, in its order, under FINN's names.
RESOURCES = ("LUT", "FF", "DSP", "BRAM_18K")

MEASURED = "measured"
ESTIMATED = "estimated"
SYNTHESISED = "synthesised"


@dataclass(frozen=True)
class Accuracy:
    """How often the network is right.

    Attributes
    ----------
    share, error : float
        Share of right classes and its standard error.
    frames : int
        Frames it was measured on.
    source : str
        Where these come from.
    surrogate : bool
        They are drawn from statistics of the real data, not real.
    before_input_quantizer : float or None
        The share of the model as it was given, where this flow put a quantiser before its input.
    """

    share: float
    error: float
    frames: int
    source: str
    surrogate: bool
    before_input_quantizer: float | None = None


@dataclass(frozen=True)
class Verification:
    """What the hardware was compared with, and with what outcome.

    Attributes
    ----------
    frames, mismatches : int
        Frames that were compared, and how many of them differ.
    inputs, reference, simulator : str
        Where the frames come from, what they were compared with, what executed the hardware.
    runs : dict of str to int
        Cycles of each run, by what the run was.
    """

    frames: int
    mismatches: int
    inputs: str
    reference: str
    simulator: str
    runs: dict[str, int]


@dataclass(frozen=True)
class Timing:
    """Cycles measured in simulation; times follow from the clock that was asked for."""

    latency_cycles: int
    latency_ns: float
    interval_cycles: float
    fps: float


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
    style: str
    folding: tuple[int, int] | None
    node: str
    as_sparse: dict[str, int] | None
    weights: np.ndarray = field(repr=False, compare=False)

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
        Its layers and what is around them, where the synthesised cells could be told apart.
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


@dataclass(frozen=True)
class Roc:
    """One class against all others.

    Attributes
    ----------
    name : str
        The class.
    auc : float
        Area under the curve.
    signal, background : ndarray of float64, shape (n,)
        Efficiencies along the curve.
    """

    name: str
    auc: float
    signal: np.ndarray = field(repr=False, compare=False)
    background: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Classes:
    """The network's answers on labelled data.

    Attributes
    ----------
    names : tuple of str
    confusion : ndarray of int64, shape (n, n)
        Frames by true class (rows) and found class (columns).
    rocs : tuple of Roc
        Empty where the model gives no scores.
    scores : str
        What the curves are drawn over.
    frames : int
    source : str
        Where the data come from.
    surrogate : bool
    """

    names: tuple[str, ...]
    confusion: np.ndarray = field(repr=False, compare=False)
    rocs: tuple[Roc, ...]
    scores: str
    frames: int
    source: str
    surrogate: bool


@dataclass(frozen=True)
class Origin:
    """What a build was made from, and how to make it again."""

    command: str
    """Repeats the build."""
    seeds: dict[str, int]
    """By what they are for."""
    versions: dict[str, str]
    """Of all packages that decide the result."""
    sources: str
    """Digest of this project's sources."""
    date: str
    """When the page was made."""
    trained: str
    """What the model file says about its training; empty where it says nothing."""


@dataclass(frozen=True)
class BuildReport:
    """All that the page of a build says."""

    model: str
    board: str
    part: str
    clock_ns: float
    style_asked: str
    style_why: str
    top1: bool
    accuracy: Accuracy | None
    verification: Verification
    timing: Timing
    uses: tuple[Use, ...]
    synthesis: Synthesis | None
    layers: tuple[Layer, ...]
    nodes: tuple[Node, ...]
    passages: tuple[Passage, ...]
    streams: tuple[Stream, ...]
    classes: Classes | None
    steps: tuple[tuple[str, float], ...]
    origin: Origin

    @property
    def weights(self) -> int:
        """Weights of all layers, zeros included."""
        return sum(layer.n_in * layer.n_out for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Share of all weights that are zero."""
        return 1 - sum(layer.nonzero for layer in self.layers) / self.weights

    @property
    def styles(self) -> str:
        """The styles of the layers in one word."""
        found = {layer.style for layer in self.layers}
        return found.pop() if len(found) == 1 else "mixed"

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON types.

        Matrices of weights and curves are left out, and so is what differs between two builds of
        the same: the times of the steps, which are in ``time_per_step.json``, and the date.
        """
        content = asdict(self)
        del content["steps"], content["origin"]["date"]
        for layer in content["layers"]:
            del layer["weights"]
        if content["classes"] is not None:
            content["classes"]["confusion"] = self.classes.confusion.tolist()  # type: ignore[union-attr]
            for roc in content["classes"]["rocs"]:
                del roc["signal"], roc["background"]
        return content
