"""Throughput, latency and power as the overlay on the virtual board is measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from deploy.measure import latency_test, pace, power_test, summary, throughput_test

pytestmark = pytest.mark.slow  # one small compilation


def test_metrics_have_finn_s_keys(overlay):
    overlay.batch_size = 100
    result = throughput_test(overlay, repeats=5, warmup=1)
    assert {
        "runtime[ms]",
        "throughput[images/s]",
        "DRAM_in_bandwidth[MB/s]",
        "DRAM_out_bandwidth[MB/s]",
        "fclk[mhz]",
        "batch_size",
        "fold_input[ms]",
        "pack_input[ms]",
        "copy_input_data_to_device[ms]",
        "copy_output_data_from_device[ms]",
        "unpack_output[ms]",
        "unfold_output[ms]",
    } <= set(result)
    runtime = result["runtime[ms]"] / 1e3
    assert result["throughput[images/s]"] == pytest.approx(100 / runtime)
    assert result["DRAM_in_bandwidth[MB/s]"] == pytest.approx(600 / runtime / 1e6)
    # 100 frames at 5 cycles of 10 ns, and some register accesses
    assert 5e-6 < runtime < 5e-6 + 1000 * 10e-9
    assert result["shell_cycles"] == round(runtime * 1e8) - (4 + 99 * 5)
    assert result["simulated"]


def test_the_shell_s_part_is_told_apart(overlay, made):
    """Three beats of 2 bytes in and two of 4 out: the accelerator, not the port, sets the pace."""
    overlay.batch_size = 100
    result = throughput_test(overlay, repeats=3, warmup=1, description=made.description)
    assert (result["latency_cycles"], result["interval_cycles"]) == (4, 5)
    assert result["pace_set_by"] == "accelerator"
    assert result["built"] == {"latency_cycles": 4, "interval_cycles": 5.0}
    cycles = result["runtime[ms]"] * 1e-3 * 100e6
    total = result["interval_cycles"] + result["shell_interval_cycles"]
    assert total == pytest.approx(cycles / 100, abs=0.01)
    assert result["shell_latency_cycles"] > 50, "the memory alone answers after 30"
    text = summary(result)
    assert "4 cycles in the accelerator (built: 4)" in text
    assert "5 cycles in the accelerator (built: 5)" in text


def test_a_port_that_is_too_slow_is_named(overlay):
    """At two bytes a cycle three beats of 2 bytes and two of 4 would need four cycles."""
    counters = {"interval_cycles": 4.0, "frames_out": 10}
    assert pace(overlay, counters, port_bytes=2) == {
        "interval_cycles": 3.0,
        "pace_set_by": "memory port",
    }
    assert pace(overlay, counters, port_bytes=8)["pace_set_by"] == "accelerator"


class Sensor:
    """Power that rises while the accelerator runs."""

    def __init__(self, overlay):
        self.overlay = overlay

    @property
    def value(self):
        return 1.0 if self.overlay.shell.ready() else 1.5


def test_power_of_the_rails(overlay, made, monkeypatch):
    """On a board with sensors; the simulated board has none of its own."""
    rails = {
        "INT": SimpleNamespace(power=Sensor(overlay)),
        "AUX": SimpleNamespace(power=None),
    }
    overlay.execute(made.integers[:16])
    assert power_test(overlay, seconds=0) == {}
    monkeypatch.setattr("pynq.get_rails", lambda: rails)
    assert power_test(overlay, seconds=0.01) == {"INT": {"idle": 1.0, "active": 1.5}}
    metrics = throughput_test(overlay, repeats=1)
    assert "INT: 1.00 W idle, 1.50 W active" in summary(metrics)


def test_latency_is_that_of_one_frame(overlay):
    result = latency_test(overlay, repeats=5, warmup=1)
    assert result["accelerator"]["frames_out"] == 1
    assert result["accelerator"]["latency_last_cycles"] == 4
    assert result["latency[ms]"] == pytest.approx((4 + result["shell_cycles"]) * 1e-5, rel=0.01)
