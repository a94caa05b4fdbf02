"""What a build was made from, and the command that makes it again."""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from finn_builds.config import fingerprint
from finn_builds.config.build import OPTIONS, RUN, BuildConfig
from finn_builds.config.options import command_words

#: What plots and scores; they decide nothing of the hardware.
_PAGE_PACKAGES = ("matplotlib", "scikit-learn")


def command_line(cfg: BuildConfig) -> str:
    """Return the command that repeats a build: every option that is not at its default.

    It is meant for the folder of the checkout, with the environment that ``make`` sets up there.
    """
    defaults = {
        **{item.name: item.default for item in OPTIONS},
        "synth_clk_period_ns": cfg.target.clock_ns,
        "output_dir": cfg.default_out.absolute(),
    }
    given = {
        item.name: getattr(cfg, item.name)
        for item in OPTIONS
        if item.group != RUN and getattr(cfg, item.name) != defaults[item.name]
    }
    device = {"board": cfg.board} if cfg.board else {"fpga_part": cfg.fpga_part}
    given.pop("fpga_part", None)
    words = command_words(OPTIONS, {**given, **device, "model": cfg.model})
    return shlex.join([".venv/bin/python", "build.py", *words])


def training_note(trained: Mapping[str, Any]) -> str:
    """Return what a model of ``train.py`` says about its training, or nothing.

    ``train.py`` writes ``source``, ``surrogate`` and ``metrics`` into a model.
    """
    figures = trained.get("metrics") or {}
    parts = [f"trained on {trained['source']}"] if trained.get("source") else []
    if trained.get("surrogate"):
        parts.append("a surrogate, not real data")
    if {"accuracy", "accuracy_error", "frames"} <= set(figures):
        regret = ""
        if {"soft_regret", "soft_regret_error"} <= set(figures):
            lost, error = (100 * figures[key] for key in ("soft_regret", "soft_regret_error"))
            regret = f" and soft regret {lost:.2f} ± {error:.2f} points against its teacher"
        parts.append(
            f"measured then: accuracy {figures['accuracy']:.1%} ± {figures['accuracy_error']:.1%}"
            f"{regret} on {figures['frames']:,} frames{_siblings(figures)}, not checked by this "
            "build"
        )
    if {"rmse", "rmse_of_constant", "frames"} <= set(figures):
        parts.append(
            f"measured then: RMSE {figures['rmse']:.4g}, {figures['rmse_of_constant']:.4g} for the "
            f"best constant answer, on {figures['frames']:,} frames{_siblings(figures)}, not "
            "checked by this build"
        )
    return "; ".join(parts)


def _siblings(figures: Mapping[str, Any]) -> str:
    """Return that a model of several folds was measured by its siblings, or nothing."""
    folds = figures.get("folds") or 1
    return f" by {folds} siblings, each on frames that it had not seen" if folds > 1 else ""


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
