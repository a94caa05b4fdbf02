"""What is said of an epoch beside its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brevitas_models.metrics import regret_figures
from brevitas_models.model.heads import Head
from brevitas_models.train.losses import regret_of


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_regret_of_an_epoch_is_that_of_the_metrics(temperature: float) -> None:
    """A teacher's probabilities are taken back to temperature 1, whatever is learnt from."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(scale=3, size=(500, 5)))
    outputs = torch.from_numpy(rng.normal(size=(500, 5)))
    expected = regret_figures(outputs.argmax(1).numpy(), torch.softmax(logits, dim=1).numpy())
    target = torch.softmax(logits / temperature, dim=1).float()
    found = regret_of(outputs, target, temperature)
    assert found == pytest.approx(expected["soft_regret"], rel=1e-4)
    assert expected["soft_regret"] < -0.1
    assert regret_of(logits, target, temperature) == 0.0


def test_without_a_teacher_there_is_no_regret() -> None:
    outputs = torch.zeros(4, 3)
    assert regret_of(outputs, torch.zeros(4, dtype=torch.int64)) is None
    numbers = [Head("energy", 0, 3, "mse")]
    assert regret_of(outputs, outputs, heads=numbers) is None
