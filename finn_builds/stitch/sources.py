"""Gathers every source and data file of a design as ``{file name: text}``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finn_builds.files import ACCELERATOR_FILE, read_record, write_json
from finn_builds.stitch.design import TOP, Design, Stage
from finn_builds.stitch.streams import StreamFormat
from finn_builds.stitch.top import top_text

#: This project's own RTL.
RTL = Path(__file__).resolve().parents[1] / "rtl"

#: This project's RTL by op type.
_OWN = {"LabelSelect_rtl": ("top1.sv",)}


def _generated(stage: Stage) -> dict[str, str]:
    """Return the files generated for one node."""
    assert stage.code_dir is not None
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(stage.code_dir.iterdir())
        if path.suffix in (".v", ".sv", ".dat")
    }


def design_files(
    design: Design, library: Mapping[str, Mapping[str, str]], *, runtime_fifos: bool = False
) -> dict[str, str]:
    """Return all files of the stitched folder, text by name, sources in compile order.

    Names that end in ``.v`` or ``.sv`` are the sources, packages first and the top last; the others
    are memory contents, read by relative names. `library` has FINN's sources by kind of stage,
    beside this project's own. With `runtime_fifos` the depth of FIFOs is set while simulating, and
    matrix-vector units keep time but do not compute.
    """
    files: dict[str, str] = {}
    if any(stage.is_fifo for stage in design.stages):
        names = ("stream_fifo_sized.sv", "stream_fifo_trial.sv")
        for name in names if runtime_fifos else ("stream_fifo.sv",):
            files[name] = (RTL / name).read_text(encoding="utf-8")
    if runtime_fifos:
        files["mvu.sv"] = (RTL / "mvu_timing.sv").read_text(encoding="utf-8")
    for stage in design.stages:
        for name, text in library.get(stage.kind, {}).items():
            files.setdefault(name, text)
        for name in _OWN.get(stage.kind, ()):
            files.setdefault(name, (RTL / name).read_text(encoding="utf-8"))
        if stage.code_dir is not None:
            files.update(_generated(stage))
    files[f"{TOP}.v"] = top_text(design, runtime_fifos=runtime_fifos)
    return files


def source_names(files: Iterable[str]) -> list[str]:
    """Return the names of the HDL sources in compile order."""
    return [name for name in files if name.endswith((".v", ".sv"))]


def write_design(files: dict[str, str], folder: Path) -> list[Path]:
    """Write a stitched folder and its list of sources; return the HDL sources in compile order."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    names = source_names(files)
    (folder / "all_verilog_srcs.txt").write_text(
        "".join(f"{name}\n" for name in names), encoding="utf-8"
    )
    return [folder / name for name in names]


@dataclass(frozen=True)
class Stitched:
    """The stitched folder: what it is for, and what a frame looks like on its streams."""

    top: str
    board: str
    part: str
    clock_ns: float
    input: StreamFormat
    output: StreamFormat

    def description(self) -> dict[str, Any]:
        """Return all of it as JSON types."""
        streams = {"input": self.input.description(), "output": self.output.description()}
        return {**asdict(self), **streams}

    def save(self, out: Path, step: str) -> None:
        """Write ``accelerator.json``."""
        write_json(out / ACCELERATOR_FILE, self.description())

    @classmethod
    def load(cls, out: Path, step: str) -> Stitched:
        """Read what `save` wrote."""
        return read_record(out / ACCELERATOR_FILE, cls)


def stitched_sources(folder: Path) -> list[str]:
    """Return the names of the HDL sources in a stitched folder, in compile order."""
    return (folder / "all_verilog_srcs.txt").read_text(encoding="utf-8").split()
