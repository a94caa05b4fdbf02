"""The style of every layer: sparse logic or folded units, chosen on the integer network."""
