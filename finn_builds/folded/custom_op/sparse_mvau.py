"""The sparse layer as a FINN hardware op: MVAU and thresholding as logic, one frame per clock."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.sparse.compiler import CompiledNetwork, compile_network
from finn_builds.sparse.network import SparseLayer, SparseNetwork
from finn_builds.sparse.stages import layer_stages


class SparseMVAU_rtl(RTLBackend):
    """One or more neighbouring sparse layers, fused into one pipeline of interval 1.

    Inputs are the data and, layer after layer, its weights (n_in, n_out) and, where it has any,
    its thresholds (n_out, n_steps). Streams carry whole frames.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Return the attributes; those of one value a layer are in the order of the layers."""
        attributes = {
            "hasThresholds": ("ints", True, []),
            "outBias": ("ints", True, []),
            "outStep": ("ints", True, []),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "inputRange": ("ints", True, []),
            "numInputVectors": ("ints", False, [1]),
            "numInputs": ("i", True, 0),
            "numOutputs": ("i", True, 0),
            "weightBits": ("i", False, 0),
            "nonzeroWeights": ("i", False, 0),
            "family": ("s", True, ""),
            "clockNs": ("f", True, 0.0),
            # Clocks from input to output to pipeline for; 0: as the clock demands.
            "latencyTarget": ("i", False, 0),
            # Filled in when the layers are compiled.
            "latency": ("i", False, 0),
            "lutEstimate": ("i", False, 0),
            "ffEstimate": ("i", False, 0),
            # Registers between the input and the end of each layer.
            "layerStages": ("ints", False, []),
        }
        attributes.update(super().get_nodeattr_types())
        return attributes

    def _parameters(self, values: dict[str, np.ndarray]) -> list[tuple[np.ndarray, Any]]:
        """Return (weights, thresholds or None) of each layer."""
        names = iter(self.onnx_node.input[1:])
        return [
            (values[next(names)], values[next(names)] if has else None)
            for has in self.get_nodeattr("hasThresholds")
        ]

    def network(self, values: dict[str, np.ndarray]) -> SparseNetwork:
        """Return the layers as integers.

        Parameters
        ----------
        values : dict of str to ndarray
            Weights and thresholds by tensor name.
        """
        low, high = self.get_nodeattr("inputRange")
        layers: list[SparseLayer] = []
        biases, steps = self.get_nodeattr("outBias"), self.get_nodeattr("outStep")
        for (weights, thresholds), bias, step in zip(
            self._parameters(values), biases, steps, strict=True
        ):
            if layers:
                low, high = layers[-1].output_range()
            layers.append(
                SparseLayer(
                    np.rint(weights).astype(np.int64),
                    None if thresholds is None else np.rint(thresholds).astype(np.int64),
                    int(bias),
                    int(step),
                    int(low),
                    int(high),
                )
            )
        return SparseNetwork(tuple(layers), self.onnx_node.name or "sparse")

    def initializers(self, model: ModelWrapper) -> dict[str, np.ndarray]:
        """Return the node's weights and thresholds by tensor name."""
        return {name: model.get_initializer(name) for name in self.onnx_node.input[1:]}

    def compile(self, model: ModelWrapper) -> CompiledNetwork:
        """Return the layers as hardware, and note latency and estimates in the node."""
        target = self.get_nodeattr("latencyTarget")
        compiled = compile_network(
            self.network(self.initializers(model)),
            family=self.get_nodeattr("family"),
            clock_ns=None if target else self.get_nodeattr("clockNs"),
            latency=target or None,
            in_width=self.get_input_datatype().bitwidth(),
            out_width=self.get_output_datatype().bitwidth(),
        )
        cost = compiled.cost()
        self.set_nodeattr("latency", compiled.latency)
        self.set_nodeattr("lutEstimate", math.ceil(cost.luts))
        self.set_nodeattr("ffEstimate", math.ceil(cost.flip_flops))
        layers = len(self.get_nodeattr("hasThresholds"))
        self.set_nodeattr("layerStages", layer_stages(compiled.pipeline.graph, layers))
        return compiled

    def execute_node(self, context: dict[str, np.ndarray], graph: object) -> None:
        """Execute exactly, in int64."""
        node = self.onnx_node
        x = np.rint(context[node.input[0]]).astype(np.int64)
        y = self.network(context).evaluate(x.reshape(-1, x.shape[-1]))
        context[node.output[0]] = y.reshape(*x.shape[:-1], -1).astype(np.float32)

    def generate_hdl(self, model: ModelWrapper, fpgapart: str, clk: float) -> None:
        """Compile the layers and write their Verilog."""
        compiled = self.compile(model)
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        for name, text in compiled.files().items():
            (folder / name).write_text(text)
        self.set_nodeattr("gen_top_module", compiled.name)
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Return the generated sources."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        return [str(path) if abspath else path.name for path in sorted(folder.glob("*.v"))]

    def code_generation_ipi(self) -> list[str]:
        """Return no Vivado commands: the stitched top instantiates the module itself."""
        return []

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        """Annotate the output."""
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        """Return the type of a stream element."""
        return DataType[self.get_nodeattr("inputDataType")]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        """Return the type of a stream element."""
        return DataType[self.get_nodeattr("outputDataType")]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return (..., n_in)."""
        return (*self.get_nodeattr("numInputVectors"), self.get_nodeattr("numInputs"))

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return (..., n_out)."""
        return (*self.get_nodeattr("numInputVectors"), self.get_nodeattr("numOutputs"))

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return (..., 1, n_in): one beat a frame."""
        return (*self.get_nodeattr("numInputVectors"), 1, self.get_nodeattr("numInputs"))

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return (..., 1, n_out): one beat a frame."""
        return (*self.get_nodeattr("numInputVectors"), 1, self.get_nodeattr("numOutputs"))

    def get_instream_width(self, ind: int = 0) -> int:
        """Return the bits of a frame at the input."""
        return self.get_nodeattr("numInputs") * self.get_input_datatype().bitwidth()

    def get_outstream_width(self, ind: int = 0) -> int:
        """Return the bits of a frame at the output."""
        return self.get_nodeattr("numOutputs") * self.get_output_datatype().bitwidth()

    def get_number_output_values(self) -> int:
        """Return the beats of a frame at the output."""
        return int(np.prod(self.get_nodeattr("numInputVectors")))

    def get_exp_cycles(self) -> int:
        """Return the cycles per frame: one."""
        return int(np.prod(self.get_nodeattr("numInputVectors")))

    def lut_estimation(self, fpgapart: str) -> int:
        """Return the estimate noted when the layers were compiled."""
        return self.get_nodeattr("lutEstimate")

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Return multiplications that remain and weights that are not zero, under FINN's keys."""
        bits = (self.get_input_datatype().bitwidth(), self.get_nodeattr("weightBits"))
        nonzero = self.get_nodeattr("nonzeroWeights")
        return {
            f"op_mac_{min(bits)}bx{max(bits)}b": nonzero,
            f"param_weight_{bits[1]}b": nonzero,
        }
