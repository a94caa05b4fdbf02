"""Sparse streaming layers: each remaining weight is wiring and a share of an adder.

The parts, in the order in which a network passes through them: `network` (integers in), `lower`
(network to operator graph), `ir` and `interpret` (the graph and its meaning), `cost` (LUTs and
delays of a family), `schedule` (pipeline registers), `emit` (Verilog out). `compile_network` in
`compiler` runs them all.
"""
