"""The Tcl that makes the bitfile: project, block design, synthesis, place and route, reports.

No board files are needed: where Vivado has them they give the processor's presets; where it has
not, the processor keeps Vivado's defaults, which a PYNQ overlay never uses, because the board's
boot image has set up PLLs, DDR and pins before.

Never run in Vivado; the tests execute it under ``tclsh`` against a model of the commands, cells,
pins and properties it uses.
"""

from __future__ import annotations

from finn_builds.config.zynq_boards import Board
from finn_builds.shell.spec import ShellSpec
from finn_builds.sparse.cells import AS_CELLS
from finn_builds.vivado.block_design import block_design_tcl, needs_high_addresses, processor
from finn_builds.vivado.tcl import fill, number

__all__ = [
    "BIT",
    "BUILD_SCRIPT",
    "FACTS",
    "HWH",
    "LATE_BIT",
    "REPORTS",
    "RESULT",
    "STOPPED",
    "build_tcl",
]

BUILD_SCRIPT = "build.tcl"

#: Folder beside the script that gets bitfile, handoff and reports.
RESULT = "result"

#: Bitfile, one that misses its timing, handoff, and what the driver has to know of them.
BIT, LATE_BIT = "finn-accel.bit", "finn-accel-timing-missed.bit"
HWH, FACTS = "finn-accel.hwh", "finn-accel.json"

#: Begins the line with the reason for which the script stops.
STOPPED = "STOPPED: "

#: Reports in the folder.
UTILISATION, TIMING = "utilization.rpt", "timing.rpt"
REPORTS = (
    UTILISATION, TIMING, "worst_paths.rpt", "clock_utilization.rpt", "methodology.rpt",
    "address_map.txt",
)  # fmt: skip

_HEAD = """\
# Makes the bitfile of the accelerator in ../stitched_ip for @board@. Generated.
#
#   vivado -mode batch -source build.tcl
#
# Leaves @bit@, .hwh and .json and the reports in @result@/ beside this file. A bitfile that
# misses its timing is called @late_bit@.

set here [file dirname [file normalize [info script]]]
set stitched [file normalize [file join $here .. stitched_ip]]
set project [file join $here project]
set result [file join $here @result@]
set part @part@
set board_files {@board_files@}
set asked_mhz @asked@
# With 1, adders and tables are built of the LUTs and carry chains that the netlist checks have
# simulated; with 0 Vivado finds its own in the expressions, which is expected to be smaller.
set as_cells 0
set jobs 4

# Stops with a message that whoever started Vivado can find in its output.
proc stop {message} {
    puts "@stopped@$message"
    error $message
}

# The newest version of a catalogue entry that this Vivado has.
proc newest {name} {
    set found [get_ipdefs "$name:*"]
    if {[llength $found] == 0} {
        stop "this Vivado has no $name in its IP catalogue: install the Zynq device families"
    }
    return [lindex [lsort -dictionary $found] end]
}

proc read_file {path} {
    set file [open $path]
    set text [read $file]
    close $file
    return $text
}

proc write_file {path text} {
    set file [open $path w]
    puts -nonewline $file $text
    close $file
}

# Copies a source. Memory contents are named by absolute paths then, because Vivado looks for
# relative ones in the folder of a run. A macro is defined in the file itself, so that it holds
# wherever Vivado reads the file.
proc localise {source folder data as_cells} {
    set text [string map [list "\\"./" "\\"$data/"] [read_file $source]]
    if {$as_cells} {
        set text "`define @macro@\\n$text"
    }
    set copy [file join $folder [file tail $source]]
    write_file $copy $text
    return $copy
}

# A slack for JSON: there is none where there is no path, or none that is constrained ("inf").
proc slack {paths} {
    set value [get_property -quiet SLACK $paths]
    return [expr {[string is double -strict $value] && abs($value) < 1e6 ? $value : "null"}]
}

# Waits for a run; if it failed, prints the errors of its log and stops.
proc finish {name} {
    catch {wait_on_run $name} message
    set run [get_runs $name]
    if {[get_property PROGRESS $run] eq "100%"} {
        return
    }
    set log [file join [get_property DIRECTORY $run] runme.log]
    set why "its log has no error; was it ended from outside, or was memory or disk full?"
    if {[file exists $log]} {
        set errors [regexp -all -inline -line {^ERROR:.*$} [read_file $log]]
        puts [join [lrange $errors 0 19] "\\n"]
        if {[llength $errors]} {
            set why [lindex $errors 0]
        }
    }
    stop "the run $run ended with '[get_property STATUS $run]': $why ($log)"
}

if {[llength [get_parts -quiet $part]] == 0} {
    stop "this Vivado does not know the part $part: install its device family, or an edition that\\
        has it"
}

# Sources: the shell's beside this file, and the accelerator's but those that are the shell's, too.
file delete -force $project $result
file mkdir [file join $project src] $result
set sources [lsort [glob -directory [file join $here sources] *]]
set listed [read_file [file join $stitched all_verilog_srcs.txt]]
foreach name [split [string trim $listed] "\\n"] {
    if {![file exists [file join $here sources $name]]} {
        lappend sources \\
            [localise [file join $stitched $name] [file join $project src] $stitched $as_cells]
    }
}

create_project finn_zynq_link $project -part $part
set board_part ""
if {$board_files ne ""} {
    set found [get_board_parts -quiet -latest_file_version "$board_files:*"]
    set board_part [lindex [lsort -dictionary $found] end]
}
if {$board_part ne ""} {
    set_property board_part $board_part [current_project]
    set board_note "The processor has the presets of the board files $board_part."
} else {
    set board_note "No board files of @board@ were installed: the processor keeps Vivado's\\
        defaults but for its crystal of @crystal@ MHz. That is right for a PYNQ overlay, whose\\
        boot image sets PLLs, DDR and pins, and wrong for a design that boots by itself."
}
add_files -norecurse $sources
update_compile_order -fileset sources_1

"""

_RUNS = """\

# What each master reaches, by address.
set map ""
foreach space [get_bd_addr_spaces] {
    foreach segment [get_bd_addr_segs -of_objects $space] {
        append map "$space [get_property -quiet OFFSET $segment]\\
            [get_property -quiet RANGE $segment] $segment\\n"
    }
}
write_file [file join $result address_map.txt] $map
if {@high@ && ![string match "*DDR_HIGH*" $map]} {
    append board_note " The DMAs do not reach the DDR above 2 GB; buffers must lie below."
}
puts "board files: $board_note"

# One synthesis for all. By itself Vivado gives every block a run of its own (UG994), which the
# strategy of synth_1 does not reach.
set_property synth_checkpoint_mode None [get_files top.bd]
generate_target all [get_files top.bd]
make_wrapper -files [get_files top.bd] -top -import
set_property top top_wrapper [get_filesets sources_1]
update_compile_order -fileset sources_1

set_property strategy Flow_PerfOptimized_high [get_runs synth_1]
set_property strategy Performance_ExplorePostRoutePhysOpt [get_runs impl_1]
set_property STEPS.PHYS_OPT_DESIGN.IS_ENABLED true [get_runs impl_1]
set_property STEPS.POST_ROUTE_PHYS_OPT_DESIGN.IS_ENABLED true [get_runs impl_1]
launch_runs synth_1 -jobs $jobs
finish synth_1
launch_runs impl_1 -to_step write_bitstream -jobs $jobs
finish impl_1

open_run impl_1
report_utilization -hierarchical -file [file join $result utilization.rpt]
report_timing_summary -file [file join $result timing.rpt]
report_timing -max_paths 10 -file [file join $result worst_paths.rpt]
report_clock_utilization -file [file join $result clock_utilization.rpt]
report_methodology -file [file join $result methodology.rpt]

# The clock that the design was really constrained to.
set clock [get_clocks -quiet @constrained@]
if {[llength $clock] == 0} {
    stop "the routed design has no clock @constrained@: nothing was constrained"
}
set period_ns [get_property PERIOD $clock]
puts "clock: the routed design is constrained to $period_ns ns"
if {$period_ns > 1000.0 / $actual_mhz + 0.001} {
    stop "the routed design is constrained to $period_ns ns, a slower clock than the $actual_mhz\\
        MHz that the processor makes"
}

# Met by both slacks and by the summary, which knows of pulse widths and of less than a picosecond.
set summary [read_file [file join $result timing.rpt]]
set wns [slack [get_timing_paths -setup]]
set whs [slack [get_timing_paths -hold]]
set met [expr {"null" ni [list $wns $whs] && $wns >= 0 && $whs >= 0
    && [regexp -nocase {constraints\\s+are\\s+met} $summary]}]
set bit [expr {$met ? "@bit@" : "@late_bit@"}]
set made [file join [get_property DIRECTORY [get_runs impl_1]] top_wrapper.bit]
if {![file exists $made]} {
    stop "the run impl_1 left no bitfile $made"
}
file copy $made [file join $result $bit]
# In .gen from 2020.2 on, in .srcs before.
set handoff [glob -nocomplain -directory $project \\
    finn_zynq_link.*/sources_1/bd/top/hw_handoff/top.hwh]
if {[llength $handoff] == 0} {
    stop "Vivado has written no top.hwh, from which pynq knows the design"
}
file copy [lindex $handoff 0] [file join $result @hwh@]

set found [expr {$board_part eq "" ? "null" : "\\"$board_part\\""}]
set met_json [expr {$met ? "true" : "false"}]
write_file [file join $result @facts@] "{
  \\"build_id\\": @build_id@,
  \\"clock\\":
    {\\"asked_mhz\\": $asked_mhz, \\"actual_mhz\\": $actual_mhz, \\"period_ns\\": $period_ns},
  \\"board_files\\": {\\"found\\": $found, \\"note\\": \\"$board_note\\"},
  \\"vivado\\": \\"[version -short]\\",
  \\"timing\\": {\\"met\\": $met_json, \\"wns\\": $wns, \\"whs\\": $whs}
}
"
close_project
if {!$met} {
    puts "TIMING MISSED: worst set-up slack $wns ns, worst hold slack $whs ns. Do not use $bit on\\
        a board. Build again with a longer --clock-ns; worst_paths.rpt says where it is lost."
}
puts "finished: $result"
"""


def build_tcl(spec: ShellSpec, board: Board, *, clock_ns: float) -> str:
    """Return the script that makes the bitfile, with a clock period of `clock_ns` ns asked for."""
    head = fill(
        _HEAD,
        board=board.name,
        bit=BIT,
        late_bit=LATE_BIT,
        result=RESULT,
        part=board.part,
        board_files=board.board_part or "",
        asked=number(1000 / clock_ns),
        macro=AS_CELLS,
        stopped=STOPPED,
        crystal=number(board.pll.crystal_mhz),
    )
    runs = fill(
        _RUNS,
        high=int(needs_high_addresses(board)),
        constrained=processor(board).constrained,
        bit=BIT,
        late_bit=LATE_BIT,
        hwh=HWH,
        facts=FACTS,
        build_id=spec.build_id,
    )
    return head + block_design_tcl(spec, board, clock_ns=clock_ns) + runs
