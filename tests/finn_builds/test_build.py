"""Whole builds of a small network: the folder, a second run, a kill, wrong options."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

from finn_builds import BuildConfig, UserError, build
from finn_builds.flow.steps import STEPS
from finn_builds.run.runner import result_of
from finn_builds.stitch.blocks import Hardware
from tests.finn_builds.small_network import save_small_network

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def qonnx(tmp_path_factory):
    return save_small_network(tmp_path_factory.mktemp("qonnx") / "small.onnx")


@pytest.fixture(scope="module")
def config(qonnx, tmp_path_factory):
    return BuildConfig(
        board="Pynq-Z1",
        model=str(qonnx),
        output_dir=tmp_path_factory.mktemp("build") / "small",
        verify_frames=300,
        style="folded",
    )


@pytest.fixture(scope="module")
def result(config):
    return build(config)


def contents(out: Path) -> dict[str, str]:
    """Return digests of what a build gives, without times and checkpoints' folders."""
    kept = [out / "stitched_ip", out / "report", out / "accelerator.json", out / "host_model.json"]
    files = [f for item in kept for f in ([item] if item.is_file() else sorted(item.rglob("*")))]
    digests = {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.name != "time_per_step.json"
    }
    # The page's figures also hold the command, which names the folder.
    figures = json.loads((out / "report" / "report.json").read_text())
    del figures["origin"]
    digests["report/report.json"] = json.dumps(figures)
    return digests


@pytest.mark.slow
def test_reports(result):
    verification = json.loads((result.report / "verification.json").read_text())
    assert verification["frames"] == 300
    assert verification["mismatches"] == 0
    assert set(verification["runs"]) == {
        "free_running",
        "random_stalls",
        "long_back_pressure",
        "one_frame",
    }
    performance = json.loads((result.report / "rtlsim_performance.json").read_text())
    cycles = json.loads((result.report / "estimate_layer_cycles.json").read_text())
    assert performance["interval_cycles"] == max(cycles.values())
    assert performance["latency_cycles"] > performance["interval_cycles"] / 2
    # Without the cycles in which the simulation only looks whether more comes.
    assert performance["cycles"] == list(performance["links"].values())[-1]["last_cycle"] + 1
    seconds = performance["cycles"] * performance["clock_ns"] * 1e-9
    assert performance["runtime[ms]"] == pytest.approx(1000 * seconds)
    assert performance["throughput[images/s]"] == pytest.approx(300 / seconds)
    alternatives = json.loads(
        (result.report / "estimate_layer_config_alternatives.json").read_text()
    )
    assert len(alternatives["MVAU_rtl_0"]) > 1
    template = json.loads((result.out / "template_specialize_layers_config.json").read_text())
    assert template["MVAU_rtl_0"] == {"preferred_impl_style": "rtl"}
    synthesised = result.summary["synthesised"]
    if synthesised is not None:
        timing = json.loads((result.report / "ooc_synth_and_timing.json").read_text())
        assert timing["LUT"] == synthesised["LUT"] and "not placed" in timing["kind"]
        path = result.summary["critical_path_ns"]
        assert timing["fmax_mhz"] == pytest.approx(1000 / path)
        fps = 1e9 / (path * max(cycles.values()))
        assert timing["estimated_throughput_fps"] == pytest.approx(fps)
    assert result.summary["accuracy"] is None, "there are no labels"
    names = {path.name for path in result.report.iterdir()}
    assert {
        "estimate_layer_resources.json",
        "estimate_network_performance.json",
        "op_and_param_counts.json",
        "time_per_step.json",
    } <= names


@pytest.mark.slow
def test_stitched_folder_is_self_contained(result):
    listed = (result.stitched_ip / "all_verilog_srcs.txt").read_text().split()
    assert listed[-1] == "finn_design_wrapper.v"
    present = {path.name for path in result.stitched_ip.iterdir()}
    for name in listed:
        text = (result.stitched_ip / name).read_text()
        assert str(result.out) not in text
        for data in re.findall(r'"\./([^"%]*\.dat)"', text):
            assert data in present
        assert not re.search(r'"/[^"\n]*\.(dat|sv|v)"', text), f"{name} has an absolute path"
    top = (result.stitched_ip / "finn_design_wrapper.v").read_text()
    for port in ("ap_clk", "ap_rst_n", "s_axis_0_tdata", "m_axis_0_tready"):
        assert port in top


@pytest.mark.slow
def test_every_node_is_rtl_once_its_form_is_chosen(result):
    from finn_builds.folded.graph import FoldedLayers

    folded = [
        step.name for step in STEPS if get_type_hints(step.load()).get("return") is FoldedLayers
    ]
    chosen = folded[folded.index("specialize_layers") :]
    assert len(chosen) >= 3
    for name in chosen:
        nodes = [
            n for run in FoldedLayers.load(result.out, name).runs for n in run.model.graph.node
        ]
        assert len(nodes) == 5  # three layers, two of them with thresholds
        assert all(node.op_type.endswith("_rtl") for node in nodes), name
    hardware: Hardware = result_of(result.out, Hardware)
    assert len(hardware.blocks) >= 5
    assert all(block.kind.endswith("_rtl") for block in hardware.blocks)


@pytest.mark.slow
def test_python_face_executes_the_verified_network(result):
    rng = np.random.default_rng(1)
    x = rng.uniform(-4, 4, size=(50, 6)).astype(np.float32)
    integers = result.host.before(x)
    np.testing.assert_array_equal(result.network.execute(integers), result.reference.run(integers))
    scores = result.host.after(result.network.execute(integers))
    np.testing.assert_allclose(scores, result.reference.run_float(x), atol=1e-5)


@pytest.mark.slow
def test_second_run_reuses_everything_and_changes_nothing(result, config):
    before = contents(result.out)
    again = build(config)
    assert again.ran == ()
    assert contents(result.out) == before
    assert again.summary == result.summary


@pytest.mark.slow
@pytest.mark.parametrize("style", ["folded", "sparse"])
def test_top1_gives_the_class(result, config, tmp_path, style):
    cfg = replace(config, output_dir=tmp_path / "top1", top1=True, verify_frames=200, style=style)
    cfg.synth = "none"
    found = build(cfg)
    assert found.summary["mismatches"] == 0
    with np.load(found.out / "verification_frames.npz") as saved:
        np.testing.assert_array_equal(found.network.execute(saved["x"]), saved["y"])
        classes = found.host.classify(found.reference.run(saved["x"]))
        np.testing.assert_array_equal(saved["y"][:, 0], classes)
        np.testing.assert_array_equal(found.network.execute(saved["x"])[:, 0], classes)
        assert len(np.unique(classes)) == 3
    # The argmax never is the slowest stage.
    expected = 1 if style == "sparse" else result.summary["interval_cycles"]
    assert found.summary["interval_cycles"] == expected


@pytest.mark.slow
def test_synthesis_is_reported_node_by_node(result):
    found = json.loads((result.report / "synth_resources.json").read_text())
    estimated = json.loads((result.report / "estimate_layer_resources_final.json").read_text())
    assert found.keys() - {"tool", "(top)"} == estimated.keys() - {"total"}
    for name in estimated:
        node = found["(top)" if name == "total" else name]
        assert node["estimate"] == estimated[name]
        assert node["DSP"] == estimated[name]["DSP"]
    top = found["(top)"]
    assert top["LUT"] == pytest.approx(estimated["total"]["LUT"], rel=0.15)
    assert result.summary["synthesised"]["LUT"] == top["LUT"]
    assert result.summary["synthesised"]["kind"].startswith(found["tool"]["name"])


@pytest.mark.slow
def test_another_choice_of_tool_reruns_from_the_synthesis_on(config, tmp_path, monkeypatch):
    # What is reused is what the options leave as it is, also while the sources are edited.
    monkeypatch.setattr(
        BuildConfig, "environment", lambda self: {"sources": "same", "versions": {}}
    )
    quick = replace(config, output_dir=tmp_path / "again", verify_frames=5, target_fps=1e5)
    first = build(replace(quick, synth="none"))
    assert first.summary["synthesised"] is None
    assert not (first.report / "synth_resources.json").exists()
    second = build(quick)
    assert second.ran[0] == "out_of_context_synthesis"
    assert second.summary["synthesised"]["LUT"] > 0
    assert build(quick).ran == ()
    assert build(replace(quick, synth="none")).summary["synthesised"] is None
    assert not (first.report / "synth_resources.json").exists()


@pytest.mark.slow
def test_a_build_that_takes_the_place_of_another_is_the_same(config, tmp_path, monkeypatch):
    """It grows in a folder inside: no file may name that one."""
    monkeypatch.setattr(
        BuildConfig, "environment", lambda self: {"sources": "same", "versions": {}}
    )
    out = tmp_path / "again"
    quick = replace(config, output_dir=out, verify_frames=5, target_fps=1e5, synth="none")
    build(quick)
    before = contents(out)
    (out / "stitched_ip" / "finn_design_wrapper.v").unlink()
    assert build(quick).ran[0] == "create_stitched_ip"
    assert contents(out) == before
    half = build(replace(quick, force=True, stop_step="create_stitched_ip"))
    assert half.finished_out == out and half.summary == {}
    assert contents(out) == before
    forced = build(replace(quick, force=True))
    assert len(forced.ran) == len(STEPS) and forced.finished_out is None
    assert contents(out) == before
    named = [path for path in out.rglob("*") if path.is_file() and b".next" in path.read_bytes()]
    assert named == []


@pytest.mark.slow
def test_waveform_is_written_on_request(config, tmp_path):
    out = tmp_path / "traced"
    cfg = replace(config, output_dir=out, trace="vcd", verify_frames=5, target_fps=1e5)
    build(replace(cfg, synth="none"))
    text = (out / "trace.vcd").read_text()
    assert "$enddefinitions" in text
    assert "m_axis_0_tvalid" in text


@pytest.mark.slow
def test_killed_build_goes_on_to_the_same_result(result, config, tmp_path):
    command = [sys.executable, "build.py", "--board", "Pynq-Z1", "--model", str(config.model)]
    out = tmp_path / "killed"
    command += ["--out", str(out), "--verify-frames", "300", "--quiet", "--style", "folded"]
    rng = np.random.default_rng()
    delays = [float(delay) for delay in rng.uniform(1.0, 12.0, size=3)]
    print("killed after", delays)
    for delay in delays:
        child = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        complete = out / "report" / "summary.json"
        if complete.exists():
            assert (out / "report" / "verification.json").exists()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    killed, undisturbed = contents(out), contents(result.out)
    del killed["report/summary.json"], undisturbed["report/summary.json"]  # names the folder
    assert killed == undisturbed


def test_unreachable_target_says_what_is_reachable_and_leaves_nothing(config, tmp_path):
    out = tmp_path / "impossible"
    with pytest.raises(UserError, match=r"Reachable within the budget.*frames/s"):
        build(replace(config, output_dir=out, target_fps=1e12))
    assert not out.exists()


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        ({"MVAU_rtl_0": {"PE": 3}}, r"PE = 3, which must divide MH = 8; possible are 1, 2, 4, 8"),
        ({"MVAU_rtl_9": {"PE": 1}}, r"names 'MVAU_rtl_9', which is not in the network"),
        ({"MVAU_rtl_0": {"SIMD": "all"}}, r"SIMD = 'all'"),
        ({"MVAU_rtl_0": 4}, r"should map names to numbers"),
        ({"MVAU_rtl_0": {"simd": 3}}, r"'simd', which has no effect.* is SIMD meant"),
        ({"MVAU_rtl_0": {"ram_style": "block"}}, r"'ram_style', which has no effect.*leave it out"),
        ({"Defaults": {"mem_mode": ["x", "all"]}}, r"Defaults has 'mem_mode', which has no effect"),
        ({"Defaults": {"PE": 2}}, r"Defaults has PE = 2; expected a value and the kinds"),
        ({"Defaults": {"PE": [2, ["MVAU"]]}}, r"of MVAU_rtl, Thresholding_rtl, LabelSelect_rtl"),
        ({"Defaults": {"PE": [3, ["MVAU_rtl"]]}}, r"PE = 3, which must divide"),
    ],
)
def test_wrong_folding_is_explained(config, tmp_path, folding, message):
    path = tmp_path / "folding.json"
    path.write_text(json.dumps(folding))
    out = tmp_path / "out"
    with pytest.raises(UserError, match=message):
        build(replace(config, output_dir=out, folding_config_file=path))
    assert not out.exists()


def test_folding_of_a_sparse_layer_is_refused(config, tmp_path):
    path = tmp_path / "folding.json"
    path.write_text(json.dumps({"SparseMVAU_rtl_0": {"PE": 1}}))
    with pytest.raises(UserError, match=r"SparseMVAU_rtl_0 has no folding.*--style folded"):
        build(
            replace(config, output_dir=tmp_path / "out", folding_config_file=path, style="sparse")
        )


@pytest.mark.slow
def test_folding_file_is_obeyed(config, result, tmp_path):
    path = tmp_path / "folding.json"
    folding = {
        "Defaults": {"PE": [3, ["MVAU_rtl"]], "SIMD": [5, "all"]},
        "MVAU_rtl_0": {"PE": 2, "SIMD": 3},
        "MVAU_rtl_1": {"PE": 1, "SIMD": 4},
    }
    path.write_text(json.dumps(folding))
    cfg = replace(config, output_dir=tmp_path / "out", folding_config_file=path, verify_frames=50)
    found = build(replace(cfg, synth="none"))
    # MVAU_rtl_1 has 8 inputs and 5 outputs: 2 x 5 cycles; MVAU_rtl_0 2 x 4; MVAU_rtl_2, of 5 inputs
    # and 3 outputs, has the defaults alone; the thresholdings PE = 1.
    cycles = json.loads((found.report / "estimate_layer_cycles.json").read_text())
    assert [cycles[f"MVAU_rtl_{number}"] for number in range(3)] == [8, 10, 1]
    assert found.summary["interval_cycles"] == max(cycles.values())
