"""Training of an autoencoder on usual frames, and the choice of its threshold."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from brevitas_models.anomaly.autoencoder import Autoencoder
from brevitas_models.errors import UserError
from brevitas_models.train.rules import one_thread
from brevitas_models.train.settings import TrainingSettings

Floats = npt.NDArray[np.float32]


def learn(
    model: Autoencoder, frames: Floats, validation: Floats, settings: TrainingSettings
) -> list[tuple[float, float]]:
    """Train a fresh autoencoder in place and leave it with its best weights, in evaluation mode.

    Adam, with a learning rate that falls along half a cosine. The order of the frames follows
    `settings.seed`; of the settings, `epochs`, `batch_size`, `learning_rate` and `seed` count. It
    learns from `frames` and is judged by `validation`, standardised usual frames (n, n_in).

    Returns training and validation loss of each epoch, in squared steps of the input quantiser.
    Raises UserError if a loss is NaN or infinite, or there is not a single batch.
    """
    x, judged = torch.from_numpy(frames), torch.from_numpy(validation)
    batch = min(settings.batch_size, len(x))
    if not batch or not len(judged):
        raise UserError("expected usual frames to learn from and to judge by, found none")
    with one_thread():
        model.network.calibrate(x)
        optimiser, steps = _optimiser(model, settings), len(x) // batch
        shuffle = torch.Generator().manual_seed(settings.seed)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * steps)
        history, best, weights = [], math.inf, model.state_dict()
        for _ in range(settings.epochs):
            model.train()
            order = torch.randperm(len(x), generator=shuffle)[: steps * batch].view(steps, batch)
            total = 0.0
            for rows in order:
                loss = model.loss(x[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                total += loss.item()
            model.eval()
            with torch.no_grad():
                found = float(model.score(judged).mean()) / x.shape[1]
            if not math.isfinite(total + found):
                raise UserError("the loss became infinite: choose a smaller learning rate")
            history.append((total / steps, found))
            if found < best:
                best = found
                weights = {key: value.clone() for key, value in model.state_dict().items()}
        model.network.load_state_dict(
            {key.removeprefix("network."): value for key, value in weights.items()}
        )
        model.network.freeze_statistics(x)
    return history


def _optimiser(model: Autoencoder, settings: TrainingSettings) -> torch.optim.Adam:
    """Return Adam, with the last layer in steps of the input: it and its rate a range larger."""
    step = model.network.input_scale(0)
    assert step is not None
    size = float(step) * 2 ** (model.network.config.input_bits - 2)
    last = list(model.network.linears[-1].parameters())
    with torch.no_grad():
        for parameter in last:
            parameter.mul_(size)
    names = {id(parameter) for parameter in last}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in names]
    rate = settings.learning_rate
    return torch.optim.Adam([{"params": others}, {"params": last, "lr": rate * size}], lr=rate)


@torch.no_grad()
def scores(model: Autoencoder, x: Floats) -> npt.NDArray[np.int64]:
    """Return the anomaly score, int64 (n,), of standardised features (n, n_in)."""
    model.eval()
    found: npt.NDArray[np.int64] = model.score(torch.from_numpy(x)).numpy()[:, 0].astype(np.int64)
    return found


def threshold(usual: npt.NDArray[np.int64], rate: float) -> int:
    """Return the smallest threshold that at most `rate` (0..1) of usual scores (n,) are above."""
    kept = len(usual) - int(rate * len(usual))
    return int(np.sort(usual)[kept - 1])
