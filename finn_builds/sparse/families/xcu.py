"""Xilinx UltraScale.

An assumption: of it (20 nm) no data sheet states delays of its CLBs, which are built as those of
UltraScale+, and no other public source was found. Taken is the geometric mean of its neighbours of
28 and 16 nm; speed grades are taken as those of 7-series.
"""

from finn_builds.sparse.families.xilinx import Xilinx

GRADES = ((1, 1.0), (2, 0.87), (3, 0.87))
CAVEAT = "delays of UltraScale are assumed, between those of 7-series and UltraScale+"
FAMILY = XCU = Xilinx("xcu", 3, 6, 0.62, 0.50, 0.021, 0.76, 0.87, GRADES, CAVEAT, per=8)
