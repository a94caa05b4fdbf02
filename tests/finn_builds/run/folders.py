"""The toy's build folders: made, removed and compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from finn_builds.config.fingerprint import file_digest
from finn_builds.run import state as disk
from finn_builds.run.runner import Step, run_steps
from tests.finn_builds import toy_build as toy

NAMES = ("seed", "generate", "measure", "pack")

# What may differ between two builds of the same thing: when and how long they ran.
VOLATILE = {"build.log", "report/time_per_step.json", disk.STATE_FILE, ".build.lock"}

# Where there is work that is not finished.
UNFINISHED = (disk.NEXT, disk.TRASH, disk.SCRATCH, f"{disk.STATE_FILE}.tmp")


def build(model: Path, out: Path, *, steps: list[Step] | None = None, **options):
    """Run the toy's steps, or others, in a folder."""
    return run_steps(steps or toy.steps(), toy.config(model, out, **options))


def failing(error: BaseException, after: int = 2) -> list[Step]:
    """Return the toy's first steps, and one that fails after it has written a file."""

    def step_fail(cfg) -> None:
        (cfg.out / "partial.txt").write_text("half")
        raise error

    return [*toy.steps()[:after], Step(step_fail, outputs=("partial.txt",))]


def contents(out: Path) -> dict[str, str]:
    """Return a digest per file of a build folder, without what is bound to differ."""
    files = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    found = {name: file_digest(path) for name, path in files.items() if name not in VOLATILE}
    state = json.loads((out / disk.STATE_FILE).read_text())
    found["complete"] = state["complete"]
    for name, record in state["steps"].items():
        found[f"record of {name}"] = json.dumps({**record, "seconds": 0})
    return found


def finished(out: Path) -> dict[str, tuple[str, int]]:
    """Return digest and date of every file of a build folder, without what is unfinished in it."""
    files = {p.relative_to(out): p for p in out.rglob("*") if p.is_file()}
    kept = {str(n): p for n, p in files.items() if not n.parts[0].startswith(UNFINISHED)}
    return {name: (file_digest(p), p.stat().st_mtime_ns) for name, p in kept.items()}


def fresh(out: Path) -> Path:
    """Remove a build folder and return its path."""
    shutil.rmtree(out, ignore_errors=True)
    return out
