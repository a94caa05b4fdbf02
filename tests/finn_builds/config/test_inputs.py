"""Where a build finds the models and data that are given by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploy.tables import read_table
from finn_builds.config import inputs
from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.ingest import load_model, model_info

MODELS = [
    "digits",
    "jets",
    "jets_anomaly",
    "jets_large",
    "jets_paper",
    "jets_tiny",
    "jets_weights",
    "jets_weights_tiny",
]


def test_every_model_of_the_zoo_is_a_file_with_the_test_set_of_its_data() -> None:
    assert inputs.model_names() == MODELS
    for name in inputs.model_names():
        assert inputs.find_model(name) == name
        config = BuildConfig(board="Pynq-Z1", model=name).validate()
        info = model_info(load_model(config.model_file))
        assert info["model"] == config.model_name == name
        assert info["dataset"] in inputs.data_names()


def test_names_that_the_zoo_does_not_have() -> None:
    with pytest.raises(UserError, match=f"zoo has {', '.join(MODELS)};"):
        inputs.find_model("jet")
    with pytest.raises(
        UserError, match="data 'jet': expected digits, jets, jets_unlabelled, or the"
    ):
        inputs.find_data("jet")


def test_downloaded_data_win_over_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "DATA_CACHE", tmp_path)
    shipped = inputs.data_file("jets")
    assert shipped.parent == inputs.ZOO and read_table(shipped, test_only=True).surrogate
    np.savez(tmp_path / "jets.npz", x_test=np.eye(3), y_test=[0, 1, 2], source="real ones")
    assert read_table(inputs.data_file("jets"), test_only=True).source == "real ones"
    assert inputs.data_file("digits").parent == inputs.ZOO
    assert inputs.data_file("./jets.npz") == Path("jets.npz"), "a path is taken as it is"


def test_a_model_and_its_data_are_found_and_read_without_training() -> None:
    code = (
        "import sys; from finn_builds.config import inputs; from deploy.tables import read_table;"
        "from finn_builds.ingest import load_model;"
        "load_model(inputs.model_file(inputs.find_model('jets')));"
        "read_table(inputs.data_file(inputs.find_data('jets')), test_only=True);"
        "assert not {'torch', 'brevitas', 'brevitas_models', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
