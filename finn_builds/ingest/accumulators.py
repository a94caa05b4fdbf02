"""How large the sums of a layer may become."""

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.chain import Step
from finn_builds.network import Linear
from finn_builds.network.ops import full_box
from finn_builds.network.types import signed_datatype_for

# The first integer above what float32, the carrier of integers in ONNX graphs, holds without gaps.
EXACT_LIMIT = 2**24


def accumulator_datatype(step: Step, weights: np.ndarray, datatype: str) -> str:
    """Return the smallest signed type of a layer's sums; UserError if float32 can't hold them."""
    lows, highs = Linear(weights).range(*full_box(datatype, len(weights)))
    low, high = int(lows.min()), int(highs.max())
    most = max(-low, high)
    if most + 1 >= EXACT_LIMIT:
        raise UserError(
            f"{step} can sum up to {most}, more than the {EXACT_LIMIT} that are exact; "
            "use fewer inputs or narrower weights or activations"
        )
    return signed_datatype_for(low, high)
