"""Xilinx 7-series: Artix-7 logic, as Zynq-7000 has it too."""

from finn_builds.sparse.families.xilinx import Xilinx

FAMILY = XC7 = Xilinx("xc7", 3, 6, 0.85, 0.70, 0.030, 1.05, 1.25, per=4)
