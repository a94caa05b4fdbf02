"""Processor time of choosing the styles of networks that are too large to be sparse throughout.

    python benchmarks/bench_styles.py

Dense random weights and 8- or 4-bit activations. Writes ``benchmarks/results/styles.json``.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.record import machine, versions, write_result
from finn_builds.config.build import BuildConfig, no_progress
from finn_builds.errors import UserError
from finn_builds.flow.choose_style import step_choose_style
from finn_builds.network import IntegerNetwork, Linear, Operation, Requantise, Tensor, chain
from finn_builds.network.ops import Affine, full_box
from finn_builds.verify.streamlined import Streamlined, Vectors

#: Name: layer sizes, bits of weights and of activations, board.
CASES = {
    "autoencoder": ((640, *[128] * 4, 8, *[128] * 4, 640), 8, 8, "Pynq-Z1"),
    "dense": ((490, 256, 256, 256, 12), 3, 4, "ZCU104"),
}


def dense_network(sizes: tuple[int, ...], weight_bits: int, act_bits: int) -> IntegerNetwork:
    """Return a network of dense layers whose activations fill their type."""
    rng = np.random.default_rng(0)
    ops: list[tuple[str, Operation]] = []
    datatype, top = "INT8", 2**act_bits - 1
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        most = 2 ** (weight_bits - 1) - 1
        weights = rng.integers(1, most + 1, (n_in, n_out)) * rng.choice((-1, 1), (n_in, n_out))
        linear = Linear(weights)
        ops.append((f"sums{k}", linear))
        if k < len(sizes) - 2:
            _, high = linear.range(*full_box(datatype, n_in))
            shift = np.maximum([int(h).bit_length() - act_bits - 2 for h in high], 0)
            ones, zero = np.ones(n_out), np.zeros(n_out)
            ops.append((f"codes{k}", Requantise(Affine(ones, zero, shift, top))))
            datatype = f"UINT{act_bits}"
    return chain(Tensor.of_type("x", "INT8", sizes[0]), ops)


def measured(name: str) -> dict[str, object]:
    """Choose the styles of a case; return how long it took and what came of it."""
    sizes, weight_bits, act_bits, board = CASES[name]
    network = dense_network(sizes, weight_bits, act_bits)
    x = np.zeros((1, sizes[0]), dtype=np.int64)
    known = Streamlined(network, Vectors(x, network.execute(x), "zeros", 0), None, None)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        cfg = BuildConfig(board=board, model="jets_weights", output_dir=out).validate()
        begin = time.process_time()
        try:
            styles = step_choose_style(known, cfg.view(no_progress, out / "scratch", out))
            found = ", ".join(layer.style for layer in styles.layers)
        except UserError as error:
            found = str(error)
    seconds = round(time.process_time() - begin, 1)
    return {"sizes": sizes, "board": board, "processor_s": seconds, "outcome": found}


def main() -> None:
    """Measure, write the result and print it."""
    at = machine()
    result = {"machine": at, "versions": versions(("alkaid", "numpy"))}
    result |= {name: measured(name) for name in CASES}
    print(json.dumps(result, indent=2))
    print(f"written to {write_result('styles', result)}")


if __name__ == "__main__":
    main()
