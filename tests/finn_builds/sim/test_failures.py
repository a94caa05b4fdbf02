"""Designs that break the rules, get stuck or stop: what went wrong, where and when."""

import numpy as np
import pytest

from finn_builds.errors import VerificationError
from finn_builds.sim import ProtocolError, SimulationError, SimulationHang
from tests.finn_builds.random_beats import random_beats


def test_valid_that_falls_before_ready(simulate):
    assert len(simulate("falls").run(random_beats(40), 40).outputs) == 40
    with pytest.raises(ProtocolError, match=r"TVALID fell before TREADY in cycle (\d+)") as caught:
        simulate("falls").run(random_beats(40), 40, stall_in=0.5, stall_out=0.5)
    assert f"cycle {caught.value.cycle}," in str(caught.value)
    assert isinstance(caught.value, VerificationError)


def test_data_that_change_before_ready(simulate):
    assert len(simulate("changes").run(random_beats(40), 40, stall_in=0.5).outputs) == 40
    with pytest.raises(ProtocolError, match="TDATA changed before TREADY in cycle"):
        simulate("changes").run(random_beats(40), 40, stall_in=0.5, stall_out=0.5)


def test_a_stage_that_stops_taking_is_named(simulate):
    with pytest.raises(SimulationHang) as caught:
        simulate("stopping").run(random_beats(40), 40, idle_limit=200)
    error = caught.value
    assert (error.before, error.after) == ("one__two", "two_three")
    text = str(error)
    # Five beats pass, one waits in the first stage and one at the input.
    assert "after 6 of 40 input beats and 5 of 40 output beats" in text
    assert "the stage between 'one__two' and 'two_three' has stopped: data wait before it" in text
    rows = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert "valid=1 ready=0  6 beats, the last in cycle 5" in rows["input"]
    assert "valid=1 ready=0  5 beats, the last in cycle 5" in rows["one__two"]
    assert "valid=0 ready=1  5 beats, the last in cycle 6" in rows["two_three"]
    assert "valid=0 ready=1  5 beats, the last in cycle 7" in rows["output"]
    assert error.cycle == 7 + 200


def test_a_stage_that_gives_nothing_is_named(simulate):
    with pytest.raises(SimulationHang, match="it took data and never gave any") as caught:
        simulate("swallowing").run(random_beats(40), 40, idle_limit=100)
    assert (caught.value.before, caught.value.after) == ("one__two", "two_three")
    assert "none ever" in str(caught.value)


def test_a_stage_that_loses_beats_is_a_hang(simulate):
    with pytest.raises(SimulationHang, match="40 of 40 input beats and 7 of 40 output") as caught:
        simulate("losing").run(random_beats(40), 40, idle_limit=100)
    assert (caught.value.before, caught.value.after) == ("one__two", "two_three")


def test_random_stalls_are_no_hang(simulate):
    result = simulate("chain").run(
        random_beats(30), 30, stall_in=0.9, stall_out=0.9, idle_limit=500
    )
    assert len(result.outputs) == 30


def test_more_output_than_expected(simulate):
    with pytest.raises(SimulationError, match="more output than expected: beat 11 came in cycle"):
        simulate("doubles").run(random_beats(10)[:6], 10, drain=50)
    with pytest.raises(SimulationHang, match="has more output than was asked for"):
        simulate("doubles").run(random_beats(10), 10, idle_limit=100)
    result = simulate("doubles").run(random_beats(10), 20, drain=50)
    np.testing.assert_array_equal(result.outputs, np.repeat(random_beats(10), 2, axis=0))


def test_a_failed_run_does_not_spoil_the_next(simulate):
    simulator = simulate("doubles")
    with pytest.raises(SimulationHang):
        simulator.run(random_beats(10), 10, idle_limit=100)
    with pytest.raises(ValueError, match="reset first"):
        simulator.run(random_beats(10), 20, reset=False)
    assert len(simulator.run(random_beats(10), 20, drain=5).outputs) == 20


def test_a_design_that_stops_itself(simulate):
    with pytest.raises(SimulationError, match=r"\$error or \$stop") as caught:
        simulate("stops").run(random_beats(40), 40)
    assert "ten beats are enough" in str(caught.value)
    assert "designs.sv" in str(caught.value)
    assert len(simulate("stops").run(random_beats(9), 9).outputs) == 9
    with pytest.raises(SimulationError, match=r"called \$finish"):
        simulate("finishes").run(random_beats(40), 40)


def test_a_design_that_refuses_its_parameters(simulate):
    with pytest.raises(SimulationError, match="'refuses' did not start") as caught:
        simulate("refuses")
    assert "parameter refuses is refused" in str(caught.value)


def test_a_memory_file_that_is_missing(simulate):
    with pytest.raises(SimulationError, match=r"table\.dat.*file not found"):
        simulate("reads")
