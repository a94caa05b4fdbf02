"""Xilinx UltraScale+.

Speed grades after the highest frequency of a global clock, 667, 775 and 891 MHz (DS922, table
"Clock Buffers Switching Characteristics"); a DSP block without registers, all logic, gains more
(338, 410 and 483 MHz, DS923). Timing reports of Vivado 2021.2 for an xczu3eg of grade 1 (public,
github.com/gussmith23/lakeroad-evaluation) have 0.04 to 0.20 ns for a LUT, 0.17 to 0.58 ns for most
nets, 0.20 to 0.24 ns from a LUT into a CARRY8, and 0.051 ns from one CARRY8 to the next: carry
chains are planned slower than those.
"""

from finn_builds.sparse.families.xilinx import Xilinx

GRADES = ((1, 1.0), (2, 0.87), (3, 0.75))
FAMILY = XCUP = Xilinx("xcup", 3, 6, 0.45, 0.35, 0.015, 0.55, 0.60, GRADES, per=8)
