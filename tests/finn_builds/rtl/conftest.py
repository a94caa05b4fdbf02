"""What the tests of the hand-written blocks share: where they lie, and one compiled engine."""

from pathlib import Path

import pytest

import finn_builds

RTL = Path(finn_builds.__file__).parent / "rtl"
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def rtl():
    """Folder of the blocks."""
    return RTL


@pytest.fixture(scope="session")
def adapters():
    """Folder of the adapters to the simulator's port names."""
    return HERE


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory):
    """Where all tests of a session keep the compiled engine."""
    return tmp_path_factory.getbasetemp() / "engine"
