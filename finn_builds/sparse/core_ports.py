"""What the parallel core looks like from outside: its ports, latency and clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finn_builds.network import IntegerNetwork, Tensor
from finn_builds.network.names import identifiers
from finn_builds.network.types import BIPOLAR, bits_of, datatype_for, is_signed
from finn_builds.sparse.emit import Lane, lanes


@dataclass(frozen=True)
class Port:
    """A tensor as a port: its elements side by side, the first least significant."""

    name: str  # of the port
    tensor: str
    datatype: str  # QONNX name; a BIPOLAR element is one bit, 0 for -1
    elements: int

    @property
    def width(self) -> int:
        """Bits of an element."""
        return bits_of(self.datatype)

    @property
    def bits(self) -> int:
        """Bits of the port."""
        return self.width * self.elements

    @property
    def signed(self) -> bool:
        """Whether elements are in two's complement."""
        return is_signed(self.datatype) and self.width > 1

    @property
    def lanes(self) -> list[Lane]:
        """Where the elements lie."""
        return lanes(self.name, self.elements, self.width)


@dataclass(frozen=True)
class CorePorts:
    """What the core looks like from outside.

    Attributes
    ----------
    name : str
        Of the module.
    inputs, outputs : tuple of Port
        In the order of the network's.
    latency : int
        Clocks from a frame at the input to its result at the output.
    clock_ns : float
        What it was pipelined for.
    stage_ns : float
        Estimated longest path between two registers.
    luts, flip_flops : int
        Estimated.
    cells : str
        ``vendor`` or ``generic``.
    with_ce : bool
        Whether there is a clock enable.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    latency: int
    clock_ns: float
    stage_ns: float
    luts: int
    flip_flops: int
    cells: str
    with_ce: bool

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> CorePorts:
        """Read what `save` wrote."""
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        ends = {key: tuple(Port(**port) for port in held[key]) for key in ("inputs", "outputs")}
        return cls(**{**held, **ends})


def ports_of(
    network: IntegerNetwork,
    shown: Mapping[str, str] | None = None,
    types: tuple[str, str] = (BIPOLAR, BIPOLAR),
    *,
    block: str = "",
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the ports of a network's inputs and outputs.

    `shown` gives tensors another name than their own. `types` are those that the operator graph
    takes and gives all elements in: only of a BIPOLAR one is a bipolar element a single bit.
    `block` is the name of the core, which no port may have.
    """
    shown = shown or {}
    ends: list[tuple[str, Tensor]] = [(f"in:{t.name}", t) for t in network.inputs]
    ends += [(f"out:{name}", network.tensor(name)) for name in dict.fromkeys(network.outputs)]
    known: set[str] = set()
    names = []
    for key, tensor in ends:
        name = shown.get(tensor.name, tensor.name)
        names.append(f"{name}_out" if key.startswith("out:") and name in known else name)
        known.add(name)
    words = identifiers(names, block)
    ports = []
    for word, (key, tensor) in zip(words, ends, strict=True):
        common = types[key.startswith("out:")]
        two = tensor.datatype == BIPOLAR and common != BIPOLAR
        datatype = "INT2" if two else tensor.datatype
        if network.head is not None and key.startswith("out:"):
            # On a stream the class fills whole bytes; a port has the bits that it needs.
            datatype = datatype_for(*tensor.bounds)
        ports.append(Port(word, tensor.name, datatype, tensor.size))
    count = len(network.inputs)
    return tuple(ports[:count]), tuple(ports[count:])
