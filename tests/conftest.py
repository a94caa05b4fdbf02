"""Fixtures that every part of the suite shares."""

from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the seed of the random networks, so that other ones can be tried by hand."""
    parser.addoption("--network-seed", type=int, default=1, help="seed of random networks")


@pytest.fixture(scope="session")
def network_seed(pytestconfig: pytest.Config) -> int:
    """Return the seed of the random networks, printed wherever a test that uses it fails."""
    seed: int = pytestconfig.getoption("--network-seed")
    print("--network-seed", seed)
    return seed


@pytest.fixture(scope="session")
def repo() -> Path:
    """Return the root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real jets and public models, or skip where it is absent."""
    path = REPO.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no ../shared/data here: the public models and real jets are not at hand")
    return path


@pytest.fixture(scope="session")
def cases() -> Path:
    """Return the folder of small models and data as people bring them."""
    return REPO / "tests" / "cases"
