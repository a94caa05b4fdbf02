"""From a trained network of tables to the build's integer network: the same logits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brevitas_models import pruning
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.export import export_bare
from brevitas_models.model.quant_mlp import QuantMLP
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.network import Lookup


@pytest.mark.parametrize(
    ("network", "lookups"),
    [
        ({"edges": "tables", "input_ranges": "per_feature"}, 2),
        ({"edges": "tables", "input_bits": 7, "act_bits": 6, "code_widths": "learned"}, 2),
        ({"edges": ["weights", "tables"], "fold_batch_norm": True, "activation": "relu"}, 1),
    ],
    ids=["tables", "learned widths", "mixed"],
)
def test_the_integer_network_gives_the_models_logits(
    network: dict, lookups: int, tmp_path: Path
) -> None:
    base = {"layers": [6, 8, 4], "weight_bits": 6, "act_bits": 5, "input_bits": 5}
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig.from_dict(base | {"activation": "hardtanh"} | network))
    x = torch.randn(500, 6) * torch.tensor([1.0, 0.1, 3.0, 1.0, 2.0, 1.0])
    model.calibrate(x)
    pruning.keep_budget(model, 150.0, x)
    model.eval()
    split = split_host(tidy(load_model(export_bare(model, tmp_path / "m.onnx"))))
    with torch.no_grad():
        wanted = model(x).numpy()
    found = split.host.after(split.network.execute(split.host.before(x.numpy())))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert sum(isinstance(node.op, Lookup) for node in split.network.nodes) == lookups
