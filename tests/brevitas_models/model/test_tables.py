"""Layers of tables: what they compute, learn and export."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.export import METADATA, export_bare
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.tables import hats, slopes

TABLES = {
    "layers": [4, 6, 3],
    "edges": "tables",
    "weight_bits": 6,
    "act_bits": 4,
    "input_bits": 5,
    "activation": "hardtanh",
    "input_ranges": "per_feature",
    "table_knots": 9,
}


def model_of(**settings: object) -> QuantMLP:
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig.from_dict(TABLES | settings))
    model.calibrate(frames())
    generator = torch.Generator().manual_seed(2)
    model.set_masks([torch.rand(mask.shape, generator=generator) > 0.3 for mask in model.masks()])
    with torch.no_grad():
        for layer in model.linears:
            if layer.bias is not None:
                layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) / 8)
    return model.eval()


def frames(n: int = 300) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, generator=generator) * torch.tensor([1.0, 0.1, 3.0, 1.0]) + 0.5


def test_lines_go_through_their_points() -> None:
    points = torch.tensor([0.0, 3.0, 1.0])
    assert (points @ hats(3, 5)).tolist() == [0.0, 1.5, 3.0, 2.0, 1.0]
    assert torch.equal(hats(4, 4), torch.eye(4))
    # Points between codes.
    np.testing.assert_allclose(points @ hats(3, 4), [0, 2, 7 / 3, 1], atol=1e-6)


def test_slopes_of_a_line_are_its_own() -> None:
    line = torch.arange(5.0)[:, None] * 2
    assert slopes(line).flatten().tolist() == [2.0] * 5


def test_adds_one_entry_for_each_input() -> None:
    model = model_of()
    x = model.quantised_inputs(frames(20))
    codes = torch.round(x / model.input_scale(0)).long()
    assert codes.min() == -16 and codes.max() == 15  # all codes of each feature are in use
    layer = model.linears[0]
    entries, scale, bias = layer.integers(None)
    tables = layer.tables(entries)
    assert tables.shape == (6, 4, 32) and float(scale) == 4.0 / 32
    assert torch.equal(tables, tables.round()) and tables.abs().max() <= 32
    assert not tables[~layer.mask].any()
    for frame in range(20):
        for neuron in range(6):
            total = sum(float(tables[neuron, i, codes[frame, i] + 16]) for i in range(4))
            wanted = np.float32(total * float(scale)) + bias[neuron]
            assert model.preactivation(0, x)[frame, neuron] == wanted


def test_training_computes_what_evaluation_does() -> None:
    model = model_of()
    wanted = model(frames())
    torch.testing.assert_close(model.train()(frames()), wanted)


def test_a_pruned_edge_learns_nothing() -> None:
    model = model_of().train()
    model(frames()).square().sum().backward()
    for layer in model.linears:
        grad = layer.parametrizations.weight.original.grad
        assert not grad[~layer.mask].any() and grad[layer.mask].any()


def test_sizes_are_deviations_over_the_codes() -> None:
    layer = model_of().linears[1]
    tables = layer.tables(layer.quantized(layer.weight)).detach().numpy()
    sizes = layer.sizes().detach()
    np.testing.assert_allclose(sizes, tables.std(2), atol=1e-6)
    assert not sizes[~layer.mask].any()


def test_the_range_of_each_feature_is_where_its_frames_are() -> None:
    model = model_of()
    x = frames(20_000)
    model.ranges.fit(x)
    codes = model.quantised_inputs(x)
    assert model.input_scale(0) == 1.0
    for feature in range(4):
        counts = torch.bincount((codes[:, feature] + 16).long(), minlength=32)
        assert (counts > 0).all()
        clipped = (counts[0] + counts[-1]) / len(x)
        assert 0.02 < clipped < 0.06
    before = model.ranges.width.clone()
    model.calibrate(x * 3, origin=x)  # mixed frames may spread wider than the real ones
    assert torch.equal(model.ranges.width, before)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bias": False, "activation": "relu"},
        {"edges": ["weights", "tables"], "fold_batch_norm": True},
        {"edges": ["tables", "weights"], "input_ranges": "shared"},
        {"edges": ["weights", "tables"], "batch_norm": "on", "scale": "free"},
    ],
    ids=str,
)
def test_the_export_is_exact(settings: dict, tmp_path: Path) -> None:
    model = model_of(**settings)
    graph = ModelWrapper(str(export_bare(model, tmp_path / "m.onnx")))
    x = frames(100)
    wanted = model(x).detach().numpy()
    for frame in range(100):
        found = execute_onnx(graph, {"features": x[frame : frame + 1].numpy()})["logits"]
        assert np.array_equal(found[0], wanted[frame])


def test_the_export_has_standard_operators_and_integer_tables(tmp_path: Path) -> None:
    model = model_of()
    graph = onnx.load(export_bare(model, tmp_path / "m.onnx")).graph
    layer = ["Quant", "Sub", "Cast", "Add", "Gather", "ReduceSum", "Mul", "Add"]
    kinds = [node.op_type for node in graph.node]
    assert kinds == ["Sub", "Div", "Sub", "Div", *layer, "Div", *layer]
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    gathers = [node for node in graph.node if node.op_type == "Gather"]
    for node, own, codes in zip(gathers, model.linears, (32, 16), strict=True):
        table = constants[node.input[0]]
        assert table.shape == (own.in_features * codes, own.out_features)
        assert np.array_equal(table, np.round(table))


def test_a_checkpoint_brings_it_back(tmp_path: Path) -> None:
    model = model_of()
    info = dict.fromkeys(METADATA, "") | {
        "surrogate": False,
        "feature_names": list("abcd"),
        "class_names": list("xyz"),
        "scaler": {"mean": [0.0] * 4, "scale": [1.0] * 4},
        "metrics": {},
        "seed": 0,
        "versions": {},
    }
    again, _ = checkpoint.load(checkpoint.save(tmp_path / "m.pt", model, info))
    assert torch.equal(again(frames()), model(frames()))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"edges": ["tables"]}, "list of 2"),
        ({"input_bits": 9}, "codes of 9"),
        ({"act_bits": 1}, "codes of 1"),
        ({"weight_bits": [6, 12]}, "of 12 in layer 1"),
        ({"edges": "weights", "input_bits": 32}, "per_feature"),
    ],
)
def test_refuses(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        MLPConfig.from_dict(TABLES | settings)
