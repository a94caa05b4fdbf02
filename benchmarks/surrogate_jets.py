"""How well a float network trained on the jets' surrogate does on real jets.

    python benchmarks/surrogate_jets.py JETS.npz

Two figures: with the shipped statistics on all jets of the file, which is too kind if the
statistics were made of these very jets; and cross-validated, each fifth of the file measured with
statistics made of the other four.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.fit_surrogate import fit
from brevitas_models.datasets.jets_features import CLASSES, FEATURES
from brevitas_models.datasets.splitting import stratified
from brevitas_models.datasets.surrogate import Copula
from deploy.tables import Table, read_table

FRAMES = 60_000
FOLDS = 5


def correct(copula: Copula, jets: Table, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return, per real jet, whether a 64-32-32 network trained on the copula gets it right."""
    mean, scale = copula.scaler_mean, copula.scaler_scale
    x, y = copula.draw(FRAMES, np.random.default_rng(seed))
    network = MLPClassifier(
        (64, 32, 32), batch_size=512, learning_rate_init=2e-3, max_iter=15, random_state=seed
    )
    network.fit((x - mean) / scale, y)
    return network.predict((jets.x[rows] - mean) / scale) == jets.y[rows]


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jets", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    machine = record.machine()
    jets = read_table(options.jets, feature_names=FEATURES, class_names=CLASSES)
    everything = np.arange(len(jets.y))
    shipped, crossed = [], []
    for seed in range(options.seeds):
        shipped.append(correct(Copula.read(), jets, everything, seed).mean())
        # All parts but the first get an equal share, so the first, what is left, does too.
        folds = stratified(jets.y, [1 / FOLDS] * (FOLDS - 1), np.random.default_rng(seed))
        for fold in folds:
            others = np.setdiff1d(everything, fold)
            part = replace(jets, x=jets.x[others], y=jets.y[others])
            crossed.append(correct(fit(part, "", ""), jets, fold, seed))
    share = np.concatenate(crossed)
    figures = {
        "machine": machine,
        "versions": record.versions(["numpy", "scikit-learn"]),
        "jets": len(jets.y),
        "seeds": options.seeds,
        "accuracy_shipped_statistics": float(np.mean(shipped)),
        "accuracy_cross_validated": float(share.mean()),
        "standard_error": float(np.sqrt(share.mean() * (1 - share.mean()) / len(jets.y))),
    }
    path = record.write_result("surrogate_jets", figures)
    print(path.read_text(), end="")


if __name__ == "__main__":
    main()
