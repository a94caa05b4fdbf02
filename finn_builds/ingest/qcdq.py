"""QuantizeLinear and DequantizeLinear, as onnxruntime and Brevitas' QCDQ write them, to QONNX.

A pair of the two around an activation, perhaps with a Clip to fewer bits between them, becomes one
Quant; so do integers that the model takes or gives, which are numbers like others from then on.
Constants behind a DequantizeLinear become a Quant of the numbers that they stand for where they
have few bits (weights), and those numbers where they have many (biases). What is made is compared
with the original file, executed by onnxruntime.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.errors import UserError, VerificationError

log = logging.getLogger(__name__)

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"

#: The domain of QONNX's operators.
_QONNX = "qonnx.custom_op.general"
#: The domain of onnxruntime's own operators, some of which the standard has taken over.
_MICROSOFT = "com.microsoft"

#: Bits and sign of the element types that the two operators know.
_TYPES = {
    TensorProto.INT8: (8, True),
    TensorProto.UINT8: (8, False),
    TensorProto.INT16: (16, True),
    TensorProto.UINT16: (16, False),
    TensorProto.INT4: (4, True),
    TensorProto.UINT4: (4, False),
}

#: Operators of onnxruntime's QOperator format and of dynamic quantisation.
_ON_INTEGERS = ("QGemm", "MatMulInteger", "ConvInteger", "MatMulIntegerToFloat")

#: Frames that the original is compared on, and how many of them may differ: both compute in
#: float32 and add in different orders, which may turn a rounding.
FRAMES, MOST_DIFFERENT = 64, 1
_CLOSE = 1e-4


def uses_pairs(proto: onnx.ModelProto) -> bool:
    """Tell whether a model quantises by the two operators."""
    return any(node.op_type in (QUANTIZE, DEQUANTIZE) for node in proto.graph.node)


def other_format(proto: onnx.ModelProto) -> str | None:
    """Return what to do about a model that is quantised in a way that can't be converted."""
    kinds = {node.op_type for node in proto.graph.node}
    if "DynamicQuantizeLinear" in kinds:
        return (
            "it is quantised dynamically (DynamicQuantizeLinear), with scales that follow from "
            "each frame: quantise it with onnxruntime's quantize_static and QuantFormat.QDQ"
        )
    integer = sorted(k for k in kinds if k.startswith("QLinear") or k in _ON_INTEGERS)
    if integer:
        return (
            f"it is quantised in onnxruntime's QOperator format ({', '.join(integer)}): quantise "
            "it again with quant_format=QuantFormat.QDQ"
        )
    if "FloatQuant" in kinds:
        return (
            "it quantises to floating point numbers of few bits (FloatQuant), which can't be "
            "built: quantise to integers (Quant)"
        )
    return None


def to_qonnx(proto: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return a model with Quant nodes for all pairs, compared with the original.

    Raises UserError, naming the node, if one is used in a way that has no Quant, and
    VerificationError if onnxruntime gives other results for the original.
    """
    # First, as a file that onnxruntime does not take is damaged in some way.
    expected = _executed(proto, name)
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for node in made.graph.node:
        if node.op_type in (QUANTIZE, DEQUANTIZE) and node.domain == _MICROSOFT:
            node.domain = ""  # as for 16 bits before opset 21
    _Converter(made, name).run()
    if not any(o.domain == _QONNX for o in made.opset_import):
        made.opset_import.append(helper.make_opsetid(_QONNX, 1))
    del made.graph.value_info[:]
    _compare(expected, made, name)
    return made


class _Converter:
    """Rewrites one graph in place."""

    def __init__(self, made: onnx.ModelProto, name: str) -> None:
        graph = made.graph
        self.graph, self.name = graph, name
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.types = {t.name: t.data_type for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                tensor = node.attribute[0].t
                self.constants[node.output[0]] = numpy_helper.to_array(tensor)
                self.types[node.output[0]] = tensor.data_type
        self.makers = {output: node for node in graph.node for output in node.output}
        self.shapes = _ranks(made)
        self.inputs = {value.name: value for value in graph.input}
        self.new: list[NodeProto] = []
        every = [name for node in graph.node for name in (*node.input, *node.output, node.name)]
        self.names = {*every, *self.constants, *(v.name for v in graph.input)}

    def run(self) -> None:
        """Replace every DequantizeLinear, and what it reads."""
        for node in self.graph.node:
            if node.op_type == DEQUANTIZE:
                self._dequantised(node)
            else:
                self.new.append(node)
        given = {output.name: output for output in self.graph.output}
        for node in [n for n in self.new if n.op_type == QUANTIZE and n.output[0] in given]:
            self.new.remove(node)
            self._integers_out(node)
            given[node.output[0]].type.tensor_type.elem_type = TensorProto.FLOAT
        kept = self._needed(self.new)
        left = [node for node in kept if node.op_type in (QUANTIZE, DEQUANTIZE)]
        if left:
            self._refuse(left[0], "its integers go to another operation than DequantizeLinear")
        del self.graph.node[:]
        self.graph.node.extend(kept)
        used = {name for node in kept for name in node.input}
        unused = [t for t in self.graph.initializer if t.name not in used]
        for tensor in unused:
            self.graph.initializer.remove(tensor)

    def _needed(self, nodes: list[NodeProto]) -> list[NodeProto]:
        """Return the nodes that the graph's outputs depend on, in their order."""
        wanted = {output.name for output in self.graph.output}
        kept: list[NodeProto] = []
        for node in reversed(nodes):
            if wanted & set(node.output):
                wanted |= set(node.input)
                kept.append(node)
        return kept[::-1]

    def _refuse(self, node: NodeProto, why: str) -> NoReturn:
        raise UserError(
            f"{self.name}: the {node.op_type} node '{node.name or node.output[0]}' can't be "
            f"converted to QONNX: {why}; export the network from Brevitas with export_qonnx, or "
            "from onnxruntime with quantize_static and QuantFormat.QDQ"
        )

    def _constant(self, node: NodeProto, place: int, otherwise: float) -> np.ndarray:
        """Return a scale or zero point."""
        if len(node.input) <= place or not node.input[place]:
            return np.array(otherwise)
        if node.input[place] not in self.constants:
            self._refuse(node, "its scale or zero point is not a constant")
        return self.constants[node.input[place]]

    def _dequantised(self, node: NodeProto) -> None:
        if any(a.name == "block_size" and a.i for a in node.attribute):
            self._refuse(node, "its scale is by block")
        scale = self._constant(node, 1, 1).astype(np.float32)
        zero = self._constant(node, 2, 0).astype(np.int64)
        source = node.input[0]
        if source in self.constants:
            self._constant_numbers(node, source, scale, zero)
            return
        if source in self.inputs:
            self._integers_in(node, source, scale, zero)
            return
        maker = self.makers.get(source)
        limits: tuple[int, int] | None = None
        if maker is not None and maker.op_type == "Clip":
            low, high = (self._limit(maker, place) for place in (1, 2))
            limits = (low, high)
            held = self.constants.get(maker.input[0])
            if held is not None:  # weights as integers already
                self.constants[source] = np.clip(held, low, high)
                self.types[source] = self.types[maker.input[0]]
                self._constant_numbers(node, source, scale, zero)
                return
            maker = self.makers.get(maker.input[0])
        if maker is None or maker.op_type != QUANTIZE:
            self._refuse(node, "what it reads is not constant, from a QuantizeLinear or an input")
        assert maker is not None
        same = np.array_equal(self._constant(maker, 1, 1).astype(np.float32), scale)
        if not same or not np.array_equal(self._constant(maker, 2, 0).astype(np.int64), zero):
            self._refuse(node, "its scale or zero point is not that of its QuantizeLinear")
        low, high = self._ends(maker)
        if limits is not None:
            low, high = max(low, limits[0]), min(high, limits[1])
        self._quantised(node, node.output[0], maker.input[0], scale, zero, low, high)

    def _ends(self, node: NodeProto) -> tuple[int, int]:
        """Return the smallest and the largest integer that a QuantizeLinear gives."""
        kind = self.types.get(node.input[2]) if len(node.input) > 2 else TensorProto.UINT8
        if kind is None or kind not in _TYPES:
            self._refuse(node, "its integers are not of 4, 8 or 16 bits")
        bits, signed = _TYPES[kind]
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def _integers_in(
        self, node: NodeProto, source: str, scale: np.ndarray, zero: np.ndarray
    ) -> None:
        """Write what integers that the model takes stand for; they are quantised by themselves."""
        tensor = self.inputs[source].type.tensor_type
        if tensor.elem_type == TensorProto.FLOAT:  # changed for another node that reads it
            kind = self.types[source]
        else:
            kind = self.types[source] = tensor.elem_type
            tensor.elem_type = TensorProto.FLOAT
        if kind not in _TYPES:
            self._refuse(node, "its integers are not of 4, 8 or 16 bits")
        out = node.output[0]
        codes, counted = self._fresh(f"{out}_codes"), self._fresh(f"{out}_counted")
        self.shapes[codes] = self.shapes[counted] = self._rank(source)
        bits, signed = _TYPES[kind]
        self._quant(codes, source, np.array(1.0), 0, bits, signed, narrow=False)
        self._with_constant(node, "Sub", codes, zero, counted)
        self._with_constant(node, "Mul", counted, scale, out)

    def _integers_out(self, node: NodeProto) -> None:
        """Write integers that the model gives: exact ones, a Quant of the steps of the scale."""
        source, out = node.input[0], node.output[0]
        steps, numbers = self._fresh(f"{out}_steps"), self._fresh(f"{out}_numbers")
        self.shapes[steps] = self._rank(source)
        zero = self._constant(node, 2, 0).astype(np.int64)
        self._with_constant(node, "Div", source, self._constant(node, 1, 1), steps)
        self._quantised(node, numbers, steps, np.array(1.0), zero, *self._ends(node))
        self._with_constant(node, "Add", numbers, zero, out)

    def _with_constant(
        self, node: NodeProto, op: str, source: str, held: np.ndarray, out: str
    ) -> None:
        """Write an operation of a tensor and a scale or zero point of a node."""
        shape = self._broadcast(node, held, self._rank(source))
        constant = self._add(f"{out}_{op}", held.reshape(shape))
        self.new.append(helper.make_node(op, [source, constant], [out], name=out))

    def _rank(self, name: str) -> int:
        return self.constants[name].ndim if name in self.constants else self.shapes.get(name, 2)

    def _limit(self, clip: NodeProto, place: int) -> int:
        if len(clip.input) <= place or clip.input[place] not in self.constants:
            self._refuse(clip, "its limits are not constants")
        return int(self.constants[clip.input[place]])

    def _constant_numbers(
        self, node: NodeProto, source: str, scale: np.ndarray, zero: np.ndarray
    ) -> None:
        """Write what constants stand for: weights as a Quant, biases as numbers."""
        integers = self.constants[source].astype(np.int64)
        shape = self._broadcast(node, scale, integers.ndim)
        integers = integers - zero.reshape(self._broadcast(node, zero, integers.ndim))
        values = (integers.astype(np.float32) * scale.reshape(shape)).astype(np.float32)
        if self.types[source] not in _TYPES:
            self.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            return
        low, high = int(integers.min()), int(integers.max())
        bits = max(2, int(max(-low - 1, high, 1)).bit_length() + 1)
        held = self._add(f"{node.output[0]}_values", values)
        self._quant(node.output[0], held, scale.reshape(shape), 0, bits, signed=True, narrow=False)

    def _broadcast(self, node: NodeProto, held: np.ndarray, rank: int) -> tuple[int, ...]:
        """Return the shape of a scale beside a tensor: of a number, or along the node's axis."""
        if held.size == 1:
            return ()
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [1] * rank
        shape[axis] = held.size
        return tuple(shape)

    def _quantised(
        self,
        node: NodeProto,
        out: str,
        source: str,
        scale: np.ndarray,
        zero: np.ndarray,
        low: int,
        high: int,
    ) -> None:
        """Write the Quant of a pair of integers from `low` to `high`.

        ONNX adds the zero point after rounding to the nearest even integer, QONNX before: for an
        odd one, and limits that are not those of a type, the limits become a Clip in front of a
        Quant without zero point, which is the same.
        """
        scale = scale.reshape(self._broadcast(node, scale, self._rank(source)))
        form = _type_of(low, high)
        plain = zero.size == 1 or not zero.any()
        offset = int(zero.ravel()[0]) if zero.size else 0
        if not plain and len(set(zero.ravel().tolist())) > 1:
            self._refuse(node, "its zero points differ by channel")
        if form is not None and offset % 2 == 0:
            self._quant(out, source, scale, offset, *form)
            return
        low, high = low - offset, high - offset
        bits = max(2, int(max(-low - 1, high, 1)).bit_length() + 1)
        if scale.size > 1:
            self._refuse(node, "it has a scale by channel and an odd zero point")
        limits = [
            self._add(f"{out}_{what}", np.float32(value) * scale)
            for what, value in (("low", low), ("high", high))
        ]
        clipped = self._fresh(f"{out}_clipped")
        self.new.append(helper.make_node("Clip", [source, *limits], [clipped], name=clipped))
        self._quant(out, clipped, scale, 0, bits, signed=True, narrow=False)

    def _quant(
        self,
        out: str,
        source: str,
        scale: np.ndarray,
        zero: int,
        bits: int,
        signed: bool,
        narrow: bool,
    ) -> None:
        parts = {"scale": scale, "zero": zero, "bits": bits}
        names = [self._add(f"{out}_{what}", np.asarray(value)) for what, value in parts.items()]
        self.new.append(
            helper.make_node(
                "Quant",
                [source, *names],
                [out],
                name=f"Quant_{out}",
                domain=_QONNX,
                signed=int(signed),
                narrow=int(narrow),
                rounding_mode="ROUND",
            )
        )

    def _add(self, name: str, value: np.ndarray) -> str:
        """Add a constant and return its name, which is that or one like it."""
        fresh = self._fresh(name)
        self.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), fresh))
        return fresh

    def _fresh(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of dimensions of every tensor for which it can be found."""
    known = {v.name: len(v.type.tensor_type.shape.dim) for v in model.graph.input}
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:  # whether the file is valid is checked later
        return known
    return {v.name: len(v.type.tensor_type.shape.dim) for v in inferred.graph.value_info} | known


def _type_of(low: int, high: int) -> tuple[int, bool, bool] | None:
    """Return bits, sign and narrowness of a type of just these integers, or None."""
    bits = (high + 1).bit_length() - 1
    if high + 1 != 1 << bits:
        return None
    if low == 0:
        return bits, False, False
    if low in (-high - 1, -high):
        return bits + 1, True, low == -high
    return None


Frame = dict[str, np.ndarray]


def _executed(original: onnx.ModelProto, name: str) -> list[tuple[Frame, Frame]]:
    """Execute a file by onnxruntime on random frames; return inputs and outputs of each."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    names = [output.name for output in original.graph.output]
    try:
        session = onnxruntime.InferenceSession(
            original.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return [
            (frame, dict(zip(names, session.run(names, frame), strict=True)))
            for frame in _frames(session)
        ]
    except Exception as error:
        # Each kind of fault has an exception of its own, without a common base but this.
        said = str(error).strip().splitlines()[0]
        raise UserError(
            f"{name}: onnxruntime, against which a QDQ model is verified, can't execute it: "
            f"{said}; export it again"
        ) from error


def _compare(frames: list[tuple[Frame, Frame]], made: onnx.ModelProto, name: str) -> None:
    """Execute what was made by qonnx and compare it with what the original gave."""
    model = ModelWrapper(_one_frame(made)).transform(InferShapes())
    different = []
    for index, (frame, expected) in enumerate(frames):
        found = execute_onnx(model, {key: x.astype(np.float32) for key, x in frame.items()})
        if not all(
            np.allclose(found[key], value, rtol=_CLOSE, atol=_CLOSE)
            for key, value in expected.items()
        ):
            different.append(index)
    log.info("%s: %d of %d frames differ from onnxruntime", name, len(different), FRAMES)
    if len(different) > MOST_DIFFERENT:
        raise VerificationError(
            f"{name}: after its conversion to QONNX {len(different)} of {FRAMES} frames differ "
            f"from what onnxruntime gives for the file, first frame {different[0]}"
        )


def _one_frame(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model for one frame at a time: qonnx executes fixed shapes alone."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for held in (*made.graph.input, *made.graph.output):
        for dim in held.type.tensor_type.shape.dim:
            if dim.dim_value <= 0:
                dim.dim_value = 1
    return made


def _frames(session: Any) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        frame = {}
        for held in session.get_inputs():
            shape = [d if isinstance(d, int) and d > 0 else 1 for d in held.shape]
            frame[held.name] = _values(rng, held.type, shape, 2 ** (index % 5 - 2))
        yield frame


def _values(rng: np.random.Generator, kind: str, shape: Sequence[int], spread: float) -> np.ndarray:
    """Return random values of a type that onnxruntime names, such as tensor(uint8)."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    if name in ("int8", "uint8", "int16", "uint16"):
        ends = np.iinfo(name)
        return rng.integers(ends.min, ends.max + 1, shape).astype(name)
    return (rng.normal(size=shape) * spread).astype(np.float32)
