"""Reports in Vivado's layout, written for the tests; Vivado itself has not been run."""

FLAT = """\
| Tool Version : Vivado v.2023.2 (lin64) Build 4029153

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| Slice LUTs*                | 4100 |     0 |          0 |     53200 |  7.71 |
|   LUT as Logic             | 4000 |     0 |          0 |     53200 |  7.52 |
|   LUT as Memory            |  100 |     0 |          0 |     17400 |  0.57 |
|     LUT as Distributed RAM |   60 |     0 |            |           |       |
|     LUT as Shift Register  |   40 |     0 |            |           |       |
| Slice Registers            | 2500 |     0 |          0 |    106400 |  2.35 |
+----------------------------+------+-------+------------+-----------+-------+

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  2.5 |     0 |          0 |       140 |  1.79 |
|   RAMB36/FIFO*    |    2 |     0 |          0 |       140 |  1.43 |
|     RAMB36E1 only |    2 |       |            |           |       |
|   RAMB18          |    1 |     0 |          0 |       280 |  0.36 |
+-------------------+------+-------+------------+-----------+-------+

+-----------+------+-------+------------+-----------+-------+
| Site Type | Used | Fixed | Prohibited | Available | Util% |
+-----------+------+-------+------------+-----------+-------+
| DSPs      |    7 |     0 |          0 |       220 |  3.18 |
|   DSP48E1 |    7 |       |            |           |       |
+-----------+------+-------+------------+-----------+-------+
* Note: a line that a table of the real report has below it

+-------+--------------+-------------+--------------+
| Total | Clock Enable | Synchronous | Asynchronous |
+-------+--------------+-------------+--------------+
| 2500  |          Yes |       Reset |            - |
+-------+--------------+-------------+--------------+

+----------+------+---------------------+
| Ref Name | Used | Functional Category |
+----------+------+---------------------+
| FDRE     | 2500 |        Flop & Latch |
| CARRY4   |  310 |          CarryLogic |
+----------+------+---------------------+

+----------+------+
| Ref Name | Used |
+----------+------+
"""

TIMING = """\
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  \
THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  \
TPWS Total Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  \
---------------------  -------------------     --------     --------  ----------------------  \
--------------------
{row}

Clock Summary
"""
