"""The package for an existing firmware project: checked with every frame, then written."""

from __future__ import annotations

import numpy as np

from finn_builds import tools
from finn_builds.config.build import BuildConfig
from finn_builds.emulator import header_text, run_header
from finn_builds.errors import VerificationError
from finn_builds.files import write_zip
from finn_builds.ingest import HostSplit
from finn_builds.ip import IpReport, package_files, port_rows
from finn_builds.ip.check import run_core, run_gates
from finn_builds.ip.readme import names_of
from finn_builds.sparse.core_ports import CorePorts
from finn_builds.sparse.families import family_named
from finn_builds.style.styles import CORE_DIR, CORE_FILE
from finn_builds.synth.counts import FIGURES, resources
from finn_builds.synth.gates import NotSimulated
from finn_builds.synth.netlist import Netlist
from finn_builds.synth.timing import longest_path
from finn_builds.synth.yosys import NotSynthesised, synthesise_module, version
from finn_builds.verify.exactness import check_equal, mismatching_frames
from finn_builds.verify.streamlined import Streamlined

#: The package in the build folder, and as one file.
IP_DIR, IP_ZIP = "ip", "ip.zip"

#: Seconds after which Yosys is stopped: its netlist is a part of what is verified here.
LIMIT_SECONDS = 1200.0

#: Frames that the package carries at most.
_MOST_VECTORS = 1000


def step_make_ip_package(
    streamlined: Streamlined, split: HostSplit, cfg: BuildConfig
) -> IpReport | None:
    """Write ``ip/`` and ``ip.zip``: the parallel core, VHDL, test benches, the C++ emulator.

    All verification frames, and those of ``--golden``, go through the emulator, the core in the
    simulator (one every clock, and with pauses), and the netlist that Yosys maps from the core.
    Does nothing in a build without that package.

    Raises
    ------
    VerificationError
        One of them differs from the QONNX model in a frame, or the latency is not the one stated.
    """
    if not cfg.makes_ip:
        return None
    folder = cfg.out / CORE_DIR
    core = CorePorts.load(folder / CORE_FILE)
    name = core.name
    sources = {
        file: (folder / file).read_text(encoding="utf-8")
        for file in (f"{name}.v", f"{name}_model.vhd")
    }
    vectors, network = streamlined.vectors, streamlined.network
    x, expected = vectors.x, vectors.y
    if streamlined.golden is not None:
        # Those are equal to the user's integers; the ingest compares them.
        x = np.concatenate([x, streamlined.golden.x])
        expected = np.concatenate([expected, streamlined.golden.y])
    found = {}
    cfg.progress(0, 5, "the C++ emulator")
    ports = [(port.name, port.datatype) for port in (*core.inputs, *core.outputs)]
    header = header_text(network, name, split.description, ports)
    emulator = cfg.scratch / "emulator"
    emulator.mkdir()
    (emulator / f"{name}.h").write_text(header, encoding="utf-8")
    found["emulator"] = run_header(emulator / f"{name}.h", x, expected.shape[1], emulator)
    cfg.progress(1, 5, "the parallel core in the simulator")
    run = run_core(core, sources[f"{name}.v"], x, cfg.scratch / "core", cfg.verify_seed + 1)
    found["parallel core"] = run.y
    found["parallel core with pauses"] = run.with_pauses
    cfg.progress(2, 5, "the parallel core in Yosys")
    netlist = _netlist(core, sources[f"{name}.v"], cfg)
    counts: dict[str, int] = {}
    path_ns = None
    kind = "estimated"
    if isinstance(netlist, Netlist):
        every = resources(netlist, family_named(cfg.target.family).kinds)
        counts = {name: every[name] for name in FIGURES if name in every}
        kind = f"Yosys {version()}, not placed"
        path_ns = round(longest_path(netlist, family_named(cfg.target.family)).ns, 2)
        try:
            found["netlist of the parallel core"] = run_gates(
                core,
                netlist,
                x,
                family_named(cfg.target.family).kinds,
                lambda share: cfg.progress(3 + share, 5, "comparing the core's netlist"),
            )
        except NotSimulated as reason:
            kind += f"; not simulated: {reason}"
    elif netlist is not None:
        kind = f"estimated; {netlist.why}"
    for what, y in found.items():
        check_equal(expected, y, f"the {what}")
    if run.latencies != (core.latency,) or run.interval != 1:
        raise VerificationError(
            f"the parallel core was to have a latency of {core.latency} and an interval of 1, "
            f"found latencies {run.latencies} and an interval of {run.interval}. This is a fault "
            "of the flow: please report it with the model and the command"
        )
    installed = tools.versions()
    report = IpReport(
        name=name,
        part=cfg.target.part,
        clock_ns=cfg.clock_ns,
        ports=port_rows(core),
        latency_cycles=run.latencies[0],
        interval_cycles=run.interval,
        stage_ns=core.stage_ns,
        caveat=family_named(cfg.target.family).caveat,
        frames=len(x),
        mismatches={what: len(mismatching_frames(expected, y)) for what, y in found.items()},
        simulator=f"Verilator {installed['verilator']}",
        compiler=f"g++ {installed['g++']}",
        resources=counts,
        resources_kind=kind,
        critical_path_ns=path_ns,
        estimated={"LUT": core.luts, "FF": core.flip_flops},
    )
    cfg.progress(4, 5, "writing")
    most = slice(_MOST_VECTORS)
    host = split.host
    chosen = network.head is not None
    names = names_of(core, host.feature_names, host.class_names, chosen=chosen)
    files = package_files(core, sources, header, x[most], expected[most], report, names)
    for file, text in files.items():
        path = cfg.out / IP_DIR / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    written = [cfg.out / IP_DIR / file for file in sorted(files)]
    write_zip(cfg.out / IP_ZIP, name, cfg.out / IP_DIR, written)
    return report


def _netlist(core: CorePorts, verilog: str, cfg: BuildConfig) -> Netlist | NotSynthesised | None:
    """Return the core as Yosys maps it, None where no synthesis is asked for."""
    if cfg.synth == "none":
        return None
    ports = [(f"{row.direction}put", row.name, row.bits) for row in port_rows(core)]
    family = family_named(cfg.target.family)
    return synthesise_module(
        verilog, core.name, ports, family, cfg.scratch / "yosys", limit=LIMIT_SECONDS
    )
