"""Place and route with open tools: the clock that is reached, the placed netlist, a bitstream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.config.build import BuildConfig
from finn_builds.config.fingerprint import file_digest
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.second_opinion import second_opinion
from finn_builds.errors import UserError
from finn_builds.files import ROUTE_DIR, STITCHED_DIR
from finn_builds.route import nextpnr
from finn_builds.route.design import device_files, map_device
from finn_builds.route.device import Device, device_alone, open_device
from finn_builds.route.dual_luts import split_dual_luts
from finn_builds.route.kept import copy, is_whole, keep
from finn_builds.route.nextpnr import Timing
from finn_builds.route.placed import accelerator_of, cells_used, port_names
from finn_builds.route.report import SITES, THROUGH, Routed, Used
from finn_builds.route.sites import sites_of
from finn_builds.shell.uart import BOARD_TOP
from finn_builds.sparse.device import NotSimulated
from finn_builds.sparse.families import family_named
from finn_builds.sparse.family import Family
from finn_builds.sparse.routing import BoardRouter, ProgramRouter
from finn_builds.stitch.blocks import Hardware
from finn_builds.stitch.sources import Stitched, stitched_sources
from finn_builds.synth.report import GateLevel, Synthesised
from finn_builds.verify.gate_level import check_whole
from finn_builds.verify.streamlined import Streamlined

#: Seconds after which mapping of a device, and a placement, are stopped.
MAP_SECONDS = 1800.0
ROUTE_SECONDS = 3600.0

#: Finished placements by the hash of what was placed, in the build folder; nobody's output.
CACHE = ".route_cache"

_NOT_SIMULATED = "cells of 7-series as nextpnr places them are not simulated"


def step_place_and_route(
    streamlined: Streamlined,
    hardware: Hardware,
    stitched: Stitched,
    synthesised: Synthesised | None,
    cfg: BuildConfig,
) -> Routed | None:
    """Write ``report/route.json`` and ``route/``: nextpnr's figures, placed netlist and bitstream.

    The accelerator goes into a whole device with its serial shell. Of several seeds the fastest
    is kept. The placed netlist is compared with the QONNX model under random stalls, where its
    cells can be simulated (DSP blocks and memories can't). A netlist that was placed before, with
    the same settings and version, is not placed again.

    On a 7-series board it is a second opinion: the accelerator alone among shift registers, its
    routed timing and its LUT sites; no bitstream, and the placed netlist is not simulated.

    Does nothing without ``route``, or ``bitfile`` for an open board.

    Raises
    ------
    UserError
        The board can't make the clock, or nothing could be placed: the design is too large.
    ToolFailed
        A tool refused what this project wrote.
    VerificationError
        The placed netlist does not compute what the model does.
    """
    board = None if cfg.board is None else cfg.board_spec
    # Asked first: for other boards the step does not depend on the options that follow.
    is_open = isinstance(board, OpenBoard)
    if board is None or not (cfg.route or (is_open and cfg.bitfile)):
        return None
    family = family_named(board.family)
    chipdb = None
    if isinstance(board, OpenBoard):
        device = open_device(board, stitched, cfg.out / STITCHED_DIR, cfg.clock_ns)
    else:
        router = second_opinion(cfg.target, cfg.chipdb)
        device = device_alone(cfg.target, router, stitched, cfg.clock_ns)
        chipdb = Path(str(cfg.chipdb))
    version = nextpnr.version(device.router)
    cfg.progress(0, cfg.seeds + 2, "mapping the whole device")
    folder = cfg.out / STITCHED_DIR
    names = stitched_sources(folder) + sorted(path.name for path in folder.glob("*.dat"))
    sources = {name: (folder / name).read_text() for name in names}
    netlist = map_device(
        device_files(sources, device.shell, family, device.router),
        device.router,
        cfg.scratch / "map",
        MAP_SECONDS,
    )
    if isinstance(device.router, ProgramRouter):
        netlist = _without_dual_luts(device, device.router, netlist, cfg.scratch / "pack", chipdb)
    key = _key(netlist, device, version, chipdb)
    cache = Path(cfg.output_dir or cfg.out) / CACHE / key
    found = _placements(cfg, device, netlist, cache, chipdb)
    timings = {seed: one for seed, one in found.items() if isinstance(one, Timing)}
    if not timings:
        raise _nothing(device, str(found[1]))
    best = max(timings, key=lambda seed: timings[seed].mhz)
    kept, timing = cache / _seed(best), timings[best]
    copy(kept, cfg.out / ROUTE_DIR)
    module = netlist["modules"][BOARD_TOP]
    written = json.loads((kept / nextpnr.PLACED).read_text())
    if is_open:
        gates, own = _simulated(written, module, streamlined, hardware, family, cfg)
        cells = _cells(timing, own)
    else:
        gates = GateLevel(0, 0, why=_NOT_SIMULATED)
        sites = sites_of(written, module["cells"])
        luts = timing.cells.get("SLICE_LUTX", (0, 0))[1] // 2
        cells = {
            kind: Used(whole, luts, own)
            for kind, (whole, own) in ((SITES, sites.used), (THROUGH, sites.through))
        } | _cells(timing, {})
    return Routed(
        part=device.part,
        tool=device.router.name,
        version=version,
        timing=device.router.timing,
        asked_mhz=round(1000 / cfg.clock_ns, 3),
        made_mhz=round(device.mhz, 3),
        routed_mhz=timing.mhz,
        planned_ns=cfg.planned_ns,
        estimated_ns=synthesised.top.critical_path_ns if synthesised else None,
        logic_ns=timing.logic_ns,
        wire_ns=timing.wire_ns,
        path=timing.path,
        cells=cells,
        seed=best,
        seeds={str(n): one.mhz if isinstance(one, Timing) else one for n, one in found.items()},
        gate_level=gates,
        netlist=key,
        around=device.around,
        second_opinion=not is_open,
    )


def _cells(timing: Timing, own: Mapping[str, int]) -> dict[str, Used]:
    """Return the cells in use by the tool's kinds, with the accelerator's of them."""
    return {
        kind: Used(used, available, own.get(kind))
        for kind, (used, available) in timing.cells.items()
        if used
    }


def _simulated(
    written: Mapping[str, Any],
    module: Mapping[str, Any],
    streamlined: Streamlined,
    hardware: Hardware,
    family: Family,
    cfg: BuildConfig,
) -> tuple[GateLevel, dict[str, int]]:
    """Compare a placed netlist with the model; return what was compared, and its cells by kind."""
    router = family.router
    assert router is not None
    comparing = "comparing the placed netlist with the model"
    cfg.progress(cfg.seeds + 1, cfg.seeds + 2, comparing)
    placed = accelerator_of(written, port_names(module))
    vectors = streamlined.vectors
    try:
        gates = check_whole(
            placed,
            (hardware.design.input, hardware.design.output),
            vectors.x,
            vectors.y,
            family.kinds,
            latency=sum(hardware.cycles().values()),
            seed=cfg.verify_seed,
            what="the netlist after placement",
            progress=lambda share: cfg.progress(cfg.seeds + 1 + share, cfg.seeds + 2, comparing),
        )
    except NotSimulated as reason:
        gates = GateLevel(0, 0, why=str(reason))
    return gates, cells_used(placed, router.bucket, family.kinds)


def _without_dual_luts(
    device: Device,
    router: ProgramRouter,
    netlist: dict[str, Any],
    folder: Path,
    chipdb: Path | None,
) -> dict[str, Any]:
    """Return the netlist for a version that splits LUTs of two outputs, or that does not.

    Its log of packing says whether it does.
    """
    work = nextpnr.work_folder(folder, netlist, device.pins, chipdb)
    call = nextpnr.command(router.pack_only(device.part), work, nextpnr.LOG, MAP_SECONDS)
    try:
        log = tools.run(call.argv, cwd=work, log=call.log, timeout=call.timeout).stdout
    except tools.ToolFailed as failure:
        raise UserError(
            f"--route: {router.program} did not pack the design for {device.board} "
            f"({device.part}): {nextpnr.reason(failure, MAP_SECONDS)}. Check that the program is "
            "built for 7-series, and that it made the file of --chipdb for this part"
        ) from None
    return netlist if router.splits(log) else split_dual_luts(netlist)


def _nothing(device: Device, why: str) -> UserError:
    return UserError(f"--route: nothing could be placed on {device.board} ({device.part}): {why}")


def _key(netlist: Mapping[str, Any], device: Device, version: str, chipdb: Path | None) -> str:
    """Return the hash of all that decides a placement but its seed; paths of files do not."""
    plain = {
        name: {
            cell: [found["type"], found["parameters"], found["connections"]]
            for cell, found in module["cells"].items()
        }
        for name, module in netlist["modules"].items()
    }
    settings = [device.pins, device.part, version, device.mhz]
    settings += [] if chipdb is None else [file_digest(chipdb)]
    text = json.dumps([plain, *settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _seed(seed: int) -> str:
    return f"seed_{seed}"


def _placements(
    cfg: BuildConfig,
    device: Device,
    netlist: Mapping[str, Any],
    cache: Path,
    chipdb: Path | None,
) -> dict[int, Timing | str]:
    """Return what every seed reached, or why it reached nothing; place those not in the cache.

    What matters of a placement is kept in the cache, with its bitstream, as soon as it is there.
    """
    router = device.router
    work = cfg.scratch / "place"
    seeds = range(1, cfg.seeds + 1)
    found: dict[int, Timing | str] = {
        seed: nextpnr.timing_in(cache / _seed(seed))
        for seed in seeds
        if is_whole(cache / _seed(seed))
    }

    def say() -> None:
        cfg.progress(1 + len(found), cfg.seeds + 2, "placing and routing")

    say()
    missing = [seed for seed in seeds if seed not in found]
    placed = nextpnr.route(
        router,
        device.part,
        netlist,
        device.pins,
        device.mhz,
        missing,
        work,
        limit=ROUTE_SECONDS,
        chipdb=chipdb,
    )
    for seed, one in placed:
        folder = work / _seed(seed)
        if isinstance(one, Timing):
            if isinstance(router, BoardRouter):
                call = nextpnr.command(router.pack(device.part), folder, "pack.log", ROUTE_SECONDS)
                tools.run(call.argv, cwd=folder, log=call.log, timeout=call.timeout)
            keep(folder, cache / _seed(seed))
        found[seed] = one
        say()
    return {seed: found[seed] for seed in seeds}
