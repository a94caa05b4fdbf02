"""Check the accelerator of this package on its test vectors: every integer, every class.

    python validate.py            on the board
    python validate.py --virtual  on a host with the project
    python validate.py --json validate.json  all that was found, for programs

Exit code 0 if all agree, 1 if not, 2 if the check could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deploy.errors import HostModelError
from deploy.measure import pace
from deploy.package import VECTORS, Package
from deploy.registers import DriverError

__all__ = ["as_text", "main", "validate"]


def validate(package: Package, overlay: object) -> dict:
    """Run the test vectors and compare.

    ``frames``; ``features``, the number of them that have raw features too; ``input_mismatches``,
    frames with raw features whose integers into the accelerator differ from those of the build;
    ``mismatches``, frames whose integers out of the accelerator differ; ``class_mismatches``;
    ``latency_cycles``, ``interval_cycles`` and ``pace_set_by`` of the accelerator, see
    ``measure.timing``; ``accelerator``, its own counts of the last batch in clock cycles;
    ``built``, latency and interval from the build's simulation.
    """
    path = package.folder / VECTORS
    try:
        with np.load(path, allow_pickle=False) as data:
            inputs, outputs, classes = data["inputs"], data["outputs"], data["classes"]
            features = data.get("features")
    except (OSError, ValueError, KeyError) as error:
        raise DriverError(f"can't read the test vectors {path}: {error}") from error
    host = package.host_model
    frames = len(inputs)
    integers = inputs[:0] if features is None else host.before(features)
    shape = overlay.ishape_normal()[1:]
    overlay.execute(inputs[:1].reshape(1, *shape))
    single = overlay.counters()
    found = overlay.execute(inputs.reshape(frames, *shape)).reshape(frames, -1)
    batch = overlay.counters()
    timing = {"latency_cycles": single.get("latency_last_cycles")} if single else {}
    if batch.get("frames_out", 0) > 1:
        timing |= pace(overlay, batch, package.description["shell"]["word_bytes"])
    return {
        "frames": frames,
        "features": len(integers),
        "input_mismatches": int((integers != inputs[: len(integers)]).any(axis=1).sum()),
        "mismatches": int((found != outputs).any(axis=1).sum()),
        "class_mismatches": int((overlay.classes(found) != classes).sum()),
        **timing,
        "accelerator": batch,
        "built": package.description.get("expected", {}),
    }


def as_text(result: dict) -> list[str]:
    """Return what `validate` found, as lines for people."""

    def compared(what: str, frames: int, wrong: int) -> str:
        said = f"{wrong} differ from the build's" if wrong else "all as built"
        return f"{what}: {frames} frames, {said}"

    frames, built = result["frames"], result["built"]
    lines = []
    if result["features"]:
        lines.append(
            compared("integers of raw features", result["features"], result["input_mismatches"])
        )
    lines.append(compared("integers of the accelerator", frames, result["mismatches"]))
    lines.append(compared("classes", frames, result["class_mismatches"]))
    for what in ("latency", "interval"):
        key = f"{what}_cycles"
        if result.get(key) is not None:
            own = f" (built: {built[key]:g})" if built.get(key) is not None else ""
            unit = "cycle" if result[key] == 1 else "cycles"
            lines.append(f"{what}: {result[key]:g} {unit}{own}")
    if result.get("pace_set_by") == "memory port":
        lines[-1] += ", as the memory port sets the pace"
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    text = "simulate the board, on a host; MEMORY as for driver.py"
    add("--virtual", nargs="?", const=True, default=False, metavar="MEMORY", help=text)
    add("--batchsize", type=int, default=100, help="frames per run (default 100)")
    add("--port", help="serial port of an open board, such as /dev/ttyUSB0")
    add("--baud", type=int, help="its rate, default that of the package")
    add("--bitfile", type=Path, help="default bitfile/finn-accel.bit")
    add("--json", type=Path, metavar="FILE", help="write all that was found, for programs")
    add("--package", type=Path, default=Path(__file__).parent, help="folder, default this one")
    arguments = parser.parse_args(argv)
    try:
        package = Package(arguments.package)
        files = package.check_files()
        overlay = package.open(
            bitfile=arguments.bitfile,
            batch_size=arguments.batchsize,
            virtual=arguments.virtual,
            port=arguments.port,
            baud=arguments.baud,
        )
        result = validate(package, overlay)
        facts = package.facts(arguments.bitfile)
    except (DriverError, HostModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.json is not None:
        bitfile = {"clock_mhz": overlay.fclk_mhz, **facts}
        found = {"files": files, **result, "bitfile": bitfile}
        try:
            arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            print(f"error: can't write {arguments.json}: {error.strerror}", file=sys.stderr)
            return 2
    print(f"{package.description['name']}: {files} files, all as they were packed")
    print("\n".join(as_text(result)))
    if facts["vivado"]:
        print(f"bitfile: made by Vivado {facts['vivado']}")
    print(overlay.clock_text())
    if note := (facts["board_files"] or {}).get("note"):
        print(f"board files: {note}")
    wrong = result["input_mismatches"] + result["mismatches"] + result["class_mismatches"]
    print("FAILED" if wrong else f"PASSED: {result['frames']} frames, all as built")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
