"""A build of a few small steps, slow on request: what the runner's tests run and kill.

``python toy_build.py MODEL OUT [--seed N] [--frames N] [--pause S]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import checkpoint_path
from finn_builds.run.progress import reporter
from finn_builds.run.runner import Step, run_steps


def write_model(path: Path, weight: int = 1) -> Path:
    """Write a model's file as the toy's first step reads it."""
    path.write_text(str(weight))
    return path


class _Saved:
    """A result that is one number, kept in a checkpoint."""

    def __init__(self, value: int) -> None:
        self.value = value

    def save(self, out: Path, step: str) -> None:
        checkpoint_path(out, step, ".txt").write_text(str(self.value))

    @classmethod
    def load(cls, out: Path, step: str):
        return cls(int(checkpoint_path(out, step, ".txt").read_text()))


class Weight(_Saved):
    """What the steps scale, one after the other."""


class Extra(_Saved):
    """What no step of the toy returns."""


@dataclass(frozen=True)
class Measured:
    """What the third step returns: its file is in ``report/``."""

    frames: int
    sizes: tuple[int, ...]
    weight: int

    def save(self, out: Path, step: str) -> None:
        (out / "report/measured.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, out: Path, step: str) -> Measured:
        found = json.loads((out / "report/measured.json").read_text())
        return cls(found["frames"], tuple(found["sizes"]), found["weight"])


def steps(pause: float = 0.0) -> list[Step]:
    """Return the toy's steps; each of its moments lasts ``pause`` seconds."""

    def step_seed(cfg) -> Weight:
        time.sleep(pause)
        return Weight(int(cfg.model_file.read_text()) * (2 + cfg.verify_seed))

    def step_generate(weight: Weight, cfg) -> Weight:
        folder = cfg.out / "stitched_ip" / "sub"
        folder.mkdir(parents=True)
        for index in range(6):
            cfg.progress(index, 6, "files")
            (folder / f"{index}.v").write_text(f"module m{index}; // {weight.value}\n" * 50)
            time.sleep(pause)
        return Weight(weight.value * 3)

    def step_measure(weight: Weight, cfg) -> Measured:
        sizes = [file.stat().st_size for file in sorted(cfg.out.glob("stitched_ip/sub/*.v"))]
        time.sleep(pause)
        return Measured(cfg.verify_frames, tuple(sizes), weight.value * cfg.verify_frames)

    def step_pack(weight: Weight, measured: Measured, extra: Extra | None, cfg) -> None:
        assert extra is None
        (cfg.out / "deploy").mkdir()
        (cfg.out / "deploy" / "all.txt").write_text(f"{weight.value} {measured}")
        time.sleep(pause)

    return [
        Step(step_seed),
        Step(step_generate, outputs=("stitched_ip",)),
        Step(step_measure, outputs=("report/measured.json",)),
        Step(step_pack, outputs=("deploy",)),
    ]


def unchecked(path: Path, **options) -> BuildConfig:
    """Return a configuration for a model's file that is not validated yet."""
    return BuildConfig(**{"board": "Pynq-Z1", "model": str(path), **options})


def config(model: Path, out: Path, **options) -> BuildConfig:
    """Return a validated configuration for a model's file and a build folder."""
    return unchecked(model, output_dir=out, **options).validate()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--pause", type=float, default=0.0)
    args = parser.parse_args()
    # Two runs are compared by what they reuse, whether or not somebody edits the sources meanwhile.
    BuildConfig.environment = lambda self: {}
    cfg = config(args.model, args.out, verify_seed=args.seed, verify_frames=args.frames)
    try:
        result = run_steps(steps(args.pause), cfg, reporter=reporter(sys.stderr))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({"ran": result.ran, "reused": result.reused}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
