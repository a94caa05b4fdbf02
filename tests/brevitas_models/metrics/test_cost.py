"""Bit operations and bits: the paper's values, a count by hand, and qonnx's own analysis."""

import math

import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.inference_cost import inference_cost

from brevitas_models import metrics
from brevitas_models.metrics import cost
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.export import export_qonnx
from brevitas_models.model.quant_mlp import QuantMLP

LAYERS = (16, 64, 32, 32, 5)
# In each of its rounds the paper's code prunes a rounded share of the weights that are left.
OF_THE_REST = (0.1, 0.111, 0.125, 0.143, 0.166, 0.2, 0.25, 0.333)
EIGHTY_PERCENT = 1 - math.prod(1 - part for part in OF_THE_REST)


@pytest.mark.parametrize(
    ("bits", "pruned", "expected"),
    [
        (32, 0.0, 4_652_832),
        (6, 0.0, 412_960),
        (6, EIGHTY_PERCENT, 162_671),
        (4, EIGHTY_PERCENT, 121_627),
    ],
)
def test_values_of_the_paper(bits, pruned, expected):
    widths = (32, bits, bits, bits)
    total = sum(
        cost.layer_bops(n_in, n_out, came, bits, pruned)
        for n_in, n_out, came in zip(LAYERS, LAYERS[1:], widths, strict=False)
    )
    assert round(total) == expected


def test_both_conventions_and_masks_by_hand():
    config = MLPConfig(layers=(4, 2, 3), weight_bits=(2, 6), act_bits=3, input_bits=8)
    masks = [torch.ones(2, 4, dtype=torch.bool), torch.ones(3, 2, dtype=torch.bool)]
    masks[0][0] = False  # half of the first layer
    masks[1][1, 1] = False  # a sixth of the second
    second = 6 * (5 / 6 * 3 * 6 + 3 + 6 + 1)
    assert metrics.network_bops(config, masks) == pytest.approx(
        8 * (0.5 * 8 * 2 + 8 + 2 + 2) + second
    )
    assert metrics.network_bops(config, masks, input_bits=32) == pytest.approx(
        8 * (0.5 * 32 * 2 + 32 + 2 + 2) + second
    )
    assert metrics.weight_bits(config, masks) == 4 * 2 + 5 * 6


def test_against_qonnx(tmp_path):
    torch.manual_seed(0)
    config = MLPConfig(layers=(6, 8, 7, 3), weight_bits=(3, 5, 2), act_bits=(4, 6), input_bits=7)
    model = QuantMLP(config).eval()
    # qonnx sees quantised weights: those that are zero count as pruned.
    masks = [
        linear.integers(model.input_scale(index))[0] != 0
        for index, linear in enumerate(model.linears)
    ]
    model.set_masks(masks)
    info = {
        "model": "m",
        "dataset": "d",
        "source": "s",
        "surrogate": False,
        "feature_names": list("abcdef"),
        "class_names": list("xyz"),
        "metrics": {},
        "scaler": {"mean": [0.0] * 6, "scale": [1.0] * 6},
    }
    path = export_qonnx(model, info, tmp_path / "m.onnx")
    found = inference_cost(str(path), discount_sparsity=True)["total_cost"]
    assert found["total_mem_w_bits"] == metrics.weight_bits(config, masks)
    # qonnx leaves out the sums.
    sums = sum(
        mask.numel() * (came + bits + math.log2(mask.shape[1]))
        for mask, came, bits in zip(masks, config.input_widths, config.weight_widths, strict=True)
    )
    assert found["total_bops"] == pytest.approx(metrics.network_bops(config, masks) - sums)
    assert found["total_macs"] == sum(int(mask.sum()) for mask in masks)
    assert ModelWrapper(str(path)).graph.node, "a graph was measured"
