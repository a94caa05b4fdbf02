"""Expected integers from elsewhere: read, compared exactly, and the first difference named."""

import numpy as np
import pytest

from finn_builds.errors import UserError, VerificationError
from finn_builds.ingest import split_host, tidy
from finn_builds.verify.golden import compare_golden, read_golden
from tests.finn_builds.ingest.graphs import Layer, Quantizer, mlp

WEIGHTS = np.array([[2.0, -1], [0.5, 3], [1, 1]])
INTO, W = Quantizer(8, 0.25), Quantizer(4, 0.5)


@pytest.fixture(scope="module")
def split():
    out = Quantizer(12, 0.125)
    return split_host(tidy(mlp([Layer(WEIGHTS, W, activation=out)], INTO)))


def frames(count=30):
    return np.random.default_rng(0).integers(-128, 128, size=(count, 3))


def expected(x):
    """Return the integers of another program: 2 binary digits in, 3 out, all sums fit."""
    return np.rint((x / 4) @ WEIGHTS * 8).astype(np.int64)


def vectors(split, x, **more):
    name = split.host.outputs[0].name
    return {
        "inputs": x,
        "input_frac_bits": 2,
        f"out_{name}": expected(x),
        f"out_{name}_frac_bits": 3,
        **more,
    }


def compared(split, path):
    golden = read_golden(path, split.host)
    return compare_golden(golden, split.host, split.network.execute(golden.x))


def test_the_same_integers(split, tmp_path):
    np.savez(tmp_path / "g.npz", **vectors(split, frames()))
    result = compared(split, tmp_path / "g.npz")
    assert (result.frames, result.mismatches, result.first) == (30, 0, None)


def test_a_table_of_numbers(split, tmp_path):
    x, name = frames(4), split.host.outputs[0].name
    titles = [f"in_{i}" for i in range(3)] + [f"out_{name}_{j}" for j in range(2)]
    titles += ["input_frac_bits", f"out_{name}_frac_bits"]
    rows = [[*a, *b, 2, 3] for a, b in zip(x, expected(x), strict=True)]
    text = "\n".join(",".join(map(str, row)) for row in [titles, *rows])
    (tmp_path / "g.csv").write_text(text)
    assert compared(split, tmp_path / "g.csv").frames == 4


def test_a_difference_is_named_with_its_frame_in_the_file(split, tmp_path):
    held = vectors(split, frames(), valid=np.arange(30) >= 10)
    name = split.host.outputs[0].name
    held[f"out_{name}"] = held[f"out_{name}"].copy()
    held[f"out_{name}"][3] += 1  # not valid: left out
    held[f"out_{name}"][12, 1] += 1
    np.savez(tmp_path / "g.npz", **held)
    with pytest.raises(VerificationError, match=rf"in 1 of 20 frames.*frame 12, output '{name}'"):
        compared(split, tmp_path / "g.npz")


def test_integers_beyond_a_double(tmp_path):
    """Of 57 bits; a difference in the last of them is seen."""
    layers = [Layer(np.full((2, 2), 30001.0), Quantizer(16, 1.0)) for _ in range(2)]
    wide = split_host(tidy(mlp(layers, Quantizer(24, 1.0))))
    x = np.array([[8388607, 8388605], [-8388608, -8388607]])
    y = [[2 * 30001**2 * int(row.sum())] * 2 for row in x]
    name = wide.host.outputs[0].name
    held = {"inputs": x, f"out_{name}": np.array(y, dtype=np.int64)}
    np.savez(tmp_path / "g.npz", **held)
    assert compared(wide, tmp_path / "g.npz").mismatches == 0
    held[f"out_{name}"][1, 0] += 1
    np.savez(tmp_path / "g.npz", **held)
    with pytest.raises(VerificationError, match=f"frame 1.*expected .{y[1][0] + 1}, .*{y[1][0]}"):
        compared(wide, tmp_path / "g.npz")


def test_values_that_do_not_wrap_where_the_model_saturates(split, tmp_path):
    x = np.full((1, 3), 127)
    held = vectors(split, x)
    np.savez(tmp_path / "g.npz", **held)
    assert compared(split, tmp_path / "g.npz").mismatches == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"inputs": None}, "no 'inputs'"),
        ({"inputs": np.zeros((30, 4), int)}, "4 values a frame; expected 3"),
        ({"valid": np.zeros(30, bool)}, "no valid frame"),
        ({"valid": np.ones(7, bool)}, "'valid' has 7 frames"),
        ({"inputs": np.full((30, 3), 0.5)}, "expected integers"),
    ],
)
def test_files_of_another_form(split, tmp_path, change, match):
    held = {k: v for k, v in vectors(split, frames(), **change).items() if v is not None}
    np.savez(tmp_path / "g.npz", **held)
    with pytest.raises(UserError, match=match):
        read_golden(tmp_path / "g.npz", split.host)


def test_no_output_of_the_model(split, tmp_path):
    np.savez(tmp_path / "g.npz", inputs=frames(), out_other=frames())
    with pytest.raises(UserError, match="no expected integers for an output"):
        read_golden(tmp_path / "g.npz", split.host)


def test_no_such_form_at_all(split, tmp_path):
    (tmp_path / "g.npz").write_text("nonsense")
    with pytest.raises(UserError, match="can't read --golden"):
        read_golden(tmp_path / "g.npz", split.host)
