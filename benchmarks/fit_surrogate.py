"""Make the statistics of the surrogate from a file of real jets.

The shipped file is made by::

    python benchmarks/fit_surrogate.py JETS.npz \
        --scaler-origin "the 664,000 jets of its training set"

where JETS.npz holds 501 jets of OpenML 42468, as `deploy.tables` reads them.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brevitas_models.datasets.base import Scaler
from brevitas_models.datasets.jets_features import CLASSES, FEATURES
from brevitas_models.datasets.jets_openml import TITLE
from brevitas_models.datasets.surrogate import STATISTICS, Copula
from brevitas_models.datasets.table import Table
from brevitas_models.files import write_atomic
from deploy.errors import UserError
from deploy.tables import read_table

LEVELS = np.linspace(0.02, 0.98, 25)
CUT = (0.005, 0.995)
"""Quantiles over all classes beyond which nothing is drawn."""
LEAST_SHRINKAGE = 0.02
LEAST_ROWS = 50

Matrix = npt.NDArray[np.float64]


def content(copula: Copula) -> bytes:
    """Return the file of statistics."""
    file = io.BytesIO()
    np.savez_compressed(file, **{f.name: getattr(copula, f.name) for f in fields(copula)})
    return file.getvalue()


def fit(table: Table, origin: str, scaler_origin: str) -> Copula:
    """Return the statistics of labelled rows.

    Nothing of a single row is kept. A quantile is the estimate of Harrell and Davis (Biometrika
    69, 1982), a weighted mean of all values of the class, so that it is no row's own value;
    correlations are taken of ranks and shrunk towards independence as Ledoit and Wolf propose
    (Journal of Multivariate Analysis 88, 2004), at least by `LEAST_SHRINKAGE`.

    Parameters
    ----------
    table : Table
        With a recorded scaler, or the scaler is that of these rows.
    origin : str
        What data set the rows are from.
    scaler_origin : str
        Rows that the recorded scaler is of.

    Raises
    ------
    UserError
        A class has fewer than `LEAST_ROWS` rows: too few for statistics.
    """
    from scipy.stats.mstats import hdquantiles
    from sklearn.covariance import ledoit_wolf_shrinkage

    counts = np.bincount(table.y, minlength=len(table.class_names))
    if counts.min() < LEAST_ROWS:
        raise UserError(
            f"{table.source}: class {table.class_names[int(counts.argmin())]!r} has {counts.min()} "
            f"rows; at least {LEAST_ROWS} of each class are needed for its statistics."
        )
    distinct, column_of = _distinct_columns(table.x)
    x = table.x[:, distinct].astype(np.float64)
    correlations, quantiles = [], []
    for label in range(len(counts)):
        rows = x[table.y == label]
        scores = normal_scores(rows)
        shrinkage = max(LEAST_SHRINKAGE, ledoit_wolf_shrinkage(scores, assume_centered=True))
        mixed = (1 - shrinkage) * (scores.T @ scores) / len(rows)
        np.fill_diagonal(mixed, 1)
        correlations.append(mixed)
        quantiles.append([hdquantiles(column, LEVELS).data for column in rows.T])
    low, high = np.stack([hdquantiles(column, CUT).data for column in x.T], axis=1)
    scaler = table.scaler
    if scaler is None:
        scaler, scaler_origin = Scaler.fit(table.x), "these jets"
    return Copula(
        feature_names=np.array(table.feature_names),
        class_names=np.array(table.class_names),
        shares=(counts / counts.sum()).astype(np.float32),
        column_of=column_of,
        # Some copies of the jets went through a scaler, which leaves 31.000002 where 31 was.
        integer=np.all(np.abs(x - np.rint(x)) <= 1e-6 * np.abs(x), axis=0),
        correlations=np.array(correlations, np.float32),
        levels=LEVELS.astype(np.float32),
        quantiles=np.array(quantiles, np.float32),
        low=low.astype(np.float32),
        high=high.astype(np.float32),
        scaler_mean=scaler.mean,
        scaler_scale=scaler.scale,
        origin=np.array(
            f"statistics (class-wise Gaussian copula) of {len(x):,} jets of {origin}; scaler of "
            f"{scaler_origin}"
        ),
    )


def normal_scores(x: Matrix) -> Matrix:
    """Return, per column, the normal quantiles of the ranks, with mean 0 and variance 1.

    A column whose values are all the same gives zeros.
    """
    from scipy.stats import norm, rankdata

    scores = norm.ppf((rankdata(x, axis=0) - 0.5) / len(x))
    scores -= scores.mean(axis=0)
    deviation = scores.std(axis=0)
    return scores / np.where(deviation > 0, deviation, 1)


def _distinct_columns(x: npt.NDArray[np.float32]) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Return the columns that equal none before them, and for each column which of those it is."""
    distinct: list[int] = []
    column_of = []
    for column in range(x.shape[1]):
        same = [i for i, d in enumerate(distinct) if np.array_equal(x[:, d], x[:, column])]
        if not same:
            distinct.append(column)
        column_of.append(same[0] if same else len(distinct) - 1)
    return distinct, np.array(column_of, np.int64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jets", type=Path, help=".npz or .csv file with real jets")
    parser.add_argument("--out", type=Path, default=STATISTICS, help="file to write")
    parser.add_argument("--origin", default=TITLE, help="data set that the jets are from")
    parser.add_argument(
        "--scaler-origin", default="unnamed jets", help="jets that the file's scaler is of"
    )
    options = parser.parse_args(arguments)
    try:
        table = read_table(options.jets, feature_names=FEATURES, class_names=CLASSES)
        copula = fit(table, options.origin, options.scaler_origin)
        write_atomic(options.out, content(copula))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {options.out}: can't be written ({error.strerror})", file=sys.stderr)
        return UserError.exit_code
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
