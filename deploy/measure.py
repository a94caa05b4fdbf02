"""Throughput and latency of an overlay, with FINN's key names and the accelerator's own counts."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = [
    "latency_test", "pace", "power_test", "summary", "throughput_test", "timing", "write_metrics",
]  # fmt: skip

PERCENTILES = (1, 5, 50, 95, 99)
# Frames that come within so much of the memory port's limit come as fast as it lets them.
PORT_BOUND = 1.05


def _timed(overlay: object, repeats: int, frames: int) -> np.ndarray:
    """Return how long each of some runs took, in seconds."""
    seconds = np.empty(repeats)
    for i in range(repeats):
        began = overlay.now()
        overlay.execute_on_buffers(batch_size=frames)
        seconds[i] = overlay.now() - began
    return seconds


def _percentiles(seconds: np.ndarray) -> dict:
    """Return percentiles in milliseconds."""
    return {
        "min": float(seconds.min() * 1e3),
        **{f"p{p}": float(np.percentile(seconds, p) * 1e3) for p in PERCENTILES},
        "max": float(seconds.max() * 1e3),
    }


def _milliseconds(function: Callable, *arguments: object) -> tuple[float, object]:
    began = time.perf_counter()
    result = function(*arguments)
    return (time.perf_counter() - began) * 1e3, result


def _random_input(overlay: object, frames: int) -> np.ndarray:
    """Return integers of the whole range of the input's type, the same each time."""
    shape = (frames, *overlay.ishape_normal()[1:])
    low, high = overlay.input_range()
    return np.random.default_rng(0).integers(low, high, shape, dtype=np.int64, endpoint=True)


def timing(overlay: object, single: dict, batch: dict, port_bytes: int) -> dict:
    """Return the accelerator's own latency and interval, and what the shell adds to them.

    Parameters
    ----------
    overlay
        A ``FINNExampleOverlay``.
    single, batch
        ``counters`` of a run of one frame and of a run of many, and ``cycles``, how long each took.
    port_bytes
        What the memory port moves in a cycle.

    Returns
    -------
    dict
        In clock cycles. ``latency_cycles``: a single frame, from its first beat into the
        accelerator to its last beat out. ``interval_cycles``: from frame to frame.
        ``pace_set_by`` says whether that interval is the accelerator's own (``accelerator``) or
        whether the memory port could not keep it busy (``memory port``): then it is the number of
        beats that a frame takes, and the accelerator's own interval is no shorter.
        ``shell_latency_cycles`` and ``shell_interval_cycles`` are what register accesses, reads,
        writes and the port's limit add, so that the sums are what a user waits for.
    """
    latency = single["latency_last_cycles"]
    own = pace(overlay, batch, port_bytes)
    return {
        "latency_cycles": latency,
        **own,
        "shell_latency_cycles": single["cycles"] - latency,
        "shell_interval_cycles": batch["cycles"] / batch["frames_out"] - own["interval_cycles"],
    }


def pace(overlay: object, batch: dict, port_bytes: int) -> dict:
    """Return ``interval_cycles`` and ``pace_set_by`` of a run; see :func:`timing`."""
    moved = max(_frame_bytes(overlay.ishape_packed()), _frame_bytes(overlay.oshape_packed()))
    if batch["interval_cycles"] > PORT_BOUND * moved / port_bytes:
        return {"interval_cycles": batch["interval_cycles"], "pace_set_by": "accelerator"}
    beats = max(overlay.ishape_folded()[1], overlay.oshape_folded()[1])
    return {"interval_cycles": float(beats), "pace_set_by": "memory port"}


def _frame_bytes(shape: tuple) -> int:
    return int(np.prod(shape[1:]))


def _counted(overlay: object, seconds: float) -> dict:
    """Return the counters of the run before with its length in cycles."""
    return {**overlay.counters(), "cycles": round(seconds * overlay.fclk_mhz * 1e6)}


def _one_frame(overlay: object, repeats: int, warmup: int) -> tuple[np.ndarray, dict]:
    """Run a single frame a few times; return the times in seconds and the last run's counters."""
    packed = overlay.pack_input(overlay.fold_input(_random_input(overlay, 1)))
    overlay.copy_input_data_to_device(packed)
    _timed(overlay, warmup, 1)
    seconds = _timed(overlay, repeats, 1)
    return seconds, _counted(overlay, float(np.median(seconds)))


def throughput_test(
    overlay: object, *, repeats: int = 20, warmup: int = 3, description: dict | None = None
) -> dict:
    """Run full batches of random input and return what was measured.

    Parameters
    ----------
    overlay
        A ``FINNExampleOverlay``.
    repeats
        Runs that are timed; the metrics are of the median.
    warmup
        Runs before that are not.
    description
        The package's, so that the result tells what the build had measured, too.

    Returns
    -------
    dict
        FINN's keys; ``runtime_percentiles[ms]``; what :func:`timing` gives; ``built``, latency and
        interval as the build measured them; ``accelerator``, its own counts of the last run in
        clock cycles; ``shell_cycles``, the cycles of the median run in which the accelerator was
        not at work: register accesses, the first read and the last write; ``power[W]`` where the
        board has sensors. The steps on the host are timed by its clock, runs by the overlay's.
    """
    frames = overlay.batch_size
    _, single = _one_frame(overlay, 5, 1)
    fold_ms, folded = _milliseconds(overlay.fold_input, _random_input(overlay, frames))
    pack_ms, packed = _milliseconds(overlay.pack_input, folded)
    copy_in_ms, _ = _milliseconds(overlay.copy_input_data_to_device, packed)
    _timed(overlay, warmup, frames)
    seconds = _timed(overlay, repeats, frames)
    median = float(np.median(seconds))
    counters = overlay.counters()
    batch = _counted(overlay, median)
    out = np.empty(overlay.oshape_packed(), np.uint8)
    copy_out_ms, _ = _milliseconds(overlay.copy_output_data_from_device, out)
    unpack_ms, unpacked = _milliseconds(overlay.unpack_output, out)
    unfold_ms, _ = _milliseconds(overlay.unfold_output, unpacked)
    result = {
        "runtime[ms]": median * 1e3,
        "throughput[images/s]": frames / median,
        "DRAM_in_bandwidth[MB/s]": packed.nbytes / median / 1e6,
        "DRAM_out_bandwidth[MB/s]": out.nbytes / median / 1e6,
        "fclk[mhz]": overlay.fclk_mhz,
        "fclk_built[mhz]": _asked_mhz(overlay, description),
        "batch_size": frames,
        "fold_input[ms]": fold_ms,
        "pack_input[ms]": pack_ms,
        "copy_input_data_to_device[ms]": copy_in_ms,
        "copy_output_data_from_device[ms]": copy_out_ms,
        "unpack_output[ms]": unpack_ms,
        "unfold_output[ms]": unfold_ms,
        "runtime_percentiles[ms]": _percentiles(seconds),
        "repeats": repeats,
        "simulated": hasattr(overlay.device, "now"),
    }
    if counters:
        if frames > 1 and "latency_last_cycles" in single:
            result |= timing(overlay, single, batch, _port_bytes(description))
        result["built"] = _built(description)
        result["accelerator"] = counters
        result["shell_cycles"] = batch["cycles"] - counters["span_cycles"]
    power = power_test(overlay)
    if power:
        result["power[W]"] = power
    return result


def latency_test(
    overlay: object, *, repeats: int = 200, warmup: int = 10, description: dict | None = None
) -> dict:
    """Run single frames and return how long each takes, from the start to the result in memory.

    Parameters
    ----------
    overlay
        A ``FINNExampleOverlay``.
    repeats, warmup, description
        As for :func:`throughput_test`.

    Returns
    -------
    dict
        ``latency[ms]`` (median), ``latency_percentiles[ms]``, ``latency_cycles`` of the accelerator
        and ``shell_latency_cycles`` beside it, ``built``, ``accelerator`` and ``shell_cycles``.
    """
    seconds, single = _one_frame(overlay, repeats, warmup)
    cycles = single.pop("cycles")
    result = {
        "latency[ms]": float(np.median(seconds) * 1e3),
        "latency_percentiles[ms]": _percentiles(seconds),
        "fclk[mhz]": overlay.fclk_mhz,
        "fclk_built[mhz]": _asked_mhz(overlay, description),
        "repeats": repeats,
        "simulated": hasattr(overlay.device, "now"),
    }
    if single:
        result["latency_cycles"] = single["latency_last_cycles"]
        result["shell_latency_cycles"] = cycles - single["latency_last_cycles"]
        result["built"] = _built(description)
        result["accelerator"] = single
        result["shell_cycles"] = cycles - single["span_cycles"]
    return result


def _port_bytes(description: dict | None) -> int:
    """Return the width of the memory port; without a description that of Zynq-7000."""
    return 8 if description is None else description["shell"]["word_bytes"]


def _asked_mhz(overlay: object, description: dict | None) -> float:
    return overlay.fclk_mhz if description is None else description["fclk_mhz"]


def _built(description: dict | None) -> dict:
    return {} if description is None else description.get("expected", {})


def power_test(overlay: object, *, seconds: float = 1.0) -> dict:
    """Return the power of each rail that has a sensor, without and with the accelerator at work.

    Parameters
    ----------
    overlay
        A ``FINNExampleOverlay`` with a full batch in its buffers.
    seconds
        Time to sample for, once idle and once at work.

    Returns
    -------
    dict
        By rail: ``idle`` and ``active``, means in W. Empty on a board without such sensors, as
        PYNQ-Z1 and PYNQ-Z2 are.
    """
    from pynq import get_rails

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynq's on a board without the library of sensors
        found = get_rails()
    rails = {name: rail.power for name, rail in found.items() if rail.power is not None}
    if not rails:
        return {}

    def mean(run: bool) -> dict:
        samples = []
        end = time.perf_counter() + seconds
        while not samples or time.perf_counter() < end:
            if run:
                overlay.execute_on_buffers(asynch=True)
            samples.append([sensor.value for sensor in rails.values()])
            if run:
                overlay.wait_until_finished()
        return dict(zip(rails, np.mean(samples, axis=0).tolist(), strict=True))

    idle, active = mean(run=False), mean(run=True)
    return {name: {"idle": idle[name], "active": active[name]} for name in rails}


def summary(metrics: dict) -> str:
    """Return the headline figures of a test in a few lines."""
    mhz = metrics["fclk[mhz]"]
    lines = []
    if "throughput[images/s]" in metrics:
        lines.append(
            f"throughput  {metrics['throughput[images/s]']:,.0f} frames/s: {metrics['batch_size']} "
            f"frames in {metrics['runtime[ms]'] * 1e3:,.2f} us (median of {metrics['repeats']})"
        )
    if "latency[ms]" in metrics:
        lines.append(
            f"one frame   {metrics['latency[ms]'] * 1e3:,.2f} us from start to result in memory "
            f"(median of {metrics['repeats']})"
        )
    for name in ("latency", "interval"):
        if f"{name}_cycles" not in metrics:
            continue
        own, shell = metrics[f"{name}_cycles"], metrics[f"shell_{name}_cycles"]
        built = metrics["built"].get(f"{name}_cycles")
        bound = name == "interval" and metrics["pace_set_by"] == "memory port"
        unit = "cycle" if own == 1 else "cycles"
        text = f"{name:<12}{'at least ' * bound}{own:g} {unit} in the accelerator"
        text += "" if built is None else f" (built: {built:g})"
        text += f" + {shell:.4g} of the shell = {(own + shell) / mhz:,.3g} us at {mhz:g} MHz"
        lines.append(text)
    if "pace_set_by" in metrics:
        lines.append(f"            the pace is set by the {metrics['pace_set_by']}")
    asked = metrics["fclk_built[mhz]"]
    if mhz < asked * 0.999:
        lines.append(
            f"clock       {mhz:g} MHz: the board's fastest not above the {asked:g} asked for"
        )
    for rail, power in metrics.get("power[W]", {}).items():
        lines.append(
            f"power       {rail}: {power['idle']:.2f} W idle, {power['active']:.2f} W active"
        )
    if metrics["simulated"]:
        lines.append("            simulated board: times are those of the simulation")
    return "\n".join(lines)


def write_metrics(metrics: dict, path: Path) -> list[Path]:
    """Write metrics as JSON, and beside it as text, one figure per line.

    Parameters
    ----------
    metrics
        From :func:`throughput_test` or :func:`latency_test`.
    path
        Of the JSON file; the other one ends in ``.txt`` instead.

    Returns
    -------
    list of Path
        The two files.
    """
    text_path = path.with_suffix(".txt")
    lines = []
    for key, value in metrics.items():
        if isinstance(value, dict):
            lines += [f"{key}.{name}: {part}" for name, part in value.items()]
        else:
            lines.append(f"{key}: {value}")
    for target, text in ((path, json.dumps(metrics, indent=2)), (text_path, "\n".join(lines))):
        fresh = target.with_name(target.name + ".part")
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(target)
    return [path, text_path]
