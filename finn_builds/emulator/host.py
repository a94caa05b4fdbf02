"""The floating point before and after the network in C++: what `deploy.host_model` does in numpy.

In single precision, operation by operation and in the same order. The four elementary operations
and rounding give the same bits as numpy does, as long as the compiler does not contract a product
and a sum into one operation (``-ffast-math``, ``-ffp-contract``); exp and tanh may differ in the
last one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deploy.host_operations import level_range

_PREPARE = """
constexpr std::size_t n_features = {features};

/// The integers that the network takes, x[n_in], for the raw features of a frame, f[n_features]:
/// the values of all inputs of the model, one after another.
inline void prepare(const float* f, input_t* x) {{
{parts}
}}
"""

_FINISH = """
constexpr std::size_t n_results = {results};

/// What the integers of the network, y[n_out], stand for: all outputs of the model, one after
/// another, in r[n_results]; of an argmax, what it chooses from.
inline void finish(const output_t* y, float* r) {{
{parts}
}}
"""

#: Operations on one value `v[i]`; `{value}` is the constant of that value.
_ELEMENTWISE = {
    "add": "v[i] + {value}",
    "sub": "v[i] - {value}",
    "rsub": "{value} - v[i]",
    "mul": "v[i] * {value}",
    "div": "v[i] / {value}",
    "relu": "v[i] > 0.0f ? v[i] : 0.0f",
    "tanh": "std::tanh(v[i])",
    "sigmoid": "1.0f / (1.0f + std::exp(-v[i]))",
    "sign": "v[i] > 0.0f ? 1.0f : (v[i] < 0.0f ? -1.0f : 0.0f)",
    "round": "std::nearbyint(v[i])",
    "floor": "std::floor(v[i])",
    "ceil": "std::ceil(v[i])",
    "trunc": "std::trunc(v[i])",
    "abs": "std::fabs(v[i])",
    "exp": "std::exp(v[i])",
    "bipolar": "v[i] >= 0.0f ? {scale} : -{scale}",
}

_ROUNDED = {
    "ROUND": "std::nearbyint({v})",
    "HALF_EVEN": "std::nearbyint({v})",
    "CEIL": "std::ceil({v})",
    "FLOOR": "std::floor({v})",
    "DOWN": "std::trunc({v})",
    "UP": "{v} < 0 ? std::floor({v}) : std::ceil({v})",
    "HALF_UP": "{v} < 0 ? -std::floor(-{v} + 0.5f) : std::floor({v} + 0.5f)",
    "HALF_DOWN": "{v} < 0 ? -std::ceil(-{v} - 0.5f) : std::ceil({v} - 0.5f)",
}

_SOFTMAX = """\
    float most = v[0], sum = 0.0f;
    for (std::size_t i = 1; i < {n}; ++i) most = v[i] > most ? v[i] : most;
    for (std::size_t i = 0; i < {n}; ++i) sum += std::exp(v[i] - most);
    for (std::size_t i = 0; i < {n}; ++i) v[i] = {value};"""


def known_operations(operations: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether every operation of a description is one that this room writes."""
    own = {*_ELEMENTWISE, "clip", "quant", "softmax", "log_softmax"}
    return all(op["op"] in own for op in operations)


def host_functions(host: Mapping[str, Any], *, finish: bool = True) -> str:
    """Return ``prepare`` and, where the network ends in the model's own integers, ``finish``.

    What uses an operation that is not written here is left out, which a comment says.
    """
    text = ""
    if known_operations([op for part in host["inputs"] for op in part["before"]]):
        text += _prepare(host["inputs"])
    else:
        text += "\n// What the host computes before this network is not in this header.\n"
    if finish and known_operations([op for part in host["outputs"] for op in part["after"]]):
        text += _finish(host["outputs"], host["n_out"])
    else:
        text += "\n// What the host computes after this network is not in this header.\n"
    return text


def _prepare(inputs: Sequence[Mapping[str, Any]]) -> str:
    begins: dict[str, int] = {}
    size = 0
    for part in inputs:
        if part["name"] not in begins:
            begins[part["name"]] = size
            size += math.prod(part["shape"])
    blocks, at = [], 0
    for part in inputs:
        tables: list[str] = []
        codes = part["codes"]
        code = f"std::nearbyint(v[i] / {_constant(codes, 'scale', tables)})"
        if codes["divisor"] != 1:
            code = f"std::floor({code} / {_number(codes['divisor'])})"
        if codes["zero_point"]:
            code += f" + {_number(codes['zero_point'])}"
        result = f"x[i + {at}] = static_cast<input_t>({code});"
        steps = _part("f", begins[part["name"]], part["take"], part["n"], part["before"])
        blocks.append(_scope([*steps, *tables, _loop(part["n"], result)]))
        at += part["n"]
    return _PREPARE.format(features=size, parts="\n".join(blocks))


def _finish(outputs: Sequence[Mapping[str, Any]], n_out: int) -> str:
    blocks, at = [], 0
    for part in outputs:
        n = n_out if part["take"] is None else len(part["take"])
        steps = _part("y", 0, part["take"], n, part["after"])
        blocks.append(_scope([*steps, _loop(n, f"r[i + {at}] = v[i];")]))
        at += n
    return _FINISH.format(results=at, parts="\n".join(blocks))


def _part(
    source: str, begin: int, take: Sequence[int] | None, n: int, ops: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what loads ``v[n]`` and applies operations to it."""
    lines = [f"    float v[{n}];"]
    at = f"i + {begin}" if begin else "i"
    if take is not None:
        lines.append(f"    static const std::size_t take[] = {{{', '.join(map(str, take))}}};")
        at = f"take[i] + {begin}" if begin else "take[i]"
    lines.append(_loop(n, f"v[i] = static_cast<float>({source}[{at}]);"))
    return [*lines, *(_block(op, n) for op in ops)]


def _loop(n: int, body: str) -> str:
    return f"    for (std::size_t i = 0; i < {n}; ++i) {body}"


def _scope(lines: Sequence[str]) -> str:
    return "\n".join(["  {", *lines, "  }"])


def _number(value: object) -> str:
    """Return a constant in single precision, exactly."""
    single = np.float32(value)  # type: ignore[arg-type]
    if np.isinf(single):
        return "INFINITY" if single > 0 else "-INFINITY"
    text = str(single)
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _constant(op: Mapping[str, Any], name: str, tables: list[str]) -> str:
    """Return the constant of an operation: a number, or one of a table that is added."""
    value = op[name]
    if not isinstance(value, list):
        return _number(value)
    listed = ", ".join(_number(v) for v in np.ravel(value))
    tables.append(f"    static const float {name}[] = {{{listed}}};")
    return f"{name}[i]"


def _block(op: Mapping[str, Any], n: int) -> str:
    """Return one operation on ``v[n]`` as a block of C++."""
    tables: list[str] = []
    kind = op["op"]
    if kind in ("softmax", "log_softmax"):
        value = "std::exp(v[i] - most) / sum"
        if kind == "log_softmax":
            value = "v[i] - most - std::log(sum)"
        return _scope([_SOFTMAX.format(n=n, value=value)])
    if kind == "quant":
        return _quant(op, n)
    if kind == "clip":
        value = "v[i]"
        for name, sign in (("min", "<"), ("max", ">")):
            if op.get(name) is not None:
                bound = _constant(op, name, tables)
                value = f"({value} {sign} {bound} ? {bound} : {value})"
    else:
        names = ("value", "scale")
        constants = {k: _constant(op, k, tables) for k in names if op.get(k) is not None}
        value = _ELEMENTWISE[kind].format(**constants)
    return _scope([*tables, _loop(n, f"v[i] = {value};")])


def _quant(op: Mapping[str, Any], n: int) -> str:
    """QONNX Quant: divide, clamp, round, multiply again."""
    tables: list[str] = []
    scale, zero = (_constant(op, name, tables) for name in ("scale", "zero_point"))
    real = "double" if op.get("wide") else "float"
    steps = [f"{real} q = static_cast<float>(v[i] / {scale});", f"q = q + {zero};"]
    if op["signed"] and op["bits"] == 1:
        steps.append("q = q >= 0 ? 1.0f : -1.0f;")
    else:
        low, high = (_number(v) for v in level_range(op["bits"], op["signed"], op["narrow"]))
        steps.append(f"q = q < {low} ? {low} : (q > {high} ? {high} : q);")
        steps.append(f"q = {_ROUNDED[op['rounding']].format(v='q')};")
    steps.append(f"v[i] = static_cast<float>((q - {zero}) * {scale});")
    body = "{\n" + "\n".join(f"      {step}" for step in steps) + "\n    }"
    return _scope([*tables, _loop(n, body)])
