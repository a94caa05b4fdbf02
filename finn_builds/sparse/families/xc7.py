"""Xilinx 7-series: Artix-7 logic, as Zynq-7000 has it too.

Speed grades after a block RAM's clock to output, 2.46 and 2.13 ns (DS189), which knows no grade 3:
that of grade 2 is taken.

Two open programs place and route it, openXC7's nextpnr-xilinx and nextpnr-himbaechel with its
xilinx architecture, both with the delays of Project X-Ray. What their calls and logs look like is
taken from their sources (github.com/openXC7/nextpnr-xilinx, ``xilinx/main.cc``, ``xilinx/pack.cc``,
``common/timing.cc``; github.com/YosysHQ/nextpnr, ``himbaechel/``). No package has them, and they
have not run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finn_builds.sparse.families.xilinx import NO_SHIFT_REGISTERS, Xilinx
from finn_builds.sparse.routing import ProgramCall, ProgramRouter

GRADES = ((1, 1.0), (2, 0.87), (3, 0.87))


@dataclass(frozen=True)
class Xc7(Xilinx):
    """7-series."""

    @property
    def second_opinions(self) -> tuple[ProgramRouter, ...]:
        """The fork for these devices, and the general program."""
        return (NextpnrXilinx(), NextpnrHimbaechel())


class _XrayRouter(ProgramRouter):
    """What both programs have in common."""

    timing = (
        "delays of Project X-Ray: clock to output and set-up of flip-flops are placeholders of "
        "0.1 ns, and nothing is known of the clock's skew; a second opinion, not Vivado's"
    )

    def synthesis(self, top: str) -> list[str]:
        """Return `synth_xilinx`, without the buffers that it would put at every module's ports."""
        command = f"synth_xilinx -top {top} -family xc7 -flatten -noiopad -noclkbuf"
        return [f"{command} -run begin:map_ffs", NO_SHIFT_REGISTERS, f"{command} -run map_ffs:"]

    @property
    def pads(self) -> Sequence[str]:
        """Buffers at the pins of the device, and one for its clock."""
        return ("iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O", "clkbufmap -buf BUFG O:I")

    def constraints(self, pins: Mapping[str, tuple[str, str]], mhz_in: float) -> str:
        """Return an .xdc file; a port without a pin gets any that is free."""
        lines = []
        for port, (pin, standard) in pins.items():
            if pin:
                lines.append(f"set_property PACKAGE_PIN {pin} [get_ports {port}]")
            lines.append(f"set_property IOSTANDARD {standard} [get_ports {port}]")
        return "\n".join(lines) + "\n"


class NextpnrXilinx(_XrayRouter):
    """openXC7's nextpnr-xilinx; the part is in the chip database."""

    program = "nextpnr-xilinx"
    source = "https://github.com/openXC7/nextpnr-xilinx"
    # Versions up to 2026 have no JSON report, later ones leave its paths empty.
    path_in_log = True

    def route(self, part: str, seed: int, mhz: float) -> ProgramCall:
        """Return the call of the whole flow."""
        return ProgramCall(self.program, (*_READ, "--xdc", "pins.txt", *_settings(seed, mhz)))

    def pack_only(self, part: str) -> ProgramCall:
        """Return the call that packs."""
        return ProgramCall(self.program, (*_READ, "--xdc", "pins.txt", "--pack-only"))

    def splits(self, log: str) -> bool:
        """Return whether this is a version since August 2026, which says so."""
        return "LUT6_2 cell(s) into" in log


class NextpnrHimbaechel(_XrayRouter):
    """nextpnr-himbaechel with its xilinx architecture."""

    program = "nextpnr-himbaechel"
    source = "https://github.com/YosysHQ/nextpnr, built with the xilinx architecture"

    def route(self, part: str, seed: int, mhz: float) -> ProgramCall:
        """Return the call of the whole flow."""
        report = ("--report", "report.json", "--detailed-timing-report")
        return ProgramCall(self.program, (*self._read(part), *_settings(seed, mhz), *report))

    def pack_only(self, part: str) -> ProgramCall:
        """Return the call that packs."""
        return ProgramCall(self.program, (*self._read(part), "--pack-only"))

    def splits(self, log: str) -> bool:
        """Return that it does not: it takes a LUT6_2 for a LUT6."""
        return False

    def _read(self, part: str) -> tuple[str, ...]:
        return (*_READ, "--device", part, "--vopt", "xdc=pins.txt")


_READ = ("--chipdb", "chipdb.bin", "--json", "netlist.json")


def _settings(seed: int, mhz: float) -> tuple[str, ...]:
    written = ("--write", "routed.json", "--timing-allow-fail")
    return (*written, "--seed", str(seed), "--freq", f"{mhz:g}")


FAMILY = XC7 = Xc7("xc7", 3, 6, 0.85, 0.70, 0.030, 1.05, 1.25, GRADES, per=4)
