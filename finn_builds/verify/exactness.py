"""Integer-for-integer comparison with the reference."""

from __future__ import annotations

import numpy as np

from finn_builds.errors import VerificationError


def mismatching_frames(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the indices of frames that differ in any output.

    Parameters
    ----------
    expected, found : ndarray of int, shape (frames, n_out)
        Outputs of the reference and of the form under test.
    """
    if expected.shape != found.shape:
        raise ValueError(f"shapes differ: {expected.shape} and {found.shape}")
    return np.flatnonzero((expected != found).any(axis=1))


def check_equal(expected: np.ndarray, found: np.ndarray, what: str) -> None:
    """Raise unless two batches of outputs are equal.

    Parameters
    ----------
    expected, found : ndarray of int, shape (frames, n_out)
        Outputs of the reference and of the form under test.
    what : str
        Name of the form under test.

    Raises
    ------
    VerificationError
        Names the number of frames that differ and shows the first of them.
    """
    wrong = mismatching_frames(expected, found)
    if len(wrong):
        frame = wrong[0]
        raise VerificationError(
            f"{what} differs from the QONNX model in {len(wrong)} of {len(expected)} frames; "
            f"the first is frame {frame}: expected {expected[frame].tolist()}, "
            f"found {found[frame].tolist()}. This is a fault of the "
            "flow, not of the model: please report it with the model and the command"
        )
