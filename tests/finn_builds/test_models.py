"""The shipped models and the public ones, from the file to the verified RTL.

Folded slowly, so that the simulation compiles fast; the default is also built at full speed.
"""

import json
import re

import pytest

from finn_builds import BuildConfig, UserError, build
from finn_builds.config.inputs import model_names
from tests.finn_builds.report.browser import assert_renders
from tests.finn_builds.report.outline import Outline, text_of

pytestmark = pytest.mark.slow


def assert_verified(result, frames):
    verification = json.loads((result.report / "verification.json").read_text())
    assert verification["mismatches"] == 0
    assert verification["frames"] == frames
    for run in verification["runs"].values():
        assert run["mismatches"] == 0
        assert run["frames"] > 0
    cycles = json.loads((result.report / "rtlsim_performance.json").read_text())
    estimated = json.loads((result.report / "estimate_network_performance.json").read_text())
    assert cycles["interval_cycles"] == pytest.approx(estimated["max_cycles"], rel=0.05)
    styles = json.loads((result.report / "style.json").read_text())["layers"]
    if all(layer["style"] == "sparse" for layer in styles):
        assert cycles["latency_cycles"] == estimated["critical_path_cycles"]


def assert_page(result, pictures, layers):
    """Check that the page of a build is whole and fits a phone and a wide window."""
    page = (result.out / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 2_000_000
    Outline(page)
    words = text_of(page)
    assert f"Latency {result.summary['latency_cycles']:,} cycles measured" in words
    assert "Verified frames 1,000 measured 0 mismatches" in words
    for layer in range(1, layers + 1):
        assert re.search(rf"Layer {layer} ?, (folded|sparse)", words)
    assert_renders(result.out / "report.html", pictures)


@pytest.mark.parametrize(
    ("model", "style", "interval", "layers"),
    [("jets", "auto", 1, 2), ("jets_weights", "folded", 16, 4)],
)
def test_default_build_of_a_jet_tagger(tmp_path, model, style, interval, layers):
    synth = "yosys" if style == "auto" else "none"
    result = build(
        BuildConfig(
            board="Pynq-Z1", model=model, output_dir=tmp_path / "jets", style=style, synth=synth
        )
    )
    assert_verified(result, 1000)
    assert_page(result, tmp_path, layers=layers)
    assert result.summary["accuracy_surrogate"] is True
    assert "surrogate" in result.summary["accuracy_source"]
    assert result.summary["interval_cycles"] <= interval
    if style == "auto":
        assert result.summary["resources"]["DSP"] == 0, "pruned weights are wiring"
        synthesised = result.summary["synthesised"]
        assert (synthesised["DSP"], synthesised["BRAM_18K"]) == (0, 0)
        # Yosys' count and the estimate that chose the style.
        assert synthesised["LUT"] == pytest.approx(result.summary["resources"]["LUT"], rel=0.03)
    for resource, share in (("LUT", 0.70), ("DSP", 0.80), ("BRAM_18K", 0.80)):
        total = {"LUT": 53200, "DSP": 220, "BRAM_18K": 280}[resource]
        assert result.summary["resources"][resource] <= share * total


@pytest.mark.parametrize("name", ["digits"])
def test_other_models_of_the_zoo(name, tmp_path):
    assert name in model_names()
    result = build(
        BuildConfig(
            board="ZCU104",
            model=name,
            output_dir=tmp_path / name,
            style="folded",
            target_fps=1e6,
            synth="none",
        )
    )
    assert_verified(result, 1000)
    assert_page(result, tmp_path, layers=3)
    assert result.summary["accuracy"] > 0.85, "real digits"
    assert result.summary["accuracy_surrogate"] is False


@pytest.mark.parametrize("name", ["tfc_2w2a", "unsw_nb15_mlp_w2a2"])
def test_public_models(shared_data, name, tmp_path):
    config = BuildConfig(
        board="Pynq-Z1",
        model=str(shared_data / f"{name}.onnx"),
        output_dir=tmp_path / name,
        style="folded",
        target_fps=1e5,
        synth="none",
    )
    result = build(config)
    assert_verified(result, 1000)
    assert_page(result, tmp_path, layers=4)


def test_model_without_input_quantizer(shared_data, tmp_path):
    config = BuildConfig(
        board="Pynq-Z1",
        model=str(shared_data / "jets_teacher_6bit.onnx"),
        output_dir=tmp_path / "teacher",
        target_fps=1e5,
        synth="none",
    )
    with pytest.raises(UserError, match="--input-quant INT8"):
        build(config)
    config.input_quant = "INT8"
    with pytest.raises(UserError, match="--input-scale"):
        build(config)
    config.data = str(shared_data / "jets_real_dev.npz")
    config.standardise = True
    result = build(config)
    assert_verified(result, 1000)
    report = json.loads((result.report / "accuracy.json").read_text())
    assert report["frames"] == 501
    assert report["surrogate"] is False
    # The public model is right on 75.0 % of these jets; eight bits at its input change little.
    assert report["accuracy_without_input_quantizer"] == pytest.approx(0.750, abs=0.001)
    assert report["accuracy"] == pytest.approx(0.750, abs=0.015)
