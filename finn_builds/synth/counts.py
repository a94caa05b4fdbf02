"""What the cells of a mapped netlist come to in the units of a device family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from finn_builds.synth.netlist import Netlist

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
_SRL = frozenset({"SRL16", "SRL16E", "SRLC16", "SRLC16E", "SRLC32E"})
_BRAM_18K = MappingProxyType({"RAMB18E1": 1, "RAMB18E2": 1, "RAMB36E1": 2, "RAMB36E2": 2})
_WIRING = frozenset({"BUFG", "BUFGCTRL", "IBUF", "OBUF", "GND", "VCC"})

#: Xilinx: (figure, units) of each kind of cell. The figure "LUT" is the sum of its three uses.
_XILINX: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        **{f"LUT{k}": ("LUT_logic", 1) for k in range(1, 7)},
        "LUT6_2": ("LUT_logic", 1),
        "INV": ("LUT_logic", 1),
        **{kind: ("LUT_RAM", luts) for kind, luts in _LUTRAM.items()},
        **{f"{kind}_1": ("LUT_RAM", luts) for kind, luts in _LUTRAM.items()},
        **{kind: ("LUT_SRL", 1) for kind in _SRL},
        **{kind: ("FF", 1) for kind in ("FDRE", "FDSE", "FDCE", "FDPE")},
        **{f"{kind}_1": ("FF", 1) for kind in ("FDRE", "FDSE", "FDCE", "FDPE")},
        "CARRY4": ("CARRY", 1),
        "CARRY8": ("CARRY", 1),
        **{kind: ("MUXF", 1) for kind in ("MUXF7", "MUXF8", "MUXF9")},
        "DSP48E1": ("DSP", 1),
        "DSP48E2": ("DSP", 1),
        **{kind: ("BRAM_18K", blocks) for kind, blocks in _BRAM_18K.items()},
        "URAM288": ("URAM", 1),
    }
)

#: ECP5 (Lattice FPGA-TN-02205): a carry cell takes the two LUTs of a slice; a memory of 16 words
#: of 4 bits takes four LUTs and the write port of a third slice.
_ECP5: Mapping[str, tuple[tuple[str, int], ...]] = MappingProxyType(
    {
        "LUT4": (("LUT_logic", 1),),
        "INV": (("LUT_logic", 1),),
        "CCU2C": (("LUT_logic", 2), ("CARRY", 1)),
        "TRELLIS_DPR16X4": (("LUT_RAM", 6),),
        "TRELLIS_FF": (("FF", 1),),
        "PFUMX": (("MUXF", 1),),
        "L6MUX21": (("MUXF", 1),),
        "MULT18X18D": (("DSP", 1),),
        "ALU54B": (("DSP", 1),),
        "DP16KD": (("BRAM_18K", 1),),
        "PDPW16KD": (("BRAM_18K", 1),),
    }
)

#: Figures that every report has, in this order.
FIGURES = ("LUT", "FF", "CARRY", "DSP", "BRAM_18K", "URAM")
DETAILS = ("LUT_logic", "LUT_RAM", "LUT_SRL", "MUXF")


def resources(netlist: Netlist) -> dict[str, int]:
    """Return what a netlist occupies.

    That is ``LUT`` (all LUT sites: logic, memory and shift registers, which follow as
    ``LUT_logic``, ``LUT_RAM`` and ``LUT_SRL``), ``FF``, ``CARRY`` (CARRY4, CARRY8 or CCU2C cells),
    ``DSP``, ``BRAM_18K``, ``URAM`` and ``MUXF`` (wide multiplexers, which use no LUT). Raises
    RuntimeError for an unknown kind of cell: a figure would be too small without it.
    """
    kinds = Counter(cell.kind for cell in netlist.cells)
    sums = dict.fromkeys((*FIGURES, *DETAILS), 0)
    for kind, count in kinds.items():
        if kind in _WIRING:
            continue
        if kind in _XILINX:
            shares: tuple[tuple[str, int], ...] = (_XILINX[kind],)
        elif kind in _ECP5:
            shares = _ECP5[kind]
        else:
            raise RuntimeError(f"synthesis left {count} cells of the unknown kind {kind}")
        for figure, units in shares:
            sums[figure] += units * count
    sums["LUT"] = sums["LUT_logic"] + sums["LUT_RAM"] + sums["LUT_SRL"]
    return sums
