"""The header: constants of both ends, every operation as a function, `predict`, and a class."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finn_builds.emulator.host import host_functions
from finn_builds.emulator.operations import Element, Statement, statements, type_for
from finn_builds.network import IntegerNetwork, Node, Tensor
from finn_builds.network.names import identifiers, in_comment
from finn_builds.network.types import bits_of, is_signed

#: Statements of about this cost go into one function: compilers take more than linear time.
_LARGEST_FUNCTION = 600

_HEAD = """\
// {name}: a bit-exact model in C++11 of a network in hardware.
//
// {shape}
// Integers in, integers out; nothing but <cstdint>, <cstddef>{cmath}; no dynamic memory.
// Frames hold the elements of all inputs (outputs) side by side, in the order below. Every input
// must lie in the range of its type: the hardware has no wires for more.
#ifndef PRUNESTREAM_EMULATOR_{guard}_H
#define PRUNESTREAM_EMULATOR_{guard}_H

{includes}#include <cstddef>
#include <cstdint>

namespace {name} {{

typedef {in_type} input_t;
typedef {out_type} output_t;

constexpr std::size_t n_in = {n_in};
constexpr std::size_t n_out = {n_out};

{ends}
namespace detail {{

{helpers}
{functions}
}}  // namespace detail

/// The outputs of one frame, y[n_out], for its inputs, x[n_in].
inline void predict(const input_t* x, output_t* y) {{
{body}
}}

/// The same for frames one after another.
inline void predict(const input_t* x, output_t* y, std::size_t frames) {{
  for (std::size_t i = 0; i < frames; ++i) predict(x + i * n_in, y + i * n_out);
}}

/// The three calls that experiments' frameworks make of a model.
class model {{
 public:
  void prepare_input(const input_t* x) {{
    for (std::size_t i = 0; i < n_in; ++i) x_[i] = x[i];
  }}
  void predict() {{ {name}::predict(x_, y_); }}
  void read_result(output_t* y) const {{
    for (std::size_t i = 0; i < n_out; ++i) y[i] = y_[i];
  }}

 private:
  input_t x_[n_in] = {{}};
  output_t y_[n_out] = {{}};
}};
{host}
}}  // namespace {name}

#endif
"""

#: Helpers by name, in the order in which one may call another. No negative number is shifted:
#: C++11 leaves open what that gives.
_HELPERS = {
    "clipped": """\
// v clipped to 0..top, by masks: a branch on data is guessed wrong half of the time.
template <typename T>
inline T clipped(T v, T top) {
  const T p = v & -static_cast<T>(v > 0);
  return top + ((p - top) & -static_cast<T>(p < top));
}
""",
    "floor": """\
template <typename T>
inline T floor(T v, int shift, T top) {
  return clipped<T>((v & -static_cast<T>(v > 0)) >> shift, top);
}
""",
    "ceil": """\
template <typename T>
inline T ceil(T v, int shift, T top) {
  return detail::floor<T>(v + ((static_cast<T>(1) << shift) - 1), shift, top);
}
""",
    "round": """\
// Half to even, where `zero` stands for the number 0.
template <typename T>
inline T round(T v, int shift, T zero, T top) {
  if (v < 0) return 0;
  if (shift == 0) return clipped<T>(v, top);
  const T half = static_cast<T>(1) << (shift - 1);
  const T odd = ((v >> shift) ^ zero) & 1;
  return clipped<T>((v + half - 1 + odd) >> shift, top);
}
""",
    "symmetric": """\
// v / 2^shift - zero, its magnitude rounded down once `added` is added; `zero` added again.
template <typename T>
inline T symmetric(T v, int shift, T zero, T top, T added) {
  const T d = v - zero * (static_cast<T>(1) << shift);
  const T q = d < 0 ? -((added - d) >> shift) : (d + added) >> shift;
  return clipped<T>(q + zero, top);
}
""",
    "down": """\
template <typename T>
inline T down(T v, int shift, T zero, T top) {
  return symmetric<T>(v, shift, zero, top, 0);
}
""",
    "up": """\
template <typename T>
inline T up(T v, int shift, T zero, T top) {
  return symmetric<T>(v, shift, zero, top, (static_cast<T>(1) << shift) - 1);
}
""",
    "half_up": """\
template <typename T>
inline T half_up(T v, int shift, T zero, T top) {
  return symmetric<T>(v, shift, zero, top, (static_cast<T>(1) << shift) / 2);
}
""",
    "half_down": """\
template <typename T>
inline T half_down(T v, int shift, T zero, T top) {
  const T unit = static_cast<T>(1) << shift;
  return symmetric<T>(v, shift, zero, top, shift == 0 ? 0 : unit / 2 - 1);
}
""",
    "reached": """\
// The number of the ascending rows that are at most x.
template <typename T>
inline std::int32_t reached(const T* rows, std::int32_t count, T x) {
  std::int32_t begin = 0;
  while (count > 0) {
    const std::int32_t half = count / 2;
    if (rows[begin + half] <= x) {
      begin += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return begin;
}
""",
    "larger": """\
template <typename T>
inline T larger(T a, T b) {
  return a > b ? a : b;
}
""",
    "first_largest": """\
template <typename T>
inline std::int32_t first_largest(const T* keys, std::int32_t count) {
  std::int32_t best = 0;
  for (std::int32_t i = 1; i < count; ++i)
    if (keys[i] > keys[best]) best = i;
  return best;
}
""",
}

#: What a helper calls.
_CALLS = {
    "floor": ("clipped",),
    "ceil": ("floor",),
    "round": ("clipped",),
    "symmetric": ("clipped",),
    **dict.fromkeys(("down", "up", "half_up", "half_down"), ("symmetric",)),
}


def header_text(
    network: IntegerNetwork,
    name: str,
    host: Mapping[str, Any] | None = None,
    ports: Sequence[tuple[str, str]] | None = None,
) -> str:
    """Return the header ``<name>.h`` of a network.

    Parameters
    ----------
    network : IntegerNetwork
    name : str
        The C++ namespace.
    host : mapping, optional
        The description of a `deploy.host_model.HostModel`. The header then has `prepare` and
        `finish`, the floating point before and after the network, and the scales of its integers.
    ports : sequence of (name, datatype), optional
        The ports of the inputs and then of the outputs; without it they are called as the tensors
        are. A port may have other bits than its tensor, which on a stream fills whole bytes.

    Raises
    ------
    ValueError
        If the name is not an identifier, or a sum may leave 64 bits.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"expected a C++ identifier as name, found {name!r}")
    ends = [*network.inputs, *(network.tensor(n) for n in network.outputs)]
    in_type = _type_of_all(network.inputs)
    out_type = _type_of_all(ends[len(network.inputs) :])
    if ports is None:
        ports = [*_plain_ports(network.inputs), *_plain_ports(ends[len(network.inputs) :])]
    types = {t.name: in_type for t in network.inputs}
    body, functions = _function_calls(network, types, out_type)
    before_after = "" if host is None else host_functions(host, finish=network.head is None)
    text = "\n".join(functions)
    return _HEAD.format(
        name=name,
        guard=name.upper(),
        shape=_shape(network),
        cmath=", <cmath>" if before_after else "",
        includes="#include <cmath>\n" if before_after else "",
        in_type=in_type,
        out_type=out_type,
        n_in=sum(t.size for t in network.inputs),
        n_out=sum(network.tensor(n).size for n in network.outputs),
        ends=_constants(network, host, ports),
        helpers="\n".join(_helpers(text)),
        functions=text,
        body="\n".join(body),
        host=before_after,
    )


def _shape(network: IntegerNetwork) -> str:
    def listed(tensors: Iterable[Tensor]) -> str:
        return ", ".join(f"{in_comment(t.name)} ({t.size} x {t.datatype})" for t in tensors)

    return f"{listed(network.inputs)} -> {listed(map(network.tensor, network.outputs))}"


def _plain_ports(tensors: Sequence[Tensor]) -> list[tuple[str, str]]:
    words = identifiers([tensor.name for tensor in tensors])
    return [(word, tensor.datatype) for word, tensor in zip(words, tensors, strict=True)]


def _most(tensor: Tensor) -> int:
    low, high = tensor.bounds
    return max(-low, high)


def _type_of_all(tensors: Sequence[Tensor]) -> str:
    return type_for(max(_most(tensor) for tensor in tensors))


def _function_calls(
    network: IntegerNetwork, types: dict[str, str], out_type: str
) -> tuple[list[str], list[str]]:
    """Return the body of `predict` and the functions that it calls."""
    at = {}
    offset = 0
    for tensor in network.inputs:
        at[tensor.name] = f"x + {offset}" if offset else "x"
        offset += tensor.size
    body: list[str] = []
    functions: list[str] = []
    for k, node in enumerate(_alive(network)):
        out = node.output
        types[out.name] = type_for(_most(out))
        at[out.name] = f"t{k}"
        sources = ", ".join(map(in_comment, node.inputs))
        functions.append(f"// {in_comment(out.name)} = {node.op}, of {sources}")
        body.append(f"  {types[out.name]} t{k}[{out.size}];  // {in_comment(out.name)}")
        for part, (lines, reads) in enumerate(_parts(network, node, types)):
            called = f"node_{k}_{part}"
            takes = "".join(f"const {types[name]}* {at_name}, " for name, at_name in reads.items())
            functions.append(f"inline void {called}({takes}{types[out.name]}* y) {{")
            functions += [f"    {line.text}" for line in lines] + ["}", ""]
            given = "".join(f"{at[name]}, " for name in reads)
            body.append(f"  detail::{called}({given}t{k});")
    offset = 0
    for name in network.outputs:
        size = network.tensor(name).size
        cast = "" if types[name] == out_type else f"static_cast<{out_type}>"
        to, source = f"i + {offset}" if offset else "i", at[name]
        source = f"({source})" if "+" in source else source
        value = f"{source}[i]" if not cast else f"{cast}({source}[i])"
        body.append(f"  for (std::size_t i = 0; i < {size}; ++i) y[{to}] = {value};")
        offset += size
    return body, functions


def _alive(network: IntegerNetwork) -> list[Node]:
    """Return the nodes that an output depends on."""
    wanted = set(network.outputs)
    for node in reversed(network.nodes):
        if node.output.name in wanted:
            wanted.update(node.inputs)
    return [node for node in network.nodes if node.output.name in wanted]


def _parts(
    network: IntegerNetwork, node: Node, types: Mapping[str, str]
) -> list[tuple[list[Statement], dict[str, str]]]:
    """Return a node's statements in parts of a size, each with the names of what it reads."""
    called = {name: f"x{i}" for i, name in enumerate(dict.fromkeys(node.inputs))}
    elements = [
        Element(f"{called[name]}[{i}]", types[name], int(low), int(high))
        for name in node.inputs
        for tensor in (network.tensor(name),)
        for i, (low, high) in enumerate(zip(tensor.low, tensor.high, strict=True))
    ]
    parts: list[list[Statement]] = [[]]
    for statement in statements(node, elements, types[node.output.name]):
        if sum(line.cost for line in parts[-1]) > _LARGEST_FUNCTION:
            parts.append([])
        parts[-1].append(statement)
    found = []
    for lines in parts:
        text = "".join(line.text for line in lines)
        reads = {name: word for name, word in called.items() if f"{word}[" in text}
        found.append((lines, reads))
    return found


def _helpers(text: str) -> list[str]:
    """Return the helpers that a text calls, and those that they call."""
    wanted = {name for name in _HELPERS if re.search(rf"\b{name}\(", text)}
    for name in reversed(_HELPERS):
        if name in wanted:
            wanted.update(_CALLS.get(name, ()))
    return [code for name, code in _HELPERS.items() if name in wanted]


def _constants(
    network: IntegerNetwork, host: Mapping[str, Any] | None, ports: Sequence[tuple[str, str]]
) -> str:
    into, out = _scales(network, host)
    count = len(network.inputs)
    lines = []
    for space, names, there, scales in (
        ("inputs", [tensor.name for tensor in network.inputs], ports[:count], into),
        ("outputs", list(network.outputs), ports[count:], out),
    ):
        offset = 0
        lines.append(f"namespace {space} {{")
        for name, (word, datatype), scale in zip(names, there, scales, strict=True):
            tensor = network.tensor(name)
            lines += [
                f"namespace {word} {{  // {datatype}",
                f"constexpr std::size_t offset = {offset};",
                f"constexpr std::size_t size = {tensor.size};",
                f"constexpr int bits = {bits_of(datatype)};",
                f"constexpr bool is_signed = {str(is_signed(datatype)).lower()};",
            ]
            if scale is not None:
                lines.append(f"constexpr double scale = {scale!r};  // of one unit")
                mantissa, exponent = math.frexp(scale)
                if mantissa == 0.5:
                    lines.append(f"constexpr int fraction_bits = {1 - exponent};")
            lines.append(f"}}  // namespace {word}")
            offset += tensor.size
        lines += [f"}}  // namespace {space}", ""]
    return "\n".join(lines)


def _scales(
    network: IntegerNetwork, host: Mapping[str, Any] | None
) -> tuple[list[float | None], list[float | None]]:
    """Return what one unit of each input and each output is worth, None where that is unknown.

    An output's is known where the first thing that the host does to it is a common factor.
    """
    into: list[float | None] = [None] * len(network.inputs)
    out: list[float | None] = [None] * len(network.outputs)
    if host is None:
        return into, out
    for k, part in enumerate(host["inputs"]):
        codes = part["codes"]
        into[k] = _number(codes["scale"], codes["divisor"])
    if len(host["outputs"]) == len(out) and network.head is None:
        for k, part in enumerate(host["outputs"]):
            first = part["after"][0] if part["after"] else {"op": ""}
            out[k] = _number(first["value"]) if first["op"] == "mul" else None
    return into, out


def _number(value: object, times: int = 1) -> float | None:
    """Return a single number, None for one of each element."""
    return float(value) * times if isinstance(value, float | int) else None
