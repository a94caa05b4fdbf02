"""FINN's RTL sources that stages of a design need."""

from __future__ import annotations

from collections.abc import Iterable

from finn_builds.folded.finn_env import rtllib
from finn_builds.folded.rtl_fixes import fixed_source

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


def library(kinds: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return FINN's sources by kind of stage, text by file name in compile order."""
    return {kind: dict(map(_text, _LIBRARY[kind])) for kind in set(kinds) & set(_LIBRARY)}


def _text(relative: str) -> tuple[str, str]:
    path = rtllib() / relative
    return path.name, fixed_source(path.name, path.read_text(encoding="utf-8"))
