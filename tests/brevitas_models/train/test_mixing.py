"""Inputs mixed from neighbours: where they lie, and that mixed jets are possible jets."""

import numpy as np
import pytest

from brevitas_models import datasets
from brevitas_models.datasets.spaces import JetSpace, space_of
from brevitas_models.errors import UserError
from brevitas_models.train.mixing import mix_in_space, mix_neighbours


def test_mixing_without_spread_gives_the_centres() -> None:
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    mixed = mix_neighbours(
        x, x, 90, rng=np.random.default_rng(0), along=(0, 0), across=(0, 0), noise=0
    )
    rows, counts = np.unique(mixed, axis=0, return_counts=True)
    assert np.array_equal(rows, np.unique(x, axis=0))
    assert set(counts) == {2, 3}, "centres are used about equally often"


def test_mixing_ends_at_the_nearest_neighbours() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    centre, pool = x[:1], x[1:]
    nearest = np.argsort(np.linalg.norm(pool - centre, axis=1))[:5]
    ways = {"neighbours": 5, "along": (1, 1), "across": (0, 0), "noise": 0}
    for among in (pool, x):  # the centre in the pool or not: never its own neighbour
        mixed = mix_neighbours(centre, among, 300, rng=rng, **ways)
        found = {tuple(row) for row in np.round(mixed, 5)}
        assert found == {tuple(row) for row in np.round(pool[nearest], 5)}


def test_mixing_stays_local_and_is_noisy() -> None:
    rng = np.random.default_rng(0)
    # Two far clouds: nothing may be drawn between them.
    x = np.concatenate([rng.normal(0, 1, (50, 2)), rng.normal(50, 1, (50, 2))]).astype(np.float32)
    mixed = mix_neighbours(x, x, 5000, rng=rng)
    assert ((mixed < 15) | (mixed > 35)).all()
    still = mix_neighbours(x, x, 5000, rng=rng, along=(0, 0), across=(0, 0), noise=0.5)
    spread = still - x[np.argmin(((still[:, None] - x[None]) ** 2).sum(2), axis=1)]
    assert 0.1 < spread.std() <= 0.5
    again = mix_neighbours(x, x, 100, rng=np.random.default_rng(3))
    assert np.array_equal(again, mix_neighbours(x, x, 100, rng=np.random.default_rng(3)))
    assert again.dtype == np.float32


def test_mixing_needs_neighbours() -> None:
    x = np.zeros((12, 3), np.float32)
    with pytest.raises(UserError, match="needs more than 12 frames, found 12"):
        mix_neighbours(x, x, 10, rng=np.random.default_rng(0))


def test_local_noise_follows_the_surface_of_the_inputs() -> None:
    rng = np.random.default_rng(0)
    along = rng.normal(size=(400, 1))
    x = (along @ [[1.0, 2.0]] + 1e-3 * rng.normal(size=(400, 2))).astype(np.float32)
    still = {"along": (0, 0), "across": (0, 0), "noise": 1.0}
    mixed = mix_neighbours(x, x, 4000, rng=rng, local=True, **still)
    away = mixed @ [2.0, -1.0] / np.sqrt(5)
    assert np.abs(away).max() < 0.05
    assert (mix_neighbours(x, x, 4000, rng=rng, **still) @ [2.0, -1.0]).std() > 1.0


def jets() -> datasets.Dataset:
    return datasets.load("jets", source="surrogate")


def test_a_jet_comes_back_from_its_coordinates() -> None:
    space = JetSpace()
    u = np.random.default_rng(0).normal(-1.0, 0.5, size=(50, 12))
    raw = space.raw(u)
    again = space.free(raw)
    near = np.delete(np.arange(12), space.kept.index(space.at["multiplicity"]))
    np.testing.assert_allclose(again[:, near], u[:, near], atol=1e-3)
    assert (raw[:, 15] == np.rint(raw[:, 15])).all()
    # By the definitions of the ratios.
    np.testing.assert_allclose(raw[:, 6], raw[:, 4] / raw[:, 2], rtol=1e-5)
    np.testing.assert_allclose(raw[:, 9], raw[:, 4] * raw[:, 2] ** 2 / raw[:, 3] ** 1.5, rtol=1e-5)
    assert np.array_equal(raw[:, 6], raw[:, 8])


def test_jets_mixed_in_free_coordinates_keep_their_relations() -> None:
    data = jets()
    x = data.scaler.transform(data.x_train[:500])
    mixed = mix_in_space(
        x,
        x,
        2000,
        space=space_of(data.feature_names),
        scaler=data.scaler,
        rng=np.random.default_rng(1),
        neighbours=24,
        noise=0.6,
        local=True,
    )
    low, high = x.min(0), x.max(0)
    assert (mixed >= low - 0.021 * (high - low)).all()
    assert (mixed <= high + 0.021 * (high - low)).all()
    raw = data.scaler.inverse(mixed).astype(np.float64)
    off = np.abs(raw[:, 6] * raw[:, 2] / raw[:, 4] - 1.0)
    assert np.median(off) < 1e-3  # but for those that were clipped
    plain = data.scaler.inverse(mix_neighbours(x, x, 2000, rng=np.random.default_rng(1)))
    assert np.median(np.abs(plain[:, 6] * plain[:, 2] / plain[:, 4] - 1.0)) > 0.05


def test_other_features_have_no_free_coordinates() -> None:
    assert space_of(("a", "b")) is None
