"""Integer-for-integer comparison with the reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from finn_builds.errors import VerificationError


def mismatching_frames(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the indices of frames, (frames, n_out), that differ in any output."""
    if expected.shape != found.shape:
        raise ValueError(f"shapes differ: {expected.shape} and {found.shape}")
    return np.flatnonzero((expected != found).any(axis=1))


def check_equal(
    expected: np.ndarray,
    found: np.ndarray,
    what: str,
    locate: Callable[[int], str] | None = None,
) -> None:
    """Raise VerificationError unless two batches of outputs, (frames, n_out), are equal.

    `locate` says in a sentence where the frame that it is given goes wrong.
    """
    wrong = mismatching_frames(expected, found)
    if len(wrong):
        frame = int(wrong[0])
        where = "" if locate is None else f"{locate(frame)}. "
        raise VerificationError(
            f"{what} differs from the QONNX model in {len(wrong)} of {len(expected)} frames; "
            f"the first is frame {frame}: expected {expected[frame].tolist()}, "
            f"found {found[frame].tolist()}. {where}This is a fault of the "
            "flow, not of the model: please report it with the model and the command"
        )
