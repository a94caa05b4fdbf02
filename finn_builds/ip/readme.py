"""One page about a package: ports, timing, figures and how each was obtained."""

from __future__ import annotations

from collections.abc import Mapping

from finn_builds.ip.ports import port_rows
from finn_builds.ip.vhdl import template
from finn_builds.sparse.parallel import CorePorts

_PAGE = """\
# {name}

A quantised network as a block of firmware: parallel ports, a frame every clock, a result exactly
{latency} clocks ({time:.1f} ns at {clock:g} ns) later, no back-pressure. Made for `{part}`.

| file | |
|---|---|
| `{name}.v` | the core, Verilog-2001, {cells} |
| `{name}_pkg.vhd`, `{name}.vhd` | for VHDL: types, latency, component; the wrapper `{name}_wrap` |
| `{name}_model.vhd` | the core in behavioural VHDL, for simulators without Verilog |
| `{name}_tb.v`, `{name}_tb.vhd`, `vectors.txt` | self-checking test benches and {frames} frames |
| `run.sh` | runs them: `sh run.sh icarus`, `verilator`, `ghdl`, `ghdl93`, `g++`, `questa`, `xsim` |
| `emulator/{name}.h` | the same network in C++11, bit-exact; `emulator/{name}_test.cpp` checks it |
| `component.xml`, `{name}_ooc.xdc` | IP-XACT; clock for synthesis out of context |
| `figures.json` | the figures of this page for programs |

## Ports
| port | direction | bits | |
|---|---|---:|---|
{ports}

Elements lie side by side in a port, element 0 in the lowest bits. Signed ones are in two's
complement; those of a BIPOLAR tensor are one bit, 0 for -1 and 1 for 1.

![timing](timing.svg)

Data has no reset; `rst` clears the valid bits. There is no back-pressure: what takes the results
must take one every clock. {ce}

## In VHDL
Compile `{name}.v` (or, in a simulator without Verilog, `{name}_model.vhd`, but never both into one
library), then `{name}_pkg.vhd` and `{name}.vhd`.

```vhdl
{template}
```

## Figures
| | | how obtained |
|---|---:|---|
{figures}

Nothing of this package has been run in Vivado or on hardware by its makers.
"""


def readme(core: CorePorts, part: str, frames: int, figures: Mapping[str, tuple[str, str]]) -> str:
    """Return ``README.md``; `figures` are (value, how it was obtained) by what they are."""
    rows = [f"| `{p.name}` | {p.direction} | {p.bits} | {p.what} |" for p in port_rows(core)]
    return _PAGE.format(
        name=core.name,
        latency=core.latency,
        time=core.latency * core.clock_ns,
        clock=core.clock_ns,
        part=part,
        cells="any vendor" if core.cells == "generic" else "cells of its family where they help",
        frames=frames,
        ports="\n".join(rows),
        ce="`ce` stops all registers." if core.with_ce else "Registers have no enable.",
        template="\n".join(template(core)),
        figures="\n".join(f"| {k} | {value} | {how} |" for k, (value, how) in figures.items()),
    )
