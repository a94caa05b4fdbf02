"""Throughput and latency of an overlay, under FINN's key names and with the accelerator's counts.

`overlay` is always a ``FINNExampleOverlay``, `description` that of its package.
"""

from __future__ import annotations

import time
import warnings

import numpy as np

__all__ = [
    "as_text", "latency_test", "pace", "power_test", "summary", "throughput_test", "timing",
]  # fmt: skip

PERCENTILES = (1, 5, 50, 95, 99)
# An interval up to this factor above the memory port's limit is set by the port.
PORT_BOUND = 1.05
ZYNQ_7000 = {"word_bytes": 8}  # the memory port, where no description gives another


def _timed(overlay: object, repeats: int, frames: int) -> np.ndarray:
    """Return the time of each run in seconds."""
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


def _random_input(overlay: object, frames: int) -> np.ndarray:
    """Return random integers of the input's type, the same ones in each call."""
    shape = (frames, *overlay.ishape_normal()[1:])
    low, high = overlay.input_range()
    return np.random.default_rng(0).integers(low, high, shape, dtype=np.int64, endpoint=True)


def timing(overlay: object, single: dict, batch: dict, port_bytes: int) -> dict:
    """Return the accelerator's own latency and interval, and what the shell adds, in clock cycles.

    `single` and `batch` are ``counters`` of a run of one frame and of a run of many, with
    ``cycles``, the run's length; the memory port moves `port_bytes` in a cycle.

    ``latency_cycles``: a single frame, from its first beat into the accelerator to its last beat
    out. ``interval_cycles``: from frame to frame. ``pace_set_by`` says whether that interval is the
    accelerator's own (``accelerator``), or what brings the frames could not keep it busy: the
    ``memory port``, or the ``packet's memory`` of an open board's shell. Then it is the number of
    beats that a frame takes, and the accelerator's own is not shorter.
    ``shell_latency_cycles`` and ``shell_interval_cycles`` are what register accesses, reads, writes
    and the port's limit add. The sums are what a user waits for.
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
    carrier = "packet's memory" if overlay.platform == "uart" else "memory port"
    return {"interval_cycles": float(beats), "pace_set_by": carrier}


def _frame_bytes(shape: tuple) -> int:
    return int(np.prod(shape[1:]))


def _counted(overlay: object, seconds: float) -> dict:
    """Return the counters of the last run with its length in cycles."""
    return {**overlay.counters(), "cycles": round(seconds * overlay.fclk_mhz * 1e6)}


def _one_frame(overlay: object, repeats: int, warmup: int) -> tuple[np.ndarray, dict]:
    """Run a single frame `repeats` times; return the times in seconds and the last counters."""
    packed = overlay.pack_input(overlay.fold_input(_random_input(overlay, 1)))
    overlay.copy_input_data_to_device(packed)
    _timed(overlay, warmup, 1)
    seconds = _timed(overlay, repeats, 1)
    return seconds, _counted(overlay, float(np.median(seconds)))


def throughput_test(
    overlay: object, *, repeats: int = 20, warmup: int = 3, description: dict | None = None
) -> dict:
    """Run full batches of random input and return what was measured, times being the median run's.

    The dict has FINN's keys; ``runtime_percentiles[ms]``; the keys of :func:`timing`; ``built``,
    latency and interval as the build measured them; ``accelerator``, its own counts of the last run
    in clock cycles; ``shell_cycles``, the cycles of the median run in which the accelerator did not
    work: register accesses, the first read and the last write; ``power[W]`` where the board has
    sensors. Steps on the host are timed with its clock, runs with the overlay's.
    """
    description = description or {}
    frames = overlay.batch_size
    steps = {}

    def step(name: str, data: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        result = getattr(overlay, name)(data)
        steps[f"{name}[ms]"] = (time.perf_counter() - began) * 1e3
        return result

    _, single = _one_frame(overlay, 5, 1)
    packed = step("pack_input", step("fold_input", _random_input(overlay, frames)))
    step("copy_input_data_to_device", packed)
    _timed(overlay, warmup, frames)
    seconds = _timed(overlay, repeats, frames)
    median = float(np.median(seconds))
    counters = overlay.counters()
    batch = _counted(overlay, median)
    out = np.empty(overlay.oshape_packed(), np.uint8)
    step("copy_output_data_from_device", out)
    step("unfold_output", step("unpack_output", out))
    result = {
        "runtime[ms]": median * 1e3,
        "throughput[images/s]": frames / median,
        "DRAM_in_bandwidth[MB/s]": packed.nbytes / median / 1e6,
        "DRAM_out_bandwidth[MB/s]": out.nbytes / median / 1e6,
        "batch_size": frames,
        **steps,
        "runtime_percentiles[ms]": _percentiles(seconds),
        **_conditions(overlay, repeats, description),
    }
    if counters:
        if frames > 1 and "latency_last_cycles" in single:
            shell = description.get("shell", ZYNQ_7000)
            result |= timing(overlay, single, batch, shell["word_bytes"])
        result["built"] = description.get("expected", {})
        result["accelerator"] = counters
        result["shell_cycles"] = batch["cycles"] - counters["span_cycles"]
    # Only boards with a processor can read their rails.
    power = {} if overlay.platform == "uart" else power_test(overlay)
    if power:
        result["power[W]"] = power
    return result


def latency_test(
    overlay: object, *, repeats: int = 200, warmup: int = 10, description: dict | None = None
) -> dict:
    """Run single frames and return the time of one, from the start to the result in memory.

    ``latency[ms]`` (median), ``latency_percentiles[ms]``, ``latency_cycles`` of the accelerator
    and ``shell_latency_cycles`` beside it, ``built``, ``accelerator`` and ``shell_cycles``.
    """
    description = description or {}
    seconds, single = _one_frame(overlay, repeats, warmup)
    cycles = single.pop("cycles")
    result = {
        "latency[ms]": float(np.median(seconds) * 1e3),
        "latency_percentiles[ms]": _percentiles(seconds),
        **_conditions(overlay, repeats, description),
    }
    if single:
        result["latency_cycles"] = single["latency_last_cycles"]
        result["shell_latency_cycles"] = cycles - single["latency_last_cycles"]
        result["built"] = description.get("expected", {})
        result["accelerator"] = single
        result["shell_cycles"] = cycles - single["span_cycles"]
    return result


def _conditions(overlay: object, repeats: int, description: dict) -> dict:
    """Return under which conditions a test measures."""
    return {
        "fclk[mhz]": overlay.fclk_mhz,
        "fclk_built[mhz]": description.get("fclk_mhz", overlay.fclk_mhz),
        "repeats": repeats,
        "platform": overlay.platform,
        "simulated": hasattr(overlay.device, "now"),
    }


def power_test(overlay: object, *, seconds: float = 1.0) -> dict:
    """Return by rail the mean power in W, ``idle`` and ``active``, each sampled for `seconds`.

    The buffers must hold a full batch. Empty without sensors, as on PYNQ-Z1 and PYNQ-Z2.
    """
    from pynq import get_rails

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynq warns on a board without the sensors' library
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
    mhz, serial = metrics["fclk[mhz]"], metrics["platform"] == "uart"
    around = "shell and line" if serial else "shell"
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
        bound = name == "interval" and metrics["pace_set_by"] != "accelerator"
        unit = "cycle" if own == 1 else "cycles"
        text = f"{name:<12}{'at least ' * bound}{own:g} {unit} in the accelerator"
        text += "" if built is None else f" (built: {built:g})"
        text += f" + {shell:.4g} of the {around} = {(own + shell) / mhz:,.3g} us at {mhz:g} MHz"
        lines.append(text)
    if "pace_set_by" in metrics:
        setter = "serial line" if serial else metrics["pace_set_by"]
        lines.append(f"            the pace is set by the {setter}")
    asked = metrics["fclk_built[mhz]"]
    if mhz < asked * 0.999:
        lines.append(
            f"clock       {mhz:g} MHz: the board's fastest that is not above {asked:g} MHz"
        )
    for rail, power in metrics.get("power[W]", {}).items():
        lines.append(
            f"power       {rail}: {power['idle']:.2f} W idle, {power['active']:.2f} W active"
        )
    if metrics["simulated"]:
        lines.append("            simulated board: times are those of the simulation")
    return "\n".join(lines)


def as_text(metrics: dict) -> str:
    """Return metrics as text, one figure a line."""
    lines = []
    for key, value in metrics.items():
        if isinstance(value, dict):
            lines += [f"{key}.{name}: {part}" for name, part in value.items()]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)
