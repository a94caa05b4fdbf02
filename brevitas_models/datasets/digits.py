"""Hand-written digits: real data that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from brevitas_models.datasets.table import Table


def table() -> Table:
    """Return the 1,797 digits of scikit-learn: 8x8 pixels of 0 to 16, row by row, 10 classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Table(
        name="digits",
        source=(
            f"scikit-learn's digits, {len(bunch.target):,} real 8x8 images (test set of UCI's "
            "Optical Recognition of Handwritten Digits)"
        ),
        x=bunch.data.astype(np.float32),
        y=bunch.target.astype(np.int64),
        feature_names=tuple(bunch.feature_names),
        class_names=tuple(str(name) for name in bunch.target_names),
    )
