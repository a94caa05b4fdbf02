"""Files of a build folder: their names, and JSON read and written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

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


#: Models and networks as they were after a step.
CHECKPOINTS = "intermediate_models"


def checkpoint_path(out: Path, step: str, suffix: str = ".onnx") -> Path:
    """Return where a step leaves its form of the network; the folder is made if needed."""
    folder = out / CHECKPOINTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{step}{suffix}"


def write_text(path: Path, text: str) -> None:
    """Write a file so that it has either its old content or the new one, never a part."""
    partial = path.with_name(f"{path.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    replace(partial, path)


def replace(partial: Path, path: Path) -> None:
    """Fsync a file, then rename it into place."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, indented, with a newline at its end; its folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
