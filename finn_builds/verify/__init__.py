"""Comparison with the reference: frames, integer equality, the mapped netlist, accuracy."""
