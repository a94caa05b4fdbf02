"""Neural efficiency: states counted by hand and in plain Python, on a network trained here."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

from brevitas_models import metrics
from brevitas_models.metrics import information
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.train.rules import Frames
from brevitas_models.train.settings import TrainingSettings
from tests.brevitas_models.train.reference import train_one


def test_by_hand():
    # Four states of two neurons, each as often: 2 bits for 2 neurons.
    z = np.array([[-1.0, -1.0], [-1.0, 2.0], [3.0, -1.0], [0.1, 0.1]])
    assert information.layer_efficiency(z) == pytest.approx(1.0)
    # Zero is not active; states 3 : 1 have 0.8113 bits.
    z = np.array([[0.0, 1.0], [-5.0, 1.0], [-1.0, 2.0], [1.0, 1.0]])
    assert information.layer_efficiency(z) == pytest.approx(0.811278 / 2, rel=1e-5)
    assert information.layer_efficiency(np.ones((7, 3))) == 0


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 50), st.integers(1, 20))))
def test_entropy_against_scipy(active):
    counts = Counter(map(tuple, active.tolist())).values()
    assert information.state_entropy(active) == pytest.approx(
        entropy(list(counts), base=2), abs=1e-12
    )


def test_means():
    assert metrics.geometric_mean([0.5, 0.5, 0.5]) == pytest.approx(0.5)
    assert metrics.geometric_mean([0.1, 0.4]) == pytest.approx(0.2)
    assert metrics.geometric_mean([0.3, 0.0]) == 0
    assert metrics.aiq(0.9, 0.3) == pytest.approx((0.81 * 0.3) ** (1 / 3))


@pytest.mark.parametrize(
    "network",
    [
        {"batch_norm": "on"},
        {"batch_norm": "off"},
        {"fold_batch_norm": True},
        {"act_bits": 1},
        {"weight_bits": 32, "act_bits": 32, "input_bits": 32},
    ],
    ids=str,
)
def test_of_a_trained_network(network):
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(300) % 3
    x = 2 * torch.eye(3)[y] + torch.randn(300, 3, generator=generator)
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig.from_dict({"layers": [3, 6, 4, 3], **network}))
    train_one(model, Frames(x, y), Frames(x, y), TrainingSettings(epochs=2, batch_size=64))
    seen: list[torch.Tensor] = []
    # Where BatchNorm is a layer of its own its output counts, else that of Linear.
    watched = [
        linear if isinstance(norm, torch.nn.Identity) else norm
        for linear, norm in zip(model.linears, model.norms, strict=False)
    ]
    handles = [
        layer.register_forward_hook(lambda _layer, _into, out: seen.append(out))
        for layer in (*watched, model.linears[-1])
    ]
    model(x)
    for handle in handles:
        handle.remove()
    expected = []
    for z in seen:
        states = Counter(tuple(row) for row in (z > 0).tolist())
        share = np.array(list(states.values())) / len(x)
        expected.append(-(share * np.log2(share)).sum() / z.shape[1])
    found = metrics.neural_efficiency(model, x)
    assert found == pytest.approx(expected)
    assert len(found) == 3 and all(0 < value <= 1 for value in found)


def test_all_figures_of_a_model():
    torch.manual_seed(0)
    model = QuantMLP(MLPConfig(layers=(3, 6, 2)))
    masks = model.masks()
    masks[0][:3] = False
    model.set_masks(masks)
    x, truth = torch.randn(50, 3), np.arange(50) % 2
    figures = metrics.measure(model, x, truth, ["a", "b"])
    with torch.no_grad():
        logits = model(x).numpy()
    assert figures["accuracy"] == (logits.argmax(1) == truth).mean()
    assert figures["auc_a"] == metrics.roc_auc(truth, metrics.probabilities(logits))[0]
    assert figures["remaining_weights"] == 6 * 3 - 9 + 12
    assert figures["bops_32bit_input"] > figures["bops"] > 0
    layers = [figures["neural_efficiency_1"], figures["neural_efficiency_2"]]
    assert layers == metrics.neural_efficiency(model, x)
    assert figures["neural_efficiency"] == metrics.geometric_mean(layers)
    assert figures["aiq"] == metrics.aiq(figures["auc"], figures["neural_efficiency"])
    plain = " ".join(metrics.figure_lines(figures, physics=False))
    assert "mean AUC" in plain and "aIQ" not in plain and "signal" not in plain
    text = " ".join(metrics.figure_lines(figures))
    assert f"{figures['bops']:,.0f}" in text and "21 edges" in text
