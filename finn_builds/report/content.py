"""What the page of a build says, as plain data: figures and where each of them comes from.

Nothing here is formatted. ``report/report.json`` is this data, without the pictures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from finn_builds.report.design import Layer, Node, Passage, Stream, Synthesis, Use


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
