"""Writes the deployment package of a build: what a board needs, and the vectors to check it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy import package
from deploy.host_model import HostModel
from finn_builds.config.boards import AnyBoard
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.zynq_boards import Board
from finn_builds.files import write_zip
from finn_builds.shell.build_id import build_id
from finn_builds.shell.flash import FLASH, flash_script
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import shell_sources
from finn_builds.shell.uart import UartSpec

__all__ = ["identified", "on_board", "overlay_description", "write_driver", "write_package"]

_DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
_NO_SOURCE = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "__init__.py")


def overlay_description(
    name: str,
    accelerator: dict[str, Any],
    host_model: dict[str, Any],
    board: AnyBoard,
    *,
    uart: UartSpec | None = None,
    top1: bool = False,
    expected: dict[str, Any] | None = None,
    made: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of ``overlay.json``, which the driver reads.

    `accelerator` and `host_model` are the content of the build's files of these names; `expected`
    are ``latency_cycles`` and ``interval_cycles`` as measured in the build; `uart` is the serial
    shell of an open board. `made` is what Vivado said of the bitfile (``clock``, ``board_files``,
    ``vivado``), where there is one; until then the clock is the one that the board's PLL makes of
    the one asked for.
    """
    into, out = accelerator["input"], accelerator["output"]
    expected = expected or {}
    under_way = 32
    if expected.get("interval_cycles"):
        under_way = int(expected["latency_cycles"] / expected["interval_cycles"]) + 16
    clock_ns = accelerator["clock_ns"]
    expected_mhz = board.fabric_mhz(clock_ns) if isinstance(board, Board) else 1000 / clock_ns
    made = made or {
        "clock": {
            "asked_mhz": 1000 / clock_ns,
            "actual_mhz": None if uart is None else uart.mhz,
            # Vivado gives periods to the picosecond.
            "period_ns": clock_ns if uart is not None else round(1000 / expected_mhz, 3),
        },
        "board_files": None
        if uart
        else {
            "found": "unknown",
            "note": "No bitfile was made yet: the script in vivado/ tells which it found.",
        },
        "vivado": None,
    }
    if uart is not None:
        assert isinstance(board, OpenBoard)
        platform: dict[str, Any] = {
            "platform": "uart",
            "ps_type": None,
            "loader": board.loader,
            "shell": uart.description(),
        }
    else:
        assert isinstance(board, Board)
        spec = ShellSpec.for_board(
            board,
            accelerator["top"],
            in_bytes=into["width"] // 8,
            out_bytes=out["width"] // 8,
            in_beats=into["beats"],
            out_beats=out["beats"],
            frames_under_way=under_way,
        )
        platform = {
            "platform": "zynq-iodma",
            "ps_type": board.ps_type,
            "shell": asdict(spec),
        }
    shapes: dict[str, Any] = {}
    for side, stream in (("i", into), ("o", out)):
        beats, elements = stream["beats"], stream["elements"]
        shapes[f"{side}dt"] = [stream["datatype"]]
        shapes[f"{side}shape_normal"] = [[1, beats * elements]]
        shapes[f"{side}shape_folded"] = [[1, beats, elements]]
        shapes[f"{side}shape_packed"] = [[1, beats, stream["width"] // 8]]
    # FINN's names and FINN+'s
    shapes |= {"input_dma_name": ["idma0"], "output_dma_name": ["odma0"]}
    shapes |= {"idma_names": ["idma0"], "odma_names": ["odma0"]}
    shapes |= {"number_of_external_weights": 0, "external_weights_input_shapes": {}}
    shapes |= {"num_inputs": 1, "num_outputs": 1}
    return {
        "version": package.FORMAT_VERSION,
        "name": name,
        "board": board.name,
        **platform,
        "fclk_mhz": made["clock"]["actual_mhz"] or round(expected_mhz, 6),
        **made,
        "io_shape_dict": shapes,
        "stitched_ip": package.RTL,
        "top1": top1,
        "host_model": host_model,
        "expected": expected,
    }


def identified(description: dict[str, Any], rtl: Path, *, clock_ns: float) -> dict[str, Any]:
    """Return a description with the build's identifier in its ``shell``: ``build_id``, 32 bits.

    It follows from the accelerator's sources in `rtl`, from the shell's, from the clock asked for,
    and from what of the description the driver's results depend on; never zero. What a Vivado run
    adds to the description does not change it.
    """
    shell = {key: value for key, value in description["shell"].items() if key != "build_id"}
    keys = ("name", "board", "ps_type", "io_shape_dict", "top1", "host_model")
    settings = {**{key: description[key] for key in keys}, "shell": shell, "clock_ns": clock_ns}
    return {**description, "shell": {**shell, "build_id": build_id(settings, rtl, shell_sources())}}


def finn_settings(description: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``settings.json``, from which FINN+'s driver makes its overlay."""
    shapes = dict(description["io_shape_dict"])
    for key in ("idt", "odt"):
        shapes[key] = [f"DataType['{name}']" for name in shapes[key]]
    driver = {
        "driver_type": "FINNDMAOverlay",
        "platform": description["platform"],
        "fclk_mhz": description["fclk_mhz"],
        "io_shape_dict": shapes,
        "external_weights": False,
        "runtime_weights": False,
    }
    return {"driver_information": driver, "experiment_information": {}}


def on_board(source: str) -> str:
    """Return a file of ``deploy/`` as it lies in a package, where all are in one folder.

    The simulated board stays the project's own.
    """
    source = re.sub(r"\bfrom deploy\.(\w+) import\b", r"from \1 import", source)
    return source.replace("from deploy import", "import")


def write_driver(folder: Path, description: dict[str, Any]) -> None:
    """Write the driver's files and the description they read, from `overlay_description`.

    Files of these names are replaced, others are left alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in package.DRIVER_FILES:
        text = on_board((_DEPLOY / name).read_text(encoding="utf-8"))
        (folder / name).write_text(text, encoding="utf-8")
    texts = {package.DESCRIPTION: description}
    if description["platform"] != "uart":
        texts[package.SETTINGS] = finn_settings(description)
    for name, content in texts.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_package(
    folder: Path,
    description: dict[str, Any],
    inputs: npt.NDArray[np.integer],
    outputs: npt.NDArray[np.integer],
    *,
    rtl: Path,
    features: npt.NDArray[np.floating] | None = None,
    labels: npt.NDArray[np.integer] | None = None,
    bitfile: Path | None = None,
) -> Path:
    """Write a deployment package and, beside its folder, its zip file, which is returned.

    The files of a package are replaced. Other files, such as what a driver has measured, are left
    alone and are not part of the zip.

    Parameters
    ----------
    inputs
        Test vectors: integers (frames, n_in) into the accelerator.
    outputs
        Integers (frames, n_out) that the reference, not the accelerator, gives for them.
    rtl
        The accelerator's sources, ``stitched_ip`` of the build, for the virtual board.
    features, labels
        Raw features and classes of the first frames of `inputs`: with them the host's steps are
        checked too, and the notebook shows the accuracy.
    bitfile
        ``.bit`` with its ``.hwh`` and ``.json`` beside it; of an open board the bitstream.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in package.CONTENTS:
        _remove(folder / name)
    write_driver(folder, description)
    (folder / package.README).write_text(_readme(description), encoding="utf-8")
    for source, name in ((_DEPLOY / package.NOTEBOOKS, package.NOTEBOOKS), (rtl, package.RTL)):
        shutil.copytree(source, folder / name, ignore=_NO_SOURCE)
    classes = outputs[:, 0]
    if not description["top1"]:
        classes = HostModel.from_dict(description["host_model"]).classify(outputs)
    vectors: dict[str, npt.NDArray[Any]] = {
        "inputs": inputs,
        "outputs": outputs,
        "classes": classes,
    }
    optional = {"features": features, "labels": labels}
    vectors |= {name: array for name, array in optional.items() if array is not None}
    np.savez_compressed(folder / package.VECTORS, allow_pickle=False, **vectors)
    if bitfile is not None:
        to = (folder / package.BITFILE / package.BIT).with_suffix(bitfile.suffix)
        to.parent.mkdir()
        suffixes: tuple[str, ...] = (".bit", ".hwh", ".json")
        if description["platform"] == "uart":
            suffixes = (bitfile.suffix,)
            script = flash_script(description["board"], description["loader"], to.name)
            (to.parent / FLASH).write_text(script, encoding="utf-8")
        for suffix in suffixes:
            shutil.copyfile(bitfile.with_suffix(suffix), to.with_suffix(suffix))
    files = _files(folder)
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    )
    (folder / package.CHECKSUMS).write_text(sums, encoding="utf-8")
    archive = folder.with_name(folder.name + ".zip")
    write_zip(archive, folder.name, folder, [*files, folder / package.CHECKSUMS])
    return archive


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """Return the package's own files in a fixed order."""
    found: list[Path] = []
    for name in package.CONTENTS:
        path = folder / name
        found += path.rglob("*") if path.is_dir() else [path]
    return sorted(path for path in found if path.is_file())


def _readme(description: dict[str, Any]) -> str:
    """Return the text that says what a package is and how to use it."""
    expected, cycles = description["expected"], ""
    if expected:
        interval = expected["interval_cycles"]
        cycles = (
            f"In the build's simulation the accelerator itself took {expected['latency_cycles']} "
            "clock cycles for one frame, and gave a frame every "
            f"{'cycle' if interval == 1 else f'{interval:g} cycles'}.\n"
        )
    serial = description["platform"] == "uart"
    return f"""\
# {description["name"]} for {description["board"]}

An accelerator, its driver and test vectors. {(_serial if serial else _pynq)(description, cycles)}
## Without a board
On a machine with the project's Python environment, `--virtual` simulates the board and the
accelerator in it, from the sources in `{package.RTL}/`:

    path/to/checkout/.venv/bin/python validate.py --virtual
"""


def _serial(description: dict[str, Any], cycles: str) -> str:
    """Return how to use the package of an open board."""
    at, clock, baud = "--port /dev/ttyUSB0", description["fclk_mhz"], description["shell"]["baud"]
    return f"""The driver runs on the PC that the board is connected to, and needs
Python 3.10 or later, numpy and pyserial. The board runs at {clock:g} MHz, its serial line at
{baud} baud.
{cycles}
## On the board
Unpack the zip, connect the board, and load its bitstream with openFPGALoader. It stays there until
the board loses power; with `-f` the script writes it to the flash memory. Then name the port of the
board, which your user must be allowed to use (group `dialout`):

    sh {package.BITFILE}/{FLASH}
    python validate.py {at}
    python driver.py {at} --exec_mode throughput_test --batchsize 1000
    python driver.py {at} --inputfile features.npy --outputfile classes.npy

`python driver.py --help` lists all options; `notebooks/board.ipynb` does the same in Jupyter.

If there is no `{package.BITFILE}/`, the build was made without `--bitfile`, or its routed clock is
too slow for the board, which the build's report says.
"""


def _pynq(description: dict[str, Any], cycles: str) -> str:
    """Return how to use the package of a PYNQ board."""
    bitfile, clock = package.BITFILE, description["fclk_mhz"]
    return f"""The driver needs only Python 3.10 or later, numpy and pynq,
which are part of a PYNQ image. The clock is {clock:g} MHz, or the fastest below it that the board
can make and the bitfile takes; `validate.py` and `driver.py` say which one runs.
{cycles}
## On the board
Copy the zip to the board and unpack it, then, as root in PYNQ's Python environment
(`sudo -i`, `source /etc/profile.d/pynq_venv.sh`, and `xrt_setup.sh` beside that if there is one):

    python validate.py
    python driver.py --exec_mode throughput_test --batchsize 1000
    python driver.py --inputfile features.npy --outputfile classes.npy

`python driver.py --help` lists all options; `notebooks/board.ipynb` does the same in Jupyter.

The bitfile is `{bitfile}/finn-accel.bit` with `finn-accel.hwh` and `finn-accel.json` beside it. If
they are not here, the package was built without Vivado: unzip the build's `vivado.zip` on a PC with
Vivado, run its `vivado/build.tcl` as the README there describes, and copy the three files of
`vivado/result/` to `{bitfile}/`.

`settings.json` is for FINN+'s driver (`finn-plus-driver`), which runs on the bitfile, too.
"""
