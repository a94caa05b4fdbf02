"""The designs of designs.sv, compiled once for all tests of the simulator."""

from pathlib import Path

import pytest

from finn_builds.sim import SimDesign, Simulator, compile_designs

SOURCE = Path(__file__).with_name("designs.sv")
WIDTHS = (8, 16, 24, 32, 40, 64, 72, 128, 200)
FAULTS = ("none", "falls", "changes", "doubles", "reads", "remembers", "counts", "peeps", "prints")
ENDS = ("refuses", "stops", "finishes")
LINKS = ("one__two", "two_three")


@pytest.fixture(scope="session")
def engine_dir(tmp_path_factory):
    """Where all tests of a session keep the compiled engine."""
    return tmp_path_factory.getbasetemp() / "engine"


@pytest.fixture(scope="session")
def library(tmp_path_factory, engine_dir):
    designs = [SimDesign(f"echo{w}", [SOURCE], "echo", w, w, params={"WIDTH": w}) for w in WIDTHS]
    designs += [SimDesign(f, [SOURCE], "faulty", 8, 8, params={"FAULT": f}) for f in FAULTS + ENDS]
    designs += [
        SimDesign("chain", [SOURCE], "chain", 8, 8, LINKS),
        SimDesign("stopping", [SOURCE], "chain", 8, 8, LINKS, {"STOP_AFTER": 5}),
        SimDesign("swallowing", [SOURCE], "chain", 8, 8, LINKS, {"SWALLOW_AFTER": 0}),
        SimDesign("losing", [SOURCE], "chain", 8, 8, LINKS, {"SWALLOW_AFTER": 7}),
        SimDesign("gained", [SOURCE], "gained", 8, 24),
    ]
    return compile_designs(
        designs, build_dir=tmp_path_factory.mktemp("designs"), runtime_dir=engine_dir
    )


@pytest.fixture
def simulate(library, tmp_path):
    """Return a function that starts a design by name; all are closed at the end."""
    started = []

    def start(design, **options):
        simulator = Simulator(library, options.pop("run_dir", tmp_path), design=design, **options)
        started.append(simulator)
        return simulator

    yield start
    for simulator in started:
        simulator.close()
