"""Throughput and latency of an overlay, with FINN's key names and the accelerator's own counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = ["latency_test", "throughput_test", "write_metrics"]

PERCENTILES = (1, 5, 50, 95, 99)


def _timed(overlay: object, repeats: int, frames: int) -> np.ndarray:
    """Return how long each of some runs took, in seconds."""
    seconds = np.empty(repeats)
    for i in range(repeats):
        began = overlay.now()
        overlay.execute_on_buffers(batch_size=frames)
        seconds[i] = overlay.now() - began
    return seconds


def _summary(seconds: np.ndarray) -> dict:
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


def throughput_test(overlay: object, *, repeats: int = 20, warmup: int = 3) -> dict:
    """Run full batches of random input and return what was measured.

    Parameters
    ----------
    overlay
        A ``FINNExampleOverlay``.
    repeats
        Runs that are timed; the metrics are of the median.
    warmup
        Runs before that are not.

    Returns
    -------
    dict
        FINN's keys; ``runtime_percentiles[ms]``; ``accelerator``, its own counts of the last run
        in clock cycles; ``shell_cycles``, the cycles of the median run in which the accelerator
        was not at work: register accesses, the first read and the last write. The steps on the
        host are timed by its clock, runs by the overlay's.
    """
    frames = overlay.batch_size
    fold_ms, folded = _milliseconds(overlay.fold_input, _random_input(overlay, frames))
    pack_ms, packed = _milliseconds(overlay.pack_input, folded)
    copy_in_ms, _ = _milliseconds(overlay.copy_input_data_to_device, packed)
    _timed(overlay, warmup, frames)
    seconds = _timed(overlay, repeats, frames)
    counters = overlay.counters()
    out = np.empty(overlay.oshape_packed(), np.uint8)
    copy_out_ms, _ = _milliseconds(overlay.copy_output_data_from_device, out)
    unpack_ms, unpacked = _milliseconds(overlay.unpack_output, out)
    unfold_ms, _ = _milliseconds(overlay.unfold_output, unpacked)
    median = float(np.median(seconds))
    result = {
        "runtime[ms]": median * 1e3,
        "throughput[images/s]": frames / median,
        "DRAM_in_bandwidth[MB/s]": packed.nbytes / median / 1e6,
        "DRAM_out_bandwidth[MB/s]": out.nbytes / median / 1e6,
        "fclk[mhz]": overlay.fclk_mhz,
        "batch_size": frames,
        "fold_input[ms]": fold_ms,
        "pack_input[ms]": pack_ms,
        "copy_input_data_to_device[ms]": copy_in_ms,
        "copy_output_data_from_device[ms]": copy_out_ms,
        "unpack_output[ms]": unpack_ms,
        "unfold_output[ms]": unfold_ms,
        "runtime_percentiles[ms]": _summary(seconds),
        "repeats": repeats,
        "simulated": hasattr(overlay.device, "now"),
    }
    if counters:
        result["accelerator"] = counters
        cycles = median * overlay.fclk_mhz * 1e6
        result["shell_cycles"] = round(cycles - counters["span_cycles"])
    return result


def latency_test(overlay: object, *, repeats: int = 200, warmup: int = 10) -> dict:
    """Run single frames and return how long each takes, from the start to the result in memory.

    Parameters
    ----------
    overlay
        A ``FINNExampleOverlay``.
    repeats, warmup
        As for :func:`throughput_test`.

    Returns
    -------
    dict
        ``latency[ms]`` (median), ``latency_percentiles[ms]``, ``accelerator`` and ``shell_cycles``.
    """
    packed = overlay.pack_input(overlay.fold_input(_random_input(overlay, 1)))
    overlay.copy_input_data_to_device(packed)
    _timed(overlay, warmup, 1)
    seconds = _timed(overlay, repeats, 1)
    counters = overlay.counters()
    median = float(np.median(seconds))
    result = {
        "latency[ms]": median * 1e3,
        "latency_percentiles[ms]": _summary(seconds),
        "fclk[mhz]": overlay.fclk_mhz,
        "repeats": repeats,
        "simulated": hasattr(overlay.device, "now"),
    }
    if counters:
        result["accelerator"] = counters
        cycles = median * overlay.fclk_mhz * 1e6
        result["shell_cycles"] = round(cycles - counters["span_cycles"])
    return result


def write_metrics(metrics: dict, path: Path) -> list[Path]:
    """Write metrics as JSON, and beside it as text, one figure per line.

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
