"""Declarations of the device primitives that a design instantiates, for Yosys' slang frontend.

That frontend asks for each instantiated module with its parameters. The declarations name only the
parameters and ports of the vendors' libraries guides (UG953 for 7-series, UG974 for UltraScale;
FPGA-TN-02205 for ECP5); the cells stay black boxes and reach the netlist as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Ports of both generations of DSP block, with their widths.
_DSP_PORTS = (
    "output: ACOUT 30, BCOUT 18, CARRYCASCOUT 1, CARRYOUT 4, MULTSIGNOUT 1, OVERFLOW 1, P 48, "
    "PATTERNBDETECT 1, PATTERNDETECT 1, PCOUT 48, UNDERFLOW 1{outputs}; "
    "input: A 30, ACIN 30, ALUMODE 4, B 18, BCIN 18, C 48, CARRYCASCIN 1, CARRYIN 1, "
    "CARRYINSEL 3, CEA1 1, CEA2 1, CEAD 1, CEALUMODE 1, CEB1 1, CEB2 1, CEC 1, CECARRYIN 1, "
    "CECTRL 1, CED 1, CEINMODE 1, CEM 1, CEP 1, CLK 1, D {d}, INMODE 5, MULTSIGNIN 1, "
    "OPMODE {opmode}, PCIN 48, RSTA 1, RSTALLCARRYIN 1, RSTALUMODE 1, RSTB 1, RSTC 1, RSTCTRL 1, "
    "RSTD 1, RSTINMODE 1, RSTM 1, RSTP 1"
)

_DSP_PARAMETERS = (
    "A_INPUT B_INPUT USE_MULT USE_SIMD AUTORESET_PATDET MASK PATTERN SEL_MASK SEL_PATTERN "
    "USE_PATTERN_DETECT ACASCREG ADREG ALUMODEREG AREG BCASCREG BREG CARRYINREG CARRYINSELREG "
    "CREG DREG INMODEREG MREG OPMODEREG PREG IS_ALUMODE_INVERTED IS_CARRYIN_INVERTED "
    "IS_CLK_INVERTED IS_INMODE_INVERTED IS_OPMODE_INVERTED"
)

#: Parameters and ports by module, of Xilinx devices.
_MODULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **{
            f"LUT{n}": ("INIT", "output: O 1; input: " + ", ".join(f"I{k} 1" for k in range(n)))
            for n in range(2, 7)
        },
        "LUT6_2": ("INIT", "output: O5 1, O6 1; input: I0 1, I1 1, I2 1, I3 1, I4 1, I5 1"),
        **{
            name: ("", "output: O 1; input: I0 1, I1 1, S 1")
            for name in ("MUXF7", "MUXF8", "MUXF9")
        },
        "CARRY4": ("", "output: CO 4, O 4; input: CI 1, CYINIT 1, DI 4, S 4"),
        "CARRY8": ("CARRY_TYPE", "output: CO 8, O 8; input: CI 1, CI_TOP 1, DI 8, S 8"),
        "DSP48E1": (
            f"{_DSP_PARAMETERS} USE_DPORT",
            _DSP_PORTS.format(outputs="", d=25, opmode=7),
        ),
        "DSP48E2": (
            f"{_DSP_PARAMETERS} AMULTSEL BMULTSEL PREADDINSEL RND USE_WIDEXOR XORSIMD "
            "AUTORESET_PRIORITY IS_RSTALLCARRYIN_INVERTED IS_RSTALUMODE_INVERTED IS_RSTA_INVERTED "
            "IS_RSTB_INVERTED IS_RSTCTRL_INVERTED IS_RSTC_INVERTED IS_RSTD_INVERTED "
            "IS_RSTINMODE_INVERTED IS_RSTM_INVERTED IS_RSTP_INVERTED",
            _DSP_PORTS.format(outputs=", XOROUT 8", d=27, opmode=9),
        ),
    }
)

_ECP5_MODULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "LUT4": ("INIT", "output: Z 1; input: A 1, B 1, C 1, D 1"),
        "PFUMX": ("", "output: Z 1; input: ALUT 1, BLUT 1, C0 1"),
        "L6MUX21": ("", "output: Z 1; input: D0 1, D1 1, SD 1"),
        "CCU2C": (
            "INIT0 INIT1 INJECT1_0 INJECT1_1",
            "output: S0 1, S1 1, COUT 1; "
            "input: CIN 1, A0 1, B0 1, C0 1, D0 1, A1 1, B1 1, C1 1, D1 1",
        ),
    }
)


def declarations(family: str) -> str:
    """Return one Verilog file that declares every primitive of a family, without contents."""
    modules = _ECP5_MODULES if family == "ecp5" else _MODULES
    return "".join(_declaration(name, *described) for name, described in modules.items())


def _declaration(name: str, parameters: str, ports: str) -> str:
    listed = []
    for group in ports.split("; "):
        direction, _, names = group.partition(": ")
        for port in names.split(", "):
            port_name, width = port.split()
            listed.append(f"{direction} [{int(width) - 1}:0] {port_name}")
    given = ", ".join(f"parameter {p} = 0" for p in parameters.split())
    head = f"module {name} #({given}) (" if given else f"module {name} ("
    return f"{head}\n  " + ",\n  ".join(listed) + "\n);\nendmodule\n"
