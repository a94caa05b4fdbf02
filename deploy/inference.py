"""What an overlay does around its accelerator: batches, the host's part of the network, classes.

Needs only numpy and runs on Python 3.10.
"""

from __future__ import annotations

import numpy as np

from deploy.host_model import HostModel
from deploy.registers import DriverError

__all__ = ["Frames", "Inference"]

#: One array, or one for each input or output by name.
Frames = np.ndarray | dict[str, np.ndarray]


class Inference:
    """The part of an overlay that runs any number of frames, as integers or as raw features.

    `host_model` is the host's part of the network; `top1` says that the accelerator gives only the
    class of a frame. The overlay has buffers of a batch (`_allocate`) and runs what is in them
    (``execute_on_buffers``).
    """

    host_model: HostModel | None
    top1: bool

    @property
    def batch_size(self) -> int:
        """Frames that the buffers hold; setting it allocates new buffers."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise DriverError(f"batch_size must be an integer of 1 or more, not {value!r}")
        self._batch_size = int(value)
        self._allocate()

    def _frames_to_run(self, batch_size: int | None) -> int:
        """Return the frames of a run, by default all that the buffers hold."""
        frames = self.batch_size if batch_size is None else batch_size
        if not 0 <= frames <= self.batch_size:
            raise DriverError(
                f"{frames} frames: the buffers hold {self.batch_size}; set batch_size to {frames}"
            )
        return frames

    def execute(self, input_npy: np.ndarray | list) -> np.ndarray:
        """Run integers (frames, ...), any number of frames; return (frames, *oshape_normal[1:]).

        As in FINN, the array may be the only element of a list.
        """
        if isinstance(input_npy, list):
            if len(input_npy) != self.num_inputs:
                raise DriverError(
                    f"execute got {len(input_npy)} arrays; expected {self.num_inputs}, one for "
                    "each input: give the array alone, or as the only one of a list"
                )
            (input_npy,) = input_npy
        packed = self.pack_input(self.fold_input(input_npy))
        out = np.empty((len(packed), *self.oshape_packed()[1:]), np.uint8)
        for first in range(0, len(packed), self.batch_size):
            part = packed[first : first + self.batch_size]
            self.copy_input_data_to_device(part)
            self.execute_on_buffers(batch_size=len(part))
            self.copy_output_data_from_device(out[first : first + len(part)])
        return self.unfold_output(self.unpack_output(out))

    def run(self, features: Frames) -> Frames:
        """Return the network's output, float32 (frames, values), for raw features.

        Of several inputs, `features` is a dictionary of arrays by name, or all values side by
        side; of several outputs, the result is a dictionary.
        """
        host = self._host()
        if self.top1:
            raise DriverError(
                "this accelerator gives only the class: use classify(), or build without --top1"
            )
        return host.after(self._integers(features).reshape(-1, host.n_out))

    def classify(self, features: Frames) -> np.ndarray:
        """Return the class of each frame, int64 (frames,), for raw features."""
        return self.classes(self._integers(features))

    def classes(self, integers: np.ndarray) -> np.ndarray:
        """Return the class of each frame, int64 (frames,), from the accelerator's integers."""
        if self.top1:
            return integers.reshape(len(integers)).astype(np.int64)
        host = self._host()
        return host.classify(integers.reshape(-1, host.n_out))

    def _integers(self, features: Frames) -> np.ndarray:
        integers = self._host().before(features)
        return self.execute(integers.reshape(len(integers), *self.ishape_normal()[1:]))

    def _host(self) -> HostModel:
        if self.host_model is None:
            raise DriverError("this overlay was made without a host model: use execute()")
        return self.host_model
