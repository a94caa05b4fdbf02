"""The search of layer sizes: deterministic, takes up where it stopped, and better than chance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brevitas_models.study import bayes, config, table

Sizes = tuple[int, ...]


def bowl(sizes: Sizes) -> float:
    """A loss with its least value at (70, 30)."""
    return (sizes[0] - 70) ** 2 / 500 + (sizes[1] - 30) ** 2 / 200


def search(settings: config.Bayes) -> list[tuple[Sizes, float | None]]:
    history: list[tuple[Sizes, float | None]] = []
    for _ in range(settings.trials):
        sizes = bayes.suggest(settings, history)
        history.append((sizes, bowl(sizes)))
    return history


def settings(**values: Any) -> config.Bayes:
    return config.Bayes.model_validate(
        {"trials": 9, "startup": 4, "sizes": ((8, 128), (4, 64))} | values
    )


def test_suggestions_stay_in_range_and_repeat() -> None:
    history = [((20, 20), 1.0), ((100, 40), 0.7), ((60, 10), 0.4), ((9, 9), None), ((70, 30), 0.1)]
    one, other = (bayes.suggest(settings(), history) for _ in range(2))
    assert one == other and 8 <= one[0] <= 128 and 4 <= one[1] <= 64
    assert bayes.suggest(settings(seed=1), history[:2]) != bayes.suggest(settings(), history[:2])


def test_the_search_learns() -> None:
    found = [loss for _, loss in search(settings()) if loss is not None]
    rng = np.random.default_rng(0)
    chance = [
        min(bowl((int(rng.integers(8, 129)), int(rng.integers(4, 65)))) for _ in range(9))
        for _ in range(200)
    ]
    assert min(found) < np.median(chance)
    assert min(found[4:]) < min(found[:4])


def test_rows_of_a_search(
    mini: Callable[..., config.Study], rows_of: Callable[..., list[table.Row]], tmp_path: Path
) -> None:
    section = {"bits": [4, 32], "trials": 3, "epochs": 1, "startup": 2, "sizes": [[4, 30]]}
    study = mini(grids=[], bayes=section, training={"epochs": 2})
    rows = rows_of(study, tmp_path / "out")
    for bits in (4, 32):
        mine = [row for row in rows if row["bits"] == bits]
        assert [row["kind"] for row in mine] == ["bayes_trial"] * 3 + ["bayes"]
        assert [row["trial"] for row in mine] == [0, 1, 2, None]
        assert [row["epochs"] for row in mine] == [1, 1, 1, 2]
        assert all(row["pruned"] == 0 for row in mine)
        best = min(mine[:3], key=lambda row: row["validation_loss"])
        assert mine[3]["layers"] == best["layers"]
        sizes = {int(row["layers"].split("-")[1]) for row in mine}
        assert sizes <= set(range(4, 31)) and len(sizes) > 1
    assert (tmp_path / "out" / "figures" / "search.svg").is_file()


@pytest.mark.parametrize("key", ["seed", "startup", "sizes"])
def test_options_of_the_search_count(key: str) -> None:
    other = {"seed": 7, "startup": 9, "sizes": ((8, 20), (4, 20))}[key]
    tried = [((20, 20), 1.0), ((100, 40), 0.7), ((60, 10), 0.4), ((16, 9), 0.6), ((70, 30), 0.1)]
    # Startup decides whether what is known is used; the others count from the first suggestion on.
    history = tried if key == "startup" else []
    changed = settings(**{key: other})
    assert bayes.suggest(settings(), history) != bayes.suggest(changed, history)
