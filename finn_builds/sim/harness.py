"""The C++ text that joins verilated designs to the simulation engine: pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

__all__ = ["design_source", "engine_source", "port_widths", "registry_source"]

_HERE = Path(__file__).parent
_ENGINE = ("engine.h", "run_dir.h", "session.h", "engine.cpp")
_PORT = re.compile(r"VL_(?:IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")


def engine_source() -> dict[str, str]:
    """Return the files of the engine, which are the same for every design, by name."""
    return {name: (_HERE / name).read_text(encoding="utf-8") for name in _ENGINE}


def design_source(
    *, prefix: str, name: str, top: str, in_bytes: int, out_bytes: int, links: Sequence[str]
) -> str:
    """Return the text that makes one verilated model a design of the engine.

    `prefix` is the C++ class of the model (Verilator's `--prefix`) and names its header; `links`
    are in the order the data take.
    """
    return Template((_HERE / "design.cpp.tmpl").read_text(encoding="utf-8")).substitute(
        prefix=prefix,
        header=f"{prefix}.h",
        name=name,
        top=top,
        in_bytes=in_bytes,
        out_bytes=out_bytes,
        links="".join(f'"{link}", ' for link in links),
        n_links=len(links),
    )


def registry_source(prefixes: Sequence[str]) -> str:
    """Return the table of all designs in a shared object."""
    externs = "\n".join(f"extern const prunestream::DesignInfo {p}_info;" for p in prefixes)
    table = ",\n    ".join(f"&{p}_info" for p in prefixes)
    return (
        "// The designs in this shared object. Generated.\n"
        '#include "engine.h"\n\n'
        f"{externs}\n\n"
        "namespace prunestream {\n"
        f"const DesignInfo* const designs[] = {{\n    {table}}};\n"
        f"const uint32_t n_designs = {len(prefixes)};\n"
        "}  // namespace prunestream\n"
    )


def port_widths(model_header: str) -> dict[str, int]:
    """Return the width in bits of every port that a verilated model's header declares."""
    return {name: int(high) - int(low) + 1 for name, high, low in _PORT.findall(model_header)}
