"""Integer-for-integer comparison with the reference."""

from __future__ import annotations

import numpy as np

from finn_builds.errors import VerificationError


def mismatching_frames(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the indices of frames, (frames, n_out), that differ in any output."""
    if expected.shape != found.shape:
        raise ValueError(f"shapes differ: {expected.shape} and {found.shape}")
    return np.flatnonzero((expected != found).any(axis=1))


def check_equal(expected: np.ndarray, found: np.ndarray, what: str) -> None:
    """Raise VerificationError unless two batches of outputs, (frames, n_out), are equal."""
    wrong = mismatching_frames(expected, found)
    if len(wrong):
        frame = wrong[0]
        raise VerificationError(
            f"{what} differs from the QONNX model in {len(wrong)} of {len(expected)} frames; "
            f"the first is frame {frame}: expected {expected[frame].tolist()}, "
            f"found {found[frame].tolist()}. This is a fault of the "
            "flow, not of the model: please report it with the model and the command"
        )
