"""Puts the RTL of all nodes into one self-contained folder with one plain-Verilog top."""
