"""Placed and routed with nextpnr: the clock that is reached, the placed netlist, a bitstream."""
