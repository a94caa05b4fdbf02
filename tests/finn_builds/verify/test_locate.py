"""RTL and netlists broken on purpose: the first tensor that differs is named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from finn_builds.network import IntegerNetwork, Linear, Lookup, Requantise, Tensor, chain
from finn_builds.network.ops import Thresholds
from finn_builds.sim.accelerator import Accelerator
from finn_builds.sim.compile import SimDesign, compile_designs
from finn_builds.stitch.design import TOP
from finn_builds.stitch.sources import stitched_sources
from finn_builds.style.styles import compile_block
from finn_builds.verify.exactness import mismatching_frames
from finn_builds.verify.locate_rtl import RtlLocator
from tests.finn_builds.flow.networks import Built, small_network, stitch
from tests.finn_builds.network.networks import random_inputs

STALLS = {"stall_in": 0.3, "stall_out": 0.3, "seed": 5}
LIMITS = {"idle_limit": 20_000, "drain": 500}
CORE = "SparseMVAU_rtl_0_core.v"


def tabled_network() -> IntegerNetwork:
    """Return sums, thresholds, a table and sums again."""
    rng = np.random.default_rng(6)
    rows = np.sort(rng.integers(-40, 41, (6, 7)), axis=1)
    table = rng.integers(-9, 10, (6, 8))
    return chain(
        Tensor.of_type("x", "INT4", 7),
        [
            ("sums0", Linear(rng.integers(-3, 4, (7, 6)), rng.integers(-5, 6, 6))),
            ("codes0", Requantise(Thresholds(rows))),
            ("shapes", Lookup(np.arange(6), np.zeros(6, int), table, 6)),
            ("sums1", Linear(rng.integers(-3, 4, (6, 4)))),
        ],
    )


def substituted(pattern: str, new: str | Callable[[re.Match[str]], str], text: str) -> str:
    changed, count = re.subn(pattern, new, text, count=1)
    assert count == 1 and changed != text, pattern
    return changed


@dataclass(frozen=True)
class Fault:
    """A file of a stitched folder, how it is broken, and what is to be named."""

    design: str
    file: str
    pattern: str
    new: str | Callable[[re.Match[str]], str]
    tensor: str
    element: int | None  # None where any may be the first
    how: bool = False  # only with stalls


def inverted(match: re.Match[str]) -> str:
    """Return a hexadecimal constant with its lowest bit flipped."""
    return f"{match[1]}{int(match[2], 16) ^ 1:x}"


def complement(match: re.Match[str]) -> str:
    width, digits = int(match[2]), int(match[3], 16)
    return f"{match[1]}{width}'h{digits ^ ((1 << width) - 1):x}"
