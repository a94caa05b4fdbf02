"""The verified integer network, the frames it was verified with, and how good it is."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from finn_builds.files import (
    ACCURACY_FILE,
    FINDINGS_FILE,
    VECTORS_FILE,
    checkpoint_path,
    read_json,
    read_record,
    write_json,
    write_record,
)
from finn_builds.network import IntegerNetwork
from finn_builds.verify.accuracy import Quality, quality_of
from finn_builds.verify.findings import Findings
from finn_builds.verify.golden import GoldenResult


@dataclass(frozen=True, eq=False)
class Vectors:
    """Frames of the verification with their expected outputs."""

    x: np.ndarray  # int64 (frames, n_in)
    y: np.ndarray  # int64 (frames, n_out): what the QONNX model gives
    source: str
    float32_disagreements: int  # frames in which a float32 run of the model gives other integers
    features: np.ndarray | None = None  # raw, of the first frames; None where they are random
    labels: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Answers:
    """What the network gives for frames of known classes."""

    integers: np.ndarray  # int64 (frames, n_out), in front of a choice of the class
    labels: np.ndarray
    source: str
    surrogate: bool  # drawn from statistics of the real data, not real


@dataclass(frozen=True, eq=False)
class GoldenFrames:
    """Frames for which the user has expected integers, which the network gives."""

    x: np.ndarray  # int64 (frames, n_in)
    y: np.ndarray  # int64 (frames, n_out)
    result: GoldenResult


@dataclass(frozen=True, eq=False)
class Streamlined:
    """The integer network of a build, equal to the QONNX model on all frames.

    There are no answers where the classes of the data are not known, and no quality where nothing
    is known of what the network should give.
    """

    network: IntegerNetwork
    vectors: Vectors
    answers: Answers | None
    quality: Quality | None
    findings: Findings = field(default_factory=Findings)
    golden: GoldenFrames | None = None

    def save(self, out: Path, step: str) -> None:
        """Write network, frames, answers, quality and findings."""
        self.network.save(checkpoint_path(out, step, ".npz"))
        _save(out / VECTORS_FILE, self.vectors)
        answers = checkpoint_path(out, step, ".answers.npz")
        golden = checkpoint_path(out, step, ".golden.npz")
        for optional in (answers, golden):
            optional.unlink(missing_ok=True)
        if self.answers is not None:
            _save(answers, self.answers)
        if self.golden is not None:
            result = json.dumps(dataclasses.asdict(self.golden.result))
            with golden.open("wb") as file:
                np.savez_compressed(
                    file,
                    allow_pickle=False,
                    x=self.golden.x,
                    y=self.golden.y,
                    result=np.array(result),
                )
        write_json(out / ACCURACY_FILE, None if self.quality is None else self.quality.as_json())
        write_record(out / FINDINGS_FILE, self.findings)

    @classmethod
    def load(cls, out: Path, step: str) -> Streamlined:
        """Read what `save` wrote."""
        answers = checkpoint_path(out, step, ".answers.npz")
        return cls(
            IntegerNetwork.load(checkpoint_path(out, step, ".npz")),
            Vectors(**_load(out / VECTORS_FILE)),
            Answers(**_load(answers)) if answers.is_file() else None,
            quality_of(read_json(out / ACCURACY_FILE)),
            read_record(out / FINDINGS_FILE, Findings),
            _golden(checkpoint_path(out, step, ".golden.npz")),
        )


def _golden(path: Path) -> GoldenFrames | None:
    if not path.is_file():
        return None
    held = _load(path)
    result = json.loads(held["result"])
    result["outputs"] = tuple(result["outputs"])
    return GoldenFrames(held["x"], held["y"], GoldenResult(**result))


def _save(path: Path, held: object) -> None:
    arrays = {name: np.asarray(value) for name, value in vars(held).items() if value is not None}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _load(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] if file[name].ndim else file[name].item() for name in file.files}
