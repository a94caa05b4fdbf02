"""QONNX MLPs made with onnx.helper, and two independent ways to compute what they should give."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

GENERAL = "qonnx.custom_op.general"


@dataclass(frozen=True)
class Quantizer:
    """A Quant node; ``bits=1, signed=True`` is written as BipolarQuant unless `plain`."""

    bits: int
    scale: Any = 1.0
    signed: bool = True
    narrow: bool = False
    zero_point: float = 0.0
    rounding: str = "ROUND"
    plain: bool = False

    @property
    def bipolar(self) -> bool:
        return self.bits == 1 and self.signed and not self.plain

    def limits(self) -> tuple[int, int]:
        if self.signed:
            return -(2 ** (self.bits - 1)) + self.narrow, 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1 - self.narrow


@dataclass(frozen=True)
class Layer:
    """A layer: weights (n_in, n_out) before their quantizer, and what follows the product."""

    weights: np.ndarray
    quantizer: Quantizer
    bias: np.ndarray | None = None
    batch_norm: tuple[np.ndarray, ...] | None = None
    relu: bool = False
    activation: Quantizer | None = None
    form: str = "matmul"
    epsilon: float = 1e-5


class Graph:
    """Collects nodes and initialisers of a chain."""

    def __init__(self, shape: tuple[Any, ...], name: str = "x") -> None:
        self.input = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.current = name

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(
        self, op: str, *constants: Any, position: int = 0, domain: str = "", **attrs: Any
    ) -> str:
        """Append a node to the chain; arrays become initialisers, strings are tensor names."""
        names = [c if isinstance(c, str) else self.constant(c) for c in constants]
        names.insert(position, self.current)
        self.current = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(
                op, names, [self.current], name=f"n_{op}_{len(self.nodes)}", domain=domain, **attrs
            )
        )
        return self.current

    def side(self, op: str, inputs: list[str], domain: str = "", **attrs: Any) -> str:
        """Append a node beside the chain and return its output."""
        out = f"t{len(self.nodes)}"
        name = f"n_{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=name, domain=domain, **attrs))
        return out

    def quantize(self, q: Quantizer) -> None:
        """Append a quantizer to the chain."""
        if q.bipolar:
            self.add("BipolarQuant", q.scale, domain=GENERAL)
        else:
            self.add("Quant", q.scale, q.zero_point, float(q.bits), domain=GENERAL, **_attrs(q))

    def quantized_constant(self, value: np.ndarray, q: Quantizer) -> str:
        """Return the tensor of a constant behind a quantizer."""
        c = self.constant(value)
        if q.bipolar:
            return self.side("BipolarQuant", [c, self.constant(q.scale)], GENERAL)
        params = [self.constant(p) for p in (q.scale, q.zero_point, float(q.bits))]
        return self.side("Quant", [c, *params], GENERAL, **_attrs(q))

    def layer(self, layer: Layer) -> None:
        """Append a layer to the chain."""
        q = layer.quantizer
        if layer.form == "gemm":
            transposed = Quantizer(**{**q.__dict__, "scale": np.reshape(q.scale, (-1, 1))})
            if np.size(q.scale) == 1:
                transposed = q
            w = self.quantized_constant(layer.weights.T, transposed)
            bias = layer.bias if layer.bias is not None else np.zeros(layer.weights.shape[1])
            self.add("Gemm", w, bias, transB=1)
        elif layer.form == "transpose":
            transposed = Quantizer(**{**q.__dict__, "scale": np.reshape(q.scale, (-1, 1))})
            if np.size(q.scale) == 1:
                transposed = q
            w = self.quantized_constant(layer.weights.T, transposed)
            self.add("MatMul", self.side("Transpose", [w], perm=[1, 0]))
        else:
            self.add("MatMul", self.quantized_constant(layer.weights, q))
        if layer.bias is not None and layer.form != "gemm":
            self.add("Add", layer.bias)
        if layer.batch_norm is not None:
            self.add("BatchNormalization", *layer.batch_norm, epsilon=layer.epsilon)
        if layer.relu:
            self.add("Relu")
        if layer.activation is not None:
            self.quantize(layer.activation)

    def model(self, out_shape: tuple[Any, ...] | None = None, opset: int = 13) -> ModelWrapper:
        """Return the chain as a model."""
        out = helper.make_tensor_value_info(self.current, TensorProto.FLOAT, out_shape)
        graph = helper.make_graph(self.nodes, "test", [self.input], [out], self.initializers)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(GENERAL, 1)]
        return ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def _attrs(q: Quantizer) -> dict[str, Any]:
    return {"signed": int(q.signed), "narrow": int(q.narrow), "rounding_mode": q.rounding}


def mlp(layers: list[Layer], input_quantizer: Quantizer | None, *, batch: Any = 1) -> ModelWrapper:
    """Return a QONNX MLP."""
    n_in, n_out = layers[0].weights.shape[0], layers[-1].weights.shape[1]
    graph = Graph((batch, n_in))
    if input_quantizer is not None:
        graph.quantize(input_quantizer)
    for layer in layers:
        graph.layer(layer)
    return graph.model((batch, n_out))


def execute(model: ModelWrapper, x: np.ndarray) -> np.ndarray:
    """Return what qonnx makes of a batch; the model must be written for that batch size."""
    model = model.transform(InferShapes())
    result = execute_onnx(model, {model.graph.input[0].name: x.astype(np.float32)})
    return result[model.graph.output[0].name]


def _round(value: Fraction, mode: str) -> int:
    """Round as the QONNX standard says; written out, not taken from numpy."""
    low = value.numerator // value.denominator
    rest = value - low
    if rest == 0:
        return low
    half = Fraction(1, 2)
    towards_zero = low if value > 0 else low + 1
    away = low + 1 if value > 0 else low
    if mode in ("ROUND", "HALF_EVEN"):
        if rest == half:
            return low if low % 2 == 0 else low + 1
        return low if rest < half else low + 1
    return {
        "FLOOR": low,
        "CEIL": low + 1,
        "DOWN": towards_zero,
        "UP": away,
        "HALF_UP": away if rest == half else (low if rest < half else low + 1),
        "HALF_DOWN": towards_zero if rest == half else (low if rest < half else low + 1),
    }[mode]


def exact_level(value: Fraction, q: Quantizer, scale: Fraction) -> int:
    """Return the integer (zero point taken off) a quantizer gives, in exact arithmetic."""
    if q.signed and q.bits == 1:
        return (1 if value / scale + Fraction(q.zero_point) >= 0 else -1) - int(q.zero_point)
    low, high = q.limits()
    y = value / scale + Fraction(q.zero_point)
    return _round(min(max(y, Fraction(low)), Fraction(high)), q.rounding) - int(q.zero_point)


def _fraction(value: Any) -> Fraction:
    return Fraction(float(np.float32(value)))


def _channel(values: Any, j: int) -> Fraction:
    flat = np.reshape(values, -1)
    return _fraction(flat[j] if flat.size > 1 else flat[0])


def exact_forward(
    layers: list[Layer], input_quantizer: Quantizer, codes: np.ndarray
) -> list[list[Fraction]]:
    """Return a network's outputs in exact rational arithmetic.

    BatchNormalization must have a variance whose sum with epsilon is 1.

    Parameters
    ----------
    codes
        Levels of the input quantizer, zero point taken off, shape (frames, n_in).
    """
    results = []
    for row in codes:
        scale = _fraction(input_quantizer.scale)
        values = [int(c) * scale for c in row]
        for layer in layers:
            n_in, n_out = layer.weights.shape
            out = []
            for j in range(n_out):
                w_scale = _channel(layer.quantizer.scale, j)
                total = Fraction(0)
                for i in range(n_in):
                    level = exact_level(_fraction(layer.weights[i, j]), layer.quantizer, w_scale)
                    total += values[i] * level * w_scale
                if layer.bias is not None:
                    total += _fraction(layer.bias[j])
                if layer.batch_norm is not None:
                    gamma, beta, mean, _ = (_fraction(p[j]) for p in layer.batch_norm)
                    total = (total - mean) * gamma + beta
                if layer.relu:
                    total = max(total, Fraction(0))
                if layer.activation is not None:
                    step = _channel(layer.activation.scale, j)
                    total = exact_level(total, layer.activation, step) * step
                out.append(total)
            values = out
        results.append(values)
    return results


def all_codes(low: int, high: int, n: int, step: int = 1) -> np.ndarray:
    """Return every frame of `n` integers in a range, shape (frames, n)."""
    levels = np.arange(low, high + 1, step)
    return np.stack(np.meshgrid(*[levels] * n, indexing="ij"), axis=-1).reshape(-1, n)


def random_layers(
    rng: np.random.Generator,
    sizes: list[int],
    weight: Quantizer,
    activation: Quantizer,
    **options: Any,
) -> list[Layer]:
    """Return layers of given sizes; all but the last end in `activation`."""
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        low, high = (-1, 1) if weight.bipolar else weight.limits()
        raw = rng.integers(low, high + 1, size=(n_in, n_out)) * np.asarray(weight.scale)
        last = i == len(sizes) - 2
        layers.append(
            Layer(
                raw.astype(np.float32), weight, activation=None if last else activation, **options
            )
        )
    return layers
