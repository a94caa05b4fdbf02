"""Labels redrawn at random: how many, which, and that training sees them."""

import numpy as np
import pytest
import torch

from brevitas_models import datasets
from brevitas_models.train import experiment, recipe, rounds
from brevitas_models.train.noise import redraw_labels
from brevitas_models.train.rules import Frames


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 0.9, 1.0])
def test_the_first_are_redrawn_from_all_classes_alike(share: float) -> None:
    frames = Frames(torch.zeros(20_000, 2), torch.zeros(20_000, dtype=torch.int64))
    found = redraw_labels(frames, share, 5, 0)
    count = round(share * 20_000)
    assert not frames.target.any(), "the frames given are left alone"
    assert not found.target[count:].any()
    if count:
        counts = torch.bincount(found.target[:count], minlength=5).numpy()
        # Five standard deviations of a binomial.
        spread = 5 * np.sqrt(count * 0.2 * 0.8)
        assert np.abs(counts - count / 5).max() < spread
    again = redraw_labels(frames, share, 5, 1)
    assert torch.equal(found.target, again.target) == (share == 0)


def test_more_noise_contains_less_noise() -> None:
    frames = Frames(torch.zeros(100, 2), torch.zeros(100, dtype=torch.int64))
    some, more = (redraw_labels(frames, share, 5, 3).target for share in (0.5, 0.9))
    assert torch.equal(some[:50], more[:50])


def test_a_teachers_answers_become_a_class() -> None:
    frames = Frames(torch.zeros(40, 2), torch.full((40, 4), 0.25))
    found = redraw_labels(frames, 0.5, 4, 0)
    assert torch.equal(found.target[:20].amax(1), torch.ones(20))
    assert torch.equal(found.target[:20].sum(1), torch.ones(20))
    assert torch.equal(found.target[20:], frames.target[20:])


def test_training_and_validation_labels_but_never_test_labels() -> None:
    data = datasets.load("digits")
    settings = recipe.from_dict(
        {
            "name": "noisy",
            "network": {"layers": [64, 16, 10]},
            "data": {"dataset": "digits", "random_labels": 0.75},
        }
    )
    noisy = experiment.Experiment(settings, data, None)
    for frames, truth in zip(noisy.frames(), (data.y_train, data.y_val), strict=True):
        wrong = (frames.target.numpy() != truth).nonzero()[0]
        assert wrong.max() < round(0.75 * len(truth))
        assert len(wrong) / len(truth) == pytest.approx(0.75 * 0.9, abs=0.08)
    clean = experiment.Experiment(settings.replace("data", random_labels=0.0), data, None)
    assert (clean.frames()[0].target.numpy() == data.y_train).all()
    model = rounds.initial_model(settings)
    assert (noisy.answers(model)[0] == data.y_test).all()
