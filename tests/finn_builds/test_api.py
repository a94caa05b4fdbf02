"""The cost in logic: of the network that a build makes; and the columns of a study's row."""

from pathlib import Path

import pytest
import torch

from brevitas_models.model.config import MLPConfig
from brevitas_models.model.export import export_bare
from brevitas_models.model.quant_mlp import QuantMLP
from finn_builds import BuildConfig, api, build
from finn_builds.errors import UserError


def network(**settings: object) -> QuantMLP:
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig.from_dict({"layers": [5, 8, 6, 3], "input_bits": 4, **settings}))
    model.calibrate(torch.randn(200, 5))
    return model.eval()


@pytest.fixture
def written(tmp_path: Path):
    """Return what writes a network as QONNX."""
    return lambda model: export_bare(model, tmp_path / "model.onnx")


def test_fewer_weights_and_fewer_bits_cost_less(written) -> None:
    model = network()
    layers = api.layer_luts(written(model))
    assert len(layers) == 3 and all(luts > 0 for luts in layers)
    masks = model.masks()
    masks[0][:, :3] = False
    model.set_masks(masks)
    assert api.layer_luts(written(model))[0] < layers[0]
    small = api.layer_luts(written(network(weight_bits=2, act_bits=2)))
    assert sum(small) < 0.8 * sum(layers)


def test_empty_layers_cost_next_to_nothing(written) -> None:
    model = network()
    model.set_masks([torch.zeros_like(mask) for mask in model.masks()])
    assert api.layer_luts(written(model)) == [0, 0, 0]


@pytest.mark.parametrize(
    "widths", [{"act_bits": 12}, {"weight_bits": 9}, {"input_bits": 16}], ids=str
)
def test_wide_networks_are_read_and_can_only_be_sparse(
    widths: dict[str, int], written, tmp_path: Path
) -> None:
    path = written(network(scale="power_of_two", **widths))
    assert len(api.read_network(path).layers()) == 3
    config = BuildConfig(
        board="Pynq-Z1", model=str(path), output_dir=tmp_path / "build", style="folded"
    )
    with pytest.raises(UserError, match="folded"):
        build(config)


SUMMARY = {
    "resources": {"LUT": 10, "kind": "estimated"},
    "synthesised": None,
    "not_synthesised": "not synthesised: node 3",
    "latency_cycles": 7,
    "frames_verified": 40,
    "mismatches": 0,
}
COUNTED = {"LUT": 8, "FF": 3, "kind": "a tool"}


def test_a_row_is_counted_or_estimated_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(summary: dict[str, object], synth: str) -> dict[str, object]:
        class Result:
            pass

        Result.summary = summary
        monkeypatch.setattr("finn_builds.api.build", lambda config: Result)
        return api.build_row(Path("model.onnx"), "Pynq-Z1", synth, 40)

    found = row(SUMMARY, "none")
    assert (found["lut"], found["ff"], found["hardware_tool"]) == (10, None, "estimated")
    found = row(SUMMARY | {"synthesised": COUNTED}, "yosys")
    assert (found["lut"], found["ff"], found["hardware_tool"]) == (8, 3, "a tool")
    # Synthesis is stopped after some minutes: on a busy machine a build may end without figures.
    with pytest.raises(UserError, match=r"counted by yosys and were not \(not synthesised: node 3"):
        row(SUMMARY, "yosys")


@pytest.mark.slow
def test_a_row_is_built_and_verified(written) -> None:
    row = api.build_row(written(network(fold_batch_norm=True)), "Pynq-Z1", "none", 20)
    assert (row["verified_frames"], row["mismatches"]) == (20, 0)
    assert row["lut"] > 0 and row["latency_cycles"] > 0
    with pytest.raises(UserError, match="Pynq-Z9"):
        api.check_board("Pynq-Z9")
