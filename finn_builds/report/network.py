"""Reads layers, nodes and their resources of a finished build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from finn_builds.config.device import Resources as Device
from finn_builds.network import IntegerNetwork, Linear, Requantise, Tensor
from finn_builds.network import Node as NetworkNode
from finn_builds.network.types import weight_datatype
from finn_builds.report.design import RESOURCES, Layer, Node, Part, Synthesis, Use
from finn_builds.report.edges import edge_curves, spreads
from finn_builds.stitch.blocks import (
    FIFO,
    MVAU,
    SPARSE,
    THRESHOLDING,
    TOP1,
    WIDTH_CONVERTER,
    Block,
    Hardware,
)
from finn_builds.style.styles import StyledLayer, Styles
from finn_builds.synth.counts import SITES
from finn_builds.synth.report import Figures, GateLevel, Synthesised

_KINDS = {
    MVAU: "matrix-vector unit",
    THRESHOLDING: "thresholds",
    WIDTH_CONVERTER: "width converter",
    TOP1: "top-1",
}


def kind_of(block: Block) -> str:
    """Return what a block is, in words."""
    if block.kind == FIFO:
        return f"FIFO of {block.stage.depth}"
    if block.kind == SPARSE:
        count = len(block.layers)
        return f"{count} sparse layers" if count > 1 else "sparse layer"
    return _KINDS.get(block.kind, block.kind)


def layers_of(network: IntegerNetwork, hardware: Hardware, styles: Styles) -> tuple[Layer, ...]:
    """Return the layers of a network and the hardware that each became."""
    main = {
        number: block
        for block in reversed(hardware.blocks)
        for number in block.layers  # reversed: the MVAU wins over the thresholding after it
    }
    made = []
    for number, (layer, style) in enumerate(zip(network.layers(), styles.layers, strict=True), 1):
        block = main[number]
        folding, last = block.folding, layer.nodes[-1].op
        matrices = [linear.weights for linear in layer.linears]
        sums = [node.output.datatype for node in layer.nodes if isinstance(node.op, Linear)]
        curves = edge_curves(layer)
        if curves is not None:
            matrices = [spreads(curves)]
        counts = [np.count_nonzero(matrix, axis=0) for matrix in matrices]
        fan_in = np.concatenate(counts) if counts else np.zeros(1, dtype=np.int64)
        ends = [(t.low == t.high).sum() for t in layer.outputs]
        drawn = layer.is_dense or curves is not None
        alone = style.as_sparse
        made.append(
            Layer(
                n_in=layer.n_in,
                n_out=layer.n_out,
                input_type=_types(layer.inputs),
                weight_type=_types_of(
                    map(weight_datatype, matrices if curves is None else [curves])
                ),
                accumulator_type=_types_of(sums),
                output_type=_types(layer.outputs),
                steps=last.form.top if isinstance(last, Requantise) else 0,
                nonzero=int(fan_in.sum()),
                fan_in=(int(fan_in.min()), round(float(fan_in.mean())), int(fan_in.max())),
                idle_neurons=int((fan_in == 0).sum()),
                constant_neurons=int(sum(ends)),
                style=style.style,
                folding=(folding["PE"], folding["SIMD"]) if style.style == "folded" else None,
                node=block.name,
                as_sparse=None
                if alone is None
                else {name: int(alone[name]) for name in ("LUT", "latency")},
                entries=sum(matrix.size for matrix in matrices),
                tables=curves is not None,
                operations=() if drawn else _operations(layer.nodes),
                weights=matrices[0] if drawn else np.empty((0, 0)),
                curves=np.empty((0, 0, 0)) if curves is None else curves,
            )
        )
    return tuple(made)


def _types(tensors: Iterable[Tensor]) -> str:
    return _types_of(tensor.datatype for tensor in tensors)


def _types_of(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _operations(nodes: Iterable[NetworkNode]) -> tuple[str, ...]:
    """Return what each node does, in words."""
    return tuple(f"{node.output.name}: {node.op}" for node in nodes)


def nodes_of(
    hardware: Hardware, styles: Styles, synthesised: Synthesised | None
) -> tuple[Node, ...]:
    """Return the resources of every block, estimated and, where there are any, synthesised."""
    made = []
    for block in hardware.blocks:
        found = Figures() if synthesised is None else synthesised.blocks[block.name]
        guess: dict[str, float] = {**block.resources.rounded()}
        if block.flip_flops is not None:
            guess["FF"] = block.flip_flops
        made.append(
            Node(
                name=block.name,
                kind=kind_of(block),
                layers=block.layers,
                estimated=_shown(guess),
                synthesised=_shown(found.counts),
                note=found.why or _by_yosys(found),
                parts=_parts(found, styles.layers) if len(block.layers) > 1 else (),
            )
        )
    return tuple(made)


def _by_yosys(found: Figures) -> str:
    """Return what Yosys counts of a block that another tool has counted, too."""
    return f"{found.yosys['LUT']:,.0f} LUT by Yosys" if found.yosys else ""


def uses_of(
    nodes: Sequence[Node], synthesised: Synthesised | None, device: Device | None
) -> tuple[Use, ...]:
    """Return what a design needs of each resource, and what the device has, 0 if unknown."""
    top = {} if synthesised is None else _shown(synthesised.top.counts)
    uses = []
    for name in RESOURCES:
        known = [node.estimated[name] for node in nodes if name in node.estimated]
        # A sum over some of the nodes only would pass for the whole.
        total = float(sum(known)) if len(known) == len(nodes) else None
        uses.append(Use(name, total, top.get(name), getattr(device, name, 0)))
    return tuple(uses)


def synthesis_of(found: Synthesised | None) -> Synthesis | None:
    """Return what synthesised the design and how, or None where nothing did."""
    if found is None:
        return None
    tool, top = found.tool, found.top
    return Synthesis(
        tool=f"{tool.name} {tool.version}",
        stage=tool.stage,
        path_ns=top.critical_path_ns,
        depth=top.logic_depth,
        path_source=tool.critical_path,
        why_not=top.why or "",
        gates="" if top.gate_level is None else _gates(top.gate_level),
        sites=_sites(top.counts),
    )


def _sites(counts: Mapping[str, float]) -> str:
    """Return what the LUTs of a Xilinx design take of slices, in words."""
    if not all(name in counts for name in SITES):
        return ""
    bypass, fed = (counts[name] for name in SITES)
    return (
        f"In a slice two small LUTs can share a site, and some sites only feed a carry cell: the "
        f"design takes {bypass:,.0f} LUT sites if slices' bypass pins feed carry cells too, "
        f"{fed:,.0f} if not (counted over the netlist; Vivado's packing is not known)."
    )


def _gates(found: GateLevel) -> str:
    """Return what was run through the mapped netlist, in words."""
    if found.frames:
        return (
            f"{found.frames:,} frames through the mapped netlist, gate by gate with random "
            f"stalls: {found.mismatches:,} mismatches."
        )
    nodes = {name: frames for name, frames in (found.nodes or {}).items() if frames}
    if nodes:
        return (
            f"Of the mapped netlist {', '.join(nodes)} alone could be compared, gate by gate with "
            f"{min(nodes.values()):,} random frames: 0 mismatches."
        )
    return f"The mapped netlist was not compared: {found.why}."


def _shown(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the resources that the page shows."""
    return {name: float(counts[name]) for name in RESOURCES if name in counts}


def _parts(found: Figures, chosen: Sequence[StyledLayer]) -> tuple[Part, ...]:
    """Return the layers of a node, and what is around them, whose cells were counted by layer.

    The synthesis step counts layers from 0, the page from 1.
    """
    parts = []
    for key, counts in (found.layers or {}).items():
        name = "around the layers"
        alone: Mapping[str, Any] = {}
        if key.isdigit():
            name = f"layer {int(key) + 1}"
            alone = chosen[int(key)].as_sparse or {}
        parts.append(Part(name, {k: v for k, v in _shown(alone).items() if v}, _shown(counts)))
    return tuple(parts)
