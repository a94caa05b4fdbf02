"""Every operator that is taken, once: the numbers that its test draws."""

import numpy as np
import pytest

from tests.finn_builds.ingest.operators.operator_checks import RNG


@pytest.fixture(autouse=True)
def same_numbers():
    """Let a test have the same numbers whichever others run before it."""
    RNG.bit_generator.state = np.random.default_rng(4).bit_generator.state
