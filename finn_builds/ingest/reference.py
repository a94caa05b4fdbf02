"""The QONNX model itself, executed: the truth that every later form is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import TensorProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant
from qonnx.custom_op.general.multithreshold import multithreshold
from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2

from finn_builds.ingest.constants import plain
from finn_builds.ingest.elementwise import FINAL, evaluate_steps
from finn_builds.ingest.exact_nodes import computed_exactly
from finn_builds.ingest.rational import EXACT_FROM, doubles, rationals
from finn_builds.ingest.reading import Graph, GraphNode, read
from finn_builds.ingest.split import HostSplit, Link
from finn_builds.ingest.steps import Constant, QuantisedConstant
from finn_builds.ingest.wiring import executed

# Final operators that leave the order of the outputs alone.
ORDER_KEEPING = (*FINAL, "Sigmoid")

Values = dict[str, np.ndarray]


class Reference:
    """Executes a tidied QONNX model, in double precision and in float32.

    Nothing that builds the integer network is used to execute it: onnx's own reference
    implementation does the standard nodes, and qonnx's functions the quantizers, on the floating
    point values that the integers stand for. The double run decides; where the network has integers
    that double precision does not hold with room to spare, a run on exact numbers (`exact_nodes`).
    A float32 run may differ from it where a value lies within float32's rounding of a quantizer's
    tie; :meth:`float32_disagreements` counts the frames. In the double run a BatchNormalization is
    the four operations of its definition in the ONNX standard, so that an input equal to the mean
    gives exactly the bias, and weights are whole multiples of their scale.

    Without a `split` the model runs in floating point only.
    """

    def __init__(
        self, model: ModelWrapper, split: HostSplit | None = None, *, exact: bool | None = None
    ) -> None:
        """Take a tidied model; `exact` asks for a run on exact numbers whatever the integers."""
        self._graph, self._split = read(model), split
        self._together: bool | None = None  # whether all frames go through a node at once
        self.is_exact = exact if exact is not None else split is not None and _is_wide(split)

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input by its name, as in the model."""
        return {i.name: i.shape for i in self._graph.inputs}

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return the integers the QONNX model gives for integers.

        Integer codes of the quantised inputs, (frames, n_in), give int64 (frames, n_out), all
        inputs and outputs side by side as in the network of the split. ValueError if a tensor of
        the model is further than 1e-3 from the integers' lattice.
        """
        if self.is_exact:
            return self._exact_integers(x)
        values = self._output_values(x, np.float64)
        codes = np.rint(values)
        worst = np.abs(values - codes).max(initial=0)
        if not worst < 1e-3:
            raise ValueError(f"the QONNX model's output is {worst:g} away from integers")
        return codes.astype(np.int64)

    def _exact_integers(self, x: np.ndarray) -> np.ndarray:
        values = self._output_values(x, object)
        wrong = [v for v in values.flat if not isinstance(v, Fraction) or v.denominator != 1]
        if wrong:
            raise ValueError(f"the QONNX model's output is {float(wrong[0]):g}, not an integer")
        return values.astype(np.int64)

    def float32_disagreements(self, x: np.ndarray) -> int:
        """Return in how many frames of codes a float32 run of the model gives other integers."""
        in_single = np.rint(self._output_values(x, np.float32)).astype(np.int64)
        return int((in_single != self.run(x)).any(axis=1).sum())

    def run_float(self, x: np.ndarray | Values) -> np.ndarray | Values:
        """Return the output of the complete model for raw frames, in float32 as it is.

        (frames, values) for one output, a dictionary of them by name for several.
        """
        found = self._execute(self._raw(x), self._graph.outputs, np.float32)
        flat = {name: found[name].reshape(len(found[name]), -1) for name in self._graph.outputs}
        return flat if len(flat) > 1 else flat[self._graph.outputs[0]]

    def tensors(self, x: np.ndarray | Values) -> Values:
        """Return every tensor that depends on the input, for raw frames, in float32, by name."""
        names = [name for node in self._graph.nodes for name in node.outputs]
        return dict(self._execute(self._raw(x), names, np.float32))

    def classify(self, x: np.ndarray | Values) -> np.ndarray:
        """Return the class of each raw frame, by the complete model in float32; int64, (frames,).

        The rule is that of ``deploy.host_model.HostModel.classify``: the first of the largest
        values of the main output before a final softmax or sigmoid; of a single value, whether it
        is positive.
        """
        made = {name: node for node in self._graph.nodes for name in node.outputs}
        ends = []
        for name in self._graph.outputs:
            while name in made and made[name].op in ORDER_KEEPING:
                name = made[name].dynamic[0]
            ends.append(name)
        found = self._execute(self._raw(x), ends, np.float32)
        chosen = [n for n in ends if n in made and made[n].op in ("ArgMax", "TopK")]
        wide = [n for n in ends if found[n][0].size > 1]
        main = next(n for n in ends if n in chosen or n in wide or not (chosen or wide))
        y = found[main].reshape(len(found[main]), -1)
        if main in chosen and y.shape[1] == 1:
            return y[:, 0].astype(np.int64)
        if y.shape[1] == 1:
            return (y[:, 0] > 0).astype(np.int64)
        return y.argmax(axis=1).astype(np.int64)

    def run_front(self, x: np.ndarray | Values) -> np.ndarray:
        """Return what reaches the input quantizer that the split puts in, in float32."""
        assert self._split is not None
        links = [link for link in self._split.inputs if link.tensor in self._split.inserted]
        names = [link.tensor for link in links]
        found = self._execute(self._raw(x), names, np.float32, quantise=False)
        parts = [_flat(found[link.tensor])[:, link.places] for link in links]
        return np.concatenate(parts, axis=1)

    def _raw(self, x: np.ndarray | Values) -> Values:
        inputs = self._graph.inputs
        if not isinstance(x, dict):
            sizes = [int(np.prod(i.shape)) for i in inputs]
            parts = np.split(np.asarray(x).reshape(len(x), -1), np.cumsum(sizes)[:-1], axis=1)
            x = {i.name: part for i, part in zip(inputs, parts, strict=True)}
        return {
            i.name: np.asarray(x[i.name], dtype=np.float32).reshape(-1, *i.shape) for i in inputs
        }

    def _output_values(self, x: np.ndarray, dtype: type) -> np.ndarray:
        """Return the network's outputs, all side by side, in floating point."""
        assert self._split is not None
        x = np.asarray(x)
        # Elements that no output depends on are 0; they may still be operands on the way.
        feeds: Values = {
            i.name: np.zeros((len(x), *i.shape), dtype=dtype) for i in self._graph.inputs
        }
        given: Values = {}  # which elements of a tensor are known
        for link in self._split.inputs:
            zeros: np.ndarray = np.zeros((len(x), *link.shape), dtype=dtype)
            _put(link, x, feeds.setdefault(link.tensor, zeros))
            known = given.setdefault(link.tensor, np.zeros(link.shape, dtype=bool))
            known.reshape(-1)[link.places] = True
        of_inputs = {i.name for i in self._graph.inputs}
        partly = {n: m for n, m in given.items() if not m.all() and n not in of_inputs}
        names = [link.tensor for link in self._split.outputs]
        found = self._execute(feeds, names, dtype, partly=partly)
        n_out = self._split.host.n_out
        y = np.zeros((len(x), n_out), dtype=object if dtype is object else np.float64)
        for link in self._split.outputs:
            values = _flat(found[link.tensor])[:, link.places]
            if dtype is object:
                y[:, link.at] = (rationals(values) - link.offset) / link.scale
            else:
                y[:, link.at] = (doubles(values) - doubles(link.offset)) / doubles(link.scale)
        return y

    def _execute(
        self,
        feeds: Values,
        names: Sequence[str],
        dtype: type,
        *,
        quantise: bool = True,
        partly: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> Values:
        """Return tensors of the model for given ones, all with frames first.

        The given ones have the axes of the model after that, those found have them where they do
        not begin with a batch of 1. Of tensors in `partly` only some elements are given, (...) of
        bool.
        """

        def through(given: Values, precision: type = dtype) -> Values:
            return self._through(given, names, precision, quantise, partly)

        count = len(next(iter(feeds.values())))
        if self._together is None and count > 1:
            few = {name: x[:2] for name, x in feeds.items()}
            if dtype is object:  # which double precision shows, too
                few = {name: doubles(x) for name, x in few.items()}
            kind = np.float64 if dtype is object else dtype
            self._together = _agree(lambda given: through(given, kind), few)
        if self._together or count <= 1:
            return {name: _by_frame(x, count) for name, x in through(feeds).items()}
        alone = [through(_frame(feeds, i)) for i in range(count)]
        return {name: np.concatenate([_row(found[name]) for found in alone]) for name in names}

    def _through(
        self,
        feeds: Values,
        names: Sequence[str],
        dtype: type,
        quantise: bool,
        partly: Mapping[str, np.ndarray],
    ) -> Values:
        whole = {name: _side_by_side(x) for name, x in feeds.items() if name not in partly}
        known = {n: self._quantised(n, x) if quantise else x for n, x in whole.items()}
        for node in _needed(self._graph, set(known), set(names)):
            inputs = [
                known[x] if x in known else _constant(self._graph.constants, x, dtype)
                for x in node.inputs
            ]
            found = _computed(node, inputs, dtype, self._graph.opset)
            for name, value in zip(node.outputs, found, strict=False):
                if name in partly:
                    fed = np.where(partly[name], feeds[name], value.reshape(feeds[name].shape))
                    value = _side_by_side(fed)
                known.setdefault(name, self._quantised(name, value) if quantise else value)
        return {name: known[name] for name in names}

    def _quantised(self, name: str, value: np.ndarray) -> np.ndarray:
        """Return a tensor after the input quantizer, if that is put on it."""
        split = self._split
        if value.dtype == object:  # exact multiples of the scale already
            return value
        if split is None or split.input_quant is None or name not in split.inserted:
            return value
        quantised = evaluate_steps([split.input_quant.step()], _flat(value))
        return quantised.reshape(value.shape)


def _is_wide(split: HostSplit) -> bool:
    """Return whether a network has integers that double precision may not hold exactly."""
    tensors = (*split.network.inputs, *(node.output for node in split.network.nodes))
    return max(max(-low, high) for low, high in (t.bounds for t in tensors)) >= EXACT_FROM


def _frame(feeds: Values, i: int) -> Values:
    return {name: x[i : i + 1] for name, x in feeds.items()}


def _agree(through: Callable[[Values], Values], feeds: Values) -> bool:
    """Return whether two frames side by side give what each gives alone."""
    try:
        both = through(feeds)
    except Exception:  # whatever a node makes of a batch it was not written for
        return False
    for i in range(2):
        for name, one in through(_frame(feeds, i)).items():
            if both[name].size != 2 * one.size or len(both[name]) % 2:
                return False
            if not np.allclose(both[name].reshape(2, -1)[i], one.ravel(), equal_nan=True):
                return False
    return True


def _side_by_side(x: np.ndarray) -> np.ndarray:
    """Return frames of a tensor, (frames, ...), as the model has them, along its first axis."""
    return x.reshape(len(x) * x.shape[1], *x.shape[2:])


def _by_frame(x: np.ndarray, count: int) -> np.ndarray:
    """Return what a model makes of frames side by side with the frames first."""
    if count == 1:
        return _row(x)
    return x if len(x) == count else x.reshape(count, len(x) // count, *x.shape[1:])


def _row(x: np.ndarray) -> np.ndarray:
    """Return the tensor of one frame with the frame first, as the models lose it at times."""
    return x.reshape(1, *(x.shape[1:] if x.ndim and x.shape[0] == 1 else x.shape))


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), int(np.prod(x.shape[1:], dtype=np.int64)))


def _put(link: Link, x: np.ndarray, tensor: np.ndarray) -> None:
    """Write what the network's integers stand for into the model's tensor, in place."""
    flat = tensor.reshape(len(x), int(np.prod(tensor.shape[1:])))
    if tensor.dtype == object:
        flat[:, link.places] = rationals(x[:, link.at]) * link.scale + link.offset
    else:
        # In double first: the offset is whole units of the scale.
        values = x[:, link.at] * doubles(link.scale) + doubles(link.offset)
        flat[:, link.places] = values.astype(tensor.dtype)


def _needed(graph: Graph, known: set[str], wanted: set[str]) -> list[GraphNode]:
    """Return the nodes on the way from known tensors to wanted ones, in order."""
    missing, found = wanted - known, []
    for node in reversed(graph.nodes):
        if missing & set(node.outputs):
            found.append(node)
            missing = (missing - set(node.outputs)) | (set(node.dynamic) - known)
    return found[::-1]


def _constant(constants: Mapping[str, Constant], name: str, dtype: type) -> np.ndarray | None:
    if not name:
        return None
    constant = constants[name]
    if isinstance(constant, QuantisedConstant):
        array = constant.value()
        return rationals(array) if dtype is object else array.astype(dtype)
    array = plain(constant)
    if dtype is object and array.dtype.kind == "f":
        return rationals(array)
    return array.astype(dtype) if array.dtype.kind == "f" else array


def _computed(node: GraphNode, inputs: list[Any], dtype: type, opset: int) -> list[np.ndarray]:
    """Return a node's outputs in the precision of its inputs."""
    if dtype is object:
        return computed_exactly(node, inputs, opset)
    attrs = node.attrs
    match node.op:
        case "Quant":
            signed, narrow = int(attrs.get("signed", 1)), int(attrs.get("narrow", 1))
            mode = str(attrs.get("rounding_mode", "ROUND"))
            mode = "DOWN" if mode.upper() == "ROUND_TO_ZERO" else mode
            return [np.asarray(int_quant(*inputs, signed, narrow, mode), dtype=dtype)]
        case "BipolarQuant":
            return [np.asarray(binary_quant(*inputs), dtype=dtype)]
        case "Trunc":
            mode = str(attrs.get("rounding_mode", "FLOOR"))
            if len(inputs) == 5:
                return [np.asarray(trunc_v1(*inputs, mode), dtype=dtype)]
            signs = int(attrs.get("narrow", 0)), int(attrs.get("signed", 1))
            return [np.asarray(trunc_v2(*inputs[:4], *signs, *inputs[4:], mode), dtype=dtype)]
        case "MultiThreshold":
            scale, bias = attrs.get("out_scale", 1.0), attrs.get("out_bias", 0.0)
            x, rows = inputs
            return [np.asarray(_multithreshold(x, rows, attrs) * scale + bias, dtype=dtype)]
        case "BatchNormalization":
            epsilon = dtype(np.float32(attrs.get("epsilon", 1e-5)))
            return [_batch_norm(inputs, epsilon)]
        case "Cast" if attrs["to"] in (TensorProto.FLOAT, TensorProto.DOUBLE):
            return [inputs[0].astype(dtype)]
        case "Identity" | "Dropout":
            return [inputs[0]]
        case _:
            with np.errstate(all="ignore"):
                return [_same_kind(y, dtype) for y in executed(node.proto, inputs, opset)]


def _batch_norm(inputs: list[np.ndarray], epsilon: Any) -> np.ndarray:
    x, gamma, beta, mean, var = inputs
    wide = (1, -1, *(1 for _ in x.shape[2:]))
    gamma, beta, mean, var = (c.reshape(wide) for c in (gamma, beta, mean, var))
    if x.dtype == np.float64:
        return np.asarray((x - mean) / np.sqrt(var + epsilon) * gamma + beta)
    factor = gamma / np.sqrt(var + epsilon)  # as runtimes fold it
    return np.asarray(x * factor + (beta - mean * factor))


def _same_kind(y: np.ndarray, dtype: type) -> np.ndarray:
    return y.astype(dtype) if y.dtype.kind == "f" else y


def _multithreshold(x: np.ndarray, rows: np.ndarray, attrs: Mapping[str, Any]) -> np.ndarray:
    last = attrs.get("data_layout", "NCHW") in ("NHWC", "NWC") and x.ndim > 2
    y = multithreshold(np.moveaxis(x, -1, 1) if last else x, rows)
    return np.moveaxis(y, 1, -1) if last else y
