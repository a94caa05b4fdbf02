"""Names of the files in a build folder that several parts of the flow read."""

from __future__ import annotations

#: The QONNX model as it was given, tidied: the reference of every comparison.
REFERENCE_FILE = "model.onnx"

#: What the host computes before and after the accelerator.
HOST_FILE = "host_model.json"

#: Frames of the verification with their expected outputs.
VECTORS_FILE = "verification_frames.npz"

#: Headline figures.
SUMMARY_FILE = "report/summary.json"

#: Figures of the synthesis tool by node, and in it the keys of the whole design and of the tool.
SYNTHESIS_FILE = "report/synth_resources.json"
WHOLE_KEY = "(top)"
TOOL_KEY = "tool"

#: The page of the build, and its figures for programs.
PAGE_FILE = "report.html"
PAGE_DATA_FILE = "report/report.json"
