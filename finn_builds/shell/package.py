"""Writes the deployment package of a build: what a board needs, and the vectors to check it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.host_model import HostModel
from deploy.package import CHECKSUMS, DESCRIPTION, FORMAT_VERSION, VECTORS
from finn_builds.boards import Board
from finn_builds.shell.spec import ShellSpec

__all__ = ["DRIVER_FILES", "overlay_description", "write_package"]

_DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DRIVER_FILES = (
    "driver.py",
    "driver_base.py",
    "host_model.py",
    "measure.py",
    "package.py",
    "packing.py",
    "registers.py",
    "validate.py",
)


def overlay_description(
    name: str,
    accelerator: dict[str, Any],
    host_model: dict[str, Any],
    board: Board,
    *,
    expected: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the driver has to know, as JSON types.

    Parameters
    ----------
    name
        Of the build.
    accelerator
        ``accelerator.json`` of the build: ``top``, ``clock_ns`` and the two streams.
    host_model
        ``host_model.json`` of the build.
    board
        Where it runs.
    expected
        ``latency_cycles`` and ``interval_cycles`` as measured in the build.
    """
    into, out = accelerator["input"], accelerator["output"]
    under_way = 32
    if expected and expected.get("interval_cycles"):
        under_way = int(expected["latency_cycles"] / expected["interval_cycles"]) + 16
    spec = ShellSpec.for_board(
        board,
        accelerator["top"],
        in_bytes=into["width"] // 8,
        out_bytes=out["width"] // 8,
        in_beats=into["beats"],
        out_beats=out["beats"],
        frames_under_way=under_way,
    )
    shapes: dict[str, Any] = {}
    for side, stream in (("i", into), ("o", out)):
        beats, elements = stream["beats"], stream["elements"]
        shapes[f"{side}dt"] = [stream["datatype"]]
        shapes[f"{side}shape_normal"] = [[1, beats * elements]]
        shapes[f"{side}shape_folded"] = [[1, beats, elements]]
        shapes[f"{side}shape_packed"] = [[1, beats, stream["width"] // 8]]
    shapes |= {"input_dma_name": ["idma0"], "output_dma_name": ["odma0"]}
    shapes |= {"number_of_external_weights": 0, "num_inputs": 1, "num_outputs": 1}
    return {
        "version": FORMAT_VERSION,
        "name": name,
        "board": board.name,
        "platform": "zynq-iodma",
        "ps_type": board.ps_type,
        "fclk_mhz": 1000 / accelerator["clock_ns"],
        "io_shape_dict": shapes,
        "shell": asdict(spec),
        "stitched_ip": "../stitched_ip",
        "host_model": host_model,
        "expected": expected or {},
    }


def write_package(
    folder: Path,
    description: dict[str, Any],
    inputs: npt.NDArray[np.integer],
    outputs: npt.NDArray[np.integer],
    *,
    features: npt.NDArray[np.floating] | None = None,
    bitfile: Path | None = None,
) -> Path:
    """Write a deployment package and its zip file.

    Parameters
    ----------
    folder
        Of the package; what is in it is replaced. The zip is written beside it.
    description
        From `overlay_description`.
    inputs
        Test vectors: integers (frames, n_in) into the accelerator.
    outputs
        Integers (frames, n_out) that the reference, not the accelerator, gives for them.
    features
        Raw features of the first frames of `inputs`, so that the host's steps are checked too.
    bitfile
        ``.bit`` with its ``.hwh`` beside it, if there is one.

    Returns
    -------
    pathlib.Path
        The zip file.
    """
    host = HostModel.from_dict(description["host_model"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in DRIVER_FILES:
        shutil.copyfile(_DEPLOY / name, folder / name)
    text = json.dumps(description, indent=2) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    vectors = {"inputs": inputs, "outputs": outputs, "classes": host.classify(outputs)}
    if features is not None:
        vectors["features"] = features
    np.savez_compressed(folder / VECTORS, allow_pickle=False, **vectors)
    if bitfile is not None:
        (folder / "bitfile").mkdir()
        for suffix in (".bit", ".hwh"):
            source = bitfile.with_suffix(suffix)
            shutil.copyfile(source, folder / "bitfile" / f"finn-accel{suffix}")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder)}\n" for p in files
    ]
    (folder / CHECKSUMS).write_text("".join(sums), encoding="utf-8")
    archive = shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    return Path(archive)
