"""How a frame travels over a stream: elements per beat, beats per frame, bits of an element."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from deploy.packing import bipolar_bits, bipolar_values, pack, padded, unpack
from finn_builds.network.types import BIPOLAR, bits_of, is_signed


@dataclass(frozen=True)
class StreamFormat:
    """One AXI-Stream's contents; element 0 is in the least significant bits of the first beat."""

    datatype: str  # QONNX name of an element's integer type; BIPOLAR is one bit, 0 for -1
    elements: int  # per beat
    beats: int  # per frame

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return bits_of(self.datatype)

    @property
    def signed(self) -> bool:
        """Whether elements are two's complement."""
        return is_signed(self.datatype) and self.datatype != BIPOLAR

    @property
    def width(self) -> int:
        """Bits of TDATA, padded to whole bytes."""
        return padded(self.bits * self.elements)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, every beat padded to whole bytes."""
        return self.beats * self.width // 8

    def to_beats(self, x: np.ndarray) -> np.ndarray:
        """Pack frames (n, beats * elements) into beats, uint8 (n * beats, width / 8).

        Raises ValueError if a value is not of the type.
        """
        codes = bipolar_bits(x) if self.datatype == BIPOLAR else x
        return pack(codes.reshape(-1, self.elements), self.bits, self.signed)

    def from_beats(self, beats: np.ndarray) -> np.ndarray:
        """Unpack beats into frames, of numpy's smallest fitting type: undoes :meth:`to_beats`."""
        elements = unpack(beats, self.elements, self.bits, self.signed)
        if self.datatype == BIPOLAR:
            elements = bipolar_values(elements)
        return elements.reshape(-1, self.beats * self.elements)

    def description(self) -> dict[str, object]:
        """Return the format as JSON types, with the derived figures."""
        return {
            **asdict(self),
            "bits": self.bits,
            "signed": self.signed,
            "width": self.width,
            "frame_bytes": self.frame_bytes,
        }
