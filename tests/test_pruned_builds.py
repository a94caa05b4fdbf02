"""From training to verified hardware, where almost nothing or a whole layer less is left."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brevitas_models.model import export
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.train import recipe
from brevitas_models.train.rounds import Trainee
from brevitas_models.train.rules import Frames
from brevitas_models.train.store import run_rounds
from finn_builds import BuildConfig, build

SHARE = 0.989
LAYERS = [8, 16, 12, 4]


def trained(share: float) -> QuantMLP:
    """Return a network trained, pruned at one stroke and trained again."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(512) % 4
    frames = Frames(3 * torch.eye(4, 8)[y] + torch.randn(512, 8, generator=generator), y)
    run = recipe.from_dict(
        {
            "name": "nearly_empty",
            "network": {"layers": LAYERS, "weight_bits": 6, "act_bits": 4},
            "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.02},
            "pruning": {"schedule": "one_shot", "share": share},
        }
    )
    return run_rounds([Trainee(run, frames, frames)])[0][-1].model(run.network)


def written(model: QuantMLP, path: Path) -> Path:
    info = {
        "model": path.stem,
        "dataset": "four_clouds",
        "source": "four clouds",
        "surrogate": False,
        "feature_names": [f"x{i}" for i in range(8)],
        "class_names": list("abcd"),
        "metrics": {},
        "scaler": {"mean": np.zeros(8), "scale": np.ones(8)},
    }
    return export.export_qonnx(model, info, path)


def nearly_empty() -> QuantMLP:
    model = trained(SHARE)
    left = sum(int(mask.sum()) for mask in model.masks())
    assert left == 368 - round(SHARE * 368)
    return model


def one_layer_empty() -> QuantMLP:
    model = trained(0.5)
    masks = model.masks()
    masks[1][:] = False
    model.set_masks(masks)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("make", "style"), [(nearly_empty, "sparse"), (one_layer_empty, "folded")])
def test_builds_and_is_verified(make, style: str, tmp_path: Path) -> None:
    model = written(make(), tmp_path / "pruned.onnx")
    build(
        BuildConfig(
            board="Pynq-Z1",
            model=str(model),
            output_dir=tmp_path / "build",
            style=style,
            verify_frames=50,
            stop_step="measure_rtlsim_performance",
        )
    )
    found = json.loads((tmp_path / "build" / "report" / "verification.json").read_text())
    assert found["frames"] == 50
    assert found["mismatches"] == 0
