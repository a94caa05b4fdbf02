"""The types of the elements of a stream, under QONNX's names and with its interface.

FINN's scripts ask a type of the driver for its width, its range and its name, and compare it with
qonnx's own types. A board has no qonnx.
"""

from __future__ import annotations

import re

import numpy as np

from deploy.packing import value_range
from deploy.registers import DriverError

__all__ = ["StreamType"]

BIPOLAR, BINARY, TERNARY = "BIPOLAR", "BINARY", "TERNARY"
_NUMPY = ("int8", "int16", "int32", "int64")


class StreamType(str):
    """A QONNX integer type: equal to its name, and to qonnx's type of that name.

    It is made from a name such as ``UINT4``, from the text ``DataType['UINT4']`` that FINN's files
    have, or from a type of qonnx. Raises `DriverError` for anything else.
    """

    __slots__ = ()

    def __new__(cls, given: object) -> StreamType:
        """Read one of the three forms."""
        text = given if isinstance(given, str) else str(getattr(given, "name", given))
        quoted = re.fullmatch(r"DataType\[(['\"])(\w+)\1\]", text)
        name = quoted[2] if quoted else text
        if name not in (BIPOLAR, BINARY, TERNARY) and not re.fullmatch(r"U?INT[1-9]\d*", name):
            raise DriverError(
                f"datatype {text}: expected BIPOLAR, BINARY, TERNARY, INT<n> or UINT<n>"
            )
        return super().__new__(cls, BINARY if name == "UINT1" else name)  # as qonnx names it

    @property
    def name(self) -> str:
        """QONNX's name of the type."""
        return str(self)

    def get_canonical_name(self) -> str:
        """Return QONNX's name of the type."""
        return str(self)

    def bitwidth(self) -> int:
        """Return the bits of an element."""
        named = {BIPOLAR: 1, BINARY: 1, TERNARY: 2}
        return named[str(self)] if self in named else int(self.lstrip("UINT"))

    def min(self) -> int:
        """Return the smallest value."""
        return -1 if self in (BIPOLAR, TERNARY) else value_range(*self.stored())[0]

    def max(self) -> int:
        """Return the largest value."""
        return 1 if self in (BIPOLAR, TERNARY) else value_range(*self.stored())[1]

    def signed(self) -> bool:
        """Say whether a value can be negative."""
        return self.min() < 0

    def allowed(self, value: int | np.ndarray) -> bool | np.ndarray:
        """Say whether values are of this type, element by element."""
        inside = (value >= self.min()) & (value <= self.max()) & (value == np.floor(value))
        return inside & (value != 0) if self == BIPOLAR else inside

    def get_num_possible_values(self) -> int:
        """Return how many values there are."""
        return self.max() - self.min() + (0 if self == BIPOLAR else 1)

    def is_integer(self) -> bool:
        """Say that all values are integers, as those of every stream are."""
        return True

    def is_fixed_point(self) -> bool:
        """Say that no value is a fixed-point number."""
        return False

    def to_numpy_dt(self) -> np.dtype:
        """Return the narrowest type of numpy that holds every value."""
        for name in _NUMPY:
            info = np.iinfo(name if self.signed() else f"u{name}")
            if info.min <= self.min() and self.max() <= info.max:
                return np.dtype(info.dtype)
        raise DriverError(f"numpy has no integers of {self.bitwidth()} bits")

    def stored(self) -> tuple[int, bool]:
        """Return bits and signedness of an element on a stream.

        A BIPOLAR element is an unsigned bit, 0 for -1 and 1 for 1.
        """
        return self.bitwidth(), self == TERNARY or self.startswith("INT")
