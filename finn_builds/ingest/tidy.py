"""Bring a QONNX model into one plain form, or say why it can't be built.

The form is a chain of float32 nodes: Flatten for inputs of more than two dimensions, elementwise
nodes whose constants are scalars or have one value per feature, and MatMul nodes with integer
weights (annotated with their datatype), each followed by a Mul with the weights' scale. The
arithmetic is otherwise that of the model.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import SortGraph
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit

from finn_builds.errors import UserError
from finn_builds.files import REFERENCE_FILE
from finn_builds.ingest.canonical import canonical
from finn_builds.ingest.chain import write_chain
from finn_builds.ingest.load import check_valid
from finn_builds.ingest.reading import check_operators, dynamic_nodes, read_checked
from finn_builds.ingest.sections import check_sections

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tidied:
    """A model in the plain form: the reference of every comparison, ``model.onnx``."""

    model: ModelWrapper

    def save(self, out: Path, step: str) -> None:
        """Write the model."""
        self.model.save(str(out / REFERENCE_FILE))

    @classmethod
    def load(cls, out: Path, step: str) -> Tidied:
        """Read what `save` wrote."""
        return cls(ModelWrapper(str(out / REFERENCE_FILE)))


def tidy(model: ModelWrapper) -> ModelWrapper:
    """Return a QONNX MLP, itself left as it is, in the plain form the rest of the build works on.

    Raises UserError if it is no quantised MLP, with the node's name and what is supported.
    """
    proto = copy.deepcopy(model.model)
    check_valid(proto, "the model")
    model = ModelWrapper(proto, fix_missing_initializer_valueinfo=False)
    _normalise_nodes(model)
    into = _single_input(model)
    _single_output(model)
    check_operators(dynamic_nodes(model, into.name))
    shape = _fix_batch(model, into)
    model = _fold_constants(model)
    chain = canonical(read_checked(model, shape))
    check_sections(chain)
    return write_chain(chain)


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


def _single_input(model: ModelWrapper) -> Any:
    initialised = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in initialised]
    if len(inputs) != 1:
        names = ", ".join(f"'{i.name}'" for i in inputs) or "none"
        raise UserError(
            f"the model has {len(inputs)} inputs ({names}); supported is one input: join them"
        )
    for extra in [i for i in model.graph.input if i.name in initialised]:
        model.graph.input.remove(extra)
    return inputs[0]


def _single_output(model: ModelWrapper) -> None:
    names = [o.name for o in model.graph.output]
    if len(names) != 1:
        listed = ", ".join(f"'{n}'" for n in names) or "none"
        raise UserError(
            f"the model has {len(names)} outputs ({listed}); supported is one output: export it "
            "alone"
        )


def _fix_batch(model: ModelWrapper, into: Any) -> tuple[int, ...]:
    """Set the batch to 1 and forget shapes that held another; return the input's shape."""
    dims = into.type.tensor_type.shape.dim
    if len(dims) < 2:
        raise UserError(
            f"input '{into.name}' has {len(dims)} dimensions; expected (batch, features): "
            "export the model so"
        )
    for i, dim in enumerate(dims):
        if i and dim.dim_value < 1:
            named = f" ('{dim.dim_param}')" if dim.dim_param else ""
            raise UserError(
                f"dimension {i}{named} of input '{into.name}' is dynamic; only the batch, "
                "dimension 0, may be: export the model with a fixed number of features"
            )
    batch = dims[0].dim_value
    dims[0].Clear()
    dims[0].dim_value = 1
    del model.graph.value_info[:]
    for out in model.graph.output:
        out.type.tensor_type.ClearField("shape")
    if batch > 1:
        for tensor in model.graph.initializer:
            users = [n for n in model.graph.node if tensor.name in n.input]
            if users and all(n.op_type == "Reshape" and n.input[1] == tensor.name for n in users):
                value = numpy_helper.to_array(tensor).copy()
                if value.size and value[0] == batch:
                    value[0] = 1
                    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return tuple(d.dim_value for d in dims)


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
            f"the model has constants that can't be computed: {first}; export it again"
        ) from error
    return model
