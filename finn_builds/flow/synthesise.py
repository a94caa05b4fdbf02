"""Figures of a synthesis tool for the stitched design and each of its nodes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.build import BuildConfig
from finn_builds.files import (
    SYNTHESIS_FILE,
    TOOL_KEY,
    VECTORS_FILE,
    WHOLE_KEY,
    read_json,
    write_json,
)
from finn_builds.flow.estimate import layer_cycles
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.shapes import node_layers, sparse_nodes
from finn_builds.sparse.family import Family, family_named
from finn_builds.stitch.design import Design, design_of
from finn_builds.stitch.streams import StreamFormat
from finn_builds.synth import vivado
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import Netlist, by_layer, chain
from finn_builds.synth.script import options
from finn_builds.synth.timing import SOURCE, longest_path
from finn_builds.synth.yosys import NotSynthesised, synthesise_design, version
from finn_builds.verify.gate_level import check_gates


def step_out_of_context_synthesis(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write ``report/synth_resources.json``: Vivado's figures where it is installed, else Yosys'.

    Every node is synthesised alone; the whole design is the nodes' netlists joined. A node that
    could not be synthesised in the time it has says why, and then there are no figures of the
    whole. Beside each stand the estimates of ``estimate_layer_resources_final.json``. What Yosys
    made is compared with the QONNX model, under random stalls, as far as it can be simulated.

    Does nothing with ``synth="none"``.

    Raises
    ------
    ToolFailed
        The tool refused a source.
    VerificationError
        The netlist does not compute what the model does.
    """
    tool = cfg.synth
    if tool == "auto":
        tool = "yosys" if shutil.which("vivado") is None else "vivado"
    if tool == "none":
        return model
    prepare_finn(cfg.out / "ipgen")
    design = design_of(model)
    folder = cfg.out / "stitched_ip"
    names = (folder / "all_verilog_srcs.txt").read_text().split()
    names += sorted(path.name for path in folder.glob("*.dat"))
    stitched = {name: (folder / name).read_text() for name in names}
    estimated = read_json(cfg.out / "report" / "estimate_layer_resources_final.json")
    if tool == "vivado":
        cfg.progress(0, 1, "vivado")
        report = vivado.synthesise(
            design, stitched, cfg.board_spec.part, cfg.clock_ns, cfg.scratch / "vivado"
        )
    else:
        cfg.progress(0, len(design.stages), "yosys")
        netlists = synthesise_design(
            design,
            stitched,
            {name: node["LUT"] for name, node in estimated.items()},
            cfg.board_spec.family,
            cfg.scratch,
            progress=lambda done, total: cfg.progress(done, total, "yosys"),
        )
        layers = node_layers(model)
        first_layers = {node.name: layers[node.name][0] - 1 for node in sparse_nodes(model)}
        report = yosys_report(netlists, family_named(cfg.board_spec.family), first_layers)
        if "why" not in report[WHOLE_KEY]:
            cfg.progress(1, 1, "comparing the netlist with the model")
            report[WHOLE_KEY]["gate_level"] = _check_gates(model, cfg, design, netlists)
    for name, node in estimated.items():
        report[WHOLE_KEY if name == "total" else name]["estimate"] = node
    write_json(cfg.out / SYNTHESIS_FILE, report)
    return model


def _check_gates(
    model: ModelWrapper,
    cfg: BuildConfig,
    design: Design,
    netlists: Mapping[str, Netlist | NotSynthesised],
) -> dict[str, Any]:
    sparse = {}
    for node in sparse_nodes(model):
        op = getCustomOp(node)
        ends = (
            StreamFormat(op.get_input_datatype().name, op.get_nodeattr("numInputs"), 1),
            StreamFormat(op.get_output_datatype().name, op.get_nodeattr("numOutputs"), 1),
        )
        sparse[node.name] = (op.network(op.initializers(model)), *ends)
    with np.load(cfg.out / VECTORS_FILE) as vectors:
        x, y = vectors["x"], vectors["y"]
    known = {name: found for name, found in netlists.items() if isinstance(found, Netlist)}
    latency = sum(layer_cycles(model).values())
    return check_gates(design, known, sparse, x, y, latency=latency, seed=cfg.verify_seed)


def yosys_report(
    netlists: Mapping[str, Netlist | NotSynthesised],
    delays: Family,
    first_layers: Mapping[str, int],
) -> dict[str, Any]:
    """Return the figures of a design that Yosys has mapped node by node.

    Parameters
    ----------
    netlists : mapping of str to Netlist or NotSynthesised
        By node, in the order of the design.
    delays : Family
        For the estimate of the critical path.
    first_layers : mapping of str to int
        Nodes whose cells are told apart by layer, with the number of their first one, from 0.

    Returns
    -------
    dict
        ``(top)``, every node and ``tool``. A node that was not synthesised has ``why`` alone;
        then so has ``(top)``, with what the others sum up to under ``others``.
    """
    known = {name: found for name, found in netlists.items() if isinstance(found, Netlist)}
    report: dict[str, Any] = {WHOLE_KEY: {}}
    for name, found in netlists.items():
        if isinstance(found, NotSynthesised):
            report[name] = {"why": found.why}
            continue
        report[name] = _figures(found, delays)
        if name in first_layers:
            parts = by_layer(found)
            report[name]["layers"] = {
                "stream" if k is None else str(first_layers[name] + k): resources(parts[k])
                for k in sorted(parts, key=lambda k: (k is None, k))
            }
    if len(known) == len(netlists):
        report[WHOLE_KEY] = _figures(chain(list(known.values())), delays)
    else:
        missing = [name for name in netlists if name not in known]
        sums: dict[str, int] = {}
        for found in known.values():
            for key, value in resources(found).items():
                sums[key] = sums.get(key, 0) + value
        report[WHOLE_KEY] = {"why": f"not synthesised: {', '.join(missing)}", "others": sums}
    report[TOOL_KEY] = {
        "name": "Yosys",
        "version": version(),
        "options": options(delays.name),
        "stage": "every node out of context, the whole joined from the nodes; not placed",
        "critical_path": SOURCE,
    }
    return report


def _figures(netlist: Netlist, delays: Family) -> dict[str, Any]:
    path = longest_path(netlist, delays)
    return {**resources(netlist), "logic_depth": path.depth, "critical_path_ns": path.ns}
