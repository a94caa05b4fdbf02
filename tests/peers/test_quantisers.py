"""The grids of qonnx's tests of rounding and of Brevitas' tests of activations, on what we build.

Only the numbers of the grids are theirs: rounding modes, widths, signs, scalings. ``make
test-peers`` runs them, with ``ARGS="--network-seed N"`` for other random values.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from qonnx.custom_op.general.quant import quant

from deploy.host_operations import ROUNDING, evaluate, with_dtype
from finn_builds.ingest import load_model, split_host, tidy
from tests.finn_builds.ingest.graphs import Quantizer, all_codes, execute, mlp, random_layers

pytestmark = pytest.mark.peers

BITS = (1, 2, 3, 4, 5, 8)


@pytest.mark.parametrize("rounding", sorted(ROUNDING))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_every_rounding_mode_on_the_host(bits, narrow, signed, rounding, network_seed):
    if bits == 1 and (signed or narrow):
        pytest.skip("one signed bit is a sign, one narrow unsigned bit a constant")
    rng = np.random.default_rng(network_seed)
    for scale, zero in itertools.product((0.5, 1.0, 0.37), (0, 3)):
        ties = np.arange(-40, 40) / 4 * scale  # quarters: every other one is a tie
        x = np.concatenate([ties, rng.normal(size=200) * scale * 2**bits])[:, None]
        expected = quant(
            x, np.float64(scale), np.float64(zero), np.float64(bits), int(signed), int(narrow),
            rounding,
        )  # fmt: skip
        op = {"op": "quant", "scale": scale, "zero_point": zero, "bits": bits, "signed": signed,
              "narrow": narrow, "rounding": rounding}  # fmt: skip
        found = evaluate(with_dtype(op, np.float64), x)
        np.testing.assert_array_equal(found, expected, err_msg=f"scale {scale}, zero point {zero}")


@pytest.mark.parametrize(
    "rounding", ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
)
@pytest.mark.parametrize(("bits", "signed"), [(2, False), (2, True), (3, True), (4, False)])
def test_every_rounding_mode_in_the_integer_network(rounding, bits, signed, network_seed):
    """Scales by which every second sum is a tie, over every input there is."""
    rng = np.random.default_rng(network_seed)
    activation = Quantizer(bits, 1.0, signed=signed, rounding=rounding)
    layers = random_layers(rng, [3, 5, 4], Quantizer(3, 0.5), activation, relu=not signed)
    codes = all_codes(-4, 3, 3)
    model = mlp(layers, Quantizer(3, 0.5), batch=len(codes))
    split = split_host(tidy(mlp(layers, Quantizer(3, 0.5))))
    x = codes * 0.5
    np.testing.assert_allclose(
        split.host.after(split.network.execute(split.host.before(x))), execute(model, x), atol=1e-5
    )


ACTIVATIONS = ("QuantReLU", "QuantHardTanh", "QuantSigmoid", "QuantTanh", "QuantIdentity")


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("restrict", ["fp", "power_of_two"])
def test_brevitas_activations(kind, bits, restrict, network_seed, tmp_path: Path):
    import brevitas.nn as qnn
    from brevitas.core.restrict_val import RestrictValueType
    from brevitas.export import export_qonnx

    torch.manual_seed(network_seed)
    scaling = RestrictValueType.FP if restrict == "fp" else RestrictValueType.POWER_OF_TWO
    options = {"bit_width": bits, "restrict_scaling_type": scaling}
    if kind == "QuantHardTanh":
        options |= {"min_val": -1.0, "max_val": 1.0}
    model = torch.nn.Sequential(
        qnn.QuantIdentity(bit_width=5, restrict_scaling_type=scaling),
        qnn.QuantLinear(4, 6, bias=True, weight_bit_width=4),
        getattr(qnn, kind)(**options),
        qnn.QuantLinear(6, 3, bias=True, weight_bit_width=4),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(8):
            model(torch.randn(64, 4))
        model.eval()
        export_qonnx(
            model, args=torch.randn(1, 4), export_path=str(tmp_path / "m.onnx"), dynamo=False
        )
    x = torch.randn(300, 4)
    with torch.no_grad():
        expected = model(x).numpy()
    split = split_host(tidy(load_model(tmp_path / "m.onnx")))
    found = split.host.after(split.network.execute(split.host.before(x.numpy())))
    wrong = (np.abs(found - expected) > 1e-4).any(axis=1)
    # A sum within float32's last bit of a tie: the build computes in double precision.
    assert wrong.sum() <= 1, f"{wrong.sum()} of {len(x)} frames"
