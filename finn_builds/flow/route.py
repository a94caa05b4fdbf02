"""Place and route with open tools: the clock that is reached, the placed netlist, a bitstream."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.config.build import BuildConfig
from finn_builds.config.open_boards import OpenBoard
from finn_builds.errors import UserError
from finn_builds.files import ROUTE_DIR, STITCHED_DIR
from finn_builds.route import nextpnr
from finn_builds.route.design import device_files, map_device
from finn_builds.route.device import uart_spec
from finn_builds.route.nextpnr import Timing
from finn_builds.route.placed import accelerator_of, cells_used, port_names
from finn_builds.route.report import Routed, Used
from finn_builds.shell.uart import BOARD_TOP, board_file, uart_files, uart_sources
from finn_builds.sparse.device import NotSimulated
from finn_builds.sparse.families import family_named
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
    if not isinstance(board, OpenBoard) or not (cfg.route or cfg.bitfile):
        return None
    family = family_named(board.family)
    router = family.router
    assert router is not None
    version = nextpnr.version(router)
    spec, pll = uart_spec(board, stitched, cfg.clock_ns)
    cfg.progress(0, cfg.seeds + 2, "mapping the whole device")
    folder = cfg.out / STITCHED_DIR
    names = stitched_sources(folder) + sorted(path.name for path in folder.glob("*.dat"))
    sources = {name: (folder / name).read_text() for name in names}
    shell = {path.name: path.read_text() for path in uart_sources()}
    shell |= {**uart_files(spec), **board_file(pll)}
    netlist = map_device(
        device_files(sources, shell, family), family, cfg.scratch / "map", MAP_SECONDS
    )
    pins = router.constraints(board.pins, board.clock_mhz)
    key = _key(netlist, pins, board.part, version, spec.mhz, cfg.seeds)
    kept = Path(cfg.output_dir or cfg.out) / CACHE / key
    if not kept.is_dir():
        _place(cfg, board, netlist, pins, spec.mhz, kept)
    found = json.loads((kept / "seeds.json").read_text())
    shutil.copytree(kept, cfg.out / ROUTE_DIR)
    timing = nextpnr.timing_of(json.loads((kept / nextpnr.REPORT).read_text()))
    comparing = "comparing the placed netlist with the model"
    cfg.progress(cfg.seeds + 1, cfg.seeds + 2, comparing)
    placed = accelerator_of(
        json.loads((kept / nextpnr.PLACED).read_text()), port_names(netlist["modules"][BOARD_TOP])
    )
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
    own = cells_used(placed, router.bucket)
    return Routed(
        part=board.part,
        tool=router.distribution,
        version=version,
        timing=router.timing,
        asked_mhz=round(1000 / cfg.clock_ns, 3),
        made_mhz=round(spec.mhz, 3),
        routed_mhz=timing.mhz,
        planned_ns=cfg.planned_ns,
        estimated_ns=synthesised.top.critical_path_ns if synthesised else None,
        logic_ns=timing.logic_ns,
        wire_ns=timing.wire_ns,
        path=timing.path,
        cells={
            kind: Used(used, available, own.get(kind))
            for kind, (used, available) in timing.cells.items()
            if used
        },
        seed=int(found["kept"]),
        seeds=found["seeds"],
        gate_level=gates,
        netlist=key,
    )


def _key(
    netlist: Mapping[str, Any], pins: str, part: str, version: str, mhz: float, seeds: int
) -> str:
    """Return the hash of all that decides a placement; where things were written does not."""
    plain = {
        name: {
            cell: [found["type"], found["parameters"], found["connections"]]
            for cell, found in module["cells"].items()
        }
        for name, module in netlist["modules"].items()
    }
    text = json.dumps([plain, pins, part, version, mhz, seeds], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _place(
    cfg: BuildConfig,
    board: OpenBoard,
    netlist: Mapping[str, Any],
    pins: str,
    mhz: float,
    kept: Path,
) -> None:
    """Place and route, make the bitstream of the fastest seed, and keep what matters of it."""
    router = family_named(board.family).router
    assert router is not None
    work = cfg.scratch / "place"
    seeds = range(1, cfg.seeds + 1)
    cfg.progress(1, cfg.seeds + 2, "placing and routing")
    found = nextpnr.route(
        router,
        board.part,
        netlist,
        pins,
        mhz,
        seeds,
        work,
        limit=ROUTE_SECONDS,
        progress=lambda done, of: cfg.progress(1 + done, of + 2, "placing and routing"),
    )
    timings = {seed: one for seed, one in found.items() if isinstance(one, Timing)}
    if not timings:
        raise UserError(
            f"--route: nothing could be placed on {board.name} ({board.part}): {found[seeds[0]]}. "
            "Choose a larger board or a smaller model"
        )
    best = max(timings, key=lambda seed: timings[seed].mhz)
    folder = work / f"seed_{best}"
    call = nextpnr.command(router.pack(board.part), folder, "pack.log", ROUTE_SECONDS)
    tools.run(call.argv, cwd=folder, log=call.log, timeout=call.timeout)
    fresh = kept.with_name(kept.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in (nextpnr.PLACED, nextpnr.REPORT, nextpnr.PINS, nextpnr.LOG, nextpnr.BITSTREAM):
        shutil.copyfile(folder / name, fresh / name)
    told = {str(seed): one.mhz if isinstance(one, Timing) else one for seed, one in found.items()}
    (fresh / "seeds.json").write_text(json.dumps({"kept": best, "seeds": told}) + "\n")
    fresh.rename(kept)
