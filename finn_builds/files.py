"""Files of a build folder: their names, and JSON read and written."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

Record = TypeVar("Record")

REFERENCE_FILE = "model.onnx"  # as it was given, tidied: the reference of every comparison
HOST_FILE = "host_model.json"  # what the host computes before and after the accelerator
VECTORS_FILE = "verification_frames.npz"  # frames of the verification, their expected outputs
ACCURACY_FILE = "report/accuracy.json"  # how often the network is right, or how far off it is
FINDINGS_FILE = "report/findings.json"  # what is odd about the network and the data
STYLE_FILE = "report/style.json"  # the style of every layer and why
VERIFICATION_FILE = "report/verification.json"  # what the hardware was compared with
PERFORMANCE_FILE = "report/rtlsim_performance.json"  # how fast it is
WAVEFORM_FILE = "report/mismatch.vcd"  # of the frame in which the simulation first differs
NETLIST_WAVEFORM_FILE = "report/netlist_mismatch.vcd"  # likewise, of the mapped netlist
ESTIMATES_FILE = "report/estimate_layer_resources_final.json"  # by block of the stitched design
STITCHED_DIR = "stitched_ip"
ACCELERATOR_FILE = "accelerator.json"  # what a frame looks like on the streams
IP_FILE = "report/ip.json"  # the parallel core: compared, measured, counted
SUMMARY_FILE = "report/summary.json"  # headline figures
PAGE_FILE = "report.html"
PAGE_DATA_FILE = "report/report.json"  # the figures of the page, for programs
CHECKPOINTS = "intermediate_models"  # models and networks as they were after a step

#: Figures of the synthesis tool by node, and in it the keys of the whole design and of the tool.
SYNTHESIS_FILE = "report/synth_resources.json"
WHOLE_KEY = "(top)"
TOOL_KEY = "tool"

ROUTE_FILE = "report/route.json"  # what place and route reached
ROUTE_DIR = "route"  # placed netlist, pins, log and bitstream of nextpnr


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


def write_zip(archive: Path, root: str, folder: Path, files: Iterable[Path]) -> None:
    """Write a zip that unpacks into one folder `root`; equal contents give an equal file.

    `files` lie below `folder` and keep their relative names.
    """
    partial = archive.with_name(f"{archive.name}.tmp")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
        for path in files:
            entry = zipfile.ZipInfo(f"{root}/{path.relative_to(folder).as_posix()}")
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, path.read_bytes())
    replace(partial, archive)


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
