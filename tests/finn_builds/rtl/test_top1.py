"""Streaming argmax against numpy.argmax, and its promises about time."""

import numpy as np
import pytest

from deploy.packing import pack, value_range
from finn_builds.sim import SimDesign, SimulationError, Simulator, compile_designs

# (N, PE, WIDTH, SIGNED)
CASES = [
    (1, 1, 8, 1),
    (2, 1, 8, 1),
    (2, 2, 1, 0),
    (4, 2, 1, 1),
    (5, 1, 9, 1),
    (5, 5, 16, 1),
    (6, 3, 4, 0),
    (10, 1, 3, 1),
    (10, 2, 12, 1),
    (10, 5, 7, 1),
    (10, 10, 20, 1),
    (10, 10, 4, 0),
    (21, 7, 33, 1),
    (64, 16, 5, 0),
    (256, 32, 6, 1),
    (257, 1, 8, 1),
    (300, 100, 2, 1),
]
BAD = {
    "PE is 3, must be positive and divide N, which is 10": (10, 3, 8, 1),
    "SIGNED is 2": (10, 5, 8, 2),
}


def widths(n, pe, width):
    return -(-pe * width // 8) * 8, 8 if n <= 256 else 16


@pytest.fixture(scope="module")
def library(rtl, adapters, tmp_path_factory, engine_dir):
    sources = [rtl / "top1.sv", adapters / "top1_adapter.sv"]
    designs = [
        SimDesign(
            name(case),
            sources,
            "top1_adapter",
            *widths(*case[:3]),
            params=dict(zip(("N", "PE", "WIDTH", "SIGNED"), case, strict=True)),
        )
        for case in [*CASES, *BAD.values()]
    ]
    return compile_designs(
        designs, build_dir=tmp_path_factory.mktemp("top1"), runtime_dir=engine_dir
    )


def name(case):
    return "n{}_pe{}_w{}_s{}".format(*case)


def frames(case, n_frames, seed=0):
    """Return (n_frames, N): a third over the whole range, a third full of ties, a third extreme."""
    n, _, width, signed = case
    low, high = value_range(width, bool(signed))
    rng = np.random.default_rng(seed)
    dtype = np.int64
    wide = rng.integers(low, high, (n_frames, n), dtype, endpoint=True)
    ties = rng.choice(np.array([low, high, *wide[0, :2]], dtype), (n_frames, n))
    edges = np.where(rng.random((n_frames, n)) < 0.02, high, low).astype(dtype)
    kind = rng.integers(0, 3, (n_frames, 1))
    return np.choose(kind, [wide, ties, edges])


def run(library, tmp_path, case, values, **options):
    _, pe, width, signed = case
    beats = pack(values.reshape(-1, pe), width, bool(signed))
    with Simulator(library, tmp_path, design=name(case), randomise=7) as simulator:
        result = simulator.run(beats, len(values), drain=64, **options)
    index = result.outputs.astype(np.int64) @ (256 ** np.arange(result.outputs.shape[1]))
    return result, index


@pytest.mark.parametrize("case", CASES, ids=name)
@pytest.mark.parametrize(
    "stalls", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4), (0, 0.95)], ids=lambda s: f"{s[0]}-{s[1]}"
)
def test_index_of_the_first_largest(library, tmp_path, case, stalls):
    values = frames(case, 300, seed=case[0])
    _, index = run(
        library, tmp_path, case, values, stall_in=stalls[0], stall_out=stalls[1], seed=case[1]
    )
    np.testing.assert_array_equal(index, values.argmax(axis=1))


@pytest.mark.parametrize("case", CASES, ids=name)
def test_latency_and_interval(library, tmp_path, case):
    n, pe, *_ = case
    values = frames(case, 100)
    result, _ = run(library, tmp_path, case, values)
    # Without a stall a beat is taken in each cycle after the first, and frames leave no gap.
    np.testing.assert_array_equal(result.in_cycles, np.arange(len(result.in_cycles)) + 1)
    last_beats = result.in_cycles.reshape(100, n // pe)[:, -1]
    levels = (pe - 1).bit_length()
    np.testing.assert_array_equal(result.out_cycles, last_beats + levels + 2)


@pytest.mark.parametrize(("message", "case"), BAD.items())
def test_illegal_parameters_are_refused(library, tmp_path, message, case):
    with pytest.raises(SimulationError, match=f"top1: {message}"):
        Simulator(library, tmp_path, design=name(case))
