"""Xilinx UltraScale+.

Speed grades after the highest frequency of a global clock, 667, 775 and 891 MHz (DS922, table
"Clock Buffers Switching Characteristics"); a DSP block without registers, all logic, gains more
(338, 410 and 483 MHz, DS923).
"""

from finn_builds.sparse.families.xilinx import Xilinx

GRADES = ((1, 1.0), (2, 0.87), (3, 0.75))
FAMILY = XCUP = Xilinx("xcup", 3, 6, 0.45, 0.35, 0.015, 0.55, 0.60, GRADES, per=8)
