"""A header compiled as strictly as its users do, and frames run through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from finn_builds import tools
from finn_builds.errors import VerificationError

#: C++11 and nothing beyond; every warning is an error.
FLAGS = ("-std=c++11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror")

#: Reads frames of 64-bit integers, runs one half of them by the batch call and the other one by the
#: class, and writes frames of 64-bit integers.
_PROGRAM = """\
#include <cstdio>
#include <cstdint>

#include "{name}.h"

int main() {{
  using namespace {name};
  static model one;
  static std::int64_t in[n_in], out[n_out];
  static input_t x[n_in];
  static output_t y[n_out];
  for (bool batch = false; std::fread(in, sizeof in, 1, stdin) == 1; batch = !batch) {{
    for (std::size_t i = 0; i < n_in; ++i) x[i] = static_cast<input_t>(in[i]);
    if (batch) {{
      predict(x, y, 1);
    }} else {{
      one.prepare_input(x);
      one.predict();
      one.read_result(y);
    }}
    for (std::size_t i = 0; i < n_out; ++i) out[i] = static_cast<std::int64_t>(y[i]);
    if (std::fwrite(out, sizeof out, 1, stdout) != 1) return 1;
  }}
  return 0;
}}
"""


def compile_header(header: Path, folder: Path) -> Path:
    """Compile ``<name>.h`` into a program that reads and writes frames; raises `ToolFailed`."""
    name = header.stem
    source, program = folder / f"{name}_run.cpp", folder / f"{name}_run"
    source.write_text(_PROGRAM.format(name=name), encoding="utf-8")
    tools.run(
        ["g++", "-O1", *FLAGS, "-I", header.parent, source, "-o", program],
        cwd=folder,
        timeout=1800,
    )
    return program


def run_header(header: Path, x: np.ndarray, n_out: int, folder: Path) -> np.ndarray:
    """Return the outputs, int64 (frames, n_out), of a header for frames, (frames, n_in).

    Raises ToolFailed if the compiler refuses the header, VerificationError if it gives fewer frames
    than it got.
    """
    program = compile_header(header, folder)
    given, found = folder / "frames.bin", folder / "results.bin"
    np.ascontiguousarray(x, dtype="<i8").tofile(given)
    tools.run(["sh", "-c", f"./{program.name} < {given.name} > {found.name}"], cwd=folder)
    y = np.fromfile(found, dtype="<i8")
    if y.size != len(x) * n_out:
        raise VerificationError(
            f"the C++ emulator gave {y.size} integers for {len(x)} frames, expected "
            f"{len(x) * n_out}. This is a fault of the flow: please report it with the model"
        )
    return y.reshape(len(x), n_out)
