"""Compiles a shell with its accelerator once: what simulated boards of both kinds share."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from finn_builds import tools


def made_by() -> str:
    """Return the versions of the tools that decide what is compiled."""
    versions = tools.versions()
    return f"{versions['verilator']} {versions['g++']}"


def made_once(
    build_dir: Path,
    name: str,
    sources: Iterable[str],
    make: Callable[[Path, Path], None],
    compiling: Callable[[], None] | None,
) -> Path:
    """Return a file that is made from texts; one from the same texts and tools is used again.

    Parameters
    ----------
    build_dir
        Absolute folder for everything that is generated.
    name
        Of the file, with ``{}`` for a digest of `sources` and the tools' versions.
    make
        Called with the path of a file to make and the folder it is in, which is empty.
    compiling
        Called before anything is made.
    """
    tools.require("g++")
    build_dir.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for text in (*sources, made_by()):
        digest.update(text.encode() + b"\0")
    made = build_dir / name.format(digest.hexdigest()[:16])
    if made.exists():
        return made
    if compiling is not None:
        compiling()
    work = build_dir / f"work.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    make(work / made.name, work)
    os.replace(work / made.name, made)
    shutil.rmtree(work)
    return made


def verilate(
    work: Path,
    prefix: str,
    top: str,
    sources: Sequence[Path],
    files: Mapping[str, str],
    *more: str,
) -> None:
    """Write generated `files` to `work` and have Verilator make C++ of them and `sources`."""
    for name, text in files.items():
        (work / name).write_text(text, encoding="utf-8")
    argv, env = tools.verilator_command()
    argv += ["--cc", "--no-timing", "--prefix", prefix, "--top-module", top, "--Mdir", str(work)]
    argv += [*more, "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "-Wno-lint"]
    argv += ["-DFINN_SIMULATION", *map(str, sources), *(str(work / name) for name in files)]
    tools.run(argv, cwd=work.parent, log=work / "verilator.log", env=env)
