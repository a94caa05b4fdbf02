"""Python environments of their own, made by pip once and kept in pytest's cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

REPO = Path(__file__).resolve().parents[2]
# What pip says where it reaches no index, or one without the package.
_OFFLINE = re.compile(
    r"No matching distribution|Could not find a version|ConnectionError|Connection broken|"
    r"Temporary failure in name resolution|ReadTimeout|ProxyError|Max retries"
)
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")


def pinned(*names: str) -> list[str]:
    """Return the requirements of these packages with the project's own versions."""
    lines = (REPO / "constraints.txt").read_text().splitlines()
    found = {line.partition("==")[0]: line for line in lines if "==" in line}
    return [found[name] for name in names]


def environment(
    config: pytest.Config, requirements: Sequence[str], *, dependencies: bool = True
) -> Path:
    """Return the folder of an environment with these packages, or skip where pip has no network.

    With `dependencies` it is an environment of its own, whose Python is ``bin/python``; without, a
    folder that has these packages alone, to go to the front of a search path.
    """
    made_of = repr((sorted(requirements), dependencies, sys.version_info[:3], sys.executable))
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    folder = Path(config.cache.mkdir("environments")) / digest
    done = folder / "done"
    with FileLock(f"{folder}.lock"):
        if done.is_file():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        argv = [*_PIP, *requirements]
        if dependencies:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            argv.insert(0, str(folder / "bin" / "python"))
        else:
            argv = [sys.executable, *argv, "--no-deps", "--target", str(folder)]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
        if ended.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            if _OFFLINE.search(ended.stderr):
                pytest.skip(f"pip can't get {', '.join(requirements)} here")
            raise AssertionError(f"pip install {' '.join(requirements)}:\n{ended.stderr}")
        done.touch()
    return folder


def with_project(folder: Path) -> Path:
    """Make the project importable in an environment as an editable installation; return its Python.

    Only the entry points are needed beside the files: ``deploy`` finds its compiler by them.
    """
    python = folder / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "prunestream.pth").write_text(f"{REPO}\n")
    info = packages / "prunestream-0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prunestream\nVersion: 0\n")
    setup = (REPO / "setup.cfg").read_text()
    entry = re.search(r"^prunestream\.simulator =\n((?: +.*\n)+)", setup, re.MULTILINE)
    assert entry is not None
    lines = "".join(line.strip() + "\n" for line in entry[1].splitlines())
    (info / "entry_points.txt").write_text(f"[prunestream.simulator]\n{lines}")
    return python


def clean_environment(**more: str) -> dict[str, str]:
    """Return the process's environment without what leads to other packages."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, **more}
