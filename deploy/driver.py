"""Run the accelerator of this package: classify features, or measure.

    python driver.py --exec_mode execute --inputfile features.csv --outputfile classes.npy
    python driver.py --exec_mode throughput_test --batchsize 1000
    python driver.py --exec_mode latency_test

Options are those of FINN's driver. ``--virtual`` simulates the board, on a host with the project.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

from deploy.class_heads import classes_right, numbers_beside, with_all_values
from deploy.errors import HostModelError, UserError
from deploy.host_model import HostModel
from deploy.inference import Frames
from deploy.measure import as_text, latency_test, summary, throughput_test
from deploy.package import Package
from deploy.registers import DriverError
from deploy.tables import SUFFIXES, Table, read_table
from deploy.training_rows import measured_rows

__all__ = ["main"]

HERE = Path(__file__).parent

#: Classes whose names are printed.
_MOST_NAMED = 10


def __getattr__(name: str) -> object:
    """Give ``io_shape_dict`` to ``from driver import io_shape_dict``, as FINN's scripts have it."""
    if name == "io_shape_dict":
        return Package(HERE).io_shape_dict()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _metrics(text: str) -> Path:
    path = Path(text)
    if path.suffix == ".txt":
        raise argparse.ArgumentTypeError(
            f"the same figures are written to {text} as text: name the JSON file, such as "
            f"{path.with_suffix('.json')}"
        )
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    modes = ("execute", "throughput_test", "latency_test")
    add("--exec_mode", choices=modes, default="execute", help="default execute: classify a file")
    add("--platform", help="zynq-iodma or uart; default that of the package")
    add("--port", help="serial port of an open board, such as /dev/ttyUSB0")
    add("--baud", type=_positive, help="its rate, default that of the package")
    add("--batchsize", type=_positive, default=1, help="frames per run (default 1)")
    add("--device", type=int, default=0, help="index of the pynq device (default 0)")
    add("--bitfile", type=Path, help="default bitfile/finn-accel.bit")
    file: dict = {"type": Path, "metavar": "FILE"}
    text = (
        "features (frames, features), an array (.npy) or a table that may hold labels too (.csv, "
        ".tsv, .txt, .npz); of several inputs, their values side by side or an .npz with an array "
        "of each; default %(default)s"
    )
    add("--inputfile", **file, default=Path("input.npy"), help=text)
    text = (
        "classes (frames,), default output.npy; with --scores and several outputs an .npz with an "
        "array of each, default output.npz"
    )
    add("--outputfile", **file, help=text)
    add("--scores", action="store_true", help="write the network's outputs instead of classes")
    add("--integers", action="store_true", help="integers in and out, without the host's steps")
    add("--repeats", type=_positive, default=20, help="runs that are timed (default 20)")
    text = "the measured figures, as JSON and beside it as text, default %(default)s"
    add("--metrics", type=_metrics, default=Path("nw_metrics.json"), metavar="FILE", help=text)
    add("--timeout", type=float, default=10.0, help="seconds a run may take (default 10)")
    text = (
        "simulate the board, on a host; its memory may be given, such as "
        "latency=200,jitter=50,ready=0.5,valid=0.5,seed=1 or read_error=slverr"
    )
    add("--virtual", nargs="?", const=True, default=False, metavar="MEMORY", help=text)
    add("--package", type=Path, default=HERE, help=argparse.SUPPRESS)
    return parser


def _load(path: Path, host: HostModel, *, integers: bool) -> tuple[Frames, Table | None]:
    """Return the frames of a file, and the table that they are from if it is one.

    Raw frames of several inputs may be an ``.npz`` with an array of each, by name.
    """
    names = host.input_shapes
    if len(names) > 1 and not integers and path.suffix.lower() == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                if set(file) == set(names):
                    return {name: file[name] for name in names}, None
        except (OSError, ValueError, EOFError, BadZipFile):
            pass  # read as a table it gets the message that tables have
    if path.suffix.lower() in SUFFIXES and path.suffix.lower() != ".npy":
        table = read_table(
            path,
            feature_names=host.feature_names or None,
            class_names=host.class_names or None,
            n_features=int(np.prod(host.input_shape)),
            n_outputs=host.n_scores,
            targets=bool(host.losses),
            labelled=False,
            test_only=True,
        )
        return table.x, table
    return _array(path), None


def _array(path: Path) -> np.ndarray:
    expected = "expected an array saved with numpy.save: name one with --inputfile"
    try:
        data = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DriverError(f"can't read {path}: {error.strerror or error}; {expected}") from error
    except (ValueError, EOFError, BadZipFile) as error:  # numpy's text always speaks of pickles
        raise DriverError(f"{path} is not a .npy file; {expected}") from error
    if not isinstance(data, np.ndarray):
        data.close()
        raise DriverError(f"{path} holds several arrays (.npz); {expected}")
    return data


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name once it is complete; a device is written in place."""
    in_place = path.exists() and not path.is_file()
    target = path if in_place else path.resolve()
    fresh = path if in_place else target.with_name(target.name + ".part")
    try:
        with fresh.open("wb") as file:
            yield file
        if not in_place:
            fresh.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise DriverError(f"can't write {path}: {reason}; name another file") from error
    finally:
        if not in_place:
            fresh.unlink(missing_ok=True)


def _execute(
    overlay: object, data: Frames, table: Table | None, output: Path, arguments: argparse.Namespace
) -> None:
    if arguments.integers:
        result = overlay.execute(data)
    elif arguments.scores:
        result = overlay.run(data)
    else:
        result = overlay.classify(data)
    if not arguments.integers:
        saturated = overlay.host_model.saturated(data).mean()
        if saturated:
            print(f"{saturated:.1%} of the input values lie outside the quantiser's range")
    several = isinstance(result, dict)
    main = result[overlay.host_model.main.name] if several else result
    if table is not None and not arguments.integers:
        values = np.concatenate(list(result.values()), axis=1) if several else result
        _judge(values, table, overlay.host_model, scores=arguments.scores)
    with _writing(output) as file:
        if several:
            np.savez(file, **result)
        else:
            np.save(file, result)
    print(f"{_what(overlay.host_model, arguments)} of {len(main)} frames: {output}")


def _what(host: HostModel, arguments: argparse.Namespace) -> str:
    """Return what the file of the results holds, for people."""
    if arguments.integers or arguments.scores:
        return "integers" if arguments.integers else "outputs"
    names = host.class_names
    if not 0 < len(names) <= _MOST_NAMED:
        return "classes"
    return f"classes ({', '.join(f'{index} {name}' for index, name in enumerate(names))})"


def _output(arguments: argparse.Namespace, host: HostModel) -> Path:
    """Return the file of the results: several outputs need an ``.npz``."""
    several = arguments.scores and not arguments.integers and len(host.outputs) > 1
    path = arguments.outputfile or Path("output.npz" if several else "output.npy")
    if several and path.suffix.lower() != ".npz":
        names = ", ".join(out.name for out in host.outputs)
        raise DriverError(
            f"the model has {len(host.outputs)} outputs ({names}), and {path} holds one array: "
            "name an .npz file with --outputfile"
        )
    if not path.absolute().parent.is_dir():  # said before anything is computed
        raise DriverError(f"can't write {path}: there is no folder {path.parent}; make it")
    return path


def _judge(result: np.ndarray, table: Table, host: HostModel, *, scores: bool) -> None:
    """Print how good the result is, if the file says what it should be."""
    which, kept = measured_rows(table, host.split)
    source = table.source + which
    if table.y is not None and not scores:
        print(f"accuracy {(result == table.y)[kept].mean():.1%}: {source}")
    elif table.targets is not None and not scores:
        print("the file holds numbers as targets: --scores writes the outputs and judges them")
    elif table.targets is not None:
        targets, heads = with_all_values(table.targets, host)
        numbers = numbers_beside(heads, host)
        if numbers:
            off = (result - targets)[kept][:, numbers]
            print(f"RMSE {np.sqrt((off**2).mean()):.4g}: {source}")
        for name, columns in heads:
            share = classes_right(result, targets, columns)[kept].mean()
            print(f"accuracy of {name} {share:.1%}: {source}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 with one message."""
    arguments = _parser().parse_args(argv)
    try:
        package = Package(arguments.package)
        data, table = None, None
        if arguments.exec_mode == "execute":
            output = _output(arguments, package.host_model)
            data, table = _load(
                arguments.inputfile, package.host_model, integers=arguments.integers
            )
        overlay = package.open(
            bitfile=arguments.bitfile,
            platform=arguments.platform,
            batch_size=arguments.batchsize,
            device=arguments.device,
            virtual=arguments.virtual,
            timeout_s=arguments.timeout,
            port=arguments.port,
            baud=arguments.baud,
        )
        print(overlay.clock_text())
        if data is not None:
            _execute(overlay, data, table, output, arguments)
            return 0
        test = throughput_test if arguments.exec_mode == "throughput_test" else latency_test
        metrics = test(overlay, repeats=arguments.repeats, description=package.description)
        text_file = arguments.metrics.with_suffix(".txt")
        texts = {arguments.metrics: json.dumps(metrics, indent=2), text_file: as_text(metrics)}
        for path, text in texts.items():
            with _writing(path) as file:
                file.write((text + "\n").encode())
        print(summary(metrics))
        print(f"all figures {', '.join(map(str, texts))}")
        return 0
    except (DriverError, HostModelError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
