"""A build of a few small steps, slow on request: what the runner's tests run and kill.

``python toy_build.py MODEL OUT [--seed N] [--frames N] [--pause S]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.run.progress import reporter
from finn_builds.run.runner import Step, run_steps


def make_model(weight: float = 1.0) -> ModelWrapper:
    """Return y = x * w over one value."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"], name="Mul_0")],
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1, 1], [weight])],
    )
    return ModelWrapper(helper.make_model(graph))


def weight(model: ModelWrapper) -> float:
    return float(model.get_initializer("w")[0, 0])


def scaled(model: ModelWrapper, factor: float) -> ModelWrapper:
    model.set_initializer("w", np.array([[weight(model) * factor]], np.float32))
    return model


def steps(pause: float = 0.0) -> list[Step]:
    """Return the toy's steps; each of its moments lasts ``pause`` seconds."""

    def step_seed(model, cfg):
        time.sleep(pause)
        return scaled(model, 2 + cfg.verify_seed)

    def step_generate(model, cfg):
        folder = cfg.out / "stitched_ip" / "sub"
        folder.mkdir(parents=True)
        for index in range(6):
            cfg.progress(index, 6, "files")
            (folder / f"{index}.v").write_text(f"module m{index}; // {weight(model)}\n" * 50)
            time.sleep(pause)
        return scaled(model, 3)

    def step_measure(model, cfg):
        sizes = [file.stat().st_size for file in sorted(cfg.out.glob("stitched_ip/sub/*.v"))]
        time.sleep(pause)
        report = {"frames": cfg.verify_frames, "sizes": sizes, "weight": weight(model)}
        (cfg.out / "report" / "measured.json").write_text(json.dumps(report))
        time.sleep(pause)
        return scaled(model, cfg.verify_frames)

    def step_pack(model, cfg):
        (cfg.out / "deploy").mkdir()
        (cfg.out / "deploy" / "all.txt").write_text((cfg.out / "report/measured.json").read_text())
        time.sleep(pause)
        return model

    return [
        Step(step_seed, reads=("verify_seed",)),
        Step(step_generate, reads=(), outputs=("stitched_ip",)),
        Step(step_measure, reads=("verify_frames",), outputs=("report/measured.json",)),
        Step(step_pack, reads=(), outputs=("deploy",)),
    ]


def unchecked(path: Path, **options) -> BuildConfig:
    """Return a configuration for a model's file that is not validated yet."""
    return BuildConfig(**{"board": "Pynq-Z1", "model": str(path), **options})


def config(model: Path, out: Path, **options) -> BuildConfig:
    """Return a validated configuration for a model's file and a build folder."""
    return unchecked(model, output_dir=out, **options).validate()


def load(cfg: BuildConfig) -> ModelWrapper:
    return ModelWrapper(str(cfg.model_file))


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
        result = run_steps(steps(args.pause), cfg, load, reporter=reporter(sys.stderr))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({"ran": result.ran, "reused": result.reused}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
