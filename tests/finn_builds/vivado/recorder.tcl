# Stands in for Vivado: runs a build script under tclsh and refuses whatever it does not know.
#
#   tclsh recorder.tcl SCRIPT RECORD ?without-board? ?without-part? ?failing-run?
#
# It models the commands, options, catalogue entries, pins, interfaces and properties that the
# project's scripts use, as UG835, UG994 and the product guides PG082, PG164, PG201 and PG247 give
# them. Module references get their pins from the Verilog itself, and their interfaces by Vivado's
# rules of naming. Any other command, option, pin or property is an error; so is a design in which
# an input has no driver or two, an interface no partner or one of another width, or a clock no
# association. RECORD gets one line per cell, property, net and interface.

namespace eval rec {
    variable options {}
    variable script ""
    variable project ""
    variable board 0
    variable sources {}
    variable tops {}
    variable bd ""
    variable cells {}
    variable props {}
    variable pins {}
    variable intfs {}
    variable drivers {}
    variable sinks {}
    variable partners {}
    variable external {}
    variable assigned 0
    variable validated 0
    variable saved 0
    variable wrapped 0
    variable ran 0
    variable waited 0
    variable opened 0
}

proc rec::fail {message} { return -code error "recorder: $message" }

# Properties by catalogue entry: allowed values (a list, or a range "low..high") and the default.
set rec::catalogue {
    processing_system7 {
        PCW_USE_M_AXI_GP0 {{0 1} 1} PCW_USE_S_AXI_HP0 {{0 1} 0}
        PCW_S_AXI_HP0_DATA_WIDTH {{32 64} 64} PCW_EN_CLK0_PORT {{0 1} 1}
        PCW_EN_RST0_PORT {{0 1} 1} PCW_FPGA0_PERIPHERAL_FREQMHZ {0.1..250 50}
    }
    zynq_ultra_ps_e {
        PSU__USE__M_AXI_GP0 {{0 1} 1} PSU__USE__M_AXI_GP1 {{0 1} 1} PSU__USE__M_AXI_GP2 {{0 1} 0}
        PSU__USE__S_AXI_GP2 {{0 1} 0} PSU__SAXIGP2__DATA_WIDTH {{32 64 128} 128}
        PSU__FPGA_PL0_ENABLE {{0 1} 1} PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {0.1..533.333 100}
    }
    proc_sys_reset {}
    smartconnect {NUM_SI {1..16 1} NUM_MI {1..16 1}}
}
set rec::versions {
    processing_system7 5.5 zynq_ultra_ps_e 3.5 proc_sys_reset 5.0 smartconnect 1.0
}

proc rec::value {cell name} { variable props; return [dict get $props $cell $name] }

# Sets the pins and interfaces of a catalogue cell anew from its properties.
# A pin is {direction kind required}, an interface {mode protocol width clock}.
proc rec::shape {cell ip} {
    variable pins
    variable intfs
    set p {}
    set i {}
    switch $ip {
        processing_system7 {
            if {[value $cell PCW_EN_CLK0_PORT]} { dict set p FCLK_CLK0 {out clock 0} }
            if {[value $cell PCW_EN_RST0_PORT]} { dict set p FCLK_RESET0_N {out reset 0} }
            if {[value $cell PCW_USE_M_AXI_GP0]} {
                dict set p M_AXI_GP0_ACLK {in clock 1}
                dict set i M_AXI_GP0 {master aximm 32 M_AXI_GP0_ACLK}
            }
            if {[value $cell PCW_USE_S_AXI_HP0]} {
                dict set p S_AXI_HP0_ACLK {in clock 1}
                dict set i S_AXI_HP0 \
                    [list slave aximm [value $cell PCW_S_AXI_HP0_DATA_WIDTH] S_AXI_HP0_ACLK]
            }
        }
        zynq_ultra_ps_e {
            dict set p pl_resetn0 {out reset 0}
            if {[value $cell PSU__FPGA_PL0_ENABLE]} { dict set p pl_clk0 {out clock 0} }
            foreach {use name clock} {
                0 M_AXI_HPM0_FPD maxihpm0_fpd_aclk 1 M_AXI_HPM1_FPD maxihpm1_fpd_aclk
                2 M_AXI_HPM0_LPD maxihpm0_lpd_aclk
            } {
                if {[value $cell PSU__USE__M_AXI_GP$use]} {
                    dict set p $clock {in clock 1}
                    dict set i $name [list master aximm 128 $clock]
                }
            }
            if {[value $cell PSU__USE__S_AXI_GP2]} {
                dict set p saxihp0_fpd_aclk {in clock 1}
                dict set i S_AXI_HP0_FPD \
                    [list slave aximm [value $cell PSU__SAXIGP2__DATA_WIDTH] saxihp0_fpd_aclk]
            }
        }
        proc_sys_reset {
            foreach {name pin} {
                slowest_sync_clk {in clock 1} ext_reset_in {in reset 1} aux_reset_in {in reset 0}
                dcm_locked {in data 0} mb_debug_sys_rst {in reset 0} mb_reset {out reset 0}
                bus_struct_reset {out reset 0} peripheral_reset {out reset 0}
                interconnect_aresetn {out reset 0} peripheral_aresetn {out reset 0}
            } { dict set p $name $pin }
        }
        smartconnect {
            dict set p aclk {in clock 1}
            dict set p aresetn {in reset 1}
            for {set n 0} {$n < [value $cell NUM_SI]} {incr n} {
                dict set i [format S%02d_AXI $n] {slave aximm any aclk}
            }
            for {set n 0} {$n < [value $cell NUM_MI]} {incr n} {
                dict set i [format M%02d_AXI $n] {master aximm any aclk}
            }
        }
    }
    dict set pins $cell $p
    dict set intfs $cell $i
}

proc rec::read {path} {
    set file [open $path]
    set text [::read $file]
    close $file
    return $text
}

# Pins and interfaces of a module reference, from its Verilog.
proc rec::shape_module {cell module} {
    variable sources
    variable pins
    variable intfs
    set text ""
    foreach source $sources {
        set content [read $source]
        if {[regexp -line "^module $module (#)?\\($" $content]} {
            if {[file extension $source] ne ".v"} {
                fail "$module is in [file tail $source]: a module reference must be plain Verilog"
            }
            set text $content
        }
    }
    if {$text eq ""} { fail "no source has a module $module" }
    regexp "module $module \\((.*?)\\n\\);" $text -> head
    set ports {}
    set parameter ""
    foreach line [split [string trim $head "\n"] "\n"] {
        if {[regexp {X_INTERFACE_PARAMETER = "([^"]*)"} $line -> parameter]} continue
        if {[regexp {X_INTERFACE_INFO = "([^"]*)"} $line -> info]} {
            if {$info ne "xilinx.com:signal:clock:1.0 ap_clk CLK"} { fail "unknown $info" }
            continue
        }
        if {![regexp {^\s*(input|output)\s+wire (?:\[(\d+):0\] )?(\w+),?$} $line -> way high name]} {
            fail "a port of $module that is not plain Verilog: $line"
        }
        dict set ports $name [list [expr {$way eq "input" ? "in" : "out"}] \
            [expr {$high eq "" ? 1 : $high + 1}] $parameter]
        set parameter ""
    }
    set i {}
    foreach name [dict keys $ports] {
        if {[regexp {^(\w+)_tdata$} $name -> prefix]} {
            foreach signal {tvalid tready} {
                if {![dict exists $ports ${prefix}_$signal]} { fail "$module: no ${prefix}_$signal" }
            }
            lassign [dict get $ports $name] way width
            dict set i $prefix [list [expr {$way eq "out" ? "master" : "slave"}] axis $width ap_clk]
        } elseif {[regexp {^(\w+)_(rdata|wdata)$} $name -> prefix signal]} {
            set address [expr {$signal eq "rdata" ? "araddr" : "awaddr"}]
            set way [lindex [dict get $ports ${prefix}_$address] 0]
            set width [lindex [dict get $ports $name] 1]
            dict set i $prefix \
                [list [expr {$way eq "out" ? "master" : "slave"}] aximm $width ap_clk]
        }
    }
    set p {}
    foreach {name port} $ports {
        set owned 0
        foreach prefix [dict keys $i] {
            if {[string match ${prefix}_* $name]} { set owned 1 }
        }
        if {$owned} continue
        lassign $port way width parameter
        set kind data
        if {$name eq "ap_clk"} {
            set kind clock
            if {![regexp {^ASSOCIATED_BUSIF ([\w:]+), ASSOCIATED_RESET ap_rst_n$} $parameter -> buses]
                || [lsort [split $buses :]] ne [lsort [dict keys $i]]} {
                fail "$module: the clock is associated with '$parameter', the interfaces are\
                    [dict keys $i]"
            }
        } elseif {[string match *rst_n $name]} {
            set kind reset
            if {$parameter ne "POLARITY ACTIVE_LOW"} { fail "$module: no polarity of $name" }
        }
        dict set p $name [list $way $kind 1]
    }
    if {![dict exists $p ap_clk]} { fail "$module has no ap_clk" }
    dict set pins $cell $p
    dict set intfs $cell $i
}

proc rec::options {given known} {
    # Parses arguments: `known` has each option with 1 if a value follows; the rest is returned.
    set found {}
    set rest {}
    while {[llength $given]} {
        set given [lassign $given word]
        if {[string match -* $word]} {
            if {![dict exists $known $word]} { fail "unknown option $word" }
            if {[dict get $known $word]} { set given [lassign $given value] } else { set value 1 }
            dict set found $word $value
        } else { lappend rest $word }
    }
    return [list $found $rest]
}

proc rec::need {condition message} {
    if {![uplevel 1 [list expr $condition]]} { uplevel 1 [list rec::fail $message] }
}

# Project

proc get_parts {quiet part} {
    rec::need {$quiet eq "-quiet"} "get_parts $quiet"
    if {"without-part" in $rec::options} { return {} }
    return [list $part]
}

proc get_board_parts {quiet part} {
    rec::need {$quiet eq "-quiet"} "get_board_parts $quiet"
    if {"without-board" in $rec::options} { return {} }
    return [list $part]
}

proc create_project {args} {
    lassign [rec::options $args {-part 1}] found rest
    lassign $rest name folder
    rec::need {[llength $rest] == 2 && [dict exists $found -part]} "create_project $args"
    set rec::project [list $name $folder]
    file mkdir $folder
    puts $rec::record "part [dict get $found -part]"
}

proc current_project {} {
    rec::need {$rec::project ne ""} "there is no project"
    return [list project]
}

proc close_project {} { current_project; set rec::project "" }

proc add_files {args} {
    current_project
    lassign [rec::options $args {-norecurse 0}] found rest
    foreach path [lindex $rest 0] {
        rec::need {[file isfile $path]} "no file $path"
        rec::need {$path ni $rec::sources} "$path is added twice"
        lappend rec::sources $path
    }
}

proc update_compile_order {args} {
    current_project
    rec::need {$args eq "-fileset sources_1"} "update_compile_order $args"
    # Every module that is instantiated by a file must come with exactly one file.
    set seen {}
    foreach path $rec::sources {
        foreach {all name} [regexp -all -inline -line {^\s*module\s+(\w+)} [rec::read $path]] {
            if {[dict exists $seen $name]} {
                rec::fail "$name is in [file tail $path] and in [dict get $seen $name]"
            }
            dict set seen $name [file tail $path]
        }
        foreach {all data} [regexp -all -inline {"([^"\s]*/[^"\s]*)"} [rec::read $path]] {
            rec::need {![string match ./* $data]} "[file tail $path] names $data, a relative path"
        }
    }
}

# Objects

proc get_ipdefs {pattern} {
    rec::need {[regexp {^xilinx\.com:ip:(\w+):\*$} $pattern -> ip]} "get_ipdefs $pattern"
    if {![dict exists $rec::versions $ip]} { return {} }
    return [list xilinx.com:ip:$ip:[dict get $rec::versions $ip] xilinx.com:ip:$ip:0.9]
}

proc get_files {name} {
    rec::need {$name eq "top.bd" && $rec::saved} "no file $name"
    return $name
}

proc get_filesets {name} { rec::need {$name eq "sources_1"} "no file set $name"; return $name }

proc get_runs {name} { rec::need {$name eq "impl_1"} "no run $name"; return $name }

proc get_bd_pins {path} {
    lassign [split $path /] cell pin
    rec::need {[dict exists $rec::pins $cell $pin]} "no pin $path"
    return $path
}

proc get_bd_intf_pins {path} {
    lassign [split $path /] cell pin
    rec::need {[dict exists $rec::intfs $cell $pin]} "no interface $path"
    return $path
}

proc set_property {args} {
    if {[lindex $args 0] eq "-dict"} {
        rec::need {[llength $args] == 3} "set_property $args"
        lassign $args option pairs object
    } else {
        rec::need {[llength $args] == 3} "set_property $args"
        lassign $args name value object
        set pairs [list $name $value]
    }
    foreach {name value} $pairs { rec::set_one $name $value $object }
    if {[dict exists $rec::cells $object]} { rec::shape $object [dict get $rec::cells $object] }
}

proc rec::set_one {name value object} {
    variable cells
    variable catalogue
    variable props
    if {$object eq "project"} {
        need {$name eq "board_part"} "a project has no property $name"
        set rec::board 1
        return
    }
    if {$object eq "sources_1"} {
        need {$name eq "top" && $value eq "top_wrapper" && $rec::wrapped} "$name $value"
        return
    }
    need {[dict exists $cells $object]} "no cell $object"
    set ip [dict get $cells $object]
    need {[regexp {^CONFIG\.(\w+)$} $name -> key]} "property $name"
    need {[dict exists $catalogue $ip $key]} "$ip has no property $key"
    set allowed [lindex [dict get $catalogue $ip $key] 0]
    if {[regexp {^(.*)\.\.(.*)$} $allowed -> low high]} {
        need {[string is double -strict $value] && $value >= $low && $value <= $high} \
            "$key must be $low to $high, not $value"
    } else {
        need {$value in $allowed} "$key must be one of $allowed, not $value"
    }
    dict set props $object $key $value
    puts $rec::record "property $object $key $value"
}

proc get_property {name object} {
    if {$object eq "impl_1"} {
        switch $name {
            PROGRESS { return [expr {"failing-run" in $rec::options ? "62%" : "100%"}] }
            STATUS { return [expr {"failing-run" in $rec::options ? "route_design ERROR"
                : "write_bitstream Complete!"}] }
            DIRECTORY { return [file join [lindex $rec::project 1] runs impl_1] }
        }
    }
    rec::fail "get_property $name $object"
}

# Block design

proc create_bd_design {name} {
    current_project
    rec::need {$rec::bd eq ""} "a second block design"
    set rec::bd $name
}

proc create_bd_cell {args} {
    rec::need {$rec::bd ne ""} "there is no block design"
    lassign [rec::options $args {-type 1 -vlnv 1 -reference 1}] found name
    rec::need {[llength $name] == 1 && ![dict exists $rec::cells $name]} "create_bd_cell $args"
    set of [expr {[dict get $found -type] eq "ip" ? "-vlnv" : "-reference"}]
    switch [dict get $found -type] {
        ip {
            lassign [split [dict get $found -vlnv] :] vendor library ip version
            rec::need {$vendor eq "xilinx.com" && $library eq "ip"
                && [dict exists $rec::catalogue $ip]
                && [dict get $rec::versions $ip] eq $version} "no IP [dict get $found -vlnv]"
            dict set rec::cells $name $ip
            dict for {key entry} [dict get $rec::catalogue $ip] {
                dict set rec::props $name $key [lindex $entry 1]
            }
            rec::shape $name $ip
        }
        module {
            dict set rec::cells $name module
            rec::shape_module $name [dict get $found -reference]
        }
        default { rec::fail "create_bd_cell $args" }
    }
    puts $rec::record "cell $name [dict get $found $of]"
    return $name
}

proc apply_bd_automation {args} {
    lassign [rec::options $args {-rule 1 -config 1}] found cell
    rec::need {[regexp {^xilinx\.com:bd_rule:(\w+)$} [dict get $found -rule] -> rule]} $args
    rec::need {[dict exists $rec::cells $cell] && [dict get $rec::cells $cell] eq $rule} \
        "the rule $rule is not for $cell"
    set config [dict get $found -config]
    switch $rule {
        processing_system7 { set known {make_external apply_board_preset Master Slave} }
        zynq_ultra_ps_e { set known {apply_board_preset} }
        default { rec::fail "no rule $rule" }
    }
    foreach key [dict keys $config] { rec::need {$key in $known} "$rule has no option $key" }
    if {[dict get $config apply_board_preset] && !$rec::board} {
        rec::fail "a board preset without a board"
    }
    if {[dict exists $config make_external]} {
        rec::need {[dict get $config make_external] eq "FIXED_IO, DDR"} "make_external"
        lappend rec::external $cell
    }
    puts $rec::record "preset $cell [dict get $config apply_board_preset]"
}

proc connect_bd_net {source sink} {
    foreach path [list $source $sink] {
        lassign [split $path /] cell pin
        lassign [dict get $rec::pins $cell $pin] way kind
        if {$path eq $source} {
            rec::need {$way eq "out"} "$path drives nothing"
            set from $kind
        } else {
            rec::need {$way eq "in"} "$path is driven by its own cell"
            rec::need {![dict exists $rec::drivers $path]} "$path has two drivers"
            rec::need {$kind eq $from} "$source is a $from, $path a $kind"
            dict set rec::drivers $path $source
        }
    }
    puts $rec::record "net $source $sink"
}

proc connect_bd_intf_net {master slave} {
    foreach path [list $master $slave] mode {master slave} {
        lassign [split $path /] cell name
        lassign [dict get $rec::intfs $cell $name] is protocol width
        rec::need {$is eq $mode} "$path is a $is"
        rec::need {![dict exists $rec::partners $path]} "$path is connected twice"
        lappend shapes $protocol $width
    }
    lassign $shapes protocol width other its_width
    rec::need {$protocol eq $other} "$master is $protocol, $slave $other"
    rec::need {$width eq $its_width || "any" in [list $width $its_width]} \
        "$master has $width bits, $slave $its_width"
    dict set rec::partners $master $slave
    dict set rec::partners $slave $master
    puts $rec::record "interface $master $slave"
}

proc assign_bd_address {} { set rec::assigned 1 }

proc validate_bd_design {} {
    rec::need {$rec::assigned} "addresses are not assigned"
    set clocks {}
    dict for {cell pins} $rec::pins {
        dict for {name pin} $pins {
            lassign $pin way kind required
            if {$way eq "in" && $required} {
                rec::need {[dict exists $rec::drivers $cell/$name]} "$cell/$name has no driver"
            }
        }
        dict for {name intf} [dict get $rec::intfs $cell] {
            rec::need {[dict exists $rec::partners $cell/$name]} "$cell/$name has no partner"
            dict set clocks $cell/$name [dict get $rec::drivers $cell/[lindex $intf 3]]
        }
        if {[dict get $rec::cells $cell] eq "processing_system7"} {
            rec::need {$cell in $rec::external} "DDR and FIXED_IO of $cell go nowhere"
        }
    }
    dict for {path clock} $clocks {
        rec::need {$clock eq [dict get $clocks [dict get $rec::partners $path]]} \
            "$path crosses from one clock to another"
    }
    rec::widths
    set rec::validated 1
}

# The memory port must be as wide as the DMAs, or the interconnect would have to convert.
proc rec::widths {} {
    variable intfs
    variable partners
    foreach dma {idma0 odma0} {
        set width [lindex [dict get $intfs $dma m_axi_gmem] 2]
        set switch [lindex [split [dict get $partners $dma/m_axi_gmem] /] 0]
        lassign [split [dict get $partners $switch/M00_AXI] /] cell port
        set its_width [lindex [dict get $intfs $cell $port] 2]
        need {$width == $its_width} "$dma has $width bits, $cell/$port $its_width"
    }
}

proc save_bd_design {} {
    rec::need {$rec::validated} "the design is not validated"
    set rec::saved 1
}

proc make_wrapper {args} {
    lassign [rec::options $args {-files 1 -top 0 -import 0}] found rest
    rec::need {[dict get $found -files] eq "top.bd" && $rest eq "" && [dict size $found] == 3} $args
    set rec::wrapped 1
}

# Runs and reports

proc launch_runs {args} {
    lassign [rec::options $args {-to_step 1 -jobs 1}] found run
    rec::need {$run eq "impl_1" && $rec::wrapped
        && [dict get $found -to_step] eq "write_bitstream"
        && [string is integer -strict [dict get $found -jobs]]} $args
    set rec::ran 1
}

proc rec::write {path text} {
    file mkdir [file dirname $path]
    set file [open $path w]
    puts -nonewline $file $text
    close $file
}

proc wait_on_run {run} {
    rec::need {$run eq "impl_1" && $rec::ran} "the run $run was not launched"
    lassign $rec::project name folder
    set rec::waited 1
    if {"failing-run" in $rec::options} return
    rec::write [file join $folder runs impl_1 top_wrapper.bit] "bits of the recorder\n"
    rec::write [file join $folder $name.gen sources_1 bd top hw_handoff top.hwh] "<handoff/>\n"
}

proc open_run {run} {
    rec::need {$run eq "impl_1" && $rec::waited} "the run $run is not over"
    set rec::opened 1
}

proc report_utilization {args} {
    lassign [rec::options $args {-hierarchical 0 -file 1}] found rest
    rec::need {$rec::opened && $rest eq "" && [dict size $found] == 2} "report_utilization $args"
    set text "| Tool Version : Vivado v.2023.2 (lin64) Build 1\n\n"
    append text "| Instance | Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs | RAMB36 "
    append text "| RAMB18 | DSP Blocks |\n"
    append text "| top_wrapper | (top) | 900 | 860 | 30 | 10 | 1200 | 1 | 2 | 3 |\n"
    append text "|   top_i | top | 900 | 860 | 30 | 10 | 1200 | 1 | 2 | 3 |\n"
    append text "|     accelerator0 | wrap | 500 | 500 | 0 | 0 | 700 | 0 | 2 | 3 |\n"
    append text "|     idma0 | idma | 400 | 360 | 30 | 10 | 500 | 1 | 0 | 0 |\n"
    rec::write [dict get $found -file] $text
}

proc report_timing_summary {args} {
    lassign [rec::options $args {-file 1}] found rest
    rec::need {$rec::opened && $rest eq ""} "report_timing_summary $args"
    set slack [expr {"late" in $rec::options ? "-0.250" : "0.321"}]
    set text "    WNS(ns) TNS(ns) TNS Failing Endpoints  TNS Total Endpoints\n"
    append text "    ------- ------- ---------------------  -------------------\n"
    append text "    $slack 0.000 0 10 0.020 0.000 0 10 3.750 0.000 0 5\n"
    rec::write [dict get $found -file] $text
}

proc unknown {args} { rec::fail "unknown command [lindex $args 0]" }

set rec::options [lassign $argv rec::script record_file]
set rec::record [open $record_file w]
try {
    source $rec::script
} on error {message details} {
    puts stderr "ERROR: $message"
    puts stderr [dict get $details -errorinfo]
    exit 1
} finally {
    catch { close $rec::record }
}
