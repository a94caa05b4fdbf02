"""What an overlay does around its accelerator: the host's part of the network, and classes.

Needs only numpy and runs on Python 3.10.
"""

from __future__ import annotations

import numpy as np

if __package__:  # in the project's checkout
    from deploy.host_model import HostModel
    from deploy.registers import DriverError
else:  # beside this file, as on the board
    from host_model import HostModel
    from registers import DriverError

__all__ = ["Frames", "Inference"]

#: One array, or one for each input or output by name.
Frames = np.ndarray | dict[str, np.ndarray]


class Inference:
    """The part of an overlay that takes raw features, over its ``execute``.

    `host_model` is the host's part of the network; `top1` says that the accelerator gives only the
    class of a frame.
    """

    host_model: HostModel | None
    top1: bool

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
