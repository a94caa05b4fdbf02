"""Sparse streaming layers: each remaining weight is wiring and a share of an adder.

The parts, in the order in which a network passes through them:

- `lower`: integer network to operator graph, layer by layer (`neurons`). Sums come from `solve`,
  which compares shared forms (`share`, `refine`) as trees of carry chains (`addtree`);
  `thresholds` and `windows` count what an accumulator has reached. At the end `collapse` looks for
  what is cheaper as one table of few bits (`cones`).
- `nodes`, `graph` and `interpret`: the operator graph and its meaning.
- `cost`: LUTs and delays on a `family`, from how sums lie on chains (`chain`) and how functions
  come apart in LUTs (`lutnet`, `truth`).
- `schedule`: pipeline registers; `stages` says where each layer ends.
- `probes`: which element of which tensor each net of the pipeline holds, and when.
- `emit`: Verilog out (`verilog` node by node, with `bits`, `lookups`, `compares` and `cells`);
  `stream` is the AXI-stream around it.

`compile_network` in `compiler` runs them all. `estimate` says what layers cost without building
them, for the choice between styles.
"""
