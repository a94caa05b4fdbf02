"""The floating point before and after the network in C++: what `deploy.host_model` does in numpy.

In single precision, operation by operation and in the same order. The four elementary operations
and rounding give the same bits as numpy does, as long as the compiler does not contract a product
and a sum into one operation (``-ffast-math``, ``-ffp-contract``); exp and tanh may differ in the
last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deploy.host_model import level_range

_FUNCTIONS = """
/// The integers that the network takes, x[n_in], for the raw features of a frame.
inline void prepare(const float* features, input_t* x) {{
  {real} v[n_in];
  for (std::size_t i = 0; i < n_in; ++i) v[i] = features[i];
{before}
  for (std::size_t i = 0; i < n_in; ++i)
    x[i] = static_cast<input_t>({code});
}}
"""

_FINISH = """
/// What the integers of the network, y[n_out], stand for: the model's own {kind}.
inline void finish(const output_t* y, float* result) {{
  float v[n_out];
  for (std::size_t i = 0; i < n_out; ++i) v[i] = static_cast<float>(y[i]);
{after}
  for (std::size_t i = 0; i < n_out; ++i) result[i] = v[i];
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
    """Return ``prepare`` and, where the network ends in the model's own integers, ``finish``."""
    if not known_operations([*host["before"], *host["after"]]):
        return "\n// What the host computes before and after this network is not in this header.\n"
    codes = host["codes"]
    wide = any(op.get("wide") for op in host["before"])
    code = f"std::nearbyint(v[i] / {_number(codes['scale'])})"
    if codes["divisor"] != 1:
        code = f"std::floor({code} / {_number(codes['divisor'])})"
    if codes["zero_point"]:
        code += f" + {_number(codes['zero_point'])}"
    before = "\n".join(_block(op, "n_in", host["input"]["n"]) for op in host["before"])
    text = _FUNCTIONS.format(real="double" if wide else "float", before=before, code=code)
    if finish:
        after = "\n".join(_block(op, "n_out", host["output"]["n"]) for op in host["after"])
        kind = "logits" if host["output"]["kind"] == "argmax" else host["output"]["kind"]
        text += _FINISH.format(kind=kind, after=after)
    return text


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


def _block(op: Mapping[str, Any], n: str, size: int) -> str:
    """Return one operation on ``v[size]`` as a block of C++."""
    tables: list[str] = []
    kind = op["op"]
    if kind in ("softmax", "log_softmax"):
        value = "std::exp(v[i] - most) / sum"
        if kind == "log_softmax":
            value = "v[i] - most - std::log(sum)"
        return "  {\n" + _SOFTMAX.format(n=n, value=value) + "\n  }"
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
    loop = f"    for (std::size_t i = 0; i < {n}; ++i) v[i] = {value};"
    return "\n".join(["  {", *tables, loop, "  }"])


def _quant(op: Mapping[str, Any], n: str) -> str:
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
    loop = f"    for (std::size_t i = 0; i < {n}; ++i) {{"
    return "\n".join(["  {", *tables, loop, *(f"      {s}" for s in steps), "    }", "  }"])
