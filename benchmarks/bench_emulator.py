"""The C++ emulator: frames per second of one core, beside the integer network in numpy.

    python benchmarks/bench_emulator.py

Frames are random over the whole range of the input, which no branch predictor knows. Time is that
of the processor, not of the clock on the wall: other work on the machine takes turns, not part of
the count. Both run in one thread, in turns, seven times each; the median counts. Writes
``benchmarks/results/emulator.json``.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.record import machine, versions, write_result
from finn_builds import tools
from finn_builds.emulator import header_text
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.network import IntegerNetwork

MODELS = ("jets_weights", "jets_weights_tiny", "digits")
FLAGS = {"-O2": ["-O2"], "-O3": ["-O3"]}
FRAMES = 20_000
TURNS = 7

PROGRAM = """
#include <cstdio>
#include <ctime>
#include <vector>
#include "net.h"
int main() {
  const std::size_t frames = %d;
  std::vector<net::input_t> x(frames * net::n_in);
  std::vector<net::output_t> y(frames * net::n_out);
  if (std::fread(x.data(), sizeof x[0], x.size(), stdin) != x.size()) return 1;
  net::predict(x.data(), y.data(), frames);
  const std::clock_t start = std::clock();
  net::predict(x.data(), y.data(), frames);
  std::printf("%%.9g\\n", double(std::clock() - start) / CLOCKS_PER_SEC);
  long sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += y[i];
  std::printf("%%ld\\n", sum);
}
"""


def measure(network: IntegerNetwork, folder: Path) -> dict[str, Any]:
    """Return frames per second of the header at each optimisation, and of numpy."""
    rng = np.random.default_rng(0)
    source = network.input
    x = rng.integers(source.low, source.high + 1, (FRAMES, source.size))
    x.astype("<i4").tofile(folder / "x.bin")
    (folder / "net.h").write_text(header_text(network, "net"))
    (folder / "main.cpp").write_text(PROGRAM % FRAMES)
    compile_seconds = {}
    for k, (name, flags) in enumerate(FLAGS.items()):
        start = time.perf_counter()
        tools.run(["g++", "-std=c++11", *flags, "main.cpp", "-o", f"run{k}"], cwd=folder)
        compile_seconds[name] = round(time.perf_counter() - start, 2)
    seconds: dict[str, list[float]] = {name: [] for name in (*FLAGS, "numpy")}
    expected = int(network.execute(x).sum())
    for _ in range(TURNS):
        for k, name in enumerate(FLAGS):
            printed = tools.run(["sh", "-c", f"./run{k} < x.bin"], cwd=folder).stdout.split()
            assert int(printed[1]) == expected
            seconds[name].append(float(printed[0]))
        start = time.process_time()
        network.execute(x)
        seconds["numpy"].append(time.process_time() - start)
    rates = {name: FRAMES / statistics.median(found) for name, found in seconds.items()}
    return {
        "frames_per_second": {name: round(rate) for name, rate in rates.items()},
        "times_numpy": {name: round(rates[name] / rates["numpy"], 1) for name in FLAGS},
        "compile_seconds": compile_seconds,
    }


def main() -> None:
    """Measure every model."""
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": {**versions(("numpy",)), "g++": tools.versions()["g++"]},
        "frames": FRAMES,
        "kind": "processor time of one thread, median of seven turns",
        "models": {},
    }
    for name in MODELS:
        model = load_model(ROOT / "brevitas_models" / "zoo" / f"{name}.onnx")
        with tempfile.TemporaryDirectory() as folder:
            result["models"][name] = measure(split_host(tidy(model)).network, Path(folder))
        print(name, json.dumps(result["models"][name]))
    print(write_result("emulator", result))


if __name__ == "__main__":
    main()
