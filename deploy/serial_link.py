"""Packets over a serial line: the protocol of ``uart_shell``, with every fault as one clear error.

Needs only pyserial and runs on Python 3.10. ``finn_builds/rtl/uart/uart_shell.sv`` describes the
packets.
"""

from __future__ import annotations

import binascii
import struct
import time
from collections.abc import Callable

try:
    from termios import error as TerminalError
except ImportError:  # not on every system
    TerminalError = OSError

from deploy.registers import DriverError

__all__ = ["COUNTERS", "IDENTIFY", "IDENTITY", "RESET", "RUN", "SerialLink", "crc16"]

REQUEST, ANSWER = 0xA5, 0x5A
IDENTIFY, RUN, COUNTERS, RESET = 0x49, 0x52, 0x43, 0x58
IDENTITY = b"PSU2"
FRESH = 1
FAULTS = {
    1: "the board got a packet with a wrong CRC",
    2: "the board takes no packet of this length: bitfile and description are of different builds",
    3: "the board does not know this request: it runs another version of the shell",
    4: "the accelerator did not give all results in time, and was reset",
}
BAD_CRC = 1
HEAD, TAIL = 6, 2
TRIES = 3
RUN_S = 1.0  # the shell's limit of a run
WRITE_S = 5.0  # beside the time on the line
ANSWER_S = 0.5  # beside the time on the line and of the run: USB and the operating system


def crc16(data: bytes) -> int:
    """Return the CRC-16 with the polynomial x^16 + x^12 + x^5 + 1 that begins with all ones."""
    return binascii.crc_hqx(data, 0xFFFF)


class SerialLink:
    """A port on which requests are answered.

    Behind it may be a simulated board, which takes seconds for a packet: `working` says whether it
    is at one, and no limit of time ends what it is at.

    Raises `DriverError` if there is no such port, or another program has it.
    """

    def __init__(self, port: str, baud: int, *, working: Callable[[], bool] | None = None) -> None:
        try:
            import serial
        except ImportError as error:
            raise DriverError(
                f"the serial line needs pyserial: pip install pyserial ({error})"
            ) from error
        self.port, self.baud = port, baud
        self._working = working
        # What pyserial raises where a port disappears.
        self._gone = (serial.SerialException, OSError, TerminalError)
        self._number = 0
        self._known = False  # the board has been identified since it was opened
        try:
            # Nobody else can open the port: two programs would take each other's answers.
            self._line = serial.Serial(port, baud, timeout=0.05, exclusive=True)
        except serial.SerialException as error:
            text = str(error)
            if "lock" in text or "busy" in text.lower():
                raise DriverError(
                    f"another program uses {port}: end it, or name the port of another board"
                ) from error
            raise DriverError(
                f"can't open {port}: {text}. Check the cable and the board's power, and name its "
                "port with --port (such as /dev/ttyUSB0; your user must be in the group dialout)"
            ) from error
        except ValueError as error:
            raise DriverError(f"{port} does not take {baud} baud: {error}") from error

    def close(self) -> None:
        """Give the port back."""
        self._line.close()

    def ask(self, kind: int, payload: bytes = b"", expected: int = 0) -> bytes:
        """Send a request and return the payload of its answer, of `expected` bytes.

        A packet that was damaged on the line is sent again. `DriverError` if the board does not
        answer, keeps getting or giving damaged packets, was reset in between, or refuses.
        """
        said = ""
        for _ in range(TRIES):
            self._number = (self._number + 1) & 0xFF
            body = struct.pack("<BBH", kind, self._number, len(payload)) + payload
            packet = bytes([REQUEST]) + body + struct.pack("<H", crc16(body))
            size = HEAD + expected + TAIL
            seconds = 2 * 10 * (len(packet) + size) / self.baud
            try:
                self._line.write_timeout = None if self._working else WRITE_S + seconds
                self._line.reset_input_buffer()
                self._line.write(packet)
                answer = self._answer(kind, size, seconds + RUN_S * (kind == RUN) + ANSWER_S)
            except self._gone as error:
                raise DriverError(
                    f"{self.port} has gone: {error}. Check the cable, and open the board again"
                ) from error
            if isinstance(answer, str):
                said = answer
                continue
            status, data = answer
            fault = status >> 1
            if self._known and status & FRESH:
                raise DriverError(
                    "the board was reset in the middle of this session: its last results are not "
                    "to be trusted. Open it again and repeat them"
                )
            if fault == BAD_CRC:
                said = FAULTS[fault]
                continue
            if fault:
                raise DriverError(FAULTS.get(fault, f"the board answers with status {status:#x}"))
            if len(data) != expected:
                raise DriverError(
                    f"the board answers with {len(data)} bytes, and {expected} are expected: "
                    "bitfile and description are of different builds, take both from one"
                )
            self._known = self._known or kind == IDENTIFY
            return data
        raise DriverError(
            f"{said}, {TRIES} times, on {self.port} at {self.baud} baud. Check that the bitfile of "
            "this package is loaded (flash.sh), the cable, and the rate (--baud)"
        )

    def _answer(self, kind: int, size: int, seconds: float) -> tuple[int, bytes] | str:
        """Return status and payload of the answer to the last request, or what is wrong."""
        deadline = time.monotonic() + seconds
        got = b""
        waiting = True
        while waiting:
            # Asked before reading: what came until then is read, however late this process is.
            waiting = time.monotonic() < deadline or bool(self._working and self._working())
            got += self._line.read(max(1, size - len(got)))
            while got:
                start = got.find(ANSWER)
                if start < 0:
                    break
                packet = got[start:]
                if len(packet) < HEAD:
                    break
                answered, number, status, length = struct.unpack_from("<BBBH", packet, 1)
                whole = HEAD + length + TAIL
                if answered != kind or number != self._number or whole > max(size, HEAD + TAIL):
                    got = packet[1:]  # not the beginning of this answer
                    continue
                if len(packet) < whole:
                    break
                (crc,) = struct.unpack_from("<H", packet, whole - TAIL)
                if crc != crc16(packet[1 : whole - TAIL]):
                    return "an answer came with a wrong CRC"
                return status, packet[HEAD : whole - TAIL]
        if got:
            return "what came is not an answer"
        return f"no answer came within {seconds:.1f} s"
