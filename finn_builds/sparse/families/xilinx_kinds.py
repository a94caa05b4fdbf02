"""The cells of 7-series and UltraScale+: what they count, what they compute, their ports.

After the vendor's libraries guides (UG953 for 7-series, UG974 for UltraScale).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from finn_builds.sparse.device import (
    Carry,
    FlipFlop,
    Function,
    Kind,
    Logic,
    Meaning,
    NotSimulated,
    Parameters,
    Pin,
    Position,
    Primitive,
    Shifter,
    fixed,
    lut,
    mux,
    number,
    primitive,
    setting,
)

# LUTs that one memory cell occupies (UG474 and UG574, chapter on distributed RAM).
_LUTRAM: Mapping[str, int] = MappingProxyType(
    {
        "RAM16X1S": 1,
        "RAM16X1D": 2,
        "RAM32X1S": 1,
        "RAM32X2S": 2,
        "RAM32X4S": 4,
        "RAM32X8S": 8,
        "RAM32X1D": 2,
        "RAM32M": 4,
        "RAM32M16": 8,
        "RAM32X16DR8": 8,
        "RAM64X1S": 1,
        "RAM64X1D": 2,
        "RAM64X2S": 2,
        "RAM64X8SW": 8,
        "RAM64M": 4,
        "RAM64M8": 8,
        "RAM128X1S": 2,
        "RAM128X1D": 4,
        "RAM256X1S": 4,
        "RAM256X1D": 8,
        "RAM512X1S": 8,
    }
)
_SRL = ("SRL16", "SRL16E", "SRLC16", "SRLC16E", "SRLC32E")
_SIMULATED = ("SRL16E", "SRLC32E")

_INPUTS: tuple[Pin, ...] = tuple((f"I{k}", 0) for k in range(6))
_IDENTITY = 0b10


def _two_outputs(parameters: Parameters) -> Logic:
    init = number(parameters, "INIT")
    return Logic(
        (
            (("O6", 0), Function(init, _INPUTS)),
            (("O5", 0), Function(init & 0xFFFFFFFF, _INPUTS[:5])),
        )
    )


def _carry(per: int) -> Meaning:
    starts = (("CI", 0), ("CYINIT", 0)) if per == 4 else (("CI", 0),)
    positions = tuple(
        Position(
            Function(_IDENTITY, (("S", k),)), Function(_IDENTITY, (("DI", k),)), ("O", k), ("CO", k)
        )
        for k in range(per)
    )

    def meaning(parameters: Parameters) -> Carry:
        if per == 8 and setting(parameters, "CARRY_TYPE", "SINGLE_CY8") != "SINGLE_CY8":
            raise NotSimulated("cells CARRY8 in two halves are not simulated at gate level")
        return Carry(starts, positions)

    return meaning


def _refuse_inverted(kind: str, parameters: Parameters) -> None:
    inverted = [n for n in parameters if n.startswith("IS_") and number(parameters, n)]
    if inverted:
        raise NotSimulated(f"cells {kind} with {', '.join(inverted)} are not simulated")


def _flip_flop(kind: str) -> Meaning:
    sets = kind == "FDSE"

    def meaning(parameters: Parameters) -> FlipFlop:
        _refuse_inverted(kind, parameters)
        force = ("S" if sets else "R", 0)
        initial = bool(number(parameters, "INIT"))
        return FlipFlop(("D", 0), ("Q", 0), ("CE", 0), force, sets, initial)

    return meaning


def _shifter(kind: str) -> Meaning:
    single = kind == "SRL16E"
    address = tuple((f"A{k}", 0) for k in range(4)) if single else tuple(("A", k) for k in range(5))
    size, last = (16, "") if single else (32, "Q31")

    def meaning(parameters: Parameters) -> Shifter:
        _refuse_inverted(kind, parameters)
        init = number(parameters, "INIT")
        return Shifter(size, ("D", 0), ("CE", 0), address, ("Q", 0), last, init)

    return meaning


_LOGIC = (("LUT_logic", 1),)
_CARRY_UNITS = (("CARRY", 1),)
_FF = (("FF", 1),)
_REGISTERS = ("FDRE", "FDSE", "FDCE", "FDPE")

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **{
            f"LUT{k}": Kind(_LOGIC, lut(*(f"I{i}" for i in range(k)), out="O")) for k in range(1, 7)
        },
        "LUT6_2": Kind(_LOGIC, _two_outputs),
        "INV": Kind(_LOGIC, fixed(0b01, "I", out="O")),
        **{
            f"{kind}{edge}": Kind((("LUT_RAM", luts),), role="memory")
            for kind, luts in _LUTRAM.items()
            for edge in ("", "_1")
        },
        **{
            kind: Kind((("LUT_SRL", 1),), _shifter(kind) if kind in _SIMULATED else None, "shifter")
            for kind in _SRL
        },
        **{
            f"{kind}{edge}": Kind(
                _FF, _flip_flop(kind) if kind in ("FDRE", "FDSE") and not edge else None, "clocked"
            )
            for kind in _REGISTERS
            for edge in ("", "_1")
        },
        "CARRY4": Kind(_CARRY_UNITS, _carry(4), "carry", ("CI", "CYINIT")),
        "CARRY8": Kind(_CARRY_UNITS, _carry(8), "carry", ("CI", "CI_TOP")),
        **{
            kind: Kind((("MUXF", 1),), mux("I0", "I1", "S", "O"), "mux")
            for kind in ("MUXF7", "MUXF8", "MUXF9")
        },
        **{kind: Kind((("DSP", 1),), role="clocked") for kind in ("DSP48E1", "DSP48E2")},
        **{
            kind: Kind((("BRAM_18K", blocks),), role="clocked")
            for kind, blocks in {"RAMB18E1": 1, "RAMB18E2": 1, "RAMB36E1": 2, "RAMB36E2": 2}.items()
        },
        "URAM288": Kind((("URAM", 1),), role="clocked"),
        **{kind: Kind((), fixed(_IDENTITY, "I", out="O")) for kind in ("BUFG", "IBUF", "OBUF")},
        **{kind: Kind(()) for kind in ("BUFGCTRL", "GND", "VCC")},
    }
)

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
PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        name: primitive(parameters, ports)
        for name, (parameters, ports) in {
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
                "AUTORESET_PRIORITY IS_RSTALLCARRYIN_INVERTED IS_RSTALUMODE_INVERTED "
                "IS_RSTA_INVERTED IS_RSTB_INVERTED IS_RSTCTRL_INVERTED IS_RSTC_INVERTED "
                "IS_RSTD_INVERTED IS_RSTINMODE_INVERTED IS_RSTM_INVERTED IS_RSTP_INVERTED",
                _DSP_PORTS.format(outputs=", XOROUT 8", d=27, opmode=9),
            ),
        }.items()
    }
)
