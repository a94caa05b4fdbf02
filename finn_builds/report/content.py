"""What the page of a build says, as plain data: figures and where each of them comes from.

Nothing here is formatted. ``report/report.json`` is a `BuildReport` but for what is only drawn, and
for what differs between two builds of the same: the times of the steps, and the date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field

from finn_builds.ip import IpReport
from finn_builds.report.design import Drawn, Layer, Node, Passage, Stream, Synthesis, Use
from finn_builds.report.on_board import OnBoard
from finn_builds.route.report import Routed
from finn_builds.verify.accuracy import Accuracy, TargetError
from finn_builds.verify.findings import Findings
from finn_builds.verify.simulated import Performance, Verification

#: Classes of which a plot shows the curves; of more, those with the smallest areas.
MAX_CURVES = 10


@dataclass(frozen=True)
class Roc:
    """One class against all others."""

    name: str  # the class
    auc: float  # area under the curve
    # shape (n,): efficiencies along the curve
    signal: Drawn = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    background: Drawn = field(default_factory=lambda: np.empty(0), repr=False, compare=False)


@dataclass(frozen=True)
class Classes:
    """The network's answers on labelled data."""

    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]  # frames by true class (rows) and found class (columns)
    rocs: tuple[Roc, ...]  # empty where the model gives no scores
    scores: str  # what the curves are drawn over
    frames: int
    source: str  # where the data come from
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
    trained: str
    """What the model file says about its training; empty where it says nothing."""
    date: Annotated[str, Field(exclude=True)] = ""
    """When the page was made."""


@dataclass(frozen=True)
class BuildReport:
    """All that the page of a build says."""

    model: str
    board: str
    part: str
    style_asked: str
    style_why: str
    top1: bool
    accuracy: Accuracy | None
    verification: Verification
    performance: Performance
    uses: tuple[Use, ...]
    synthesis: Synthesis | None
    layers: tuple[Layer, ...]
    nodes: tuple[Node, ...]
    passages: tuple[Passage, ...]
    streams: tuple[Stream, ...]
    classes: Classes | None
    origin: Origin
    on_board: OnBoard | None  # None where there is no board
    """Throughput and latency behind the board's DMAs."""
    bitfile: dict[str, str] = field(default_factory=dict)
    """What Vivado made, in words; empty where it was not asked to."""
    target_error: TargetError | None = None
    """How far the outputs are from targets, where the data hold such."""
    findings: Findings = field(default_factory=Findings)
    """What is odd about the network and the data."""
    routed: Routed | None = None
    """What nextpnr reached, where it was asked for."""
    ip: IpReport | None = None
    """The block of the package for firmware, where it was asked for."""
    steps: Annotated[tuple[tuple[str, float], ...], Field(exclude=True)] = ()
    """Name and time of each, in s."""

    @property
    def edges(self) -> str:
        """What joins inputs to neurons: weights, table edges or both."""
        return " and ".join(dict.fromkeys(f"{x.edge}s" for x in self.layers if x.entries))

    @property
    def weights(self) -> int:
        """Weights and table edges of all layers, zeros included."""
        return sum(layer.entries for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Share of all weights and table edges that are zero."""
        return 1 - sum(layer.nonzero for layer in self.layers) / max(1, self.weights)

    @property
    def styles(self) -> str:
        """The styles of the layers in one word."""
        found = {layer.style for layer in self.layers}
        return found.pop() if len(found) == 1 else "mixed"

    @property
    def weight_types(self) -> str:
        """The types of the weights of all layers."""
        return _joined(layer.weight_type for layer in self.layers if layer.weight_type)

    @property
    def activation_types(self) -> str:
        """The types of the inputs of all layers."""
        return _joined(layer.input_type for layer in self.layers)

    @property
    def surrogate(self) -> bool:
        """The accuracy was measured on data that are not real."""
        quality = self.accuracy or self.target_error
        return quality is not None and quality.surrogate


def _joined(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
