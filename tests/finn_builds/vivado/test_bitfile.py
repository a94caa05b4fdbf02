"""``build.py --bitfile``: with a stand-in for Vivado, and without any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.tools import ToolFailed
from finn_builds.vivado.bitfile import Placed, make_bitfile
from tests.finn_builds.vivado.conftest import write_build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "build"
    write_build(out, "Pynq-Z1")
    (out / "report").mkdir()
    (tmp_path / "scratch").mkdir()
    return out


def test_bitfile_reports_and_log_are_collected(fake_vivado, folder, tmp_path):
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    placed.save(folder, "synthesize_bitfile")
    assert Placed.load(folder, "synthesize_bitfile") == placed
    assert placed.timing_met
    names = sorted(path.name for path in (folder / "bitfile").iterdir())
    assert names == ["finn-accel.bit", "finn-accel.hwh"]
    figures = json.loads((folder / "report" / "post_synth_resources.json").read_text())
    assert figures["(top)"] == {
        "LUT": 900,
        "LUTRAM": 30,
        "SRL": 10,
        "FF": 1200,
        "BRAM_36K": 1,
        "BRAM_18K": 2,
        "DSP": 3,
    }
    assert figures["accelerator0"]["LUT"] == 500
    assert figures["timing"]["WNS"] == 0.321
    assert figures["timing"]["met"]
    assert figures["tool"] == {"name": "Vivado", "version": "2023.2", "stage": "placed and routed"}
    assert "finished" in (folder / "report" / "vivado.log").read_text()
    assert "WNS" in (folder / "report" / "post_route_timing.rpt").read_text()
    assert not (folder / "vivado" / "project").exists(), "Vivado works in the scratch folder"


def test_missed_timing_is_recorded(fake_vivado, folder, tmp_path):
    (fake_vivado / "options").write_text("late")
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert not placed.timing_met
    placed.save(folder, "synthesize_bitfile")
    timing = json.loads((folder / "report" / "post_synth_resources.json").read_text())["timing"]
    assert (timing["WNS"], timing["met"]) == (-0.25, False)


def test_a_failing_run_keeps_the_log_and_makes_no_bitfile(fake_vivado, folder, tmp_path):
    (fake_vivado / "options").write_text("failing-run")
    with pytest.raises(ToolFailed, match="route_design ERROR"):
        make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert "no bitfile" in (folder / "report" / "vivado.log").read_text()
    assert not (folder / "bitfile").exists()


def test_without_vivado_the_message_says_what_to_run_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as told:
        BuildConfig(board="Pynq-Z1", bitfile=True, output_dir=tmp_path / "out").validate()
    message = str(told.value)
    assert f"build without --bitfile, then follow {tmp_path}/out/vivado/README.md" in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


def test_with_vivado_a_bitfile_may_be_asked_for(fake_vivado, tmp_path):
    cfg = BuildConfig(board="Pynq-Z1", bitfile=True, output_dir=tmp_path / "out").validate()
    assert cfg.bitfile
