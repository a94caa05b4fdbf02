"""Whole builds of the package for firmware: a fork with two outputs, and networks of triggers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import build as command
from tests.finn_builds.ingest.graphs import GENERAL, Graph, Quantizer

PART = ["--part", "xcvu9p-flga2104-2L-e", "--clock-ns", "2.78", "--package", "ip"]


def fork(path: Path) -> Path:
    """Write a network that parts after its hidden layer: three logits, and a quantised score."""
    rng = np.random.default_rng(11)
    graph = Graph((1, 6), "jet")
    graph.quantize(Quantizer(6, 0.25))
    weights = Quantizer(4, 0.125)
    graph.add("MatMul", graph.quantized_constant(rng.normal(0, 0.4, (6, 8)), weights))
    graph.add("Relu")
    graph.quantize(Quantizer(4, 0.25, signed=False))
    hidden = graph.current
    for name, size in (("tags", 3), ("sums", 2)):
        w = graph.quantized_constant(rng.normal(0, 0.4, (8, size)), weights)
        graph.nodes.append(helper.make_node("MatMul", [hidden, w], [name], name=f"n_{name}"))
    parameters = [graph.constant(p) for p in (0.5, 0.0, 5.0)]
    graph.nodes.append(
        helper.make_node(
            "Quant", ["sums", *parameters], ["score"], name="n_score", domain=GENERAL,
            signed=1, narrow=0, rounding_mode="ROUND",
        )
    )  # fmt: skip
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, size))
        for name, size in (("tags", 3), ("score", 2))
    ]
    made = helper.make_graph(graph.nodes, "fork", [graph.input], outputs, graph.initializers)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(GENERAL, 1)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=8), path)
    return path


def built(capsys: pytest.CaptureFixture[str], out: Path, model: Path, *options: str) -> dict:
    words = ["--model", str(model), "--out", str(out), "--quiet", "--json", *options]
    assert command.main([*PART, *words]) == 0
    summary: dict = json.loads(capsys.readouterr().out)
    report = json.loads((out / "report" / "ip.json").read_text())
    assert set(report["mismatches"].values()) == {0}
    assert set(report["mismatches"]) == {
        "emulator",
        "parallel core",
        "parallel core with pauses",
        "netlist of the parallel core",
    }
    assert summary["mismatches"] == 0 and summary["ip"]["mismatches"] == 0
    page = (out / "ip" / "README.md").read_text()
    assert f"| latency | {report['latency_cycles']} clocks | measured" in page
    assert f"| interval | {report['interval_cycles']} clock | measured" in page
    assert report["interval_cycles"] == 1
    return report


@pytest.mark.slow
def test_a_fork_with_two_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fork(tmp_path / "fork_net.onnx")
    report = built(capsys, tmp_path / "out", model, "--verify-frames", "150")
    assert report["resources"]["LUT"] > 0 and report["frames"] == 150
    assert not (tmp_path / "out" / "deploy.zip").exists()
    folders = [path for path in (tmp_path / "out").rglob("*") if path.is_dir()]
    assert [path for path in folders if not any(path.iterdir())] == []
    with zipfile.ZipFile(tmp_path / "out" / "ip.zip") as archive:
        archive.extractall(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / "fork_net"
    header = (folder / "emulator" / "fork_net.h").read_text()
    assert "namespace tags {" in header and "namespace score {" in header
    assert "void prepare(" in header and "void finish(" in header
    verilog = (folder / "fork_net.v").read_text()
    assert "] tags," in verilog and "] score," in verilog and "] jet," in verilog
    subprocess.run(["sh", "run.sh", "g++"], cwd=folder, check=True, capture_output=True)


@pytest.mark.slow
def test_a_build_is_repeated_bit_for_bit(tmp_path: Path) -> None:
    model = fork(tmp_path / "fork_net.onnx")
    hashes = []
    for name in ("first", "second"):
        out = tmp_path / name
        words = ["--model", str(model), "--out", str(out), "--quiet", "--synth", "none"]
        assert command.main([*PART, *words, "--verify-frames", "20"]) == 0
        hashes.append(
            {
                str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
                for folder in ("ip", "stitched_ip")
                for file in sorted((out / folder).rglob("*"))
                if file.is_file()
            }
            | {"ip.zip": hashlib.sha256((out / "ip.zip").read_bytes()).hexdigest()}
        )
    assert hashes[0] == hashes[1] and "ip/fork_net.v" in hashes[0]


@pytest.mark.slow
def test_the_class_in_the_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = built(capsys, tmp_path, Path("jets_tiny"), "--verify-frames", "150", "--top1")
    (out,) = [port for port in report["ports"] if port["name"] == "top1"]
    assert (out["direction"], out["bits"]) == ("out", 3), "five classes"
    verilog = (tmp_path / "ip" / "jets_tiny.v").read_text()
    assert "output wire [2:0] top1," in verilog
    page = (tmp_path / "report.html").read_text()
    assert 'id="firmware"' in page and "<code>top1</code>" in page
    subprocess.run(["sh", "run.sh", "g++"], cwd=tmp_path / "ip", check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cicada_v1", "axol1tl_v5"])
def test_a_network_of_a_trigger(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_data / "cms"
    golden = ("--golden", str(folder / f"{name}_vectors.npz"))
    report = built(capsys, tmp_path, folder / f"{name}.onnx", "--verify-frames", "100", *golden)
    assert report["frames"] > 100
