"""Expected integers that the user has from elsewhere, for instance an experiment's own emulator."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from deploy.errors import HostModelError
from deploy.host_model import HostModel
from deploy.host_operations import evaluate, with_dtype
from deploy.host_ports import HostOutput
from finn_builds.errors import UserError, VerificationError
from finn_builds.ingest.rational import doubles, rationals

#: What the host may do to integers that are compared exactly.
_ROUNDING = ("quant", "bipolar")
_EXACT = ("add", "sub", "rsub", "mul", "div", *_ROUNDING, "relu", "clip")
_CONSTANTS = ("value", "min", "max")
_FORM = (
    "expected an .npz with 'inputs' (integers), 'input_frac_bits' and, for at least one output of "
    "the model, 'out_NAME' (integers) and 'out_NAME_frac_bits', or a .csv with columns 'in_0', "
    "'in_1', ... and 'out_NAME_0', ... (docs/own_model.md, golden vectors)"
)


@dataclass(frozen=True, eq=False)
class Golden:
    """Frames with expected outputs, those left out that are marked as not valid."""

    x: np.ndarray  # int64 (frames, n_in): what the accelerator takes
    rows: np.ndarray  # int64 (frames,): where the frames are in the file
    outputs: Mapping[str, np.ndarray]  # of Fraction (frames, values)
    source: str


@dataclass(frozen=True)
class GoldenResult:
    """What the comparison found."""

    frames: int
    mismatches: int
    outputs: tuple[str, ...]
    source: str
    first: str | None = None  # the first frame that differs, in words


def read_golden(path: Path, host: HostModel) -> Golden:
    """Read expected integers for the outputs of a model; UserError for a file of another form."""
    held = _from_csv(path) if path.suffix.lower() == ".csv" else _from_npz(path)
    names = [out.name for out in host.outputs]
    present = [out for out in host.outputs if f"out_{out.name}" in held]
    if not present:
        raise UserError(
            f"--golden {path} has no expected integers for an output of the model "
            f"({', '.join(names)}); {_FORM}"
        )
    raw = _raw(path, held, host)
    count = len(next(iter(raw.values())))
    outputs = {}
    for out in present:
        _require_exact(out, path)
        outputs[out.name] = _expected(path, held, f"out_{out.name}").reshape(count, -1)
    valid = np.asarray(held.get("valid", np.ones(count, dtype=bool))).reshape(-1).astype(bool)
    for name, array in {"valid": valid, **outputs}.items():
        if len(array) != count:
            raise UserError(
                f"--golden {path}: '{name}' has {len(array)} frames, the inputs {count}; expected "
                "as many"
            )
    rows = np.flatnonzero(valid)
    if not len(rows):
        raise UserError(f"--golden {path} has no valid frame; expected one at least")
    try:
        x = host.before({name: values[rows] for name, values in raw.items()})
    except HostModelError as error:
        raise UserError(f"--golden {path}: {error}") from error
    return Golden(x, rows, {name: y[rows] for name, y in outputs.items()}, path.name)


def compare_golden(golden: Golden, host: HostModel, integers: np.ndarray) -> GoldenResult:
    """Compare the accelerator's integers, (frames, n_out), with what is expected.

    Raises VerificationError, naming the first frame that differs, on one mismatch.
    """
    wrong = np.zeros(len(golden.x), dtype=bool)
    first = None
    for out in host.outputs:
        if out.name not in golden.outputs:
            continue
        expected, found = golden.outputs[out.name], _exactly(host, out, integers)
        if expected.shape != found.shape:
            raise UserError(
                f"--golden {golden.source}: output '{out.name}' has {expected.shape[1]} values a "
                f"frame; expected {found.shape[1]}, as the model has"
            )
        differs = (expected != found).any(axis=1)
        if differs.any() and first is None:
            at = int(np.flatnonzero(differs)[0])
            first = (
                f"frame {golden.rows[at]}, output '{out.name}': expected "
                f"{_listed(expected[at])}, found {_listed(found[at])}"
            )
        wrong |= differs
    result = GoldenResult(
        len(golden.x), int(wrong.sum()), tuple(golden.outputs), golden.source, first
    )
    if result.mismatches:
        raise VerificationError(
            f"the network differs from the expected integers of {golden.source} in "
            f"{result.mismatches:,} of {result.frames:,} frames; the first is {first}. The network "
            "equals the QONNX model: look at the model's quantizers, or leave frames out in which "
            "the other program wraps around ('valid' in the file)"
        )
    return result


def _listed(values: np.ndarray) -> str:
    shown = ", ".join(str(v) if v.denominator == 1 else f"{float(v):.12g}" for v in values[:8])
    return f"[{shown}{', ...' if len(values) > 8 else ''}]"


def _exactly(host: HostModel, out: HostOutput, integers: np.ndarray) -> np.ndarray:
    """Return an output as fractions, whatever the width of the integers."""
    (held,) = (o for o in host.to_dict()["outputs"] if o["name"] == out.name)
    values = rationals(integers if out.take is None else integers[:, out.take])
    for op in held["after"]:
        if op["op"] in _ROUNDING:
            values = rationals(evaluate(with_dtype(op, np.float64), doubles(values)))
        else:
            constants = {k: rationals(op[k]) for k in _CONSTANTS if op.get(k) is not None}
            values = np.asarray(evaluate({**op, **constants}, values))
    return values


def _require_exact(out: HostOutput, path: Path) -> None:
    inexact = [name for name in out.operations if name not in _EXACT]
    if inexact or out.kind == "argmax":
        raise UserError(
            f"--golden {path}: output '{out.name}' ends in {inexact[0] if inexact else 'argmax'}, "
            "which the host computes in floating point; expected integers of an output in front of "
            "it: leave this one out of the file"
        )


def _raw(path: Path, held: Mapping[str, np.ndarray], host: HostModel) -> dict[str, np.ndarray]:
    """Return the model's inputs by name, (frames, values) in double precision."""
    shapes = host.input_shapes
    if all(f"in_{name}" in held for name in shapes):
        found = {name: _scaled(path, held, f"in_{name}") for name in shapes}
        return {name: values.reshape(len(values), -1) for name, values in found.items()}
    if "inputs" not in held:
        raise UserError(f"--golden {path} has no 'inputs'; {_FORM}")
    values = _scaled(path, held, "inputs", "input_frac_bits")
    values = values.reshape(len(values), -1)
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    if values.shape[1] != sum(sizes):
        raise UserError(
            f"--golden {path}: 'inputs' has {values.shape[1]} values a frame; expected "
            f"{sum(sizes)}, as the model has"
        )
    parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    return dict(zip(shapes, parts, strict=True))


def _expected(path: Path, held: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Return integers with their binary point, as fractions."""
    points = rationals(2.0 ** np.asarray(held.get(f"{name}_frac_bits", 0)).astype(np.float64))
    return np.asarray(rationals(_integers(path, held, name)) / points)


def _integers(path: Path, held: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    array = np.asarray(held[name])
    if array.dtype.kind not in "biuf" or (array != np.rint(array)).any():
        raise UserError(f"--golden {path}: '{name}' is of type {array.dtype}; expected integers")
    return array


def _scaled(
    path: Path, held: Mapping[str, np.ndarray], name: str, frac_bits: str | None = None
) -> np.ndarray:
    """Return integers with their binary point, in double precision."""
    array = _integers(path, held, name)
    bits = np.asarray(held.get(frac_bits or f"{name}_frac_bits", 0)).astype(np.float64)
    return array.astype(np.float64) / 2.0**bits


def _from_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile, AttributeError) as error:
        raise UserError(f"can't read --golden {path}: {error}; {_FORM}") from error


def _from_csv(path: Path) -> dict[str, np.ndarray]:
    """Return columns NAME_0, NAME_1, ... as arrays NAME; `inputs` is called in."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file))
        table = np.array([[int(cell) for cell in row] for row in rows], dtype=np.int64)
    except (OSError, ValueError) as error:
        raise UserError(f"can't read --golden {path}: {error}; {_FORM}") from error
    columns: dict[str, dict[int, int]] = {}
    for at, title in enumerate(header):
        name, _, number = title.strip().rpartition("_")
        if number.isdigit() and name:
            columns.setdefault(name, {})[int(number)] = at
        else:
            columns[title.strip()] = {0: at}
    found = {name: table[:, [at[k] for k in sorted(at)]] for name, at in columns.items()}
    if "in" in found:
        found["inputs"] = found.pop("in")
    # A binary point is the same in every row.
    points = {name: array[:1, 0] for name, array in found.items() if name.endswith("frac_bits")}
    return {**found, **points}
