"""The deployment package on a board: its description, its checksums, and its overlay."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

from deploy.registers import DriverError

__all__ = ["CONTENTS", "DRIVER_FILES", "Package"]

DRIVER_FILES = (
    "class_heads.py", "driver.py", "driver_base.py", "driver_uart.py", "errors.py",
    "fabric_clock.py", "handoff.py", "host_model.py", "host_operations.py", "host_ports.py",
    "inference.py", "labels.py", "measure.py", "package.py", "packing.py", "registers.py",
    "serial_link.py", "stream_forms.py", "stream_types.py", "tables.py", "text_tables.py",
    "training_rows.py", "validate.py", "wanted.py", "weights.py",
)  # fmt: skip
DESCRIPTION = "overlay.json"
SETTINGS = "settings.json"  # the same for FINN+'s driver
README = "README.md"
VECTORS = "validation.npz"
CHECKSUMS = "SHA256SUMS"
NOTEBOOKS = "notebooks"
RTL = "rtl"
BITFILE = "bitfile"
BIT = "finn-accel.bit"  # with finn-accel.hwh and finn-accel.json beside it

#: Every file and folder that a package can hold.
CONTENTS = (
    *DRIVER_FILES,
    DESCRIPTION,
    SETTINGS,
    README,
    VECTORS,
    CHECKSUMS,
    NOTEBOOKS,
    RTL,
    BITFILE,
)

FORMAT_VERSION = 1
_KEYS = (
    "name", "platform", "ps_type", "fclk_mhz", "io_shape_dict", "host_model", "shell",
    "stitched_ip", "top1",
)  # fmt: skip


class Package:
    """One deployment package: the folder with ``overlay.json``, whose content is `description`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        path = self.folder / DESCRIPTION
        try:
            self.description = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DriverError(
                f"can't read {path}: {error}. Run this from the unzipped package, or name its "
                "folder with --package"
            ) from error
        if not isinstance(self.description, dict):
            raise DriverError(f"{path} is not a package's description: copy the package again")
        if self.description.get("version") != FORMAT_VERSION:
            raise DriverError(
                f"{path} has format version {self.description.get('version')}; this driver reads "
                f"{FORMAT_VERSION}: use the driver of the same package"
            )
        missing = [key for key in _KEYS if key not in self.description]
        if missing:
            raise DriverError(f"{path} does not have {', '.join(missing)}: copy the package again")
        # Here and not above: the list of files is read by builds that need no numpy.
        from deploy.errors import HostModelError
        from deploy.host_model import HostModel

        try:
            self.host_model = HostModel.from_dict(self.description["host_model"])
        except HostModelError as error:
            raise DriverError(f"{path}: {error}") from error

    def facts(self, bitfile: Path | None = None) -> dict:
        """Return what is known of a bitfile: ``clock``, ``board_files``, ``vivado``, ``timing``.

        Vivado's script writes them beside the bitfile; what it did not write is the description's.
        Raises `DriverError` if that file can't be read, is of another build, or says that timing
        was missed.
        """
        path = (bitfile or self.folder / BITFILE / BIT).with_suffix(".json")
        facts = {key: self.description.get(key) for key in ("clock", "board_files", "vivado")}
        if path.is_file():
            try:
                written = json.loads(path.read_text(encoding="utf-8"))
                own, its = self.description["shell"].get("build_id"), written.pop("build_id", None)
                facts |= {key: value for key, value in written.items() if value is not None}
                missed = facts.get("timing") is not None and not facts["timing"]["met"]
                float((facts["clock"] or {}).get("period_ns", 0))
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise DriverError(
                    f"can't read {path}, which Vivado's script wrote ({error!r}): copy it again"
                ) from error
            if None not in (own, its) and own != its:
                raise DriverError(
                    f"{path} is of build {its:08x}, the description of {own:08x}: the two are of "
                    "different builds, copy all files of one"
                )
            if missed:
                raise DriverError(
                    f"{path} says that the bitfile missed its timing: its results would be wrong "
                    "at times. Build again with a longer --clock-ns"
                )
        return facts

    def io_shape_dict(self, bitfile: Path | None = None) -> dict:
        """Return FINN's description of the streams, with ``bitfile``: what the driver checks."""
        clock = self.facts(bitfile)["clock"] or {}
        period = float(clock.get("period_ns", 0))
        most_mhz = 1000 / period if period else float(self.description["fclk_mhz"])
        built = {"most_mhz": most_mhz, "build_id": self.description["shell"].get("build_id")}
        return {**self.description["io_shape_dict"], "bitfile": built}

    def check_files(self) -> int:
        """Compare every file of ``SHA256SUMS`` with its checksum and return their number."""
        try:
            lines = (self.folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise DriverError(f"the package has no {CHECKSUMS}: copy it again") from error
        for line in lines:
            digest, _, name = line.partition("  ")
            path = self.folder / name
            if not path.is_file():
                raise DriverError(f"{name} is missing: copy the package again")
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise DriverError(f"{name} is not as it was built: copy the package again")
        return len(lines)

    def open(
        self,
        *,
        bitfile: Path | None = None,
        platform: str | None = None,
        batch_size: int = 1,
        device: int = 0,
        virtual: bool | str = False,
        timeout_s: float = 10.0,
        port: str | None = None,
        baud: int | None = None,
    ) -> object:
        """Return the overlay, a ``FINNExampleOverlay``, ready to run.

        Of an open board it is a ``SerialOverlay`` on the serial port `port`.

        Defaults are the package's own bitfile and platform; `device` is the index of the pynq
        device. `virtual` simulates the board, where the project is installed; a text says how its
        memory behaves, for example ``latency=200,ready=0.5`` or ``read_error=slverr``.
        """
        if self.description["platform"] == "uart":
            if platform not in (None, "uart"):
                raise DriverError(
                    f"platform {platform!r}: this package is of an open board; leave it out, or "
                    "pass uart"
                )
            if bitfile is not None:
                raise DriverError(
                    "an open board gets its bitfile from openFPGALoader (bitfile/flash.sh), not "
                    "from the driver: leave --bitfile out"
                )
            return self._serial(batch_size, virtual, port, baud)
        if platform == "uart" or port is not None:
            raise DriverError(
                f"this package is of a board with a processor ({self.description['board']}), which "
                "has no serial shell: run it on the board, without --platform and --port"
            )
        # pynq gives this warning at each start, and a user can't do anything about it.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        try:
            from pynq import Device
        except ImportError as error:
            raise DriverError(f"pynq is needed and can't be imported: {error}") from error
        from deploy.driver_base import FINNExampleOverlay as overlay_class

        def overlay(path: Path, board: object) -> object:
            shapes = self.io_shape_dict(bitfile)
            return overlay_class(
                str(path),
                platform or self.description["platform"],
                shapes,
                batch_size,
                min(self.description["fclk_mhz"], shapes["bitfile"]["most_mhz"]),
                board,
                host_model=self.host_model,
                top1=self.description["top1"],
                timeout_s=timeout_s,
            )

        path = bitfile or self.folder / BITFILE / BIT
        both = (path, path.with_suffix(".hwh"))
        if virtual is not False:
            # pynq wants a file to load. With the bitfile's it reads the handoff, as on the board.
            path = path if all(file.is_file() for file in both) else self.folder / DESCRIPTION
            board = self._simulated("" if virtual is True else virtual)
            return overlay(path, board)
        for file in both:
            if not file.is_file():
                raise DriverError(
                    f"there is no {file}: make the bitfile with Vivado as the package's README.md "
                    "describes, or simulate the board with --virtual"
                )
        if not 0 <= device < len(Device.devices):
            raise DriverError(
                f"device {device}: pynq finds {len(Device.devices)} here, numbered from 0; name "
                "one, or run on a simulated board with --virtual"
            )
        return overlay(path, Device.devices[device])

    def _serial(
        self, batch_size: int, virtual: bool | str, port: str | None, baud: int | None
    ) -> object:
        from deploy.driver_uart import SerialOverlay

        line = None
        if virtual is not False:
            if virtual is not True:
                raise DriverError(
                    f"--virtual {virtual}: an open board has no memory port; leave the text out"
                )
            if port is not None:
                raise DriverError(
                    f"--port {port} and --virtual: a board or a simulated one; name one"
                )
            line = self._simulated()
            port = line.port
        if port is None:
            raise DriverError(
                "name the serial port of the board with --port, such as /dev/ttyUSB0, or simulate "
                "the board with --virtual"
            )
        return SerialOverlay(
            port,
            baud or self.description["shell"]["baud"],
            self.description["io_shape_dict"],
            batch_size,
            self.description["fclk_mhz"],
            host_model=self.host_model,
            top1=self.description["top1"],
            build_id=self.description["shell"]["build_id"],
            device=line,
        )

    def _simulated(self, *conditions: str) -> object:
        """Return the simulated board with this package's accelerator.

        `conditions` say how its memory behaves; an open board has none.
        """
        try:
            from deploy.virtual.serial_board import simulate_serial
            from deploy.virtual.simulate import simulate_package
            from deploy.virtual.simulator import VirtualBoardError
        except ImportError as error:
            raise DriverError(
                "--virtual needs the project's own Python environment, on a host: run it with "
                f"the checkout's .venv/bin/python ({error})"
            ) from error
        simulate = simulate_package if conditions else simulate_serial
        try:
            return simulate(self.folder, self.description, *conditions)
        except VirtualBoardError as error:
            raise DriverError(str(error)) from error
