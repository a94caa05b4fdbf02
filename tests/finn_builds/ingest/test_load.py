"""What is read as a QONNX file, and what is refused with a reason."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from finn_builds.errors import UserError
from finn_builds.ingest import load_model, tidy
from tests.finn_builds.ingest.graphs import Layer, Quantizer, mlp


def network():
    weights = np.arange(-6, 6).reshape(4, 3)
    return mlp([Layer(weights, Quantizer(4))], Quantizer(4))


def test_a_qonnx_file_is_read(tmp_path):
    network().save(str(tmp_path / "net.onnx"))
    model = load_model(tmp_path / "net.onnx")
    assert [n.op_type for n in model.graph.node] == ["Quant", "Quant", "MatMul"]


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"missing\.onnx is not there; expected a QONNX file"):
        load_model(tmp_path / "missing.onnx")
    with pytest.raises(UserError, match="is a folder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"# A readme\n\nwith text\n", b"", b"\x00" * 64, b"\x08\x07", b"PK\x03\x04rest of an archive"],
)
def test_what_is_no_onnx(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"README\.md is not an ONNX file; expected"):
        load_model(path)


def test_a_cut_off_file(tmp_path):
    network().save(str(tmp_path / "net.onnx"))
    whole = (tmp_path / "net.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not an ONNX file"):
        load_model(tmp_path / "cut.onnx")


def plain_onnx(op, *parameters, kind=TensorProto.FLOAT):
    names = [f"p{i}" for i in range(len(parameters))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2))],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(p, n) for p, n in zip(parameters, names, strict=True)],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset)


def test_onnx_without_quantizers(tmp_path):
    onnx.save(plain_onnx("MatMul", np.ones((2, 2), np.float32)), tmp_path / "float.onnx")
    with pytest.raises(UserError, match="not a QONNX file: it has no Quant or BipolarQuant"):
        load_model(tmp_path / "float.onnx")


def test_the_other_kind_of_quantised_onnx_is_told_apart(tmp_path):
    parameters = np.float32(0.1), np.int8(0)
    onnx.save(
        plain_onnx("QuantizeLinear", *parameters, kind=TensorProto.INT8), tmp_path / "qcdq.onnx"
    )
    assert "Quant" in {node.op_type for node in load_model(tmp_path / "qcdq.onnx").graph.node}
    onnx.save(plain_onnx("QuantizeLinear", *parameters), tmp_path / "wrong.onnx")
    with pytest.raises(UserError, match=r"onnxruntime, .*, can't execute it: .*Type Error"):
        load_model(tmp_path / "wrong.onnx")


def save_external(model, folder, location):
    convert_model_to_external_data(model, location=location, size_threshold=0)
    onnx.save(model, folder / "net.onnx")


def test_external_data_beside_the_model(tmp_path):
    save_external(network().model, tmp_path, "weights.bin")
    assert (tmp_path / "weights.bin").is_file()
    tidy(load_model(tmp_path / "net.onnx"))


def relocate(folder, location):
    """Let the tensors of a saved model name another file."""
    proto = onnx.load(folder / "net.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "net.onnx").write_bytes(proto.SerializeToString())


@pytest.mark.parametrize("how", ["../secret.bin", "absolute", "sub/../../secret.bin", "link"])
def test_external_data_outside_the_folder(tmp_path, how):
    folder = tmp_path / "models"
    folder.mkdir()
    save_external(network().model, folder, "weights.bin")
    (tmp_path / "secret.bin").write_bytes((folder / "weights.bin").read_bytes())
    location = {"absolute": str(tmp_path / "secret.bin"), "link": "link.bin"}.get(how, how)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    relocate(folder, location)
    with pytest.raises(UserError, match="outside the model's folder"):
        load_model(folder / "net.onnx")


def test_external_data_that_is_missing_or_short(tmp_path):
    save_external(network().model, tmp_path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"short")
    with pytest.raises(UserError, match=r"can't read the data of tensor|not there"):
        load_model(tmp_path / "net.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UserError, match=r"'weights\.bin', which is not there"):
        load_model(tmp_path / "net.onnx")


def test_any_bytes_give_a_model_or_one_clear_error(tmp_path):
    network().save(str(tmp_path / "net.onnx"))
    whole = bytearray((tmp_path / "net.onnx").read_bytes())
    rng = np.random.default_rng(3)
    path = tmp_path / "noise.onnx"
    for _ in range(100):
        noisy = bytearray(whole)
        for at in rng.integers(0, len(noisy), size=rng.integers(1, 4)):
            noisy[at] = rng.integers(0, 256)
        path.write_bytes(noisy)
        try:
            tidy(load_model(path))
        except UserError as error:
            assert "\n" not in str(error)
