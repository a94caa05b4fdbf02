"""From the stitched design to a bitfile: IP-XACT, block design, running Vivado, its reports."""
