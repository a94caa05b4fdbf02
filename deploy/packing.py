"""Integers to the bytes of a stream and back: element 0 in the least significant bits.

Needs only numpy and runs on the board (Python 3.10). The build's simulation packs with the same
functions, so the board sends what was verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd, prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Packer",
    "bipolar_bits",
    "bipolar_values",
    "pack",
    "packed_bytes",
    "padded",
    "unpack",
    "value_range",
]

_MAX_BITS = 64
_INT8 = np.dtype(np.int8)
_UINT8 = np.dtype(np.uint8)


def padded(bits: int) -> int:
    """Return `bits` rounded up to whole bytes, in bits: the width of TDATA."""
    return -(-bits // 8) * 8


def packed_bytes(elems: int, bits: int) -> int:
    """Return the bytes of a beat of `elems` elements of `bits` bits, padded to whole bytes."""
    return padded(elems * bits) // 8


def value_range(bits: int, signed: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer of `bits` bits (two's complement if signed)."""
    _check_bits(bits)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def bipolar_bits(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return the bits that stand for bipolar integers: 0 for -1, and 1 for 1."""
    array = np.asarray(values)
    _check_integers(array)
    bits: npt.NDArray[np.bool_] = array == 1
    bad = ~(bits | (array == -1))
    if bad.any():
        place = tuple(np.argwhere(bad)[0].tolist())
        raise ValueError(
            f"{array[place]} at {place} is not a bipolar value: expected -1 or 1; "
            "map the values to these two"
        )
    return bits


def bipolar_values(bits: npt.NDArray[np.integer]) -> npt.NDArray[np.int8]:
    """Return the values that bits stand for: the inverse of `bipolar_bits`."""
    return 2 * bits.astype(np.int8) - np.int8(1)


def pack(values: npt.ArrayLike, bits: int, signed: bool) -> npt.NDArray[np.uint8]:
    """Pack integers (n, elems), one row per stream beat, into the bytes of the beats.

    Elements have 1 to 64 bits, two's complement if `signed`. The bytes, uint8
    (n, ceil(elems * bits / 8)), are least significant first; padding bits are 0. Raises `TypeError`
    for other than integers, `ValueError` for another shape or a value that does not fit.
    """
    array = np.asarray(values)
    _check_integers(array)
    if array.ndim != 2:
        raise ValueError(f"values must have the shape (beats, elements), not {array.shape}")
    n, elems = array.shape
    if n and elems and _folds(elems, bits):
        return Packer(array.shape, bits, signed)(array)
    _check_range(array, bits, signed)
    if bits == 1:
        return np.packbits(array != 0, axis=1, bitorder="little")
    # To an unsigned machine integer modulo its size: the cast wraps, which is two's complement.
    word = np.dtype(f"<u{_word_bytes(bits)}")
    array = array.astype(word, copy=False)
    if bits % 8 == 0:
        all_bytes = np.ascontiguousarray(array).view(np.uint8).reshape(n, elems, word.itemsize)
        packed = np.empty((n, elems, bits // 8), np.uint8)
        packed[...] = all_bytes[:, :, : bits // 8]
        return packed.reshape(n, elems * bits // 8)

    group, group_bytes = _group(bits)
    if signed:
        array = array & word.type((1 << bits) - 1)
    whole = elems // group
    out = np.empty((n, packed_bytes(elems, bits)), np.uint8)
    _pack_groups(
        array[:, : whole * group].reshape(n, whole, group),
        bits,
        out[:, : whole * group_bytes].reshape(n, whole, group_bytes),
    )
    rest = array[:, whole * group :]
    tail = out[:, whole * group_bytes :]
    _pack_groups(rest[:, None, :], bits, tail[:, None, :])
    return out


class Packer:
    """Packs batches of one shape, one after another: `pack`, with its preparation done once.

    Elements of 2 or 4 bits that fill whole bytes are folded, all elements of a byte at once. A bias
    makes them 0 to 2^bits - 1, so one search for the greatest byte checks both ends of the range. A
    multiplication moves the elements of a little-endian word into its highest byte; the products
    below it do not overlap. The bias inverts only the sign bits, and they are inverted back at the
    end. The packer keeps its working memory, so use one packer per thread. `shape` is that of the
    beats in any number of dimensions, and their elements.
    """

    def __init__(self, shape: tuple[int, ...], bits: int, signed: bool) -> None:
        _check_bits(bits)
        self.shape = shape
        self._type = (bits, signed)
        self._beats = prod(shape[:-1])
        self._words = self._octets = None
        if not (prod(shape) and _folds(shape[-1], bits)):
            return
        folding = _folding(bits, signed)
        self._greatest, self._bias = folding.greatest, folding.bias
        self._factor, self._shift, self._signs = folding.factor, folding.shift, folding.signs
        self._octets = np.empty(self.shape, _UINT8)
        self._biased = self._octets.view(_INT8)
        self._words = self._octets.view(folding.word)

    def __call__(self, values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Pack integers (*beats, elements) into bytes (*beats, bytes of a beat); see `pack`."""
        array = np.asarray(values)
        if array.shape != self.shape:
            raise ValueError(f"values must have the shape {self.shape}, not {array.shape}")
        words, octets = self._words, self._octets
        if words is None:
            packed = pack(array.reshape(self._beats, self.shape[-1]), *self._type)
            return packed.reshape(*self.shape[:-1], packed.shape[1])
        if array.dtype != _INT8:
            self._check(array)
            array = array.astype(_INT8)
        np.add(array, self._bias, self._biased)
        if octets.item(octets.argmax()) > self._greatest:
            self._check(array)
        np.multiply(words, self._factor, words)
        np.right_shift(words, self._shift, words)
        packed = words.astype(_UINT8)
        packed ^= self._signs
        return packed

    def _check(self, array: npt.NDArray[np.generic]) -> None:
        _check_integers(array)
        _check_range(array.reshape(self._beats, self.shape[-1]), *self._type)


def unpack(
    data: npt.NDArray[np.uint8], elems: int, bits: int, signed: bool
) -> npt.NDArray[np.signedinteger | np.unsignedinteger]:
    """Unpack the bytes of stream beats into integers (n, elems): the inverse of `pack`.

    Padding bits of `data`, uint8 (n, ceil(elems * bits / 8)), are ignored. The integers are of the
    smallest of numpy's types that holds `bits` bits.
    """
    _check_bits(bits)
    array = np.asarray(data)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != packed_bytes(elems, bits):
        raise ValueError(
            f"{elems} elements of {bits} bits need uint8 of shape "
            f"(beats, {packed_bytes(elems, bits)}), not {array.dtype} of shape {array.shape}"
        )
    n = len(array)
    word = np.dtype(f"<u{_word_bytes(bits)}")
    result = np.dtype(f"{'i' if signed else 'u'}{word.itemsize}")
    if bits == word.itemsize * 8:
        return np.ascontiguousarray(array).view(word).astype(result)
    if bits == 1:
        ones = np.unpackbits(array, axis=1, count=elems, bitorder="little")
        return -ones.view(np.int8) if signed else ones

    if _folds(elems, bits):
        return _spread(array, bits, signed)
    if bits % 8 == 0:
        all_bytes = np.zeros((n, elems, word.itemsize), np.uint8)
        all_bytes[:, :, : bits // 8] = array.reshape(n, elems, bits // 8)
        words = all_bytes.view(word).reshape(n, elems)
    else:
        words = _unpack_words(array, elems, bits, word)
    if not signed:
        words &= word.type((1 << bits) - 1)
        return words
    # Move the sign bit to the top and back: the arithmetic shift copies it.
    unused = word.itemsize * 8 - bits
    words <<= word.type(unused)
    signed_words: npt.NDArray[np.signedinteger] = words.view(result)
    signed_words >>= result.type(unused)
    return signed_words


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= _MAX_BITS:
        raise ValueError(f"elements must have 1 to {_MAX_BITS} bits, not {bits}")


def _check_integers(array: npt.NDArray[np.generic]) -> None:
    if array.dtype.kind not in "iub":
        raise TypeError(f"only integers can be packed, not {array.dtype}")


def _check_range(array: npt.NDArray[np.integer], bits: int, signed: bool) -> None:
    low, high = value_range(bits, signed)
    # By their indices: argmin() and argmax() take half the time of min() and max().
    if array.size and (array.item(array.argmin()) < low or array.item(array.argmax()) > high):
        row, column = np.argwhere((array < low) | (array > high))[0]
        kind = "signed" if signed else "unsigned"
        raise ValueError(
            f"{array[row, column]} (beat {row}, element {column}) does not fit {bits} {kind} "
            f"bits: {low} to {high}"
        )


def _word_bytes(bits: int) -> int:
    """Return the bytes of the smallest machine integer of at least `bits` bits."""
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)


def _group(bits: int) -> tuple[int, int]:
    """Return the smallest number of elements that fills whole bytes, and these bytes."""
    group = 8 // gcd(bits, 8)
    return group, group * bits // 8


def _overlaps(elems: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """Yield (element, byte, left shift of the element within the byte, maybe negative)."""
    for element in range(elems):
        first = element * bits
        for byte in range(first // 8, (first + bits - 1) // 8 + 1):
            yield element, byte, first - 8 * byte


def _unpack_words(
    data: npt.NDArray[np.uint8], elems: int, bits: int, word: np.dtype[np.unsignedinteger]
) -> npt.NDArray[np.unsignedinteger]:
    """Unpack rows of bytes into (n, elems) words; the bits above `bits` are garbage."""
    group, group_bytes = _group(bits)
    n, whole = len(data), elems // group
    words = np.empty((n, elems), word)
    _unpack_groups(
        data[:, : whole * group_bytes].reshape(n, whole, group_bytes),
        bits,
        words[:, : whole * group].reshape(n, whole, group),
    )
    tail = words[:, whole * group :]
    _unpack_groups(data[:, None, whole * group_bytes :], bits, tail[:, None, :])
    return words


def _folds(elems: int, bits: int) -> bool:
    """Say whether a `Packer` folds beats of this kind."""
    return bits in (2, 4) and elems * bits % 8 == 0


class _Folding(NamedTuple):
    """Constants of a `Packer`; scalars as arrays of no dimension, which numpy takes fastest."""

    greatest: int  # of a biased element
    word: np.dtype[np.unsignedinteger]  # of as many bytes as a byte has elements
    bias: npt.NDArray[np.int8]
    factor: npt.NDArray[np.unsignedinteger]
    shift: npt.NDArray[np.unsignedinteger]
    signs: npt.NDArray[np.uint8]


@lru_cache
def _folding(bits: int, signed: bool) -> _Folding:
    """Return the constants for elements of 2 or 4 bits."""
    group = 8 // bits
    word = np.dtype(f"<u{group}")
    top = 8 * (group - 1)
    sign = 1 << (bits - 1) if signed else 0
    # Element k lies at bit 8k of a word and goes to bit `top + k * bits`.
    factor = sum(1 << (top - 8 * k + k * bits) for k in range(group))
    return _Folding(
        greatest=(1 << bits) - 1,
        word=word,
        bias=np.array(sign, _INT8),
        factor=np.array(factor, word),
        shift=np.array(top, word),
        signs=np.array(sum(sign << (k * bits) for k in range(group)), _UINT8),
    )


def _spread(
    data: npt.NDArray[np.uint8], bits: int, signed: bool
) -> npt.NDArray[np.int8 | np.uint8]:
    """Unpack whole bytes of elements of 2 or 4 bits, a byte's elements at once."""
    folding = _folding(bits, signed)
    words = (data ^ folding.signs).astype(folding.word, order="C")
    # Split each field in two: its upper half moves to one or two bytes of its own.
    if bits == 2:
        words |= words << 12
    words |= words << (8 - bits)
    octets = words.view(_UINT8)
    octets &= folding.greatest
    if not signed:
        return octets
    values = octets.view(_INT8)
    values -= folding.bias
    return values


def _pack_groups(
    values: npt.NDArray[np.unsignedinteger], bits: int, out: npt.NDArray[np.uint8]
) -> None:
    """Pack (n, groups, elems) into (n, groups, bytes), one vector operation per overlap."""
    started = -1
    for element, byte, shift in _overlaps(values.shape[2], bits):
        column = values[:, :, element]
        part = (column << shift if shift >= 0 else column >> -shift).astype(np.uint8)
        if byte > started:
            out[:, :, byte] = part
            started = byte
        else:
            out[:, :, byte] |= part


def _unpack_groups(
    data: npt.NDArray[np.uint8], bits: int, out: npt.NDArray[np.unsignedinteger]
) -> None:
    """Unpack (n, groups, bytes) into (n, groups, elems); the bits above `bits` are garbage."""
    started = -1
    for element, byte, shift in _overlaps(out.shape[2], bits):
        column = data[:, :, byte].astype(out.dtype)
        part = column >> shift if shift >= 0 else column << -shift
        if element > started:
            out[:, :, element] = part
            started = element
        else:
            out[:, :, element] |= part
