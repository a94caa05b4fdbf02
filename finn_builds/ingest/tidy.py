"""Bring a QONNX model into the form the build reads: the model's own nodes and arithmetic.

Nodes have names of their own, constants are computed but for those behind quantizers, the batch is
1, and inputs that nothing reads and outputs that nothing changes are gone.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import AttributeProto, ValueInfoProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import SortGraph
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit

from finn_builds.errors import UserError
from finn_builds.files import REFERENCE_FILE
from finn_builds.ingest.load import check_valid
from finn_builds.ingest.reading import dynamic_nodes
from finn_builds.ingest.reference import Reference
from finn_builds.ingest.steps import metadata

log = logging.getLogger(__name__)

#: Operators with windows, whose ``auto_pad`` depends on the size of the data.
_PADDED = ("Conv", "AveragePool", "MaxPool")


@dataclass(frozen=True)
class Tidied:
    """A tidied model: the reference of every comparison, ``model.onnx``."""

    model: ModelWrapper

    def save(self, out: Path, step: str) -> None:
        """Write the model."""
        self.model.save(str(out / REFERENCE_FILE))

    @classmethod
    def load(cls, out: Path, step: str) -> Tidied:
        """Read what `save` wrote."""
        return cls(ModelWrapper(str(out / REFERENCE_FILE)))


def tidy(model: ModelWrapper) -> ModelWrapper:
    """Return a QONNX model, itself left as it is, in the form the rest of the build reads.

    Where a model of a fixed number of frames can't be executed on one, the first axis of its inputs
    is taken for positions, such as the nodes of a graph: all of them are one frame. Raises
    UserError if it has no inputs or outputs, shapes that are not fixed, or constants that can't be
    computed.
    """
    fixed = [i.name for i in model.graph.input if _frames_of(i) > 1]
    if not fixed:
        return _tidied(model, keep=False)
    one, error = None, None
    try:
        one = _tidied(model, keep=False)
    except UserError as found:
        error = found
    if one is not None and _runs(one):
        return one
    try:
        whole = _tidied(model, keep=True)
    except UserError:
        whole = None
    if whole is not None and _runs(whole):
        names = ", ".join(f"'{name}'" for name in fixed)
        log.warning("the first axis of %s is not a batch: all of it is one frame", names)
        return whole
    if one is None:
        assert error is not None
        raise error
    return one  # what it can't be built of is said later


def _runs(model: ModelWrapper) -> bool:
    """Return whether a tidied model can be executed, on zeros."""
    try:
        reference = Reference(model)
        reference.tensors({name: np.zeros((1, *s)) for name, s in reference.inputs.items()})
    except UserError:
        return False
    return True


def _frames_of(value: ValueInfoProto) -> int:
    """Return the fixed length of the first axis of several, 0 for any."""
    dims = value.type.tensor_type.shape.dim
    return int(dims[0].dim_value) if len(dims) > 1 else 0


def _tidied(model: ModelWrapper, *, keep: bool) -> ModelWrapper:
    proto = copy.deepcopy(model.model)
    check_valid(proto, "the model")
    model = ModelWrapper(proto, fix_missing_initializer_valueinfo=False)
    kept = metadata(model)
    _normalise_nodes(model)
    _read_inputs(model)
    _fix_batch(model, keep)
    model = _fold_constants(model)
    _computed_outputs(model)
    _explicit_padding(model)
    _free_batch(model)
    for key, value in kept.items():
        model.set_metadata_prop(key, value)
    return model


def _normalise_nodes(model: ModelWrapper) -> None:
    """Give every node a name of its own and constants the form of initialisers."""
    graph = model.graph
    names = Counter(n.name for n in graph.node)
    for i, node in enumerate(graph.node):
        if not node.name or names[node.name] > 1:
            name = f"{node.op_type}_{i}"
            while name in names:
                name += "_"
            names[name] = 1
            node.name = name
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            raise UserError(
                f"node '{node.name}' ({node.op_type}) holds a graph of its own, which is not "
                "supported; export the model without branches and loops"
            )
    for node in [n for n in graph.node if n.op_type == "Constant"]:
        value = helper.get_attribute_value(node.attribute[0])
        if node.attribute[0].name == "value":
            value = numpy_helper.to_array(value)
        elif node.attribute[0].name.startswith("value_float"):
            value = np.asarray(value, dtype=np.float32)
        elif node.attribute[0].name.startswith("value_int"):
            value = np.asarray(value, dtype=np.int64)
        else:
            raise UserError(
                f"node '{node.name}' (Constant) holds no dense numbers; expected a plain tensor"
            )
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        graph.node.remove(node)


def _read_inputs(model: ModelWrapper) -> None:
    """Keep the inputs that some node reads, in place."""
    initialised = {t.name for t in model.graph.initializer}
    read = {name for node in model.graph.node for name in node.input}
    read |= {out.name for out in model.graph.output}
    for value in [i for i in model.graph.input if i.name in initialised or i.name not in read]:
        model.graph.input.remove(value)
    if not model.graph.input:
        raise UserError(
            "the model has no input that a node reads; expected one: export the whole network"
        )


def _computed_outputs(model: ModelWrapper) -> None:
    """Keep the outputs that depend on an input, in place; exporters add constants to them."""
    inputs = {i.name for i in model.graph.input}
    made = {name for node in dynamic_nodes(model, inputs) for name in node.output}
    for out in [o for o in model.graph.output if o.name not in made]:
        log.info("output '%s' is constant and left out", out.name)
        model.graph.output.remove(out)
    if not model.graph.output:
        names = ", ".join(f"'{name}'" for name in sorted(inputs))
        raise UserError(
            f"no output of the model depends on its input ({names}); expected a network from one "
            "to the other: export the model again"
        )


def _explicit_padding(model: ModelWrapper) -> None:
    """Write what ``auto_pad`` stands for as ``pads``, in place.

    As the ONNX standard has it; onnx's reference implementation doesn't for all of them.
    """
    for node in model.graph.node:
        attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        mode = attrs.get("auto_pad", b"NOTSET").decode()
        shape = model.get_tensor_shape(node.input[0])
        if node.op_type not in _PADDED or mode == "NOTSET" or shape is None:
            continue
        weights = model.get_tensor_shape(node.input[1]) if node.op_type == "Conv" else None
        kernel = attrs.get("kernel_shape") or (weights or ())[2:]
        sides = shape[2:]
        ones = [1] * len(sides)
        begins, ends = [], []
        for size, width, stride, dilation in zip(
            sides, kernel, attrs.get("strides", ones), attrs.get("dilations", ones), strict=False
        ):
            covered = (-(-size // stride) - 1) * stride + (width - 1) * dilation + 1
            total = max(0, covered - size) if mode.startswith("SAME") else 0
            more, less = -(-total // 2), total // 2
            begins.append(more if mode == "SAME_LOWER" else less)
            ends.append(less if mode == "SAME_LOWER" else more)
        kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", begins + ends)])


def _fix_batch(model: ModelWrapper, keep: bool) -> None:
    """Set the batch to 1 and forget shapes that held another, in place.

    With `keep` a first axis of several stays.
    """
    for value in model.graph.input:
        if keep and _frames_of(value) > 1:
            continue
        batch = _fix_input(value)
        if batch > 1:
            _fix_reshapes(model, batch)
    del model.graph.value_info[:]
    for out in model.graph.output:
        out.type.tensor_type.ClearField("shape")


def _fix_input(value: ValueInfoProto) -> int:
    """Set the batch of an input to 1; return what it was, 0 for any."""
    dims = value.type.tensor_type.shape.dim
    if not dims:
        raise UserError(
            f"input '{value.name}' has {len(dims)} dimensions; expected (batch, features): "
            "export the model so"
        )
    for i, dim in enumerate(dims):
        if i and dim.dim_value < 1:
            named = f" ('{dim.dim_param}')" if dim.dim_param else ""
            raise UserError(
                f"dimension {i}{named} of input '{value.name}' is dynamic; only the batch, "
                "dimension 0, may be: export the model with a fixed number of features"
            )
    batch = int(dims[0].dim_value)
    if len(dims) == 1 and batch > 1:
        raise UserError(
            f"input '{value.name}' has 1 dimensions; expected (batch, features): export the model "
            "so"
        )
    dims[0].Clear()
    dims[0].dim_value = 1
    return batch


def _fix_reshapes(model: ModelWrapper, batch: int) -> None:
    """Give constant shapes of Reshape nodes that begin with the batch a batch of 1."""
    for tensor in model.graph.initializer:
        users = [n for n in model.graph.node if tensor.name in n.input]
        if users and all(n.op_type == "Reshape" and n.input[1] == tensor.name for n in users):
            value = numpy_helper.to_array(tensor).copy()
            if value.size and value[0] == batch:
                value[0] = 1
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def _free_batch(model: ModelWrapper) -> None:
    """Let constant shapes of Reshape nodes take any batch along their first axis, in place.

    So that the reference can run all frames at once; the network is read with a batch of 1.
    """
    shapes = {
        t.name: numpy_helper.to_array(t)
        for t in model.graph.initializer
        if any(n.op_type == "Reshape" and n.input[1] == t.name for n in model.graph.node)
    }
    for node in [n for n in model.graph.node if n.op_type == "Reshape"]:
        shape = shapes.get(node.input[1])
        before = model.get_tensor_shape(node.input[0])
        if shape is None or not before or not shape.size or shape[0] < 1:
            continue
        if (shape != -1).all():
            first = -1  # frames may lie side by side along it
        elif before[0] == 1 and shape[0] == 1:
            first = 0
        else:
            continue
        # PyTorch's newer exporter has a 0 stand for a dimension of no elements.
        kept = [a for a in node.attribute if a.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
        name = f"{node.name}_any_batch"
        free = numpy_helper.from_array(np.array([first, *shape[1:]], dtype=np.int64), name)
        model.graph.initializer.append(free)
        node.input[1] = name


def _fold_constants(model: ModelWrapper) -> ModelWrapper:
    try:
        model = ModelWrapper(model.model)
        for step in (
            SortGraph(),
            InferShapes(),
            FoldConstants(exclude_op_types=["Quant", "BipolarQuant"]),
            FoldTransposeIntoQuantInit(),
        ):
            model = model.transform(step)
    except Exception as error:  # whatever onnx, onnxruntime or qonnx make of a malformed graph
        log.debug("cleaning up failed", exc_info=True)
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"the model has shapes or constants that can't be computed: {first}; export it again"
        ) from error
    return model
