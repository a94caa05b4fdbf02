"""What synthesis found, as it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finn_builds.files import SYNTHESIS_FILE, TOOL_KEY, WHOLE_KEY, read_json, write_json
from finn_builds.synth.counts import DETAILS, FIGURES, SITES


@dataclass(frozen=True)
class Tool:
    """What synthesised the design."""

    name: str
    version: str
    options: list[str]  # the commands it was given
    stage: str  # what was synthesised, and how far
    critical_path: str  # what the estimate of the longest path rests on


@dataclass(frozen=True)
class GateLevel:
    """The mapped netlist, compared with the QONNX model gate by gate under random stalls."""

    # Frames that went through the whole design, and how many of them differ
    frames: int
    mismatches: int
    # Frames at a time, and the length of the run
    lanes: int | None = None
    clocks: int | None = None
    why: str | None = None  # why the whole could not be simulated
    # Then the random frames compared of each sparse node, 0 where it can't be simulated either
    nodes: dict[str, int] | None = None


@dataclass(frozen=True)
class Figures:
    """What synthesis found for one block or the whole design."""

    # Resources as `synth.counts.resources` names them; empty where nothing was synthesised
    counts: dict[str, int | float] = field(default_factory=dict)
    # LUT, multiplexer and carry cells in a row between two registers
    logic_depth: int | None = None
    critical_path_ns: float | None = None  # estimate of the longest path before placement
    # Of fused sparse layers: the counts of each by its number, from 0, and under ``stream`` of what
    # belongs to none
    layers: dict[str, dict[str, int]] | None = None
    gate_level: GateLevel | None = None  # of the whole design
    why: str | None = None  # why it was not synthesised
    # Of a design that was not: the counts of the blocks that were, summed up
    others: dict[str, int] | None = None
    estimate: dict[str, int] | None = None  # what was estimated before
    # Beside the counts of another tool: those of Yosys for the same sources. What the netlist check
    # has simulated is Yosys' netlist, so this is how far the other's is from it
    yosys: dict[str, int | float] | None = None


@dataclass(frozen=True)
class Synthesised:
    """Figures of a synthesis tool for the whole design and each of its blocks."""

    top: Figures
    blocks: Mapping[str, Figures]
    tool: Tool

    def save(self, out: Path, step: str) -> None:
        """Write ``report/synth_resources.json``: the counts among the other figures of a block."""
        content: dict[str, Any] = {}
        for name, figures in {WHOLE_KEY: self.top, **self.blocks}.items():
            plain = asdict(figures, dict_factory=_known)
            content[name] = {**plain.pop("counts"), **plain}
        write_json(out / SYNTHESIS_FILE, {**content, TOOL_KEY: asdict(self.tool)})

    @classmethod
    def load(cls, out: Path, step: str) -> Synthesised:
        """Read what `save` wrote."""
        from pydantic import TypeAdapter

        content = read_json(out / SYNTHESIS_FILE)
        tool = Tool(**content.pop(TOOL_KEY))
        counted = (*FIGURES, *DETAILS, *SITES)
        blocks = TypeAdapter(dict[str, Figures]).validate_python(
            {
                name: {**found, "counts": {key: found[key] for key in counted if key in found}}
                for name, found in content.items()
            }
        )
        return cls(blocks.pop(WHOLE_KEY), blocks, tool)


def _known(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}
