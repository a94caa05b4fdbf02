"""What runs the test benches, and the clock for a synthesis out of context."""

from __future__ import annotations

from finn_builds.sparse.core_ports import CorePorts

RUN_FILE = "run.sh"

#: Simulators and compilers that the script knows.
TOOLS = ("g++", "verilator", "icarus", "ghdl", "ghdl93", "questa", "xsim")

_RUN = """\
#!/bin/sh
# Runs a self-checking test bench: sh run.sh {tools}
# Programs are looked for on the search path, or under the name that an environment variable gives:
# CXX, VERILATOR, IVERILOG, VVP, GHDL. The last line is PASS or FAIL, the exit code 0 or 1.
set -e
cd "$(dirname "$0")"
tool=${{1:-icarus}}
work=run_$tool
rm -rf "$work"
mkdir "$work"
vhdl="{name}_pkg.vhd {name}_model.vhd {name}.vhd {name}_tb.vhd"
mixed="{name}_pkg.vhd {name}.vhd {name}_tb.vhd"
case $tool in
  g++)
    ${{CXX:-g++}} -O1 {flags} -Iemulator \\
      emulator/{name}_test.cpp -o "$work/test"
    "$work/test" > "$work/log" || true ;;
  verilator)
    ${{VERILATOR:-verilator}} --binary --timing -j 2 -O3 -Wno-fatal --Mdir "$work" \\
      ${{VERILATOR_FLAGS:-}} --top-module {name}_tb -o test {name}.v {name}_tb.v > "$work/build.log"
    "$work/test" > "$work/log" ;;
  icarus)
    ${{IVERILOG:-iverilog}} -g2005 -Wall -o "$work/test" {name}.v {name}_tb.v 2> "$work/build.log"
    ${{VVP:-vvp}} -n "$work/test" > "$work/log" ;;
  ghdl | ghdl93)
    std=08
    [ $tool = ghdl93 ] && std=93
    for file in $vhdl; do
      ${{GHDL:-ghdl}} -a --std=$std --workdir="$work" "$file"
    done
    ${{GHDL:-ghdl}} -e --std=$std --syn-binding --workdir="$work" {name}_tb
    ${{GHDL:-ghdl}} -r --std=$std --syn-binding --workdir="$work" {name}_tb \\
      > "$work/log" 2>&1 || true ;;
  questa)
    # Verilog core and VHDL wrapper in one simulation; not run by the makers of this package.
    vlib "$work/work"
    vlog -work "$work/work" {name}.v
    vcom -2008 -work "$work/work" $mixed
    vsim -c -lib "$work/work" -do "run -all; quit -f" {name}_tb > "$work/log" ;;
  xsim)
    # Verilog core and VHDL wrapper in one simulation; not run by the makers of this package.
    xvlog {name}.v > "$work/build.log"
    xvhdl -2008 $mixed >> "$work/build.log"
    xelab {name}_tb -s {name}_snapshot >> "$work/build.log"
    xsim {name}_snapshot -runall > "$work/log" ;;
  *)
    echo "unknown tool $tool: expected one of {tools}" >&2
    exit 2 ;;
esac
cat "$work/log"
grep -q "PASS: " "$work/log" && ! grep -q "FAIL: " "$work/log"
"""

_XDC = """\
# For synthesis of {name} out of context; within a project its clock comes from there.
create_clock -name clk -period {clock:.3f} [get_ports clk]
"""


def run_script(core: CorePorts, flags: str) -> str:
    """Return ``run.sh``; `flags` are those of the C++ compiler."""
    return _RUN.format(name=core.name, flags=flags, tools="|".join(TOOLS))


def constraints(core: CorePorts) -> str:
    """Return ``{name}_ooc.xdc``."""
    return _XDC.format(name=core.name, clock=core.clock_ns)
