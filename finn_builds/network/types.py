"""Number types by their QONNX names: BIPOLAR, UINTn, INTn."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BIPOLAR = "BIPOLAR"


def datatype_for(low: int, high: int) -> str:
    """Return the smallest UINTn or INTn (two bits at least) that holds a range."""
    if low >= 0:
        return f"UINT{max(1, high.bit_length())}"
    bits = 1 + max((-low - 1).bit_length(), max(high, 0).bit_length())
    return f"INT{max(2, bits)}"


def signed_datatype_for(low: int, high: int) -> str:
    """Return the smallest INTn that holds a range; accumulators are signed, whatever they hold."""
    return datatype_for(min(low, -1), high)


def common_datatype(datatypes: Iterable[str]) -> str:
    """Return the smallest type that holds values of all types; BIPOLAR where all are."""
    names = set(datatypes)
    if len(names) == 1:
        return names.pop()
    ranges = [range_of(name) for name in names]
    return datatype_for(min(low for low, _ in ranges), max(high for _, high in ranges))


def weight_datatype(weights: NDArray[np.int64]) -> str:
    """Return the smallest signed type of weights; BIPOLAR where all are -1 or 1, some of them 1."""
    low, high = int(weights.min()), int(weights.max())
    if high == 1 and np.isin(weights, (-1, 1)).all():
        return BIPOLAR
    return signed_datatype_for(low, high)


def bits_of(datatype: str) -> int:
    """Return the bits of an element."""
    return 1 if datatype == BIPOLAR else int(_parts(datatype)[1])


def is_signed(datatype: str) -> bool:
    """Return whether a type has negative values."""
    return datatype == BIPOLAR or _parts(datatype)[0] == "INT"


def range_of(datatype: str) -> tuple[int, int]:
    """Return the smallest and the largest value of a type."""
    if datatype == BIPOLAR:
        return -1, 1
    bits = bits_of(datatype)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed(datatype) else (0, 2**bits - 1)


def step_of(datatype: str) -> int:
    """Return the distance of neighbouring values: 2 for BIPOLAR, else 1."""
    return 2 if datatype == BIPOLAR else 1


def _parts(datatype: str) -> tuple[str, str]:
    found = re.fullmatch(r"(U?INT)([1-9]\d*)", datatype)
    if found is None:
        raise ValueError(f"{datatype!r} is not an integer type")
    return found[1], found[2]
