"""Xilinx UltraScale+."""

from finn_builds.sparse.families.xilinx import Xilinx

FAMILY = XCUP = Xilinx("xcup", 3, 6, 0.45, 0.35, 0.015, 0.55, 0.60, per=8)
