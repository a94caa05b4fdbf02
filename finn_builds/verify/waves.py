"""What every net held, clock by clock: read from a waveform, or recorded and written as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from vcd.reader import TokenKind, tokenize
from vcd.writer import VCDWriter

from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import Bit, Netlist

#: Bits of a net, and which of them are known.
Sample = tuple[int, int]

CLOCK = "ap_clk"
#: Ports of a node that something outside drives.
_INPUTS = ("ap_rst_n", "s_axis_0_tdata", "s_axis_0_tvalid", "m_axis_0_tready")


@dataclass
class Waves:
    """What nets held right before each rising edge of the clock, the first of them edge 0."""

    # by path, the samples of a net with the edges at which each is first seen
    _edges: dict[str, list[int]] = field(default_factory=dict)
    _samples: dict[str, list[Sample]] = field(default_factory=dict)
    edges: int = 0

    def at(self, path: str, edge: int) -> Sample | None:
        """Return what a net held at an edge; None if the net is not known then."""
        place = bisect_right(self._edges.get(path, ()), edge)
        return self._samples[path][place - 1] if place else None

    def bits(self, path: str, edge: int) -> int:
        """Return the known bits of a net at an edge, the others 0."""
        bits, known = self.at(path, edge) or (0, 0)
        return bits & known

    def note(self, path: str, edge: int, sample: Sample) -> None:
        """Add what a net holds from an edge on; edges never go back."""
        edges = self._edges.setdefault(path, [])
        samples = self._samples.setdefault(path, [])
        if edges and edges[-1] == edge:
            samples[-1] = sample
        elif not samples or samples[-1] != sample:
            edges.append(edge)
            samples.append(sample)

    def write(self, path: Path, widths: Mapping[str, int], timescale: str = "1 ns") -> None:
        """Write a VCD file in which edge `k` is at time ``2 * k + 1``, the clock among the nets."""
        with path.open("w", encoding="ascii") as file, VCDWriter(file, timescale) as writer:
            clock = writer.register_var("top", CLOCK, "wire", size=1, init=0)
            variables = {}
            for name, width in widths.items():
                scope, _, own = f"top.{name}".rpartition(".")
                variables[name] = writer.register_var(scope, own, "wire", size=width, init="x")
            changes = sorted(
                (edge, name, sample)
                for name in widths
                for edge, sample in zip(
                    self._edges.get(name, ()), self._samples.get(name, ()), strict=True
                )
            )
            place = 0
            for edge in range(self.edges):
                writer.change(clock, 2 * edge, 0)
                while place < len(changes) and changes[place][0] <= edge:
                    _, name, sample = changes[place]
                    place += 1
                    writer.change(variables[name], 2 * edge, _text(sample, widths[name]))
                writer.change(clock, 2 * edge + 1, 1)


def _text(sample: Sample, width: int) -> str:
    bits, known = sample
    return "".join(
        str((bits >> k) & 1) if (known >> k) & 1 else "x" for k in reversed(range(width))
    )


def read_vcd(path: Path, clock: str) -> Waves:
    """Read a waveform; nets are named by their scopes and their name, with dots between.

    The clock is named in the same way, without the outermost scope, which all names leave out.
    """
    scopes: list[str] = []
    names: dict[str, list[str]] = {}
    waves = Waves()
    now: list[tuple[str, Sample]] = []
    ticking: str | None = None
    last_clock = 0

    def flush() -> None:
        nonlocal last_clock
        level = last_clock
        for code, (bits, _) in now:
            if code == ticking:
                level = bits & 1
        # What changes with the edge is seen by the next one.
        waves.edges += level > last_clock
        last_clock = level
        for code, sample in now:
            for name in names.get(code, ()):
                waves.note(name, waves.edges, sample)
        now.clear()

    with path.open("rb") as file:
        for token in tokenize(file):
            match token.kind:
                case TokenKind.SCOPE:
                    scopes.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scopes.pop()
                case TokenKind.VAR:
                    name = ".".join([*scopes[1:], token.var.reference])
                    names.setdefault(token.var.id_code, []).append(name)
                    if name == clock:
                        ticking = token.var.id_code
                case TokenKind.CHANGE_TIME:
                    flush()
                case TokenKind.CHANGE_SCALAR:
                    change = token.scalar_change
                    now.append((change.id_code, _sample(change.value)))
                case TokenKind.CHANGE_VECTOR:
                    vector = token.vector_change
                    now.append((vector.id_code, _sample(vector.value)))
                case _:
                    pass
    flush()
    return waves


def _sample(value: int | str) -> Sample:
    """Return a value of a waveform, of which `x` and `z` are not known."""
    if isinstance(value, int):
        return value, -1
    bits = int("".join(c if c in "01" else "0" for c in value), 2)
    # The leftmost digit goes on to the left, a 1 as 0.
    known = int("".join(str(int(c in "01")) for c in value), 2)
    return bits, known | (-1 << len(value) if value[0] in "01" else 0)


class Recorder:
    """Records lane 0 of a netlist's simulation: nets that have a name, ports, and `more` nets."""

    def __init__(
        self, netlist: Netlist, more: Mapping[str, tuple[Bit, ...]] = MappingProxyType({})
    ) -> None:
        self.waves = Waves()
        driven: set[Bit] = {"0", "1"}
        for cell in netlist.cells:
            driven.update(bit for bits in cell.outputs.values() for bit in bits)
        for name in _INPUTS:
            driven.update(netlist.ports.get(name, ()))
        self._nets = {
            name: (bits, sum((bit in driven) << k for k, bit in enumerate(bits)))
            for name, bits in {**netlist.nets, **more, **netlist.ports}.items()
            if name != CLOCK
        }

    @property
    def widths(self) -> dict[str, int]:
        """The bits of each net."""
        return {name: len(bits) for name, (bits, _) in self._nets.items()}

    def __call__(self, simulator: GateSimulator) -> None:
        """Record what the nets hold right before an edge."""
        for name, (bits, known) in self._nets.items():
            value = sum((simulator.read(bit) & 1) << k for k, bit in enumerate(bits))
            self.waves.note(name, self.waves.edges, (value & known, known))
        self.waves.edges += 1
