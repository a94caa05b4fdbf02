"""Folded layers: FINN's environment, nodes, types, folding, FIFO depths and estimates."""
