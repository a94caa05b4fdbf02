# Stands in for Vivado: runs a build script under tclsh and refuses whatever it does not know.
#
#   tclsh recorder.tcl SCRIPT RECORD ?option ...?
#
# It models the commands and options that the project's scripts use, as UG835 and UG994 give them.
# What they act on - catalogue entries, pins, interfaces, signals of buses, properties, boards - is
# in catalogue.tsv, apart from the scripts, with a public source a line. Module references get their
# pins and interfaces from the Verilog itself, by Vivado's rules of naming and its attributes. Any
# other command, option, pin or property is an error; so is a design in which an input has no driver
# or two, a reset the wrong polarity or no clock, an interface no partner, a signal too few or
# another width, or a clock no association. RECORD gets one line per source, cell, property, net,
# interface and parameter.
#
# Options say what goes wrong: without-board, without-part, overridden (the preset leaves the basic
# clocks overridden), other-pll, fast-clock (none but the PLL's own), no-clock (the processor takes
# none), other-constraint, failing-synthesis, failing-run, no-bit, no-handoff, killed, broken (a Tcl
# error), late, late-by-1ps, late-by-less, hold, pulse, no-paths, unconstrained, new-tables (reports
# of a layout that is not known), silent (no version).

namespace eval rec {
    variable options {}
    variable script ""
    variable project ""
    variable board ""
    variable sources {}
    variable ordered 0
    variable bd ""
    variable cells {}
    variable props {}
    variable pins {}
    variable intfs {}
    variable drivers {}
    variable partners {}
    variable external {}
    variable segments {}
    variable assigned 0
    variable validated 0
    variable saved 0
    variable generated 0
    variable wrapped 0
    variable top ""
    variable launched {}
    variable waited {}
    variable opened 0
    variable facts {}
    variable frequencies {}
}

proc rec::fail {message} { return -code error "recorder: $message" }

proc rec::need {condition message} {
    if {![uplevel 1 [list expr $condition]]} { uplevel 1 [list rec::fail $message] }
}

proc rec::option {name} { return [expr {$name in $rec::options}] }

proc rec::read {path} {
    set file [open $path]
    set text [::read $file]
    close $file
    return $text
}

proc rec::write {path text} {
    file mkdir [file dirname $path]
    set file [open $path w]
    puts -nonewline $file $text
    close $file
}

# The lines of a kind in the catalogue whose first fields are those given, without kind and source.
proc rec::known {kind args} {
    variable facts
    set found {}
    foreach line $facts {
        if {[lindex $line 0] ne $kind} continue
        set fields [lrange $line 1 end-1]
        if {[lrange $fields 0 [llength $args]-1] eq $args} { lappend found $fields }
    }
    return $found
}

proc rec::load_catalogue {path} {
    variable facts
    foreach line [split [string trim [read $path]] "\n"] {
        if {[string match "#*" $line]} continue
        set fields [split $line "\t"]
        if {[llength $fields] < 4 || [string trim [lindex $fields end]] eq ""} {
            fail "the catalogue has a line without a source: $line"
        }
        lappend facts $fields
    }
}

# Whether a value is one of a list, or within a range "low..high".
proc rec::allowed {value allowed} {
    if {[regexp {^(.*)\.\.(.*)$} $allowed -> low high]} {
        return [expr {[string is double -strict $value] && $value >= $low && $value <= $high}]
    }
    return [expr {$value in $allowed}]
}

proc rec::value {cell name} { variable props; return [dict get $props $cell $name] }

# A condition of the catalogue: a property that must be 1, or "-".
proc rec::holds {cell condition} {
    return [expr {$condition eq "-" || [value $cell $condition] == 1}]
}

# Sets the pins and interfaces of a catalogue cell anew from its properties.
# A pin is {direction kind required}; an interface {mode protocol width clock parameters}.
proc rec::shape {cell ip} {
    variable pins
    variable intfs
    set p {}
    set i {}
    foreach pin [known pin $ip] {
        lassign $pin - name way kind required when
        if {[holds $cell $when]} { dict set p $name [list $way $kind $required] }
    }
    foreach intf [known interface $ip] {
        lassign $intf - name mode protocol width clock when
        if {![holds $cell $when]} continue
        if {![string is integer $width]} { set width [value $cell $width] }
        dict set i $name [list $mode $protocol $width $clock {}]
    }
    foreach ports [known ports $ip] {
        lassign $ports - pattern mode count
        for {set n 0} {$n < [value $cell $count]} {incr n} {
            dict set i [format $pattern $n] [list $mode any any aclk {}]
        }
    }
    dict set pins $cell $p
    dict set intfs $cell $i
}

# The frequency that a processor makes of what was asked for: the nearest that its PLL, divided by an
# integer, gives. (In a public hardware project 200 MHz became 187.481262, not 214.26.)
proc rec::made {cell} {
    variable cells
    variable board
    set ip [dict get $cells $cell]
    lassign [lindex [known computed $ip] 0] - actual crystal multiplier asked
    if {$board ne ""} {
        lassign [lindex [known board $board] 0] - versions preset multiplier
    }
    set pll [single [expr {[single [value $cell $crystal]] * $multiplier}]]
    # The multiplier is that of the IO PLL; those of the others are not known.
    if {$ip eq "zynq_ultra_ps_e"} {
        set source [value $cell PSU__CRL_APB__PL0_REF_CTRL__SRCSEL]
        need {$source eq "IOPLL"} "the clock is of $source"
    }
    set asked [value $cell $asked]
    if {$ip eq "zynq_ultra_ps_e" && [value $cell PSU__OVERRIDE__BASIC_CLOCK]} { set asked 100 }
    set divisor [expr {max(1, int($pll / $asked))}]
    if {$asked - $pll / ($divisor + 1) < $pll / $divisor - $asked} { incr divisor }
    if {[option other-pll]} { return [format %.6f [other_pll $asked]] }
    if {[option fast-clock]} { set divisor 1 }
    return [format %.6f [single [expr {$pll / $divisor}]]]
}

# A number of single precision: 33.333 * 45 / 8 is 187.498123 in public projects, 33.33 * 45 / 8
# 187.481262.
proc rec::single {number} {
    binary scan [binary format f $number] f found
    return $found
}

# The nearest clock of a PLL of 1,200 MHz, which no board's description has.
proc rec::other_pll {asked} {
    set divisor [expr {max(1, int(1200.0 / $asked))}]
    if {$asked - 1200.0 / ($divisor + 1) < 1200.0 / $divisor - $asked} { incr divisor }
    return [expr {1200.0 / $divisor}]
}

# Module references

# Ports of a plain-Verilog module: name -> {direction width {attribute value ...}}.
proc rec::ports_of {module} {
    variable sources
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
    set attributes {}
    foreach line [split [string trim $head "\n"] "\n"] {
        if {[regexp {^\s*\(\* (X_INTERFACE_\w+) = "([^"]*)" \*\)$} $line -> name value]} {
            dict set attributes $name $value
            continue
        }
        if {![regexp {^\s*(input|output)\s+wire (?:\[(\d+):0\] )?(\w+),?$} $line -> way high name]} {
            fail "a port of $module that is not plain Verilog: $line"
        }
        dict set ports $name [list [expr {$way eq "input" ? "in" : "out"}] \
            [expr {$high eq "" ? 1 : $high + 1}] $attributes]
        set attributes {}
    }
    return $ports
}

# Parameters "NAME value, NAME value" as a dictionary.
proc rec::parameters {text} {
    set found {}
    foreach part [split $text ,] {
        set words [string trim $part]
        if {$words eq ""} continue
        dict set found [lindex $words 0] [lrange $words 1 end]
    }
    return $found
}

# Interface and logical signal of a port: from its attribute, or from its name.
proc rec::belongs {port attributes} {
    if {[dict exists $attributes X_INTERFACE_INFO]} {
        if {![regexp {^xilinx\.com:(interface|signal):(\w+):1\.0 (\w+) (\w+)$} \
                [dict get $attributes X_INTERFACE_INFO] -> - bus name signal]} {
            fail "unknown X_INTERFACE_INFO of $port"
        }
        return [list $bus $name $signal]
    }
    if {[regexp {^(\w+)_(t(?:data|valid|ready))$} $port -> name signal]} {
        return [list axis $name [string toupper $signal]]
    }
    foreach {bus signal} [signals] {
        if {[regexp "^(\\w+)_[string tolower $signal]$" $port -> name]} {
            return [list aximm $name $signal]
        }
    }
    return {}
}

proc rec::signals {} {
    set found {}
    foreach line [known signal] {
        if {[lindex $line 0] ne "stream"} { lappend found [lindex $line 0] [lindex $line 1] }
    }
    return $found
}

# Pins and interfaces of a module reference.
proc rec::shape_module {cell module} {
    variable pins
    variable intfs
    set ports [ports_of $module]
    set grouped {}
    set given {}
    set p {}
    foreach {port what} $ports {
        lassign $what way width attributes
        lassign [belongs $port $attributes] bus name signal
        if {$bus in {aximm axis}} {
            dict set grouped $name bus $bus
            dict set grouped $name signals $signal [list $way $width]
            if {[dict exists $attributes X_INTERFACE_PARAMETER]} {
                dict set given $name [parameters [dict get $attributes X_INTERFACE_PARAMETER]]
            }
            continue
        }
        set settings {}
        if {[dict exists $attributes X_INTERFACE_PARAMETER]} {
            set settings [parameters [dict get $attributes X_INTERFACE_PARAMETER]]
        }
        set kind data
        if {$bus eq "clock"} {
            set kind clock
            if {[dict exists $settings FREQ_HZ]} {
                dict set rec::frequencies $cell/$port [dict get $settings FREQ_HZ]
            }
        }
        if {$bus eq "reset"} {
            if {![dict exists $settings POLARITY]} { fail "$module: no polarity of $port" }
            set kind [expr {[dict get $settings POLARITY] eq "ACTIVE_LOW" ? "reset_low"
                : "reset_high"}]
        } elseif {[string match "*rst*" $port]} { fail "$module: $port is not marked as a reset" }
        dict set p $port [list $way $kind 1]
        dict set settings kind $kind
        dict set given $port $settings
    }
    set i {}
    foreach {name found} $grouped {
        set settings [expr {[dict exists $given $name] ? [dict get $given $name] : {}}]
        dict set i $name [interface $module $name $found $settings]
    }
    associate $module $p $i $given
    dict set pins $cell $p
    dict set intfs $cell $i
    foreach {name intf} $i {
        foreach {key value} [lindex $intf 4] {
            puts $rec::record "parameter $cell/$name $key $value"
        }
    }
}

# Checks the signals of one interface against the bus and returns what it is.
proc rec::interface {module name found settings} {
    set signals [dict get $found signals]
    foreach {key value} $settings {
        set known [known parameter $key]
        need {[llength $known]} "$module: the interface $name has no parameter $key"
        need {[allowed $value [lindex $known 0 1]]} "$module: $key of $name is $value"
    }
    if {[dict get $found bus] eq "axis"} {
        need {[dict exists $signals TDATA]} "$module: no ${name}_tdata"
        lassign [dict get $signals TDATA] way width
        set mode [expr {$way eq "out" ? "master" : "slave"}]
        complete $module $name $mode stream $signals AXIS
        return [list $mode AXIS $width ap_clk {}]
    }
    set way ""
    foreach {channel address data} {read ARADDR RDATA write AWADDR WDATA} {
        if {[dict exists $signals $address]} { lappend channels $channel $address $data }
    }
    need {[info exists channels]} "$module: $name has no address"
    lassign $channels - address data
    lassign [dict get $signals $address] way width
    set mode [expr {$way eq "out" ? "master" : "slave"}]
    set protocol AXI4LITE
    if {[dict exists $signals ARLEN] || [dict exists $signals AWLEN]} { set protocol AXI4 }
    if {[dict exists $settings PROTOCOL]} { set protocol [dict get $settings PROTOCOL] }
    foreach {channel address data} $channels {
        need {[dict exists $signals $data]} "$module: no ${name}_[string tolower $data]"
        set width [lindex [dict get $signals $data] 1]
        complete $module $name $mode $channel $signals $protocol
    }
    set limit [expr {$protocol eq "AXI4LITE" ? 1 : 256}]
    foreach {key default} [list PROTOCOL $protocol READ_WRITE_MODE \
        [expr {[llength $channels] == 6 ? "READ_WRITE" : [lindex $channels 0] eq "read"
            ? "READ_ONLY" : "WRITE_ONLY"}] SUPPORTS_NARROW_BURST 1 \
        NUM_READ_OUTSTANDING 2 NUM_WRITE_OUTSTANDING 2 MAX_BURST_LENGTH $limit] {
        if {![dict exists $settings $key]} { dict set settings $key $default }
    }
    set channel [lindex $channels 0]
    if {[dict get $settings READ_WRITE_MODE] eq "READ_ONLY"} {
        need {$channels eq {read ARADDR RDATA}} "$module: $name is not READ_ONLY"
    } elseif {[dict get $settings READ_WRITE_MODE] eq "WRITE_ONLY"} {
        need {$channels eq {write AWADDR WDATA}} "$module: $name is not WRITE_ONLY"
    }
    dict set settings ADDR_WIDTH [lindex [dict get $signals $address] 1]
    return [list $mode $protocol $width ap_clk $settings]
}

# Every signal that the bus needs is there, in its direction and width, and no other.
proc rec::complete {module name mode channel signals protocol} {
    set data [lindex [dict get $signals [dict get {read RDATA write WDATA stream TDATA} $channel]] 1]
    need {$data % 8 == 0} "$module: $name has $data bits of data"
    foreach line [known signal $channel] {
        lassign $line - signal from width when
        set port ${name}_[string tolower $signal]
        if {![dict exists $signals $signal]} {
            need {$when eq "maybe" || ($when eq "AXI4" && $protocol ne "AXI4")} "$module: no $port"
            continue
        }
        lassign [dict get $signals $signal] way has
        need {($way eq "out") == ($from eq $mode)} "$module: $port has the wrong direction"
        switch $width {
            data { set wanted $data }
            bytes { set wanted [expr {$data / 8}] }
            address { set wanted $has }
            default { set wanted $width }
        }
        need {$has == $wanted} "$module: $port has $has bits, not $wanted"
    }
}

# The clock names every interface, and every reset beside it.
proc rec::associate {module p i given} {
    set clocks {}
    set resets {}
    foreach {port pin} $p {
        if {[lindex $pin 1] eq "clock"} { lappend clocks $port }
        if {[string match reset_* [lindex $pin 1]]} { lappend resets $port }
    }
    need {[llength $clocks] == 1} "$module has the clocks '$clocks'"
    set settings [dict get $given [lindex $clocks 0]]
    foreach {key wanted} [list ASSOCIATED_BUSIF [dict keys $i] ASSOCIATED_RESET $resets] {
        set has [expr {[dict exists $settings $key] ? [split [dict get $settings $key] :] : {}}]
        need {[lsort $has] eq [lsort $wanted]} \
            "$module: the clock is associated with '$has', not with '$wanted'"
    }
}

proc rec::parse {given known} {
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

# Project

proc version {what} {
    rec::need {$what eq "-short"} "version $what"
    return [expr {[rec::option silent] ? "" : "2023.2"}]
}

proc get_parts {quiet part} {
    rec::need {$quiet eq "-quiet"} "get_parts $quiet"
    if {[rec::option without-part]} { return {} }
    return [list $part]
}

proc get_board_parts {args} {
    lassign [rec::parse $args {-quiet 0 -latest_file_version 0}] found rest
    rec::need {[dict exists $found -quiet] && [llength $rest] == 1} "get_board_parts $args"
    if {[rec::option without-board]} { return {} }
    set parts {}
    foreach board [rec::known board] {
        lassign $board name versions
        if {[dict exists $found -latest_file_version]} { set versions [lindex $versions end] }
        foreach version $versions {
            if {[string match [lindex $rest 0] $name:part0:$version]} {
                lappend parts $name:part0:$version
            }
        }
    }
    return $parts
}

proc create_project {args} {
    lassign [rec::parse $args {-part 1}] found rest
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
    lassign [rec::parse $args {-norecurse 0}] found rest
    foreach path [lindex $rest 0] {
        rec::need {[file isfile $path]} "no file $path"
        rec::need {$path ni $rec::sources} "$path is added twice"
        lappend rec::sources $path
        set rec::ordered 0
        puts $rec::record "source $path"
    }
}

proc update_compile_order {args} {
    current_project
    rec::need {$args eq "-fileset sources_1"} "update_compile_order $args"
    set rec::ordered 1
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
    set found [rec::known ip $ip]
    if {![llength $found]} { return {} }
    return [list xilinx.com:ip:$ip:[lindex $found 0 1] xilinx.com:ip:$ip:0.9]
}

proc get_files {name} {
    rec::need {$name eq "top.bd" && $rec::saved} "no file $name"
    return $name
}

proc get_filesets {name} { rec::need {$name eq "sources_1"} "no file set $name"; return $name }

proc get_runs {{name ""}} {
    set runs {synth_1 impl_1}
    if {$name eq ""} { return $runs }
    rec::need {$name in $runs} "no run $name"
    return $name
}

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
    rec::need {[llength $args] == 3} "set_property $args"
    if {[lindex $args 0] eq "-dict"} {
        lassign $args option pairs object
    } else {
        lassign $args name value object
        set pairs [list $name $value]
    }
    foreach {name value} $pairs { rec::set_one $name $value $object }
    if {[dict exists $rec::cells $object]} { rec::shape $object [dict get $rec::cells $object] }
}

proc rec::set_one {name value object} {
    variable cells
    variable props
    variable board
    if {$object eq "project"} {
        need {$name eq "board_part"} "a project has no property $name"
        need {[regexp {^([^:]+:[^:]+):part0:} $value -> board]} "no board part $value"
        puts $rec::record "board $value"
        return
    }
    if {$object eq "sources_1"} {
        need {$name eq "top" && $value eq "top_wrapper" && $rec::wrapped} "$name $value"
        set rec::top $value
        return
    }
    if {$object eq "top.bd"} {
        set found [known file bd $name]
        need {[llength $found]} "a block design's file has no property $name"
        need {[allowed $value [lindex $found 0 2]]} "$name must be one of [lindex $found 0 2]"
        need {!$rec::generated} "$name is set after the design was generated"
        puts $rec::record "run $object $name $value"
        return
    }
    if {$object in [get_runs]} {
        if {$name eq "strategy"} {
            need {[llength [known strategy $object $value]]} "the run $object has no strategy $value"
        } else {
            need {[llength [known step $object $name]]} "the run $object has no property $name"
            need {$value in {true false}} "$name must be true or false"
        }
        need {$object ni $rec::launched} "the run $object is launched already"
        puts $rec::record "run $object $name $value"
        return
    }
    need {[dict exists $cells $object]} "no cell $object"
    set ip [dict get $cells $object]
    need {[regexp {^CONFIG\.(\w+)$} $name -> key]} "property $name"
    set found [known property $ip $key]
    need {[llength $found]} "$ip has no property $key"
    if {[option no-clock] && $key eq [lindex [known computed $ip] 0 4]} {
        error "ERROR: \[IP_Flow 19-3461\] Value '$value' is out of the range for parameter\
            '$key'\nERROR: \[Common 17-39\] 'set_property' failed due to earlier errors."
    }
    need {[allowed $value [lindex $found 0 2]]} "$key must be one of [lindex $found 0 2], not $value"
    dict set props $object $key $value
    puts $rec::record "property $object $key $value"
}

proc get_property {args} {
    lassign [rec::parse $args {-quiet 0}] found rest
    rec::need {[llength $rest] == 2} "get_property $args"
    lassign $rest name object
    if {$object in [get_runs]} { return [rec::of_run $name $object] }
    if {[dict exists $rec::cells $object]} {
        set ip [dict get $rec::cells $object]
        if {$name eq "CONFIG.[lindex [rec::known computed $ip] 0 1]"} { return [rec::made $object] }
        if {[regexp {^CONFIG\.(\w+)$} $name -> key] && [dict exists $rec::props $object $key]} {
            return [rec::value $object $key]
        }
    }
    if {[dict exists $rec::segments $object] && $name in {OFFSET RANGE}} {
        return [lindex [dict get $rec::segments $object] [expr {$name eq "RANGE"}]]
    }
    if {$name eq "PERIOD" && [string match clk_* $object]} {
        set period [expr {1000.0 / [rec::made zynq_ps]}]
        return [format %.3f [expr {[rec::option other-constraint] ? 2 * $period : $period}]]
    }
    if {$name eq "SLACK" && [string match "*_path" $object]} {
        if {$object eq "setup_path"} {
            foreach {option slack} {late -0.250 late-by-1ps -0.001 late-by-less -0.000
                unconstrained inf} {
                if {[rec::option $option]} { return $slack }
            }
            return 0.321
        }
        return [expr {[rec::option hold] ? "-0.011" : "0.020"}]
    }
    if {$object eq "" && [dict exists $found -quiet]} { return "" }
    rec::fail "get_property $name $object"
}

proc rec::of_run {name run} {
    set failing [dict create failing-synthesis synth_1 failing-run impl_1]
    set failed ""
    foreach option $rec::options {
        if {[dict exists $failing $option]} { set failed [dict get $failing $option] }
    }
    set order [get_runs]
    set at [lsearch $order $run]
    switch $name {
        PROGRESS {
            if {$failed eq ""} { return [expr {$run in $rec::waited ? "100%" : "0%"}] }
            set bad [lsearch $order $failed]
            return [expr {$at < $bad ? "100%" : $at == $bad ? "62%" : "0%"}]
        }
        STATUS {
            if {$run eq $failed} {
                return [expr {$run eq "impl_1" ? "route_design ERROR" : "synth_design ERROR"}]
            }
            return [expr {[get_property PROGRESS $run] eq "100%" ? "$run Complete!" : "Not started"}]
        }
        DIRECTORY { return [file join [lindex $rec::project 1] runs $run] }
    }
    fail "get_property $name $run"
}

# Block design

proc create_bd_design {name} {
    current_project
    rec::need {$rec::bd eq ""} "a second block design"
    set rec::bd $name
}

proc create_bd_cell {args} {
    rec::need {$rec::bd ne ""} "there is no block design"
    lassign [rec::parse $args {-type 1 -vlnv 1 -reference 1}] found name
    rec::need {[llength $name] == 1 && ![dict exists $rec::cells $name]} "create_bd_cell $args"
    set of [expr {[dict get $found -type] eq "ip" ? "-vlnv" : "-reference"}]
    switch [dict get $found -type] {
        ip {
            lassign [split [dict get $found -vlnv] :] vendor library ip version
            rec::need {$vendor eq "xilinx.com" && $library eq "ip"
                && [llength [rec::known ip $ip $version]]} "no IP [dict get $found -vlnv]"
            dict set rec::cells $name $ip
            dict set rec::props $name {}
            foreach property [rec::known property $ip] {
                dict set rec::props $name [lindex $property 1] [lindex $property 3]
            }
            rec::shape $name $ip
        }
        module {
            rec::need {$rec::ordered} "the order of the sources is not known: no [lindex $args end]"
            dict set rec::cells $name module
            rec::shape_module $name [dict get $found -reference]
        }
        default { rec::fail "create_bd_cell $args" }
    }
    puts $rec::record "cell $name [dict get $found $of]"
    return $name
}

proc apply_bd_automation {args} {
    lassign [rec::parse $args {-rule 1 -config 1}] found cell
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
    # Enabled, the rule would add ports and an interconnect of its own.
    foreach key {Master Slave} {
        rec::need {![dict exists $config $key] || [dict get $config $key] eq "Disable"} \
            "$rule makes a $key of its own"
    }
    if {[dict get $config apply_board_preset]} {
        rec::need {$rec::board ne ""} "a board preset without a board"
        set crystal [lindex [rec::known computed $rule] 0 2]
        dict set rec::props $cell $crystal [lindex [rec::known board $rec::board] 0 2]
        if {[rec::option overridden] && $rule eq "zynq_ultra_ps_e"} {
            dict set rec::props $cell PSU__OVERRIDE__BASIC_CLOCK 1
        }
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
            rec::need {$kind eq $from} "$source is $from, $path $kind"
            # A frequency that a module states is not replaced by that of the clock it gets.
            if {[dict exists $rec::frequencies $path]} {
                set hz [expr {round(1e6 * [rec::made zynq_ps])}]
                rec::need {[dict get $rec::frequencies $path] == $hz} \
                    "FREQ_HZ does not match between $source ($hz) and $path\
                        ([dict get $rec::frequencies $path])"
            }
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
    rec::need {$protocol eq $other || "any" in [list $protocol $other]} \
        "$master is $protocol, $slave $other"
    rec::need {$width eq $its_width || "any" in [list $width $its_width]} \
        "$master has $width bits, $slave $its_width"
    dict set rec::partners $master $slave
    dict set rec::partners $slave $master
    puts $rec::record "interface $master $slave"
}

# Addresses: the registers of every slave for the processor, the memory for every master.
proc assign_bd_address {} {
    set ip [dict get $rec::cells zynq_ps]
    set at [lindex [rec::known registers $ip] 0 1]
    dict for {cell intfs} $rec::intfs {
        dict for {name intf} $intfs {
            lassign $intf mode protocol width clock parameters
            if {$mode eq "slave" && $protocol eq "AXI4LITE"} {
                dict set rec::segments /zynq_ps/Data/SEG_${cell}_reg0 [list $at 64K]
                set at [format 0x%08X [expr {$at + 0x10000}]]
            }
            if {$mode eq "master" && $protocol eq "AXI4" && [dict get $rec::cells $cell] eq "module"} {
                foreach memory [rec::reachable $ip] {
                    lassign $memory - segment offset range
                    set last [expr {$offset + $range}]
                    rec::need {$last <= 1 << [dict get $parameters ADDR_WIDTH]} \
                        "$segment is excluded from $cell/$name, whose addresses have\
                            [dict get $parameters ADDR_WIDTH] bits"
                    dict set rec::segments /$cell/$name/SEG_zynq_ps_$segment [list $offset $range]
                }
            }
        }
    }
    set rec::assigned 1
}

# Memory above the first 2 GB is there where the board's presets have it and it is enabled.
proc rec::reachable {ip} {
    set found {}
    foreach memory [known memory $ip] {
        if {[string match *HIGH* $memory]} {
            if {$rec::board eq ""} continue
            set mib [lindex [known board $rec::board] 0 4]
            if {$mib <= 2048 || ![value zynq_ps PSU__DDR_HIGH_ADDRESS_GUI_ENABLE]} continue
            lset memory 3 [format 0x%X [expr {($mib - 2048) << 20}]]
        }
        lappend found $memory
    }
    return $found
}

proc get_bd_addr_spaces {} {
    rec::need {$rec::assigned} "addresses are not assigned"
    set spaces {}
    foreach segment [dict keys $rec::segments] { lappend spaces [file dirname $segment] }
    return [lsort -unique $spaces]
}

proc get_bd_addr_segs {option space} {
    rec::need {$option eq "-of_objects"} "get_bd_addr_segs $option"
    return [lsearch -all -inline -glob [dict keys $rec::segments] $space/*]
}

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

# The memory port must be as wide as the DMAs, or the interconnect would have to convert; nor may a
# burst be longer than the port's protocol has it, or the interconnect would have to split it.
proc rec::widths {} {
    variable intfs
    variable partners
    foreach dma {idma0 odma0} {
        lassign [dict get $intfs $dma m_axi_gmem] - - width - parameters
        set switch [lindex [split [dict get $partners $dma/m_axi_gmem] /] 0]
        need {$switch eq "axi_memory"} "$dma reads registers"
        lassign [split [dict get $partners $switch/M00_AXI] /] cell port
        lassign [dict get $intfs $cell $port] - protocol its_width
        need {$width == $its_width} "$dma has $width bits, $cell/$port $its_width"
        set longest [expr {$protocol eq "AXI3" ? 16 : 256}]
        need {[dict get $parameters MAX_BURST_LENGTH] <= $longest} \
            "$dma has bursts of [dict get $parameters MAX_BURST_LENGTH], $cell/$port of $longest"
    }
}

proc save_bd_design {} {
    if {[rec::option killed]} { exec kill -KILL [pid] }
    if {[rec::option broken]} { error {error writing "file7": no space left on device} }
    rec::need {$rec::validated} "the design is not validated"
    set rec::saved 1
}

proc generate_target {what file} {
    rec::need {$what eq "all" && $file eq "top.bd"} "generate_target $what $file"
    set rec::generated 1
}

proc make_wrapper {args} {
    lassign [rec::parse $args {-files 1 -top 0 -import 0}] found rest
    rec::need {[dict get $found -files] eq "top.bd" && $rest eq "" && [dict size $found] == 3} $args
    set rec::wrapped 1
}

# Runs and reports

proc launch_runs {args} {
    lassign [rec::parse $args {-to_step 1 -jobs 1}] found run
    rec::need {$rec::wrapped && [string is integer -strict [dict get $found -jobs]]} $args
    rec::need {$rec::top ne ""} "the run $run is launched without a top"
    get_runs $run
    if {$run eq "impl_1"} {
        rec::need {[dict get $found -to_step] eq "write_bitstream"} $args
        rec::need {"synth_1" in $rec::waited} "impl_1 is launched before synth_1 is over"
        if {[get_property PROGRESS synth_1] ne "100%"} {
            error "ERROR: \[Common 17-70\] Application Exception: Failed to launch run 'impl_1' due\
                to failures in the following run(s):\nsynth_1"
        }
    }
    lappend rec::launched $run
}

proc wait_on_run {run} {
    rec::need {$run in $rec::launched} "the run $run was not launched"
    lassign $rec::project name folder
    lappend rec::waited $run
    foreach each [get_runs] {
        if {[string match "*ERROR*" [get_property STATUS $each]]} {
            rec::write [file join [get_property DIRECTORY $each] runme.log] \
                "INFO: \[Common 17-83\] Releasing license: Synthesis\nERROR: \[Recorder 1-1\] this\
                    is why $each failed\nERROR: \[Common 17-39\] failed due to earlier errors.\n"
        }
    }
    if {[get_property PROGRESS $run] ne "100%"} {
        puts "WARNING: \[Vivado 12-13638\] Failed runs(s) : '$run'"
        return
    }
    if {$run ne "impl_1"} return
    if {![rec::option no-bit]} {
        rec::write [file join $folder runs impl_1 top_wrapper.bit] "bits of the recorder\n"
    }
    if {[rec::option no-handoff]} return
    rec::write [file join $folder $name.gen sources_1 bd top hw_handoff top.hwh] "<handoff/>\n"
}

proc open_run {run} {
    rec::need {$run eq "impl_1" && $run in $rec::waited} "the run $run is not over"
    set rec::opened 1
}

proc get_clocks {args} {
    lassign [rec::parse $args {-quiet 0}] found rest
    rec::need {$rec::opened && [llength $rest] == 1} "get_clocks $args"
    set ip [dict get $rec::cells zynq_ps]
    if {[lindex $rest 0] eq [lindex [rec::known computed $ip] 0 5]} { return $rest }
    return {}
}

proc get_timing_paths {kind} {
    rec::need {$rec::opened && $kind in {-setup -hold}} "get_timing_paths $kind"
    if {[rec::option no-paths]} { return {} }
    return [string range $kind 1 end]_path
}

proc report_utilization {args} {
    lassign [rec::parse $args {-hierarchical 0 -file 1}] found rest
    rec::need {$rec::opened && $rest eq "" && [dict size $found] == 2} "report_utilization $args"
    set text "| Tool Version : Vivado v.2023.2 (lin64) Build 1\n\n"
    append text "| Instance | Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs | RAMB36 "
    append text "| RAMB18 | DSP Blocks |\n"
    append text "| top_wrapper | (top) | 900 | 860 | 30 | 10 | 1200 | 1 | 2 | 3 |\n"
    append text "|   top_i | top | 900 | 860 | 30 | 10 | 1200 | 1 | 2 | 3 |\n"
    append text "|     accelerator0 | wrap | 500 | 500 | 0 | 0 | 700 | 0 | 2 | 3 |\n"
    append text "|     idma0 | idma | 400 | 360 | 30 | 10 | 500 | 1 | 0 | 0 |\n"
    if {[rec::option new-tables]} { set text [string map {"Total LUTs" "All LUTs"} $text] }
    rec::write [dict get $found -file] $text
}

proc report_timing_summary {args} {
    lassign [rec::parse $args {-file 1}] found rest
    rec::need {$rec::opened && $rest eq ""} "report_timing_summary $args"
    set setup [get_property SLACK setup_path]
    set hold [get_property SLACK hold_path]
    set pulse [expr {[rec::option pulse] ? "-0.100" : "3.750"}]
    set text "    WNS(ns) TNS(ns) TNS Failing Endpoints  TNS Total Endpoints\n"
    append text "    ------- ------- ---------------------  -------------------\n"
    append text "    $setup 0.000 0 10 $hold 0.000 0 10 $pulse 0.000 0 5\n\n\n"
    if {[rec::option new-tables]} { set text [string map {WNS(ns) "Worst (ns)"} $text] }
    if {$setup < 0 || $hold < 0 || $pulse < 0 || [rec::option late-by-less]} {
        append text "Timing constraints are not met.\n"
    } else { append text "All user specified timing constraints are met.\n" }
    rec::write [dict get $found -file] $text
}

proc report_timing {args} {
    lassign [rec::parse $args {-max_paths 1 -file 1}] found rest
    rec::need {$rec::opened && $rest eq "" && [dict get $found -max_paths] == 10} \
        "report_timing $args"
    rec::write [dict get $found -file] "Slack (MET) :  [get_property SLACK setup_path]ns\n"
}

foreach name {report_clock_utilization report_methodology} {
    proc $name {option file} {
        rec::need {$rec::opened && $option eq "-file"} "a report without a file, or too early"
        rec::write $file "made by the recorder\n"
    }
}

proc unknown {args} { rec::fail "unknown command [lindex $args 0]" }

set rec::options [lassign $argv rec::script record_file]
set rec::record [open $record_file w]
try {
    rec::load_catalogue [file join [file dirname [info script]] catalogue.tsv]
    source $rec::script
} on error {message details} {
    puts stderr [dict get $details -errorinfo]
    exit 1
} finally {
    catch { close $rec::record }
}
