"""Figures of a synthesis tool for the stitched design and each of its blocks."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from finn_builds.config.build import BuildConfig
from finn_builds.files import NETLIST_WAVEFORM_FILE, STITCHED_DIR, write_json
from finn_builds.sparse.families import family_named
from finn_builds.sparse.family import Family
from finn_builds.stitch.blocks import SPARSE, Hardware
from finn_builds.stitch.sources import stitched_sources
from finn_builds.style.styles import compile_block
from finn_builds.synth import vivado
from finn_builds.synth.counts import SITES, resources
from finn_builds.synth.netlist import Netlist, by_layer, chain
from finn_builds.synth.report import Figures, GateLevel, Synthesised, Tool
from finn_builds.synth.script import options
from finn_builds.synth.sites import lut_sites
from finn_builds.synth.timing import SOURCE, longest_path
from finn_builds.synth.yosys import NotSynthesised, synthesise_design, version
from finn_builds.tools import ToolFailed
from finn_builds.verify.gate_level import check_gates
from finn_builds.verify.streamlined import Streamlined
from finn_builds.vivado.reports import ReportError

#: Share of the step's time that Yosys takes, of the shipped models; the comparison has the rest.
MAPPING = 0.8
COMPARING = "comparing the netlist with the model"
#: All that Vivado said.
VIVADO_LOG = "report/out_of_context_vivado.log"


def step_out_of_context_synthesis(
    streamlined: Streamlined, hardware: Hardware, cfg: BuildConfig
) -> Synthesised | None:
    """Write ``report/synth_resources.json``: Yosys' figures, or Vivado's with Yosys' beside them.

    With Yosys every block is synthesised alone; the whole design is the blocks' netlists joined. A
    block that could not be synthesised in the time it has says why, and then there are no figures
    of the whole. What Yosys made is compared with the QONNX model, under random stalls, as far as
    it can be simulated. Beside each stand the estimates.

    ``synth="auto"`` runs both tools where Vivado is installed, and Yosys alone elsewhere; if Vivado
    fails then, the figures are Yosys' and say so. Does nothing with ``synth="none"``.

    Raises
    ------
    ToolFailed
        The tool refused a source.
    VerificationError
        The netlist does not compute what the model does.
    """
    if cfg.synth == "none":
        return None
    folder = cfg.out / STITCHED_DIR
    names = stitched_sources(folder) + sorted(path.name for path in folder.glob("*.dat"))
    stitched = {name: (folder / name).read_text(encoding="utf-8") for name in names}
    by_yosys = by_vivado = None
    if cfg.synth != "vivado":
        by_yosys = _with_yosys(streamlined, hardware, stitched, cfg)
    if cfg.synth == "vivado" or (cfg.synth == "auto" and shutil.which("vivado") is not None):
        cfg.progress(0, 1, "vivado")
        try:
            by_vivado = vivado.synthesise(
                hardware.design,
                stitched,
                cfg.target.part,
                cfg.clock_ns,
                cfg.scratch / "vivado",
                log=cfg.out / VIVADO_LOG,
            )
        except (ToolFailed, ReportError):
            if by_yosys is None:
                raise
            # Nobody asked for it: an edition without the device is no reason to stop.
            stage = f"{by_yosys.tool.stage}; Vivado was tried, too, and failed: see {VIVADO_LOG}"
            by_yosys = replace(by_yosys, tool=replace(by_yosys.tool, stage=stage))
    found = beside(by_vivado, by_yosys)
    estimated = hardware.resources()
    timing = ooc_timing(found, cfg.clock_ns, max(hardware.cycles().values()))
    if timing is not None:
        write_json(cfg.out / "report/ooc_synth_and_timing.json", timing)
    return Synthesised(
        replace(found.top, estimate=estimated["total"]),
        {name: replace(one, estimate=estimated[name]) for name, one in found.blocks.items()},
        found.tool,
    )


def beside(by_vivado: Synthesised | None, by_yosys: Synthesised | None) -> Synthesised:
    """Return the figures of the one tool that ran, or Vivado's with Yosys' counts beside them.

    The result of the netlist check, which is of Yosys' netlist, is kept.
    """
    if by_vivado is None or by_yosys is None:
        found = by_vivado or by_yosys
        assert found is not None, "one of the tools has run"
        return found

    def both(one: Figures, other: Figures) -> Figures:
        return replace(one, yosys=dict(other.counts) or None)

    return replace(
        by_vivado,
        top=replace(both(by_vivado.top, by_yosys.top), gate_level=by_yosys.top.gate_level),
        blocks={name: both(one, by_yosys.blocks[name]) for name, one in by_vivado.blocks.items()},
    )


def _with_yosys(
    streamlined: Streamlined,
    hardware: Hardware,
    stitched: Mapping[str, str],
    cfg: BuildConfig,
) -> Synthesised:
    """Return what Yosys found, and check the netlist it made."""
    design = hardware.design
    family = family_named(cfg.target.family)
    cfg.progress(0, 1, "yosys")
    netlists = synthesise_design(
        design,
        stitched,
        {name: node["LUT"] for name, node in hardware.resources().items()},
        family,
        cfg.scratch,
        progress=lambda done, total: cfg.progress(MAPPING * done / total, 1, "yosys"),
    )
    first_layers = {b.name: b.layers[0] - 1 for b in hardware.blocks if b.kind == SPARSE}
    found = yosys_report(netlists, family, first_layers)
    if found.top.why is not None:
        return found
    cfg.progress(MAPPING, 1, COMPARING)
    gates = _check_gates(streamlined, hardware, netlists, family, cfg)
    return replace(found, top=replace(found.top, gate_level=gates))


def ooc_timing(
    found: Synthesised, clock_ns: float, max_cycles: int
) -> dict[str, int | float | str] | None:
    """Return what FINN's ``ooc_synth_and_timing.json`` holds; None if there are no figures.

    FINN's are after place and route. These are not, which ``kind`` says.
    """
    path = found.top.critical_path_ns
    if found.top.why is not None or path is None:
        return None
    fmax = 1000 / path
    return {
        **found.top.counts,
        "clk_period_ns": clock_ns,
        "WNS": round(clock_ns - path, 3),
        "fmax_mhz": fmax,
        "estimated_throughput_fps": 1e6 * fmax / max_cycles,
        "kind": f"{found.tool.name} {found.tool.version}, {found.tool.stage}; timing estimated",
    }


def _check_gates(
    streamlined: Streamlined,
    hardware: Hardware,
    netlists: Mapping[str, Netlist | NotSynthesised],
    family: Family,
    cfg: BuildConfig,
) -> GateLevel:
    known = {name: found for name, found in netlists.items() if isinstance(found, Netlist)}
    vectors = streamlined.vectors
    return check_gates(
        streamlined.network,
        hardware.blocks,
        known,
        vectors.x,
        vectors.y,
        family.kinds,
        latency=sum(hardware.cycles().values()),
        seed=cfg.verify_seed,
        recompile=lambda block: compile_block(
            streamlined.network,
            block,
            family=cfg.target.family,
            clock_ns=cfg.planned_ns,
            latency=cfg.latency_cycles,
        ),
        waveform=cfg.out / NETLIST_WAVEFORM_FILE,
        progress=lambda share: cfg.progress(MAPPING + (1 - MAPPING) * share, 1, COMPARING),
    )


def yosys_report(
    netlists: Mapping[str, Netlist | NotSynthesised],
    delays: Family,
    first_layers: Mapping[str, int],
) -> Synthesised:
    """Return the figures of a design that Yosys has mapped node by node.

    The netlists come in the order of the design, `delays` for the estimate of the critical path.
    `first_layers` are nodes whose cells are counted by layer, with the number of their first one,
    from 0. A node that was not synthesised says why alone; then so does the whole, with what the
    others sum up to.
    """
    known = {name: found for name, found in netlists.items() if isinstance(found, Netlist)}
    blocks = {}
    for name, found in netlists.items():
        if isinstance(found, NotSynthesised):
            blocks[name] = Figures(why=found.why)
            continue
        layers = None
        if name in first_layers:
            parts = by_layer(found)
            layers = {
                "stream" if k is None else str(first_layers[name] + k): resources(
                    parts[k], delays.kinds, found
                )
                for k in sorted(parts, key=lambda k: (k is None, k))
            }
        blocks[name] = replace(_figures(found, delays), layers=layers)
    if len(known) == len(netlists) == 1:
        top = replace(*blocks.values(), layers=None)
    elif len(known) == len(netlists):
        top = _figures(chain(list(known.values())), delays)
    else:
        missing = ", ".join(name for name in netlists if name not in known)
        sums: Counter[str] = Counter()
        for found in known.values():
            sums.update(resources(found, delays.kinds))
        top = Figures(why=f"not synthesised: {missing}", others=dict(sums))
    tool = Tool(
        name="Yosys",
        version=version(),
        options=options(delays),
        stage="every node out of context, the whole joined from the nodes; not placed",
        critical_path=SOURCE,
    )
    return Synthesised(top, blocks, tool)


def _figures(netlist: Netlist, delays: Family) -> Figures:
    path = longest_path(netlist, delays)
    counts: dict[str, float] = {**resources(netlist, delays.kinds)}
    if delays.wide:
        counts |= {
            name: lut_sites(netlist, bypass=bypass)
            for name, bypass in zip(SITES, (True, False), strict=True)
        }
    return Figures(counts, path.depth, path.ns)
