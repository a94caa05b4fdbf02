"""What all tests of the runner share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.finn_builds import toy_build as toy


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys comparable while somebody edits the sources, and spare the disk.

    That sources decide is tested with the configuration; fsync guards against power cuts alone.
    """
    monkeypatch.setattr("finn_builds.config.build.BuildConfig.environment", lambda self: {})
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_model(tmp_path_factory.mktemp("model") / "toy.onnx")
