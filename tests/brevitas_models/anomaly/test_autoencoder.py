"""The autoencoder: its score by hand, what it refuses, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brevitas_models.anomaly import learning
from brevitas_models.anomaly.autoencoder import Autoencoder
from brevitas_models.anomaly.make import AnomalyRecipe, main, make
from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.quantizers import set_scale
from brevitas_models.train.settings import DataSettings, TrainingSettings


def config(**values: object) -> MLPConfig:
    settings = {"layers": [4, 6, 2, 6, 4], "activation": "hardtanh", "input_bits": 6, "act_bits": 6}
    return MLPConfig.from_dict({**settings, "input_ranges": "per_feature", **values})


def test_the_score_is_the_sum_of_squared_differences_of_integers() -> None:
    network = QuantMLP(config(layers=[2, 2], input_bits=4, input_ranges="shared", bias=False))
    set_scale(network.input_quant, 0.5)
    with torch.no_grad():
        weight = network.linears[0].parametrizations.weight.original
        weight.copy_(torch.tensor([[0.0, 7.0], [7.0, 0.0]]))
    model = Autoencoder(network, threshold=50).eval()
    # Integers 2, -8 (clipped), of which the network makes -56 and 14: clipped to -8 and 7.
    score, trigger = model(torch.tensor([[1.0, -9.0], [0.0, 0.0]]))
    assert score.tolist() == [[10.0**2 + 15.0**2], [0.0]]
    assert trigger.tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": [4, 2, 3]}, "4 inputs and 3 outputs"),
        ({"input_bits": 32, "input_ranges": "shared"}, "2 bits or more, found 32"),
        ({"input_bits": 1, "input_ranges": "shared"}, "2 bits or more, found 1"),
    ],
)
def test_networks_that_are_not_autoencoders(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Autoencoder(QuantMLP(config(**values)))


def test_it_learns_what_usual_frames_look_like() -> None:
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((2, 4))
    usual = (rng.standard_normal((2400, 2)) @ plane).astype(np.float32)
    others = rng.standard_normal((200, 4)).astype(np.float32) * usual.std(0)
    torch.manual_seed(0)
    model = Autoencoder(QuantMLP(config(fold_batch_norm=True)))
    settings = TrainingSettings(epochs=12, batch_size=128, learning_rate=1e-2)
    history = learning.learn(model, usual[:2000], usual[2000:2200], settings)
    assert len(history) == 12 and not model.training
    found = learning.scores(model, usual[2200:]).mean(), learning.scores(model, others).mean()
    assert found[1] > 2 * found[0], "frames off the plane come back worse"
    best = min(loss for _, loss in history)
    kept = learning.scores(model, usual[2000:2200]).mean() / 4
    assert kept == pytest.approx(best), "the best weights are kept"


@pytest.mark.parametrize(("rate", "limit"), [(0.0, 10), (0.1, 9), (0.25, 8), (0.5, 5)])
def test_the_threshold_lets_no_more_than_the_rate_pass(rate: float, limit: int) -> None:
    usual = np.random.default_rng(0).permutation(np.arange(1, 11))
    found = learning.threshold(usual, rate)
    assert found == limit and (usual > found).mean() <= rate


def test_wrong_recipes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = DataSettings(dataset="jets", source="surrogate")
    recipe = AnomalyRecipe(name="a", usual=("g", "u"), network=config(), data=data)
    with pytest.raises(UserError, match="has the classes g, q, t, w, z, found u"):
        make(recipe, tmp_path)
    with pytest.raises(UserError, match="16 features, the network 4 inputs"):
        make(recipe.model_copy(update={"usual": ("g",)}), tmp_path)
    for section in (
        {"data": data.model_copy(update={"folds": 4})},
        {"training": TrainingSettings(l1=1e-4)},
    ):
        with pytest.raises(
            UserError, match=r"(folds|l1): has no effect .* expected (1|0\.0), found"
        ):
            make(recipe.model_copy(update=section), tmp_path)
    assert main([str(tmp_path / "missing.yaml"), str(tmp_path)]) == 2
    assert "missing.yaml" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
