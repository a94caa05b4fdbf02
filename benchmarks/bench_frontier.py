"""Jet taggers on the frontier of logic and quality: LUTs against soft regret and accuracy.

    python benchmarks/bench_frontier.py [--only jets ...] [--network NETWORK.onnx]
        [--jets jets_real_dev.npz --teacher jets_teacher_float_ensemble6.onnx]

Rows are the jet taggers of the zoo, and a network of others in a QONNX file (``--network``). Each
is built with Yosys for xc7, which compares RTL and netlist with the QONNX model, and the same
integer network is given to alkaid. The quality of the zoo's taggers is what their checkpoints
record of siblings that had not seen the jets, because the shipped weights have seen them all. A
network of others is measured here, on real jets against a teacher; without these files its row is
skipped and stays as it was. Writes ``benchmarks/results/frontier.json``, ``.md`` and
``docs/img/frontier.svg`` as rows come; ``--table`` writes only the last two.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.bench_sparse import PACKAGES, SYNTH, Bench
from benchmarks.frontier_table import draw, table
from benchmarks.record import RESULTS, machine, versions, write_result
from benchmarks.sparse_cases import BOARD, Case
from brevitas_models import zoo
from brevitas_models.metrics.accuracy import accuracy_figures
from brevitas_models.model import checkpoint
from brevitas_models.train.distill import Teacher
from finn_builds import BuildConfig, BuildResult, build
from finn_builds.files import SYNTHESIS_FILE, WHOLE_KEY, read_json
from finn_builds.network import Lookup

PLOT = ROOT / "docs" / "img" / "frontier.svg"
CLOCK_NS = 10.0
TAGGERS = ("jets_tiny", "jets", "jets_large", "jets_weights_tiny", "jets_weights", "jets_paper")
#: Of the figures of a checkpoint, or of a measurement here, those that a row keeps.
KEPT = ("frames", "accuracy", "accuracy_error", "soft_regret", "soft_regret_error")


def recorded(model: str) -> dict[str, Any]:
    """Return what a shipped model's checkpoint records of its siblings on unseen jets."""
    _, info = checkpoint.load(zoo.path(model))
    figures = info["metrics"]
    if figures["folds"] < 2:
        raise AssertionError(f"{model}: its figures are of jets that it has seen")
    how = f"cross-fitted, {figures['folds']} siblings"
    return {"how": how, **{key: figures[key] for key in KEPT if key in figures}}


def judged(built: BuildResult, jets: Path, teacher: Path) -> dict[str, Any]:
    """Measure a network that takes standardised features on real jets, against a teacher.

    Parameters
    ----------
    built : BuildResult
        Of a network whose classes are in the order of the jets'.
    jets : Path
        ``.npz`` with ``X`` (n, 16), ``y`` (n,), ``scaler_mean`` and ``scaler_scale`` (16,).
    teacher : Path
        QONNX or ONNX file: standardised features in, logits or probabilities out.
    """
    with np.load(jets) as held:
        x = ((held["X"] - held["scaler_mean"]) / held["scaler_scale"]).astype(np.float32)
        y = held["y"].astype(np.int64)
    logits = Teacher(teacher, "standardised").logits(x).astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    figures = accuracy_figures(y, built.predict(x), shares / shares.sum(1, keepdims=True))
    return {"how": "measured here", **{k: figures[k] for k in KEPT}}


def hardware(built: BuildResult) -> dict[str, Any]:
    """Return the figures of a finished build: LUT and FF by Yosys, cycles by simulation."""
    found = read_json(built.out / SYNTHESIS_FILE)[WHOLE_KEY]
    summary = built.summary
    return {
        "lut": found["LUT"],
        "estimate": found["estimate"]["LUT"],
        "ff": found["FF"],
        "dsp": found["DSP"],
        "path_ns": found["critical_path_ns"],
        "latency": summary["latency_cycles"],
        "interval": summary["interval_cycles"],
        "frames": summary["frames_verified"],
        "mismatches": summary["mismatches"],
    }


def row(model: str, bench: Bench, rival: bool) -> tuple[dict[str, Any], BuildResult]:
    """Build a model of the zoo or of a file, and give its integers to alkaid if it is a rival."""
    built = build(
        BuildConfig(
            board=BOARD, model=model, style="sparse", synth="yosys",
            synth_clk_period_ns=CLOCK_NS, output_dir=bench.builds / Path(model).stem,
        )
    )  # fmt: skip
    network = built.network.without_head()
    edges = any(isinstance(node.op, Lookup) for node in network.nodes)
    # Named by its sizes: neither datapath is made again with other stages.
    case = Case((network.input.size, *(layer.n_out for layer in network.layers())))
    core = bench.sparse(case, network)
    found = {
        "edges": "tables" if edges else "weights",
        "build": hardware(built),
        "core": core,
    }
    if rival:
        found["alkaid"] = bench.alkaid(case, network, core["latency"])
    return found, built


def main(argv: list[str] | None = None) -> None:
    """Measure rows, and write all after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=TAGGERS, help="models of the zoo")
    parser.add_argument("--network", type=Path, help="QONNX file of a network of others")
    parser.add_argument("--jets", type=Path, help="real jets (.npz) to measure it on")
    parser.add_argument("--teacher", type=Path, help="classifier for soft regret on these jets")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one Yosys run")
    parser.add_argument("--no-alkaid", action="store_true", help="leave out alkaid's designs")
    parser.add_argument("--table", action="store_true", help="only write table and plot again")
    args = parser.parse_args(argv)
    path = RESULTS / "frontier.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"rows": {}}

    def keep() -> None:
        write_result("frontier", result)
        path.with_suffix(".md").write_text(table(result))
        draw(result, PLOT)

    if args.table:
        keep()
        return
    result |= {"machine": machine(), "versions": versions(PACKAGES), "synthesis": SYNTH}
    result |= {"clock_ns": CLOCK_NS, "board": BOARD}
    files = (args.network, args.jets, args.teacher)
    others = all(file is not None and file.is_file() for file in files)
    if not others:
        print("network, jets or teacher absent: the row of a network of others is skipped")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(CLOCK_NS, 1, args.limit, Path(folder))
        for model in [*([str(args.network)] if others else []), *args.only]:
            found, built = row(model, bench, not args.no_alkaid)
            name = Path(model).stem
            if model in TAGGERS:
                found = {"of": "zoo", "quality": recorded(model), **found}
            else:
                quality = judged(built, args.jets, args.teacher)
                found = {"of": "others, compiled here", "quality": quality, **found}
            result["rows"][name] = found
            keep()
            print(name, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
