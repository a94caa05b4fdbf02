"""Figures of a synthesis tool for the stitched design and each of its blocks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.files import STITCHED_DIR, TOOL_KEY, WHOLE_KEY
from finn_builds.sparse.family import Family, family_named
from finn_builds.stitch.blocks import SPARSE, Hardware
from finn_builds.stitch.sources import stitched_sources
from finn_builds.style.styles import Styles
from finn_builds.synth import vivado
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import Netlist, by_layer, chain
from finn_builds.synth.report import Synthesised
from finn_builds.synth.script import options
from finn_builds.synth.timing import SOURCE, longest_path
from finn_builds.synth.yosys import NotSynthesised, synthesise_design, version
from finn_builds.verify.gate_level import check_gates
from finn_builds.verify.streamlined import Streamlined


def step_out_of_context_synthesis(
    streamlined: Streamlined, styles: Styles, hardware: Hardware, cfg: BuildConfig
) -> Synthesised | None:
    """Write ``report/synth_resources.json``: Vivado's figures where it is installed, else Yosys'.

    Every block is synthesised alone; the whole design is the blocks' netlists joined. A block that
    could not be synthesised in the time it has says why, and then there are no figures of the
    whole. Beside each stand the estimates. What Yosys made is compared with the QONNX model, under
    random stalls, as far as it can be simulated.

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
        return None
    design = hardware.design
    folder = cfg.out / STITCHED_DIR
    names = stitched_sources(folder) + sorted(path.name for path in folder.glob("*.dat"))
    stitched = {name: (folder / name).read_text() for name in names}
    estimated = hardware.resources()
    board = cfg.board_spec
    if tool == "vivado":
        cfg.progress(0, 1, "vivado")
        report = vivado.synthesise(
            design, stitched, board.part, cfg.clock_ns, cfg.scratch / "vivado"
        )
    else:
        cfg.progress(0, len(design.stages), "yosys")
        netlists = synthesise_design(
            design,
            stitched,
            {name: node["LUT"] for name, node in estimated.items()},
            board.family,
            cfg.scratch,
            progress=lambda done, total: cfg.progress(done, total, "yosys"),
        )
        first_layers = {b.name: b.layers[0] - 1 for b in hardware.blocks if b.kind == SPARSE}
        report = yosys_report(netlists, family_named(board.family), first_layers)
        if "why" not in report[WHOLE_KEY]:
            cfg.progress(1, 1, "comparing the netlist with the model")
            report[WHOLE_KEY]["gate_level"] = _check_gates(
                streamlined, styles, hardware, netlists, cfg.verify_seed
            )
    for name, node in estimated.items():
        report[WHOLE_KEY if name == "total" else name]["estimate"] = node
    return Synthesised(report)


def _check_gates(
    streamlined: Streamlined,
    styles: Styles,
    hardware: Hardware,
    netlists: Mapping[str, Netlist | NotSynthesised],
    seed: int,
) -> dict[str, Any]:
    layers = streamlined.network.layers()
    sparse = {}
    for node in styles.nodes:
        block = node.block
        members = layers[block.layers[0] - 1 : block.layers[-1]]
        sparse[block.name] = (streamlined.network.part(members), block.input, block.output)
    known = {name: found for name, found in netlists.items() if isinstance(found, Netlist)}
    vectors = streamlined.vectors
    latency = sum(hardware.cycles().values())
    return check_gates(
        hardware.design, known, sparse, vectors.x, vectors.y, latency=latency, seed=seed
    )


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
        Nodes whose cells are counted by layer, with the number of their first one, from 0.

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
