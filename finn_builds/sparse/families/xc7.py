"""Xilinx 7-series: Artix-7 logic, as Zynq-7000 has it too.

Speed grades after a block RAM's clock to output, 2.46 and 2.13 ns (DS189), which knows no grade 3:
that of grade 2 is taken.
"""

from finn_builds.sparse.families.xilinx import Xilinx

GRADES = ((1, 1.0), (2, 0.87), (3, 0.87))
FAMILY = XC7 = Xilinx("xc7", 3, 6, 0.85, 0.70, 0.030, 1.05, 1.25, GRADES, per=4)
