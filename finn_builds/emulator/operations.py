"""Operations of an integer network as C++ statements, one for each element of their result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from finn_builds.network import Affine, ArgMax, Linear, Lookup, Max, Node, Product, Requantise

INT32, INT64 = "std::int32_t", "std::int64_t"

_IN_32, _IN_64 = 1 << 31, 1 << 63

#: Levels up to which comparisons are written out; beyond that a table is searched.
_FEW_LEVELS = 8


def type_for(most: int) -> str:
    """Return the C++ type that computes with magnitudes of up to `most`; ValueError if none."""
    if most < _IN_32:
        return INT32
    if most < _IN_64:
        return INT64
    raise ValueError(f"the emulator computes in 64 bits, but values reach {most}")


@dataclass(frozen=True)
class Element:
    """One element of an operand: its text, its C++ type and its exact range."""

    text: str
    type: str
    low: int
    high: int

    @property
    def most(self) -> int:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    def as_type(self, wanted: str) -> str:
        """Return the element in a type that is wide enough for it."""
        return self.text if wanted == self.type else f"static_cast<{wanted}>({self.text})"


@dataclass(frozen=True)
class Statement:
    """A line of C++ that sets one element, what it costs to compile, and what it reads."""

    text: str
    cost: int = 1


def literal(value: int, type: str = INT32) -> str:
    """Return a constant of a type."""
    if type == INT64:
        return f"INT64_C({value})"
    return "(-2147483647 - 1)" if value == -_IN_32 else str(value)


def _stored(text: str, type: str, into: str) -> str:
    return text if type == into else f"static_cast<{into}>({text})"


def statements(node: Node, elements: Sequence[Element], out: str) -> Iterator[Statement]:
    """Yield what sets ``y[0]``, ``y[1]``, ... of type `out` to a node's result."""
    op = node.op
    match op:
        case Linear():
            yield from _linear(op, elements, out)
        case Requantise():
            yield from _requantise(op, elements, out)
        case Lookup():
            yield from _lookup(op, elements, out)
        case Product():
            for j, (a, b) in enumerate(zip(op.left, op.right, strict=True)):
                left, right = elements[a], elements[b]
                kind = type_for(left.most * right.most)
                text = f"{left.as_type(kind)} * {right.as_type(kind)}"
                yield Statement(f"y[{j}] = {_stored(text, kind, out)};")
        case Max():
            for j, group in enumerate(op.groups.tolist()):
                yield _max([elements[i] for i in dict.fromkeys(group)], j, out)
        case ArgMax():
            yield _arg_max(op, elements, out)
        case _:
            assert_never(op)


def _linear(op: Linear, elements: Sequence[Element], out: str) -> Iterator[Statement]:
    for j in range(op.n_out):
        column, bias = op.weights[:, j].tolist(), int(op.bias[j])
        used = [(w, e) for w, e in zip(column, elements, strict=True) if w]
        kind = type_for(abs(bias) + sum(abs(w) * e.most for w, e in used))
        # The first summand is of the type of the sum; what is added to it becomes so too.
        text = literal(bias, kind) if bias or kind == INT64 or not used else ""
        for k, (w, e) in enumerate(used):
            size = "" if abs(w) == 1 else f"{literal(abs(w), kind)} * "
            sign = " - " if w < 0 else " + "
            if not text:
                sign = sign.strip(" +")
            line = "\n        " if k and k % 8 == 0 else ""
            text += f"{line}{sign}{size}{e.text}"
        yield Statement(f"y[{j}] = {_stored(text, kind, out)};", 1 + len(used))


def _requantise(op: Requantise, elements: Sequence[Element], out: str) -> Iterator[Statement]:
    rows: list[list[int]] = []
    if not isinstance(op.form, Affine):
        low, high = (np.array([getattr(e, end) for e in elements]) for end in ("low", "high"))
        rows = op.form.thresholds(low, high).tolist()
    for j, x in enumerate(elements):
        tables, count, kind = "", "", INT32
        if isinstance(op.form, Affine):
            count, kind = _affine(op.form, x, j)
        else:
            tables, count = _counted(rows[j], x, j)
        wide = type_for(abs(op.bias) + abs(op.step) * op.form.top)
        if (op.bias, op.step) != (0, 1):
            step = "" if op.step == 1 else f"{literal(op.step, wide)} * "
            bias = f"{literal(op.bias, wide)} + " if op.bias else ""
            count, kind = f"{bias}{step}{_stored(f'({count})', kind, wide)}", wide
        yield Statement(f"{tables}y[{j}] = {_stored(f'({count})', kind, out)};", 4)


def _counted(row: Sequence[int], x: Element, j: int) -> tuple[str, str]:
    """Return the tables that counting thresholds needs, and the count."""
    # Thresholds at the lower end are always reached, those beyond the upper end never.
    always = sum(t <= x.low for t in row)
    rest = [t for t in row if x.low < t <= x.high]
    kind = type_for(max([x.most, *map(abs, rest)]))
    value = x.as_type(kind)
    if len(rest) <= _FEW_LEVELS:
        passed = [f"({value} >= {literal(t, kind)} ? 1 : 0)" for t in rest]
        return "", " + ".join([str(always)] * bool(always or not rest) + passed)
    listed = ", ".join(literal(t, kind) for t in rest)
    tables = f"static const {kind} rows_{j}[{len(rest)}] = {{{listed}}};\n    "
    count = f"reached(rows_{j}, {len(rest)}, {value})"
    return tables, f"{always} + {count}" if always else count


def _affine(form: Affine, x: Element, j: int) -> tuple[str, str]:
    """Return the count of an `Affine` and its type."""
    factor, offset, shift = (int(a[j]) for a in (form.factor, form.offset, form.shift))
    zero, top = form.zero, form.top
    reach = x.most * factor + abs(offset) + ((abs(zero) + 1) << shift)
    kind = type_for(max(reach, top + abs(zero)))
    product = x.as_type(kind) if factor == 1 else f"{literal(factor, kind)} * {x.as_type(kind)}"
    value = f"{product} + {literal(offset, kind)}" if offset else product
    name = form.rounding.lower()
    end = literal(top, kind)
    match form.rounding:
        case "FLOOR" | "CEIL":
            return f"{name}({value}, {shift}, {end})", kind
        case _:
            return f"{name}({value}, {shift}, {literal(zero, kind)}, {end})", kind


def _lookup(op: Lookup, elements: Sequence[Element], out: str) -> Iterator[Statement]:
    for j, (source, first) in enumerate(zip(op.source.tolist(), op.first.tolist(), strict=True)):
        x = elements[source]
        values = op.tables[j, x.low - first : x.high - first + 1].tolist()
        listed = ", ".join(literal(v, out) for v in values)
        at = x.text if not x.low else f"{x.text} - {literal(x.low, x.type)}"
        yield Statement(
            f"static const {out} table_{j}[{len(values)}] = {{{listed}}};\n    "
            f"y[{j}] = table_{j}[static_cast<std::size_t>({at})];"
        )


def _max(group: Sequence[Element], j: int, out: str) -> Statement:
    kind = INT64 if any(e.type == INT64 for e in group) else INT32
    text = group[0].as_type(kind)
    for element in group[1:]:
        text = f"larger({text}, {element.as_type(kind)})"
    return Statement(f"y[{j}] = {_stored(text, kind, out)};", len(group))


def _arg_max(op: ArgMax, elements: Sequence[Element], out: str) -> Statement:
    offsets = op.offsets.tolist()
    kind = type_for(
        max((e.most << op.shift) + abs(o) for e, o in zip(elements, offsets, strict=True))
    )
    keys = ", ".join(
        f"{e.as_type(kind)} * {literal(1 << op.shift, kind)} + {literal(o, kind)}"
        for e, o in zip(elements, offsets, strict=True)
    )
    n = len(elements)
    return Statement(
        f"const {kind} keys[{n}] = {{{keys}}};\n    "
        f"y[0] = {_stored(f'first_largest(keys, {n})', INT32, out)};",
        n,
    )
