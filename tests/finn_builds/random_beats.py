"""Random beats of a stream, for any test that sends some."""

import numpy as np


def random_beats(n: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    """Return random beats (n, bytes) uint8, the bits above `bits` being zero."""
    data = np.random.default_rng(seed).integers(0, 256, (n, -(-bits // 8)), dtype=np.uint8)
    if bits % 8:
        data[:, -1] &= (1 << (bits % 8)) - 1
    return data
