"""One page about a package: ports, timing, figures and how each was obtained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finn_builds.ip.ports import port_rows
from finn_builds.ip.vhdl import template
from finn_builds.sparse.core_ports import CorePorts

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

Data has no reset; `rst` is synchronous and clears the valid bits. There is no back-pressure: what
takes the results must take one every clock. {ce}

The test benches send each frame twice: first one every clock, then all with pauses.

## What the integers stand for
`emulator/{name}.h` says for each port what one unit is worth (`scale`). Its `prepare` turns the
features that the model was trained with into the integers of the inputs.{elements}

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


def readme(
    core: CorePorts,
    part: str,
    frames: int,
    figures: Mapping[str, tuple[str, str]],
    names: str = "",
) -> str:
    """Return ``README.md``.

    `figures` are (value, how it was obtained) by what they are, `names` is from `names_of`.
    """
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
        elements=names,
        ce="`ce` stops all registers." if core.with_ce else "Registers have no enable.",
        template="\n".join(template(core)),
        figures="\n".join(f"| {k} | {value} | {how} |" for k, (value, how) in figures.items()),
    )


def names_of(
    core: CorePorts, features: Sequence[str], classes: Sequence[str], *, chosen: bool
) -> str:
    """Return the model's names of the elements, as far as ports have an element for each.

    With `chosen` the hardware chooses the class: the output is a number, and its values have names.
    """
    rows = [(core.inputs, features, "Elements"), (core.outputs, classes, "Elements")]
    if chosen:
        rows[1] = (core.outputs, classes, "Values")
    return "".join(
        f"\n\n{of_what} of `{ports[0].name}`: "
        f"{', '.join(f'{index} {name}' for index, name in enumerate(names))}."
        for ports, names, of_what in rows
        if names and len(ports) == 1 and (of_what == "Values" or ports[0].elements == len(names))
    )
