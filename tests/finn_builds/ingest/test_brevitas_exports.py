"""Networks of real Brevitas layers, exported by Brevitas: the file is all that is shared."""

import numpy as np
import onnx
import pytest

from finn_builds.ingest import Reference, load_model, split_host, tidy

torch = pytest.importorskip("torch", reason="Brevitas is not installed: training extra")
qnn = pytest.importorskip("brevitas.nn", reason="Brevitas is not installed: training extra")


def networks():
    """Return networks by name, 10 inputs each."""
    from brevitas.quant import (
        Int8ActPerTensorFixedPoint,
        Int8BiasPerTensorFloatInternalScaling,
        Int8WeightPerTensorFixedPoint,
        ShiftedUint8ActPerTensorFloat,
        ShiftedUint8WeightPerTensorFloat,
        SignedBinaryActPerTensorConst,
        SignedBinaryWeightPerTensorConst,
        Uint8ActPerTensorFixedPoint,
    )

    binary = {"weight_quant": SignedBinaryWeightPerTensorConst}
    fixed = {"weight_quant": Int8WeightPerTensorFixedPoint}
    shifted = {"act_quant": ShiftedUint8ActPerTensorFloat}

    def linear(n_in, n_out, **options):
        return qnn.QuantLinear(n_in, n_out, bias=True, **options)

    return {
        "4 bit, batch norm, dropout": [
            qnn.QuantIdentity(bit_width=8),
            linear(10, 16, weight_bit_width=4),
            torch.nn.BatchNorm1d(16),
            qnn.QuantReLU(bit_width=4),
            torch.nn.Dropout(0.1),
            linear(16, 5, weight_bit_width=3, weight_scaling_per_output_channel=True),
        ],
        "binary": [
            qnn.QuantIdentity(bit_width=8),
            linear(10, 16, **binary),
            torch.nn.BatchNorm1d(16),
            qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst),
            linear(16, 5, **binary),
        ],
        "powers of two, quantised output": [
            qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=6),
            linear(10, 8, weight_bit_width=4, **fixed),
            qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=4),
            linear(8, 3, weight_bit_width=3, **fixed),
            qnn.QuantIdentity(bit_width=7),
        ],
        "quantised bias, hard tanh": [
            qnn.QuantIdentity(bit_width=6, return_quant_tensor=True),
            linear(10, 8, weight_bit_width=4, bias_quant=Int8BiasPerTensorFloatInternalScaling),
            qnn.QuantHardTanh(bit_width=4, min_val=-1.0, max_val=1.0),
            linear(8, 3, weight_bit_width=5),
        ],
        "asymmetric": [
            qnn.QuantIdentity(bit_width=6, **shifted),
            linear(10, 8, weight_bit_width=4, weight_quant=ShiftedUint8WeightPerTensorFloat),
            qnn.QuantIdentity(bit_width=4, **shifted),
            linear(8, 3, weight_bit_width=3),
        ],
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a function from a network's name to the network and its QONNX file."""
    from brevitas.export import export_qonnx

    def export(name):
        torch.manual_seed(1)
        model = torch.nn.Sequential(*networks()[name])
        for _ in range(5):  # activation ranges and batch statistics
            model(torch.randn(64, 10) * 2)
        path = tmp_path_factory.mktemp("export") / "model.onnx"
        export_qonnx(model.eval(), torch.randn(1, 10), export_path=str(path), dynamo=False)
        return model, path

    return export


NAMES = [
    "4 bit, batch norm, dropout",
    "binary",
    "powers of two, quantised output",
    "quantised bias, hard tanh",
    "asymmetric",
]


@pytest.mark.filterwarnings("ignore")  # of torch's exporter
@pytest.mark.parametrize("name", NAMES)
def test_the_integer_network_computes_what_brevitas_computes(exported, name):
    trained, path = exported(name)
    model = tidy(load_model(path))
    split = split_host(model)
    host, network = split.host, split.network
    x = np.random.default_rng(2).normal(size=(400, 10)).astype(np.float32) * 2
    codes = host.before(x)
    np.testing.assert_array_equal(network.execute(codes), Reference(model, split).run(codes))
    with torch.no_grad():
        expected = trained(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(host.after(network.execute(codes)), expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(host.classify(network.execute(codes)), expected.argmax(axis=1))
    if name == "asymmetric":
        # The zero point moves into the thresholds: no wider type than the quantizer's own.
        assert [layer.input.datatype[-1] for layer in network.layers()] == ["6", "4"]


@pytest.mark.filterwarnings("ignore")  # of torch's exporter
def test_a_quantised_tensor_as_result_has_one_output(tmp_path):
    """The TorchScript exporter writes six: the values, and what the QuantTensor says of them."""
    from brevitas.export import export_qonnx

    torch.manual_seed(1)
    trained = torch.nn.Sequential(
        qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
        qnn.QuantLinear(10, 6, bias=True, weight_bit_width=4),
        qnn.QuantReLU(bit_width=3, return_quant_tensor=True),
        qnn.QuantLinear(6, 3, bias=True, weight_bit_width=4),
        qnn.QuantIdentity(bit_width=6, return_quant_tensor=True),
    )
    for _ in range(5):
        trained(torch.randn(64, 10) * 2)
    path = tmp_path / "six.onnx"
    export_qonnx(trained.eval(), torch.randn(1, 10), export_path=str(path), dynamo=False)
    model = load_model(path)
    assert len(onnx.load(path).graph.output) == 6
    split = split_host(tidy(model))
    assert len(split.network.outputs) == 1
    assert split.network.output.datatype == "INT6"
    x = np.random.default_rng(2).normal(size=(300, 10)).astype(np.float32) * 2
    with torch.no_grad():
        expected = trained(torch.from_numpy(x)).value.numpy()
    found = split.host.after(split.network.execute(split.host.before(x)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
