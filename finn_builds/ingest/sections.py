"""A tidied chain seen as layers: what comes before, between and after its MatMuls."""

from dataclasses import dataclass

from finn_builds.errors import UserError
from finn_builds.ingest.chain import Chain, Step
from finn_builds.ingest.elementwise import ELEMENTWISE, FINAL
from finn_builds.ingest.lattice import (
    Lattice,
    last_quantizer,
    output_lattice,
    quantised_lattice,
    typed_lattice,
)

_AT_THE_END = "is supported at the network's end only; leave it out, or move it there"


@dataclass(frozen=True)
class Section:
    """A MatMul and the steps up to the next one."""

    matmul: Step
    tail: tuple[Step, ...]


@dataclass(frozen=True)
class Sections:
    """A tidied chain in sections."""

    front: tuple[Step, ...]  # steps before the first MatMul, without a leading Flatten
    layers: tuple[Section, ...]  # one per MatMul


def sections(chain: Chain) -> Sections:
    """Return a tidied chain in sections."""
    steps = [s for s in chain.steps if s.op != "Flatten"]
    at = [i for i, s in enumerate(steps) if s.op == "MatMul"]
    bounds = [*at[1:], len(steps)]
    layers = tuple(
        Section(steps[a], tuple(steps[a + 1 : b])) for a, b in zip(at, bounds, strict=True)
    )
    return Sections(tuple(steps[: at[0]]), layers)


def input_lattice(chain: Chain, parts: Sections) -> Lattice | None:
    """Return the lattice of the first MatMul's input, or ``None`` where it is not quantised."""
    if last_quantizer(parts.front) is not None:
        return quantised_lattice(parts.front, str(parts.layers[0].matmul))
    if chain.input_datatype:
        return typed_lattice(chain.input_datatype, parts.front)
    return None


def hidden_lattice(parts: Sections, index: int) -> Lattice:
    """Return the lattice between layer `index` and the next; UserError without a quantizer."""
    layer, after = parts.layers[index], parts.layers[index + 1].matmul
    if last_quantizer(layer.tail) is None:
        raise UserError(
            f"the activations from {layer.matmul} to {after} are not quantised; put a quantizer "
            "of 1 to 8 bits between the two layers"
        )
    return quantised_lattice(layer.tail, str(after))


def final_lattice(parts: Sections) -> Lattice | None:
    """Return the lattice of a quantizer at the network's end that hardware can do, or ``None``."""
    lattice = output_lattice(parts.layers[-1].tail)
    if lattice is None or any(s.op not in ELEMENTWISE for s in lattice.kept):
        return None
    return lattice


def check_sections(chain: Chain) -> None:
    """Raise UserError where a tidied chain has no integers to build from."""
    parts = sections(chain)
    final = (*FINAL, "ArgMax")
    inner = [*parts.front, *(s for layer in parts.layers[:-1] for s in layer.tail)]
    for step in inner:
        if step.op in final:
            raise UserError(f"{step} {_AT_THE_END}")
    tail = parts.layers[-1].tail
    for i, step in enumerate(tail):
        if step.op == "ArgMax" and i != len(tail) - 1:
            raise UserError(f"{step} {_AT_THE_END}")
    input_lattice(chain, parts)
    for i in range(len(parts.layers) - 1):
        hidden_lattice(parts, i)
    final_lattice(parts)
