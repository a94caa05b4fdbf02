"""What a build was made from, and the command that makes it again."""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from finn_builds.config import fingerprint
from finn_builds.config.build import BuildConfig
from finn_builds.config.checks import is_path

#: Field of the configuration and the option that sets it.
OPTIONS = {
    "board": "--board",
    "model": "--model",
    "output_dir": "--out",
    "synth_clk_period_ns": "--clock-ns",
    "target_fps": "--target-fps",
    "folding_config_file": "--folding",
    "style": "--style",
    "latency_cycles": "--latency-cycles",
    "data": "--data",
    "standardise": "--standardise",
    "input_quant": "--input-quant",
    "input_scale": "--input-scale",
    "top1": "--top1",
    "bitfile": "--bitfile",
    "synth": "--synth",
    "verify_frames": "--verify-frames",
    "verify_seed": "--seed",
    "trace": "--trace",
}

#: What plots and scores; they decide nothing of the hardware.
_PAGE_PACKAGES = ("matplotlib", "scikit-learn")


def command_line(cfg: BuildConfig) -> str:
    """Return the command that repeats a build: every option that is not at its default.

    It is meant for the folder of the checkout, with the environment that ``make`` sets up there.
    """
    words = [".venv/bin/python", "build.py"]
    plain = BuildConfig()
    defaults = {
        "synth_clk_period_ns": cfg.board_spec.clock_ns,
        "output_dir": cfg.default_out.absolute(),
    }
    for name, option in OPTIONS.items():
        value = getattr(cfg, name)
        named = name in ("board", "model")
        if not named and value == defaults.get(name, getattr(plain, name)):
            continue
        words.append(option)
        if not isinstance(value, bool):
            words.append(_text(value))
    return shlex.join(words)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    path = Path(str(value))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        text = str(path.relative_to(Path.cwd()))
        return text if is_path(text) else f"./{text}"  # alone, it would be taken for a name
    return str(value)


def training_note(trained: Mapping[str, Any]) -> str:
    """Return what a model of ``train.py`` says about its training, or nothing.

    Parameters
    ----------
    trained : mapping
        What ``train.py`` writes into a model: ``source``, ``surrogate`` and ``metrics``.
    """
    figures = trained.get("metrics") or {}
    parts = [f"trained on {trained['source']}"] if trained.get("source") else []
    if trained.get("surrogate"):
        parts.append("a surrogate, not real data")
    if {"accuracy", "accuracy_error", "frames"} <= set(figures):
        parts.append(
            f"measured then: accuracy {figures['accuracy']:.1%} ± {figures['accuracy_error']:.1%} "
            f"on {figures['frames']:,} frames, not checked by this build"
        )
    return "; ".join(parts)


def own_version() -> str:
    """Return the project's own version."""
    try:
        return metadata.version("prunestream")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def versions() -> dict[str, str]:
    """Return the versions of all that decides what a build gives."""
    packages = (*fingerprint.PACKAGES, *_PAGE_PACKAGES)
    found = fingerprint.versions(packages)
    return {"prunestream": own_version(), "Python": platform.python_version(), **found}


def now() -> str:
    """Return the date and time, as the page shows it."""
    return time.strftime("%Y-%m-%d %H:%M")
