"""How the memory of a virtual board behaves: the value of ``--virtual``. For the host only."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.virtual.simulator import MemoryTiming, VirtualBoardError

__all__ = ["Conditions"]

_RESPONSES = {"slverr": 2, "decerr": 3}


@dataclass(frozen=True)
class Conditions(MemoryTiming):
    """How the simulated memory behaves."""

    latency: int = 30
    jitter: int = 10
    seed: int = 0  # of all that is random
    # Response, and the byte of the board's memory whose access gets it; None for every access. The
    # driver's input buffer begins at byte 0.
    read_error: tuple[int, int | None] | None = None
    write_error: tuple[int, int | None] | None = None
    hang: bool = False  # memory accepts nothing and never answers

    @classmethod
    def parse(cls, text: str) -> Conditions:
        """Read ``name=value`` pairs with commas between them; an empty text gives the defaults.

        For example ``latency=200,jitter=100,ready=0.3,valid=0.5,seed=7``,
        ``read_error=slverr`` or ``write_error=decerr@4096``; ``hang`` has no value.
        """
        values: dict[str, object] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = pair.partition("=")
            try:
                values[name] = _READ[name](value)
            except (KeyError, ValueError) as error:
                raise VirtualBoardError(
                    f"--virtual {pair}: expected latency=CYCLES, jitter=CYCLES, ready=0..1, "
                    "valid=0..1, seed=N, read_error= or write_error=slverr|decerr[@BYTE], or hang, "
                    "with commas between them"
                ) from error
        return cls(**values)  # type: ignore[arg-type]


def _count(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value


def _probability(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:  # with 0, nothing would ever move: that is `hang`
        raise ValueError(text)
    return value


def _error(text: str) -> tuple[int, int | None]:
    name, at, byte = text.partition("@")
    return _RESPONSES[name.lower()], _count(byte) if at else None


def _flag(text: str) -> bool:
    if text:
        raise ValueError(text)
    return True


_READ = {
    "latency": _count,
    "jitter": _count,
    "ready": _probability,
    "valid": _probability,
    "seed": _count,
    "read_error": _error,
    "write_error": _error,
    "hang": _flag,
}
