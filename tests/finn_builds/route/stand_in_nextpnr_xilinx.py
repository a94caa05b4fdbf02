"""A stand-in for openXC7's nextpnr-xilinx: it takes what that takes, and writes what that writes.

The program itself was never run here. Its options, the lines of its log, the form of the netlist
that it writes and what it refuses are those of its sources (``common/command.cc``,
``common/timing.cc``, ``xilinx/main.cc``, ``xilinx/pack.cc``, ``xilinx/pack_io_xc7.cc``); the times
and places are made up. With ``--old`` before all others, set by the test, it is a version from
before August 2026, which routes no O5 of a LUT6_2.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

VALUES = {"--chipdb", "--json", "--xdc", "--write", "--seed", "--freq"}
SWITCHES = {"--pack-only", "--timing-allow-fail"}
KNOWN = {
    *(f"LUT{k}" for k in range(1, 7)), "LUT6_2", "INV", "CARRY4", "MUXF7", "MUXF8",
    "FDRE", "FDSE", "IBUF", "OBUF", "BUFG",
}  # fmt: skip

LOG = """\
Info: Max frequency for clock 'clk': 140.06 MHz (PASS at {mhz:.2f} MHz)

Info: Slack histogram:
Info: [   500,   1000) |****+
Info: Routing..
Info: Critical path report for clock 'clk' (posedge -> posedge):
Info: curr total
Info:  0.1  0.1  Source {start}.Q
Info:  1.4  1.5    Net {net} budget 10.000000 ns (10,20) -> (11,24)
Info:                Sink {lut}.A3
Info:  0.1  1.6  Source {lut}.O6
Info:  0.9  2.5    Net {net}$next budget 10.000000 ns (11,24) -> (12,25)
Info:                Sink {end}.D
Info:  0.1  2.6  Setup {end}.D
Info: 0.3 ns logic, 2.3 ns routing

Info: Critical path report for cross-domain path '<async>' -> 'posedge clk':
Info: curr total
Info:  0.0  0.0  Source rx$iob.O
Info:  3.0  3.0    Net rx budget 10.000000 ns (0,0) -> (9,9)
Info:                Sink other.D

{level}: Max frequency for clock 'clk': {reached:.2f} MHz ({verdict} at {mhz:.2f} MHz)

Info: Max delay <async>      -> posedge clk: 3.00 ns
"""


def fail(text: str) -> None:
    """Stop as the program does."""
    print(f"ERROR: {text}", file=sys.stderr)
    sys.exit(255)


def options(argv: list[str]) -> dict[str, str]:
    """Read the command line."""
    found = {}
    while argv:
        name = argv.pop(0)
        if name in VALUES:
            found[name] = argv.pop(0)
        elif name in SWITCHES:
            found[name] = ""
        else:
            print(f"unrecognised option '{name}'")
            sys.exit(255)
    return found


def main(argv: list[str]) -> None:
    """Do what the arguments say."""
    old = argv[:1] == ["--old"]
    if old:
        argv.pop(0)
    if argv == ["--version"]:
        name = '"nextpnr-xilinx" -- Next Generation Place and Route'
        print(f"{name} (Version 0.8.2-{1 if old else 2}-gabcdef)", file=sys.stderr)
        return
    given = options(argv)
    if "--chipdb" not in given or not Path(given["--chipdb"]).is_file():
        fail("chip database binary must be provided")
    if Path(given["--chipdb"]).read_bytes() != b"chip":
        fail(f"Unable to read chipdb {given['--chipdb']}")
    modules = json.loads(Path(given["--json"]).read_text())["modules"]
    (top,) = (m for m in modules.values() if "top" in m["attributes"])
    constrained = Path(given["--xdc"]).read_text()
    for port in top["ports"]:
        if not re.search(rf"IOSTANDARD LVCMOS33 \[get_ports {port}\]$", constrained, re.M):
            fail(f"port {port} of type PAD has no IOSTANDARD property")
    for name, cell in top["cells"].items():
        if cell["type"] not in KNOWN:
            fail(f"cell type '{cell['type']}' of '{name}' is not known")
    duals = [name for name, cell in top["cells"].items() if cell["type"] == "LUT6_2"]
    cells = placed(top, old)
    used = {
        kind: sum(c["type"] == kind for c in cells.values()) for kind in ("SLICE_LUTX", "CARRY4")
    }
    said = ["Info: Packing LUTs.."]
    if duals and not old:
        said.append(f"Info:     split {len(duals)} LUT6_2 cell(s) into LUT5/LUT6 pairs")
    said.append("\nInfo: Device utilisation:")
    for kind, there in (("SLICE_LUTX", 106400), ("CARRY4", 13300)):
        said.append(f"Info: \t{kind:>20}: {used[kind]:5d}/{there:5d} {used[kind] // 1000:5d}%")
    print("\n".join(said), file=sys.stderr)
    if "--pack-only" in given:
        return
    if duals and old:
        fail(f"No wire found for port O5 on source cell {duals[0]}.")
    mhz, reached = float(given["--freq"]), 100.0 + int(given["--seed"])
    own = [name for name in cells if name.startswith("design.accelerator.")]
    passed = reached > mhz
    print(
        LOG.format(
            start=own[0], net=f"{own[0]}_Q", lut=own[1], end=own[-1], mhz=mhz, reached=reached,
            verdict="PASS" if passed else "FAIL", level="Info" if passed else "Warning",
        ),
        file=sys.stderr,
    )  # fmt: skip
    written = {"modules": {"top": {"cells": cells, "netnames": {}, "ports": top["ports"]}}}
    Path(given["--write"]).write_text(json.dumps(written))


def placed(top: dict[str, Any], old: bool) -> dict[str, Any]:
    """Put each LUT into a site of its own, and one that is routed through under each carry cell."""
    cells: dict[str, Any] = {}
    sites = 0

    def put(name: str, kind: str, bel: str) -> None:
        cells[name] = {"type": kind, "attributes": {"NEXTPNR_BEL": bel}}

    for name, cell in top["cells"].items():
        slice_ = f"SLICE_X{sites // 400}Y{sites // 4 % 100}"
        letter = "ABCD"[sites % 4]
        if cell["type"] == "LUT6_2" and not old:
            put(f"{name}$LUT5", "SLICE_LUTX", f"{slice_}/{letter}5LUT")
            put(f"{name}$LUT6", "SLICE_LUTX", f"{slice_}/{letter}6LUT")
            sites += 1
        elif cell["type"].startswith(("LUT", "INV")):
            put(name, "SLICE_LUTX", f"{slice_}/{letter}6LUT")
            sites += 1
        elif cell["type"] == "CARRY4":
            put(name, "CARRY4", f"{slice_}/CARRY4")
            put(f"{name}_S$LUT${sites}", "SLICE_LUTX", f"{slice_}/{letter}6LUT")
            sites += 1
        else:
            kind = "SLICE_FFX" if cell["type"].startswith("FD") else cell["type"]
            put(name, kind, f"{slice_}/{letter}FF")
    return cells


if __name__ == "__main__":
    main(sys.argv[1:])
