"""Reading a QONNX file, and refusing what is not one."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.errors import UserError
from finn_builds.ingest.external_data import external_tensors
from finn_builds.ingest.qcdq import DEQUANTIZE, QUANTIZE, other_format, to_qonnx, uses_pairs
from finn_builds.ingest.steps import fix_domains

QUANTIZERS = ("Quant", "IntQuant", "BipolarQuant", "MultiThreshold")


def load_model(path: Path) -> ModelWrapper:
    """Return the model of a QONNX file; tensors in other files must lie in its own folder.

    Raises UserError if there is no such file, it is not ONNX, holds no quantizer, or refers to data
    that is missing or outside its folder.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise UserError(f"model {path} is {what}; expected a QONNX file (.onnx): check the path")
    not_onnx = (
        f"model {path} is not an ONNX file; expected a QONNX file as Brevitas exports it: name one"
    )
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"can't read model {path}: {error.strerror}; expected a file that may be read"
        ) from error
    except (DecodeError, ValueError) as error:
        raise UserError(not_onnx) from error
    # Almost any bytes parse as an empty message: a model has an opset and nodes.
    if not proto.opset_import or not proto.graph.node:
        raise UserError(not_onnx)
    _require_quantizers(proto, path)
    _load_external_data(proto, path)
    if uses_pairs(proto):
        as_given = onnx.ModelProto()
        as_given.CopyFrom(proto)
        check_valid(as_given, str(path))
        proto = to_qonnx(proto, str(path))
    check_valid(proto, str(path))
    return ModelWrapper(proto, fix_missing_initializer_valueinfo=False)


def check_valid(proto: onnx.ModelProto, name: str) -> None:
    """Bring domains and their versions in order, in place; UserError if it is not valid ONNX."""
    try:
        fix_domains(proto.graph)
        versions = {o.domain: o.version for o in proto.opset_import}
        missing = {n.domain for n in proto.graph.node} - set(versions) - {""}
        # qonnx takes the first entry for the version of the standard operators.
        versions = {"": versions.pop("", 9), **versions, **dict.fromkeys(missing, 1)}
        del proto.opset_import[:]
        proto.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in versions.items())
        for out in proto.graph.output:
            # The standard asks for a shape; tidying finds it out anyway.
            out.type.tensor_type.shape.SetInParent()
        _check_text(proto)
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError) as error:  # ValueError: text not in UTF-8
        first = " ".join(str(error).split("==>")[0].split()).rstrip(".")
        raise UserError(f"{name} is not valid ONNX: {first}; export it again") from error


def _check_text(proto: onnx.ModelProto) -> None:
    """Raise ValueError for a name that is not UTF-8; protobuf hands such names out as bytes."""
    graph = proto.graph
    names = [v.name for v in (*graph.input, *graph.output, *graph.value_info, *graph.initializer)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [a.name for a in node.attribute]
    for name in names:
        if isinstance(name, bytes):
            raise ValueError(f"the name {name!r} is not text")


def _load_external_data(proto: onnx.ModelProto, path: Path) -> None:
    """Read tensors kept in other files, each of which must lie below the model's folder."""
    folder = path.resolve().parent
    for tensor, location in external_tensors(proto):
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder):
            raise UserError(
                f"tensor '{tensor.name}' of {path} has its data at '{location}', outside the "
                "model's folder; put the data file beside the model or save it as one file"
            )
        if not file.is_file():
            raise UserError(
                f"tensor '{tensor.name}' of {path} has its data in '{location}', which is not "
                "there; put the data file beside the model or save it as one file"
            )
        try:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise UserError(
                f"can't read the data of tensor '{tensor.name}' of {path} from '{location}': "
                f"{error}; copy the data file again, or save the model as one file"
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _require_quantizers(proto: onnx.ModelProto, path: Path) -> None:
    ops = {n.op_type for n in proto.graph.node}
    if ops & set(QUANTIZERS) or (ops & {QUANTIZE, DEQUANTIZE} and other_format(proto) is None):
        return
    # Weights may also be integers already, and say so.
    typed = {a.tensor_name for a in proto.graph.quantization_annotation}
    if any(t.name in typed for t in proto.graph.initializer):
        return
    hint = other_format(proto) or "export the network from Brevitas with export_qonnx"
    raise UserError(f"{path} is not a QONNX file: it has no Quant or BipolarQuant node; {hint}")
