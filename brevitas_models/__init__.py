"""Quantised, pruned MLPs: data, training, metrics and QONNX export.

Importing the package does not import torch; the modules that train do.
"""
