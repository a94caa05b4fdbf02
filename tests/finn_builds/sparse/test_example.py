"""What docs/sparse.md says of its example is what the optimiser makes of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.lower import lower
from finn_builds.sparse.schedule import pipeline

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sparse_example", DOCS / "sparse_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_of_this_graph(example: ModuleType) -> None:
    drawn = example.draw(lower(example.example(), XC7))
    assert drawn == example.PICTURE.read_text(), "run python docs/sparse_example.py"


def test_the_figures_of_the_text(example: ModuleType) -> None:
    text = " ".join((DOCS / "sparse.md").read_text().split())
    graph = lower(example.example(), XC7)
    assert f"{estimate(graph, XC7).luts} LUT for 8 weights and 9 thresholds" in text
    stated = re.findall(r"at (\d+) ns: (\d+) clocks, (\d+)", text)
    assert len(stated) == 3
    for clock, latency, bits in stated:
        piped = pipeline(graph, XC7, clock_ns=float(clock))
        found = (piped.latency, estimate(piped.graph, XC7).flip_flops)
        assert found == (int(latency), int(bits))
