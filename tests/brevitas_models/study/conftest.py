"""A study small enough for tests, and what runs it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brevitas_models.study import config, runner, table

MINI: dict[str, Any] = {
    "base": {
        "network": {"layers": [64, 12, 10]},
        "data": {"dataset": "digits"},
        "training": {"epochs": 1, "batch_size": 128, "learning_rate": 0.01},
        "pruning": {"schedule": "fine_tuning", "shares": [0, 0.5, 0.9]},
    },
    "grids": [{"bits": [32, 4], "schedule": ["fine_tuning", "lottery_ticket"]}],
}


@pytest.fixture
def mini() -> Callable[..., config.Study]:
    """Return a study of the mini network; keywords are sections of `base`, or of the file."""

    def make(**sections: Any) -> config.Study:
        values = copy.deepcopy(MINI)
        for key, section in sections.items():
            if key in ("network", "data", "training", "pruning"):
                values["base"][key].update(section)
            else:
                values[key] = section
        return config.from_dict(values)

    return make


@pytest.fixture
def rows_of() -> Callable[..., list[table.Row]]:
    """Return what runs a study in this process and reads its table."""

    def rows(study: config.Study, out: Path, **options: Any) -> list[table.Row]:
        return table.read(runner.run(study, out, processes=1, **options))

    return rows
