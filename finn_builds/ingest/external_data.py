"""Tensors of an ONNX model that have their data in other files."""

from __future__ import annotations

from onnx import ModelProto, TensorProto
from onnx.external_data_helper import ExternalDataInfo, uses_external_data


def external_tensors(model: ModelProto) -> list[tuple[TensorProto, str]]:
    """Return the tensors of a model that lie outside it, each with the place of its data.

    They may be initialisers or values of nodes. The place is as the model has it: relative to the
    model's own folder, and not checked.
    """
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        tensors += [a.t for a in node.attribute if a.HasField("t")]
    return [(t, ExternalDataInfo(t).location) for t in tensors if uses_external_data(t)]
