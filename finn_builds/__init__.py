"""From a QONNX file to a verified streaming accelerator.

>>> from finn_builds import BuildConfig, build
>>> result = build(BuildConfig(board="Pynq-Z1", model="jets"))  # doctest: +SKIP
>>> result.summary["latency_cycles"]  # doctest: +SKIP
"""

from typing import Any

__all__ = [
    "BuildConfig",
    "BuildResult",
    "UserError",
    "VerificationError",
    "build",
    "read_network",
]

_HOMES = {
    "BuildConfig": "finn_builds.config.build",
    "BuildResult": "finn_builds.api",
    "UserError": "finn_builds.errors",
    "VerificationError": "finn_builds.errors",
    "build": "finn_builds.api",
    "read_network": "finn_builds.api",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: listing boards needs none of FINN."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
