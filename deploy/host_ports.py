"""One input and one output of a model, and what the host computes between them and the integers."""

import math

import numpy as np

from deploy.host_operations import Operations, evaluate, level_range, unknown_part

OUTPUT_KINDS = ("logits", "probabilities", "levels", "argmax")

# Operations that keep the order of a frame's outputs: the class does not depend on them.
_ORDER_KEEPING = ("softmax", "log_softmax", "sigmoid")


class HostInput:
    """One part of the accelerator's input, and how it comes from an input of the model."""

    def __init__(self, held: dict) -> None:
        codes = held["codes"]
        self.name: str = held["name"]  # the model's input that it is computed from
        # Of one frame of that input, without the batch
        self.shape: tuple[int, ...] = tuple(int(d) for d in held["shape"])
        self.values: dict | None = held.get("values")
        self.n = int(held["n"])  # integers per frame
        self.datatype: str = held["datatype"]  # QONNX name of the integers' type
        self.low, self.high = int(codes["min"]), int(codes["max"])  # of the integers
        self._take = None if held.get("take") is None else np.asarray(held["take"], dtype=np.int64)
        self._before = Operations(held["before"])
        self._codes = codes

    @property
    def size(self) -> int:
        """Values of one frame of the model's input."""
        return math.prod(self.shape)

    def front(self, x: np.ndarray, last: int | None = None) -> np.ndarray:
        """Return the values after the operations (up to `last`), in float32."""
        if self._take is not None:
            x = x[:, self._take]
        return x if last == 0 else Operations(self._before.ops[:last])(x)

    def codes(self, x: np.ndarray) -> np.ndarray:
        """Return the integers, in floating point, for (frames, size) of the model's input."""
        scale = np.asarray(self._codes["scale"], dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.rint(self.front(x) / scale)

    def saturated(self, x: np.ndarray) -> np.ndarray:
        """Return which values quantisers cut off, bool, for (frames, size) of the model's input.

        Beyond half a step outside of what a quantiser on the host can represent.
        """
        y = self.front(x, 0)
        lost = ~np.isfinite(y)
        with np.errstate(all="ignore"):
            for op in self._before.ops:
                if op["op"] == "quant" and not (op["signed"] and op["bits"] == 1):
                    low, high = level_range(op["bits"], op["signed"], op["narrow"])
                    levels = y / op["scale"] + op["zero_point"]
                    cut = (levels < low - 0.5) | (levels > high + 0.5)
                    lost = lost | cut if lost.shape == cut.shape else cut
                y = evaluate(op, y)
        return lost

    def shifted(self, codes: np.ndarray) -> np.ndarray:
        """Return integers of the model as those that the accelerator takes."""
        return codes.astype(np.int64) // self._codes["divisor"] + self._codes["zero_point"]


class HostOutput:
    """One output of the model, and how it comes from the accelerator's integers."""

    def __init__(self, held: dict) -> None:
        self.name: str = held["name"]  # that of the model
        self.kind: str = held["kind"]  # one of ``OUTPUT_KINDS``
        # Of one frame, without the batch
        self.shape: tuple[int, ...] = tuple(int(d) for d in held["shape"])
        if self.kind not in OUTPUT_KINDS:
            raise unknown_part(f"output kind '{self.kind}'")
        # Places of its integers in all that the accelerator gives; None for all of them
        self.take = None if held.get("take") is None else np.asarray(held["take"], dtype=np.int64)
        self._after = Operations(held["after"])

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of what the host does to the integers."""
        return tuple(op["op"] for op in self._after.ops)

    def values(self, y: np.ndarray) -> np.ndarray:
        """Return the output, float32 (frames, n), for all integers of the accelerator."""
        z = self._after(self._taken(y))
        if self.kind == "argmax":
            return z.argmax(axis=1).astype(np.float32)[:, None]
        return z

    def scores(self, y: np.ndarray) -> np.ndarray:
        """Return the values whose largest is the class: those before a final softmax."""
        ops = self._after.ops
        while ops and ops[-1]["op"] in _ORDER_KEEPING:
            ops = ops[:-1]
        return Operations(ops)(self._taken(y))

    def _taken(self, y: np.ndarray) -> np.ndarray:
        y = y.astype(np.float32)
        return y if self.take is None else y[:, self.take]
