"""Top-1 in RTL: FINN has LabelSelect only as HLS, and only for plain accumulators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.labelselect import LabelSelect
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend

from finn_builds.folded.custom_op.label_select_rtl import label_select_text
from finn_builds.folded.estimates import top1


class LabelSelect_rtl(LabelSelect, RTLBackend):
    """Index of the largest ``(x << shift) + offset`` of a frame; the first of equal ones.

    Offsets hold what the host would have added to the scaled accumulators, as integers that
    keep the order of the classes exactly; see :func:`finn_builds.ingest.top1.class_keys`.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Return FINN's attributes of LabelSelect and the shift and offsets of the keys."""
        attributes = {
            "shift": ("i", False, 0),
            "offsets": ("ints", False, []),
            "gen_top_module": ("s", False, ""),
        }
        attributes.update(LabelSelect.get_nodeattr_types(self))
        attributes.update(RTLBackend.get_nodeattr_types(self))
        return attributes

    def _offsets(self) -> np.ndarray:
        offsets = np.asarray(self.get_nodeattr("offsets"), dtype=np.int64)
        return offsets if offsets.size else np.zeros(self.get_nodeattr("Labels"), dtype=np.int64)

    def execute_node(self, context: dict[str, np.ndarray], graph: object) -> None:
        """Execute in numpy: int64 keys, first maximum wins."""
        node = self.onnx_node
        x = np.rint(context[node.input[0]]).astype(np.int64)
        keys = (x << self.get_nodeattr("shift")) + self._offsets()
        shape = context[node.output[0]].shape
        context[node.output[0]] = keys.argmax(axis=-1).astype(np.float32).reshape(shape)

    def generate_hdl(self, model: object, fpgapart: str, clk: float) -> None:
        """Write the wrapper that adds the offsets in front of ``top1``."""
        name = self.onnx_node.name
        self.set_nodeattr("gen_top_module", name)
        bits = self.get_input_datatype().bitwidth()
        text = label_select_text(
            name=name,
            pe=self.get_nodeattr("PE"),
            in_bits=bits,
            out_bits=self.get_outstream_width(),
            shift=self.get_nodeattr("shift"),
            offsets=[int(offset) for offset in self._offsets()],
        )
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        (folder / f"{name}.v").write_text(text)
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Return the generated wrapper; ``top1.sv`` comes from this project's RTL folder."""
        folder = self.get_nodeattr("code_gen_dir_ipgen") + "/" if abspath else ""
        return [folder + self.get_nodeattr("gen_top_module") + ".v"]

    def code_generation_ipi(self) -> list[str]:
        """Return no Vivado commands: the stitched top instantiates the module itself."""
        return []

    def lut_estimation(self, fpgapart: str) -> float:
        """Return the LUT estimate of the comparators and selectors."""
        width = self.get_input_datatype().bitwidth()
        return top1(self.get_nodeattr("Labels"), self.get_nodeattr("PE"), width).LUT
