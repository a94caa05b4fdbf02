"""FINN's two calls that load weights at run time, for accelerators whose weights are constants."""

from __future__ import annotations

from pathlib import Path

from deploy.registers import DriverError

__all__ = ["ConstantWeights"]


class ConstantWeights:
    """The part of FINN's overlay class that loads weights.

    The weights of this project's accelerators are in their bitfiles. Files of weights beside them
    belong to another accelerator, and are refused.
    """

    runtime_weight_dir: str
    external_weights: list  # of FINN's (DMA, buffer, name, repeats): none

    def load_external_weights(self) -> None:
        """Find no external weights, which FINN keeps one ``.npy`` file a layer.

        Raises `DriverError` if there are some.
        """
        self.external_weights = []
        self._refuse(".npy")

    def load_runtime_weights(self, flush_accel: bool = True, verify: bool = True) -> None:
        """Find no weights to write, which FINN keeps one ``.dat`` file a layer.

        As in FINN, a run of what is in the buffers follows if the folder is there and `flush_accel`
        is set; there is nothing for `verify` to read back. Raises `DriverError` if there are some.
        """
        if self._refuse(".dat") and flush_accel:
            self.execute_on_buffers()

    def _refuse(self, suffix: str) -> bool:
        """Say whether the folder is there; `DriverError` if it holds files of weights."""
        folder = Path(self.runtime_weight_dir)
        if not folder.is_dir():
            return False
        found = sorted(path.name for path in folder.rglob(f"*{suffix}"))
        if found:
            raise DriverError(
                f"{folder} has weights ({', '.join(found[:3])}), and this accelerator's are "
                "constants of its bitfile: build again to change them, and name an empty "
                "runtime_weight_dir"
            )
        return True
