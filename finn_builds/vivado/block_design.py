"""Tcl of the block design: processing system, interconnect, DMAs, control block, accelerator.

The design is the processing system, one SmartConnect to the registers and one to the memory, a
reset block, and four module references: the two DMAs, the control block and the accelerator. There
is no HLS in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from finn_builds.config.zynq_boards import CLOCK_DIGITS, Board
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import clock_and_reset
from finn_builds.vivado.tcl import fill, number

__all__ = ["ACCELERATOR", "accelerator_wrapper", "block_design_tcl", "processor"]

#: Module reference around the accelerator.
ACCELERATOR = "prunestream_accelerator"

#: DDR in MiB from which on a part of it lies above the first 4 GB of addresses on UltraScale+
#: (UG1085, system addresses: the lower 2 GB lie at 0, the rest at 0x8_0000_0000).
_LOW_DDR_MIB = 2048


@dataclass(frozen=True)
class Processor:
    """What Vivado calls the parts of a processing system (UG585, UG1085; PG082, PG201)."""

    ip: str  # its name in the catalogue
    clock: str  # pin of the fabric's first clock
    reset: str  # pin of the fabric's first reset
    control_clock: str  # pins for the clocks of its two ports
    memory_clock: str
    asked: str  # property with the frequency in MHz that is asked for
    actual: str  # property with the frequency in MHz that it makes
    constrained: str  # name of the clock that its own constraints define
    configure: str  # Tcl between making its cell and connecting it


_ZYNQ_7000 = """\
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \\
    make_external "FIXED_IO, DDR" apply_board_preset [expr {$board_part ne ""}] \\
    Master Disable Slave Disable] $ps
if {$board_part eq ""} {
    set_property CONFIG.PCW_CRYSTAL_PERIPHERAL_FREQMHZ @crystal@ $ps
}
set_property -dict [list \\
    CONFIG.PCW_USE_M_AXI_GP0 1 \\
    CONFIG.PCW_USE_S_AXI_HP0 1 \\
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH @width@ \\
    CONFIG.PCW_EN_CLK0_PORT 1 \\
    CONFIG.PCW_EN_RST0_PORT 1] $ps
"""

# General-purpose master 0 is HPM0_FPD, 1 is HPM1_FPD, 2 is HPM0_LPD; slave 2 is HP0_FPD. A preset
# may leave PSU__OVERRIDE__BASIC_CLOCK at 1; then the frequency asked for would not be computed.
_ZYNQ_ULTRASCALE = """\
if {$board_part ne ""} {
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config [list \\
        apply_board_preset 1] $ps
} else {
    set_property CONFIG.PSU__PSS_REF_CLK__FREQMHZ @crystal@ $ps
}
set_property CONFIG.PSU__OVERRIDE__BASIC_CLOCK 0 $ps
set_property -dict [list \\
    CONFIG.PSU__USE__M_AXI_GP0 1 \\
    CONFIG.PSU__USE__M_AXI_GP1 0 \\
    CONFIG.PSU__USE__M_AXI_GP2 0 \\
    CONFIG.PSU__USE__S_AXI_GP2 1 \\
    CONFIG.PSU__SAXIGP2__DATA_WIDTH @width@ \\
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \\
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__SRCSEL IOPLL] $ps
"""

_HIGH = "set_property CONFIG.PSU__DDR_HIGH_ADDRESS_GUI_ENABLE 1 $ps\n"

_PROCESSORS = {
    "zynq_7000": Processor(
        ip="processing_system7",
        clock="FCLK_CLK0",
        reset="FCLK_RESET0_N",
        control_clock="M_AXI_GP0_ACLK",
        memory_clock="S_AXI_HP0_ACLK",
        asked="PCW_FPGA0_PERIPHERAL_FREQMHZ",
        actual="PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ",
        constrained="clk_fpga_0",
        configure=_ZYNQ_7000,
    ),
    "zynq_ultrascale": Processor(
        ip="zynq_ultra_ps_e",
        clock="pl_clk0",
        reset="pl_resetn0",
        control_clock="maxihpm0_fpd_aclk",
        memory_clock="saxihp0_fpd_aclk",
        asked="PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
        actual="PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ",
        constrained="clk_pl_0",
        configure=_ZYNQ_ULTRASCALE,
    ),
}

# Vivado takes the nearest clock that the PLL makes, which may be a faster one.
_DESIGN = """\
create_bd_design top
set ps [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:@ip@] zynq_ps]
@configure@
# The clock. @expected@ MHz is what this board's PLL should make of it. If it makes a faster one
# than asked for, as it does where board files have set up another PLL, less is asked for.
set most_mhz [expr {$asked_mhz * (1 + @digits@)}]
set try_mhz @expected@
while {1} {
    if {[catch {set_property CONFIG.@asked@ $try_mhz $ps} why]} {
        stop "the processor takes no clock of $try_mhz MHz: [lindex [split $why \\n] 0]"
    }
    set actual_mhz [get_property CONFIG.@actual@ $ps]
    puts "clock: $asked_mhz MHz asked for, the processor makes $actual_mhz MHz"
    set try_mhz [expr {0.98 * $try_mhz}]
    if {$actual_mhz <= $most_mhz || $try_mhz < 0.5 * $asked_mhz} {
        break
    }
}
if {$actual_mhz > $most_mhz} {
    stop "the processor makes $actual_mhz MHz where $asked_mhz MHz was asked for, a clock that is\\
        too fast, and none that is slower: build again for this clock, with --clock-ns\\
        [format %g [expr {floor(1e6 / $actual_mhz) / 1000}]], or without the board files"
}

set reset [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:proc_sys_reset] reset0]
set to_registers [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:smartconnect] axi_registers]
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 3] $to_registers
set to_memory [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:smartconnect] axi_memory]
set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] $to_memory
create_bd_cell -type module -reference prunestream_idma idma0
create_bd_cell -type module -reference prunestream_odma odma0
create_bd_cell -type module -reference prunestream_control control0
create_bd_cell -type module -reference @accelerator@ accelerator0

# One clock and one reset for all; the control block resets the accelerator.
foreach {source sinks} {
    zynq_ps/@clock@ {
        zynq_ps/@control_clock@ zynq_ps/@memory_clock@ reset0/slowest_sync_clk axi_registers/aclk
        axi_memory/aclk idma0/ap_clk odma0/ap_clk control0/ap_clk accelerator0/ap_clk
    }
    zynq_ps/@reset@ {reset0/ext_reset_in}
    reset0/interconnect_aresetn {axi_registers/aresetn axi_memory/aresetn}
    reset0/peripheral_aresetn {idma0/ap_rst_n odma0/ap_rst_n control0/ap_rst_n}
    control0/accelerator_rst_n {accelerator0/ap_rst_n}
    control0/stop {idma0/stop odma0/stop}
    control0/clear {idma0/clear odma0/clear}
    idma0/quiet {control0/idma_quiet}
    odma0/quiet {control0/odma_quiet}
} {
    foreach sink $sinks {
        connect_bd_net [get_bd_pins $source] [get_bd_pins $sink]
    }
}
foreach {source sink} {
    zynq_ps/@axi_control@ axi_registers/S00_AXI
    axi_registers/M00_AXI idma0/s_axi_control
    axi_registers/M01_AXI odma0/s_axi_control
    axi_registers/M02_AXI control0/s_axi_control
    idma0/m_axi_gmem axi_memory/S00_AXI
    odma0/m_axi_gmem axi_memory/S01_AXI
    axi_memory/M00_AXI zynq_ps/@axi_data@
    idma0/m_axis_0 control0/s_axis_in
    control0/m_axis_in accelerator0/s_axis_0
    accelerator0/m_axis_0 control0/s_axis_out
    control0/m_axis_out odma0/s_axis_0
} {
    connect_bd_intf_net [get_bd_intf_pins $source] [get_bd_intf_pins $sink]
}
assign_bd_address
validate_bd_design
save_bd_design
"""


def processor(board: Board) -> Processor:
    """Return what Vivado calls the parts of a board's processing system."""
    return _PROCESSORS[board.ps_type]


def needs_high_addresses(board: Board) -> bool:
    """Tell whether a part of the board's DDR lies above the first 4 GB of addresses."""
    return board.ps_type == "zynq_ultrascale" and board.ddr_mib > _LOW_DDR_MIB


def block_design_tcl(spec: ShellSpec, board: Board, *, clock_ns: float) -> str:
    """Return the Tcl that makes the block design, with a clock period of `clock_ns` ns asked for.

    It expects the variables ``board_part`` and ``asked_mhz`` and the procedure ``newest``.
    """
    of = processor(board)
    configure = fill(of.configure, crystal=number(board.pll.crystal_mhz), width=8 * spec.word_bytes)
    if needs_high_addresses(board):
        configure += _HIGH
    return fill(
        _DESIGN,
        ip=of.ip,
        configure=configure,
        asked=of.asked,
        actual=of.actual,
        digits=CLOCK_DIGITS,
        expected=number(board.fabric_mhz(clock_ns)),
        clock=of.clock,
        reset=of.reset,
        control_clock=of.control_clock,
        memory_clock=of.memory_clock,
        accelerator=ACCELERATOR,
        axi_control=board.axi_control,
        axi_data=board.axi_data,
    )


def accelerator_wrapper(spec: ShellSpec) -> str:
    """Return the plain-Verilog module that makes the accelerator a module reference.

    It names the clock's streams and reset, without which a block design does not know them.
    """
    return f"""\
// The accelerator as a module reference. Generated.
`default_nettype none
module {ACCELERATOR} (
{clock_and_reset(("s_axis_0", "m_axis_0"))}\
    input  wire [{8 * spec.in_bytes - 1}:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{8 * spec.out_bytes - 1}:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    {spec.accelerator} accelerator (
        .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
        .s_axis_0_tdata(s_axis_0_tdata), .s_axis_0_tvalid(s_axis_0_tvalid),
        .s_axis_0_tready(s_axis_0_tready),
        .m_axis_0_tdata(m_axis_0_tdata), .m_axis_0_tvalid(m_axis_0_tvalid),
        .m_axis_0_tready(m_axis_0_tready)
    );
endmodule
`default_nettype wire
"""
