"""Everything for Vivado: IP-XACT, the block design's Tcl, running it, reading its reports."""
