"""The two streams of an accelerator as FINN describes them: types, shapes, integers to bytes.

Needs only numpy and runs on Python 3.10.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deploy.packing import Packer, bipolar_bits, bipolar_values, unpack
from deploy.registers import DriverError
from deploy.stream_types import BIPOLAR, StreamType

__all__ = ["StreamForms"]


def _shape(key: str) -> Callable[..., tuple[int, ...]]:
    def shape(self: StreamForms, ind: int = 0) -> tuple[int, ...]:
        """Return the shape of a batch in this form."""
        return (self.batch_size, *self._io_shape_dict[key][ind][1:])

    return shape


class StreamForms:
    """The part of FINN's overlay class that describes the streams and packs data for them.

    A batch has three forms: *normal*, integers (frames, ...) as the network sees them; *folded*,
    integers (frames, beats, elements per beat); *packed*, bytes (frames, beats, bytes per beat).
    """

    batch_size: int
    _io_shape_dict: dict
    _packers: dict[int, Packer]  # of the latest shape, by input

    @property
    def io_shape_dict(self) -> dict:
        """FINN's description of the streams that the overlay was made with."""
        return self._io_shape_dict

    @property
    def num_inputs(self) -> int:
        """Input streams of the accelerator."""
        return len(self._io_shape_dict["ishape_normal"])

    @property
    def num_outputs(self) -> int:
        """Output streams of the accelerator."""
        return len(self._io_shape_dict["oshape_normal"])

    def idt(self, ind: int = 0) -> StreamType:
        """Return the type of input `ind`."""
        return StreamType(self._io_shape_dict["idt"][ind])

    def odt(self, ind: int = 0) -> StreamType:
        """Return the type of output `ind`."""
        return StreamType(self._io_shape_dict["odt"][ind])

    def input_range(self, ind: int = 0) -> tuple[int, int]:
        """Return the smallest and the largest integer that input `ind` takes."""
        return self.idt(ind).min(), self.idt(ind).max()

    # Shapes of a batch: as the network sees it, by beats and elements, by beats and bytes.
    ishape_normal = _shape("ishape_normal")
    oshape_normal = _shape("oshape_normal")
    ishape_folded = _shape("ishape_folded")
    oshape_folded = _shape("oshape_folded")
    ishape_packed = _shape("ishape_packed")
    oshape_packed = _shape("oshape_packed")

    def _frame_bytes(self, key: str) -> list[int]:
        return [int(np.prod(shape[1:])) for shape in self._io_shape_dict[key]]

    def fold_input(self, ibuf_normal: np.ndarray, ind: int = 0) -> np.ndarray:
        """Reshape a batch of integers into beats; `DriverError` if they are not the input's."""
        data = np.asarray(ibuf_normal)
        expected = self.ishape_normal(ind)[1:]
        if data.ndim >= 1 and not len(data):
            raise DriverError("input has no frames; expected one or more: give at least one")
        if data.ndim < 2 or data.shape[1:] != expected:
            raise DriverError(
                f"input has shape {data.shape}; expected (frames, *{expected}): reshape it"
            )
        if data.dtype.kind == "f":
            if not (np.isfinite(data).all() and (data == np.rint(data)).all()):
                raise DriverError(
                    "the accelerator takes integers; found fractions, NaN or infinity. "
                    "Raw features go through classify() or run()"
                )
            data = data.astype(np.int64)
        elif data.dtype.kind not in "iub":
            raise DriverError(f"input has dtype {data.dtype}; expected integers: convert it")
        low, high = self.input_range(ind)
        if data.min() < low or data.max() > high:
            raise DriverError(
                f"input has values from {data.min()} to {data.max()}; expected {self.idt(ind)} "
                f"from {low} to {high}: clip or quantise it"
            )
        if self.idt(ind) == BIPOLAR and not data.all():
            frame = int(np.argwhere(data == 0)[0, 0])
            raise DriverError(
                f"input has the value 0 in frame {frame}; expected BIPOLAR, -1 or 1: map 0 to "
                "one of these"
            )
        return data.reshape(len(data), *self.ishape_folded(ind)[1:])

    def pack_input(self, ibuf_folded: np.ndarray, ind: int = 0) -> np.ndarray:
        """Pack (frames, beats, elements) into uint8 (frames, beats, bytes)."""
        if self.idt(ind) == BIPOLAR:
            ibuf_folded = bipolar_bits(ibuf_folded)
        packer = self._packers.get(ind)
        if packer is None or packer.shape != ibuf_folded.shape:
            packer = Packer(ibuf_folded.shape, *self.idt(ind).stored())
            self._packers[ind] = packer
        return packer(ibuf_folded)

    def unpack_output(self, obuf_packed: np.ndarray, ind: int = 0) -> np.ndarray:
        """Unpack uint8 (frames, beats, bytes) into integers (frames, beats, elements)."""
        frames, beats, size = obuf_packed.shape
        elements = self.oshape_folded(ind)[-1]
        bits, signed = self.odt(ind).stored()
        data = np.asarray(obuf_packed).reshape(frames * beats, size)
        values = unpack(data, elements, bits, signed)
        if self.odt(ind) == BIPOLAR:
            values = bipolar_values(values)
        return values.reshape(frames, beats, elements)

    def unfold_output(self, obuf_folded: np.ndarray, ind: int = 0) -> np.ndarray:
        """Reshape beats into the shape of the network's output."""
        return obuf_folded.reshape(len(obuf_folded), *self.oshape_normal(ind)[1:])
