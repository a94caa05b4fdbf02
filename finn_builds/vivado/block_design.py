"""Tcl that makes the bitfile: block design, synthesis, place and route, reports.

The design is the processing system, one SmartConnect to the registers and one to the memory, a
reset block, and four module references: the two DMAs, the control block and the accelerator. No
HLS and no board files are needed: where Vivado has the board's files they give the processor's
presets; where it has not, the processor keeps Vivado's defaults, which a PYNQ overlay never uses,
because the board's boot image has set up DDR and pins before.

Never run in Vivado; the tests execute it under ``tclsh`` against a model of the commands, cells,
pins and properties it uses.
"""

from __future__ import annotations

from finn_builds.config.boards import Board
from finn_builds.shell.spec import ShellSpec

__all__ = ["ACCELERATOR", "BUILD_SCRIPT", "RESULT", "accelerator_wrapper", "build_tcl"]

BUILD_SCRIPT = "build.tcl"

#: Folder beside the script that gets bitfile, handoff and reports.
RESULT = "result"

#: Module reference around the accelerator.
ACCELERATOR = "prunestream_accelerator"


_ZYNQ_7000 = """\
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \\
    make_external "FIXED_IO, DDR" apply_board_preset $preset Master Disable Slave Disable] $ps
set_property -dict [list \\
    CONFIG.PCW_USE_M_AXI_GP0 1 \\
    CONFIG.PCW_USE_S_AXI_HP0 1 \\
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH {width} \\
    CONFIG.PCW_EN_CLK0_PORT 1 \\
    CONFIG.PCW_EN_RST0_PORT 1 \\
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {mhz}] $ps
"""

# General-purpose master 0 is HPM0_FPD, 1 is HPM1_FPD, 2 is HPM0_LPD; slave 2 is HP0_FPD.
_ZYNQ_ULTRASCALE = """\
if {{$preset}} {{
    apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config [list \\
        apply_board_preset 1] $ps
}}
set_property -dict [list \\
    CONFIG.PSU__USE__M_AXI_GP0 1 \\
    CONFIG.PSU__USE__M_AXI_GP1 0 \\
    CONFIG.PSU__USE__M_AXI_GP2 0 \\
    CONFIG.PSU__USE__S_AXI_GP2 1 \\
    CONFIG.PSU__SAXIGP2__DATA_WIDTH {width} \\
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \\
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {mhz}] $ps
"""

# What Vivado calls the parts of a processing system (UG585, UG1085; PG082, PG201), and the Tcl
# between making its cell and connecting it.
_PROCESSORS: dict[str, tuple[str, dict[str, str]]] = {
    "zynq_7000": (
        _ZYNQ_7000,
        {
            "ip": "processing_system7",
            "clock": "FCLK_CLK0",
            "reset": "FCLK_RESET0_N",
            "control_clock": "M_AXI_GP0_ACLK",
            "memory_clock": "S_AXI_HP0_ACLK",
        },
    ),
    "zynq_ultrascale": (
        _ZYNQ_ULTRASCALE,
        {
            "ip": "zynq_ultra_ps_e",
            "clock": "pl_clk0",
            "reset": "pl_resetn0",
            "control_clock": "maxihpm0_fpd_aclk",
            "memory_clock": "saxihp0_fpd_aclk",
        },
    ),
}

_HEAD = """\
# Makes the bitfile of the accelerator in ../stitched_ip for {board}. Generated.
#
#   vivado -mode batch -source build.tcl
#
# Leaves finn-accel.bit, finn-accel.hwh and the reports in result/ beside this file.

set here [file dirname [file normalize [info script]]]
set stitched [file normalize [file join $here .. stitched_ip]]
set project [file join $here project]
set result [file join $here {result}]
set part {part}
set board_part {{{board_part}}}
set jobs 4

# The newest version of a catalogue entry that this Vivado has.
proc newest {{name}} {{
    set found [get_ipdefs "$name:*"]
    if {{[llength $found] == 0}} {{
        error "this Vivado has no $name in its IP catalogue: install the Zynq device families"
    }}
    return [lindex [lsort -dictionary $found] end]
}}

# Copies a source; memory contents are named by absolute paths then, because Vivado looks for
# relative ones in the folder of a run.
proc localise {{source folder data}} {{
    set file [open $source]
    set text [read $file]
    close $file
    set copy [file join $folder [file tail $source]]
    set file [open $copy w]
    puts -nonewline $file [string map [list "\\"./" "\\"$data/"] $text]
    close $file
    return $copy
}}

if {{[llength [get_parts -quiet $part]] == 0}} {{
    error "this Vivado does not know the part $part: install its device family, or an edition that\\
        has it"
}}

# Sources: the shell's beside this file, and the accelerator's but those that are the shell's, too.
file delete -force $project $result
file mkdir [file join $project src] $result
set file [open [file join $stitched all_verilog_srcs.txt]]
set names [split [string trim [read $file]] "\\n"]
close $file
set sources [lsort [glob -directory [file join $here sources] *]]
foreach name $names {{
    if {{![file exists [file join $here sources $name]]}} {{
        lappend sources [localise [file join $stitched $name] [file join $project src] $stitched]
    }}
}}

create_project finn_zynq_link $project -part $part
set preset 0
if {{$board_part ne "" && [llength [get_board_parts -quiet $board_part]]}} {{
    set_property board_part $board_part [current_project]
    set preset 1
}} else {{
    puts "note: no board files for {board} here: the processor keeps Vivado's defaults. That is\\
        right for a PYNQ overlay and wrong for a design that boots by itself."
}}
add_files -norecurse $sources
update_compile_order -fileset sources_1

create_bd_design top
set ps [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:{ip}] zynq_ps]
"""

_BODY = """\
set reset [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:proc_sys_reset] reset0]
set to_registers [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:smartconnect] axi_registers]
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 3] $to_registers
set to_memory [create_bd_cell -type ip -vlnv [newest xilinx.com:ip:smartconnect] axi_memory]
set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] $to_memory
create_bd_cell -type module -reference prunestream_idma idma0
create_bd_cell -type module -reference prunestream_odma odma0
create_bd_cell -type module -reference prunestream_control control0
create_bd_cell -type module -reference {accelerator} accelerator0

# One clock and one reset for all; the control block resets the accelerator.
foreach {{source sinks}} {{
    zynq_ps/{clock} {{
        zynq_ps/{control_clock} zynq_ps/{memory_clock} reset0/slowest_sync_clk axi_registers/aclk
        axi_memory/aclk idma0/ap_clk odma0/ap_clk control0/ap_clk accelerator0/ap_clk
    }}
    zynq_ps/{reset} {{reset0/ext_reset_in}}
    reset0/interconnect_aresetn {{axi_registers/aresetn axi_memory/aresetn}}
    reset0/peripheral_aresetn {{idma0/ap_rst_n odma0/ap_rst_n control0/ap_rst_n}}
    control0/accelerator_rst_n {{accelerator0/ap_rst_n}}
    control0/stop {{idma0/stop odma0/stop}}
    control0/clear {{idma0/clear odma0/clear}}
    idma0/quiet {{control0/idma_quiet}}
    odma0/quiet {{control0/odma_quiet}}
}} {{
    foreach sink $sinks {{
        connect_bd_net [get_bd_pins $source] [get_bd_pins $sink]
    }}
}}
foreach {{source sink}} {{
    zynq_ps/{axi_control} axi_registers/S00_AXI
    axi_registers/M00_AXI idma0/s_axi_control
    axi_registers/M01_AXI odma0/s_axi_control
    axi_registers/M02_AXI control0/s_axi_control
    idma0/m_axi_gmem axi_memory/S00_AXI
    odma0/m_axi_gmem axi_memory/S01_AXI
    axi_memory/M00_AXI zynq_ps/{axi_data}
    idma0/m_axis_0 control0/s_axis_in
    control0/m_axis_in accelerator0/s_axis_0
    accelerator0/m_axis_0 control0/s_axis_out
    control0/m_axis_out odma0/s_axis_0
}} {{
    connect_bd_intf_net [get_bd_intf_pins $source] [get_bd_intf_pins $sink]
}}
assign_bd_address
validate_bd_design
save_bd_design

make_wrapper -files [get_files top.bd] -top -import
set_property top top_wrapper [get_filesets sources_1]
update_compile_order -fileset sources_1

launch_runs impl_1 -to_step write_bitstream -jobs $jobs
wait_on_run impl_1
set run [get_runs impl_1]
if {{[get_property PROGRESS $run] ne "100%"}} {{
    error "no bitfile: the run ended with '[get_property STATUS $run]'; see the logs in $project"
}}
open_run impl_1
report_utilization -hierarchical -file [file join $result utilization.rpt]
report_timing_summary -file [file join $result timing.rpt]
file copy [file join [get_property DIRECTORY $run] top_wrapper.bit] \\
    [file join $result finn-accel.bit]
# In .gen from 2020.2 on, in .srcs before.
set handoff [glob -directory $project finn_zynq_link.*/sources_1/bd/top/hw_handoff/top.hwh]
file copy [lindex $handoff 0] [file join $result finn-accel.hwh]
close_project
puts "finished: $result"
"""


def build_tcl(spec: ShellSpec, board: Board, *, clock_ns: float) -> str:
    """Return the script that makes the bitfile, with a clock period of `clock_ns` ns asked for."""
    configure, names = _PROCESSORS[board.ps_type]
    return (_HEAD + configure + _BODY).format(
        board=board.name,
        part=board.part,
        board_part=board.board_part or "",
        result=RESULT,
        width=8 * spec.word_bytes,
        mhz=f"{1000 / clock_ns:.6f}".rstrip("0").rstrip("."),
        accelerator=ACCELERATOR,
        axi_control=board.axi_control,
        axi_data=board.axi_data,
        **names,
    )


def accelerator_wrapper(spec: ShellSpec) -> str:
    """Return the plain-Verilog module that makes the accelerator a module reference.

    It names the clock's streams and reset, without which a block design does not know them.
    """
    return f"""\
// The accelerator as a module reference. Generated.
`default_nettype none
module {ACCELERATOR} (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axis_0:m_axis_0, ASSOCIATED_RESET ap_rst_n" *)
    input  wire ap_clk,
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire ap_rst_n,
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
