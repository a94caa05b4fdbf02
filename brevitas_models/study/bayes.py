"""Bayesian optimisation of layer sizes with Optuna's Gaussian-process sampler.

No state is kept but the results themselves: the sampler is made again for each suggestion, with a
seed of its own, and given all that is known. A search that was interrupted goes on as if it had
not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna

from brevitas_models.study.config import Bayes


def suggest(
    settings: Bayes, history: Sequence[tuple[tuple[int, ...], float | None]]
) -> tuple[int, ...]:
    """Return the layer sizes to try next, after trials of (sizes, loss); one of None has failed."""
    names = [f"fc{index}" for index in range(1, len(settings.sizes) + 1)]
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.IntDistribution(low, high)
        for name, (low, high) in zip(names, settings.sizes, strict=True)
    }
    seed = settings.seed * 100_003 + len(history)
    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=settings.startup)
            study = optuna.create_study(direction="minimize", sampler=sampler)
            for sizes, loss in history:
                study.add_trial(
                    optuna.trial.create_trial(
                        params=dict(zip(names, sizes, strict=True)),
                        distributions=ranges,
                        value=loss,
                        state=optuna.trial.TrialState.COMPLETE
                        if loss is not None
                        else optuna.trial.TrialState.FAIL,
                    )
                )
            found = study.ask(ranges).params
        finally:
            optuna.logging.set_verbosity(level)
    return tuple(int(found[name]) for name in names)
