"""Files of a build folder: their names, and JSON read and written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

Record = TypeVar("Record")

#: The QONNX model as it was given, tidied: the reference of every comparison.
REFERENCE_FILE = "model.onnx"

#: What the host computes before and after the accelerator.
HOST_FILE = "host_model.json"

#: Frames of the verification with their expected outputs.
VECTORS_FILE = "verification_frames.npz"

#: How often the network is right.
ACCURACY_FILE = "report/accuracy.json"

#: The style of every layer and why.
STYLE_FILE = "report/style.json"

#: What the hardware was compared with, and how fast it is.
VERIFICATION_FILE = "report/verification.json"
PERFORMANCE_FILE = "report/rtlsim_performance.json"

#: Estimates of the blocks of the stitched design.
ESTIMATES_FILE = "report/estimate_layer_resources_final.json"

#: The stitched sources, and what a frame looks like on their streams.
STITCHED_DIR = "stitched_ip"
ACCELERATOR_FILE = "accelerator.json"

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


def read_record(path: Path, kind: type[Record]) -> Record:
    """Return the dataclass that a JSON file describes."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_json(path.read_bytes())


def as_json(record: object) -> dict[str, Any]:
    """Return a dataclass as JSON types: its fields by their names, but those it excludes."""
    from pydantic import TypeAdapter

    content: dict[str, Any] = TypeAdapter(type(record)).dump_python(record, mode="json")
    return content


def write_record(path: Path, record: object) -> None:
    """Write a dataclass as a JSON file."""
    write_json(path, as_json(record))
