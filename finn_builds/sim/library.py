"""The C interface of a compiled design, as ctypes sees it; the other side is engine.cpp."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from pathlib import Path

__all__ = ["BYTES", "WORDS", "LinkCount", "Progress", "RunSpec", "Status", "load"]

BYTES = ctypes.POINTER(ctypes.c_uint8)
WORDS = ctypes.POINTER(ctypes.c_uint64)


class Status(IntEnum):
    """Mirror of `Status` in session.h: how a call of the engine ended."""

    DONE = 0
    MORE = 1
    HANG = 2
    PROTOCOL = 3
    FAILED = 4
    EXCESS = 5


class RunSpec(ctypes.Structure):
    """Mirror of `RunSpec` in session.h."""

    _fields_ = (
        ("inputs", BYTES),
        ("n_in", ctypes.c_uint64),
        ("outputs", BYTES),
        ("n_out", ctypes.c_uint64),
        ("in_cycles", WORDS),
        ("out_cycles", WORDS),
        ("stall_in", ctypes.c_double),
        ("stall_out", ctypes.c_double),
        ("seed", ctypes.c_uint64),
        ("idle_limit", ctypes.c_uint64),
        ("drain", ctypes.c_uint64),
    )


class LinkCount(ctypes.Structure):
    """Mirror of `LinkCount` in session.h."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("transfers", "stalled", "starved", "retracted")),
        *((name, ctypes.c_uint64) for name in ("first", "last")),
        *((name, ctypes.c_uint8) for name in ("valid", "ready", "held")),
    )


class Progress(ctypes.Structure):
    """Mirror of `Progress` in session.h."""

    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("cycle", "accepted", "delivered", "excess", "idle")
    )


def load(library: Path) -> ctypes.CDLL:
    """Load a shared object and declare the types of its functions to ctypes."""
    lib = ctypes.CDLL(str(Path(library).resolve()))
    u32, u64, i32 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32
    text, session = ctypes.c_char_p, ctypes.c_void_p
    signatures: dict[str, tuple[object, list[object]]] = {
        "n_designs": (u32, []),
        "design_name": (text, [u32]),
        "in_bytes": (u32, [u32]),
        "out_bytes": (u32, [u32]),
        "n_links": (u32, [u32]),
        "link_name": (text, [u32, u32]),
        "open": (session, [u32, text, i32, i32, text, text, u64]),
        "close": (None, [session]),
        "reset": (i32, [session, u64]),
        "begin": (None, [session, ctypes.POINTER(RunSpec)]),
        "step": (i32, [session, u64]),
        "poke": (i32, [session, text, u64]),
        "peek": (i32, [session, text, ctypes.POINTER(u64)]),
        "progress": (None, [session, ctypes.POINTER(Progress)]),
        "link": (None, [session, u32, ctypes.POINTER(LinkCount)]),
        "error": (text, [session]),
        "log": (text, [session]),
        "clear_log": (None, [session]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, f"prunestream_{name}")
        function.restype = result
        function.argtypes = arguments
    return lib
