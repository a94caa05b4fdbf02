"""The cost in logic: of the network that a build makes, integer for integer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.export import METADATA, export_qonnx
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import hardware


def network(**settings: object) -> QuantMLP:
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig.from_dict({"layers": [5, 8, 6, 3], "input_bits": 4, **settings}))
    model.calibrate(torch.randn(200, 5))
    return model.eval()


@pytest.mark.parametrize("settings", [{}, {"fold_batch_norm": True}, {"act_bits": 1}], ids=str)
def test_integer_network_is_the_model(settings: dict) -> None:
    model = network(**settings)
    integers = hardware.sparse_network(model)
    generator = np.random.default_rng(0)
    codes = generator.integers(-8, 8, (300, 5))
    step = float(model.input_scale(0))
    with torch.no_grad():
        logits = model(torch.from_numpy(np.float32(codes * step))).numpy()
        _, scale, offset = model.linears[-1].integers(model.input_scale(2))
    found = integers.evaluate(codes) * float(scale)
    np.testing.assert_allclose(found + offset.detach().numpy(), logits, atol=1e-5)


def test_fewer_weights_and_fewer_bits_cost_less() -> None:
    model = network()
    whole = hardware.estimate(model)
    layers = hardware.layer_luts(model)
    assert len(layers) == 3 and all(luts > 0 for luts in layers)
    masks = model.masks()
    masks[0][:, :3] = False
    model.set_masks(masks)
    assert hardware.layer_luts(model)[0] < layers[0]
    assert hardware.layer_luts(model)[1:] == layers[1:]
    assert hardware.estimate(model).luts < whole.luts
    assert hardware.estimate(network(weight_bits=2, act_bits=2)).luts < 0.8 * whole.luts
    assert hardware.estimate(network(), clock_ns=6.0).latency > whole.latency


def test_empty_layers_cost_next_to_nothing() -> None:
    model = network()
    masks = [torch.zeros_like(mask) for mask in model.masks()]
    model.set_masks(masks)
    assert hardware.layer_luts(model) == [0, 0, 0]


@pytest.mark.parametrize("widths", [{"act_bits": 32}, {"weight_bits": 12}, {"input_bits": 16}])
def test_float_and_wide_networks_have_no_logic(widths: dict[str, int]) -> None:
    with pytest.raises(
        UserError, match=rf"of 1\.\.8 bits throughout, found .*{max(widths.values())}"
    ):
        hardware.estimate(network(**widths))


@pytest.mark.parametrize(
    "widths", [{"act_bits": 12}, {"weight_bits": 9}, {"input_bits": 16}], ids=str
)
def test_a_build_refuses_wide_networks_in_one_message(
    widths: dict[str, int], tmp_path: Path
) -> None:
    from finn_builds import BuildConfig, build
    from finn_builds.errors import UserError as BuildError

    model = network(scale="free", **widths)
    info = dict.fromkeys(METADATA, "") | {
        "model": "wide",
        "surrogate": False,
        "feature_names": list("abcde"),
        "class_names": list("xyz"),
        "metrics": {},
        "scaler": {"mean": np.zeros(5), "scale": np.ones(5)},
    }
    path = export_qonnx(model, info, tmp_path / "wide.onnx")
    (bits,) = widths.values()
    with pytest.raises(BuildError, match=rf"{bits}-bit .*supported are 1 to 8 bits"):
        build(BuildConfig(board="Pynq-Z1", model=str(path), output_dir=tmp_path / "build"))


def test_training_does_without_the_build_side(repo: Path) -> None:
    code = (
        "import sys; import brevitas_models.train.experiment, brevitas_models.pruning.hardware; "
        "assert not any(name.split('.')[0] in ('finn', 'finn_builds') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repo, check=True)
