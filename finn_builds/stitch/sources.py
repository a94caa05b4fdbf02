"""Gathers every source and data file of a design as ``{file name: text}``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from finn_builds.folded.finn_env import rtllib
from finn_builds.stitch.design import TOP, Design, Stage
from finn_builds.stitch.rtl_fixes import fixed_source
from finn_builds.stitch.top import top_text

#: This project's own RTL.
RTL = Path(__file__).resolve().parents[1] / "rtl"

#: FINN's RTL by op type, in compile order.
_LIBRARY = {
    "MVAU_rtl": (
        "mvu/mvu_pkg.sv",
        "mvu/add_multi.sv",
        "mvu/replay_buffer.sv",
        "mvu/mvu.sv",
        "mvu/mvu_vvu_8sx9_dsp58.sv",
        "mvu/mvu_vvu_axi.sv",
        "axi/hdl/axilite.sv",
        "memstream/hdl/memstream.sv",
        "memstream/hdl/memstream_axi.sv",
    ),
    "Thresholding_rtl": (
        "axi/hdl/axilite.sv",
        "thresholding/hdl/thresholding.sv",
        "thresholding/hdl/thresholding_axi.sv",
    ),
    "StreamingDataWidthConverter_rtl": ("dwc/hdl/vpc.sv", "dwc/hdl/dwc_axi.sv"),
}

#: This project's RTL by op type.
_OWN = {"LabelSelect_rtl": ("top1.sv",)}


def _library_text(relative: str) -> tuple[str, str]:
    path = rtllib() / relative
    return path.name, fixed_source(path.name, path.read_text())


def _generated(stage: Stage) -> dict[str, str]:
    """Return the files generated for one node, free of absolute paths."""
    assert stage.code_dir is not None
    files = {}
    for path in sorted(stage.code_dir.iterdir()):
        if path.suffix in (".v", ".sv"):
            text = path.read_text()
            text = text.replace(str(path.parent) + "/memblock.dat", f"./{stage.name}_memblock.dat")
            files[path.name] = text
        elif path.name == "memblock.dat":
            files[f"{stage.name}_memblock.dat"] = path.read_text()
        elif path.suffix == ".dat":
            files[path.name] = path.read_text()
    return files


def design_files(design: Design, *, runtime_fifos: bool = False) -> dict[str, str]:
    """Return all files of the stitched folder, sources in compile order.

    Parameters
    ----------
    design : Design
        The chain of stages.
    runtime_fifos : bool
        Use FIFOs whose depth is set while simulating, and matrix-vector units that keep time but
        do not compute.

    Returns
    -------
    dict of str to str
        Text by file name; the names that end in ``.v`` or ``.sv`` are the sources, packages
        first and the top last; the others are memory contents, read by relative names.
    """
    files: dict[str, str] = {}
    if any(stage.is_fifo for stage in design.stages):
        names = ("stream_fifo_sized.sv", "stream_fifo_trial.sv")
        for name in names if runtime_fifos else ("stream_fifo.sv",):
            files[name] = (RTL / name).read_text()
    if runtime_fifos:
        files["mvu.sv"] = (RTL / "mvu_timing.sv").read_text()
    for stage in design.stages:
        for relative in _LIBRARY.get(stage.kind, ()):
            name, text = _library_text(relative)
            files.setdefault(name, text)
        for name in _OWN.get(stage.kind, ()):
            files.setdefault(name, (RTL / name).read_text())
        if stage.code_dir is not None:
            files.update(_generated(stage))
    files[f"{TOP}.v"] = top_text(design, runtime_fifos=runtime_fifos)
    return files


def source_names(files: Iterable[str]) -> list[str]:
    """Return the names of the HDL sources in compile order."""
    return [name for name in files if name.endswith((".v", ".sv"))]


def write_design(files: dict[str, str], folder: Path) -> list[Path]:
    """Write a stitched folder and its list of sources.

    Parameters
    ----------
    files : dict of str to str
        From :func:`design_files`.
    folder : Path
        Created when needed.

    Returns
    -------
    list of Path
        The HDL sources in compile order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    names = source_names(files)
    (folder / "all_verilog_srcs.txt").write_text("".join(f"{name}\n" for name in names))
    return [folder / name for name in names]
