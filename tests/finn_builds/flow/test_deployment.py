"""What a build leaves for the board: package, driver, Vivado project; tried as a user would."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from deploy.measure import throughput_test
from deploy.package import Package
from deploy.validate import validate
from finn_builds import BuildConfig, build
from finn_builds.config.boards import load_board
from finn_builds.errors import UserError
from finn_builds.files import read_json
from finn_builds.flow import choose_style
from finn_builds.flow.deliver import step_deployment_package
from finn_builds.ingest import HostSplit
from finn_builds.run.runner import result_of
from finn_builds.run.terminal import summary_table
from finn_builds.stitch.sources import Stitched
from finn_builds.style.styles import Styles
from finn_builds.verify.simulated import Simulated
from finn_builds.verify.streamlined import Streamlined
from tests.finn_builds.small_network import save_small_network
from tests.finn_builds.vivado.conftest import fake_vivado, record, tclsh  # noqa: F401

pytestmark = pytest.mark.slow  # three builds and three simulated boards

DESIGNS = ("sparse", "folded", "mixed")


@pytest.fixture(scope="module", autouse=True)
def settled_sources():
    """Let builds reuse each other's steps, whether or not somebody edits the sources meanwhile."""
    environment = {"sources": "those of the test", "versions": {}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BuildConfig, "environment", lambda self: environment)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> BuildConfig:
    """A 6-8-5-3 network with labelled data."""
    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("deployment")
    np.savez(folder / "data.npz", X=rng.uniform(-4, 4, (600, 6)), y=rng.integers(0, 3, 600))
    return BuildConfig(
        board="Pynq-Z1",
        model=str(save_small_network(folder / "small.onnx")),
        data=str(folder / "data.npz"),
        output_dir=folder / "build",
        verify_frames=60,
        synth="none",
    )


@pytest.fixture(scope="module")
def results(config):
    """One build in each style; the folded one gives the class alone."""
    found = {}
    out = config.output_dir
    with pytest.MonkeyPatch.context() as patch:
        for name in DESIGNS:
            options = {"style": "auto" if name == "mixed" else name, "top1": name == "folded"}
            if name == "mixed":
                patch.setattr(choose_style, "step_choose_style", _step_mixed)
            found[name] = build(replace(config, output_dir=out / name, **options))
    return found


def _step_mixed(streamlined: Streamlined, cfg: BuildConfig) -> Styles:
    """Choose one style for every second layer."""
    count = len(streamlined.network.layers())
    styles = ["folded" if k % 2 else "sparse" for k in range(count)]
    return choose_style.with_styles(streamlined, styles, "every second layer", cfg)


def built(result) -> dict:
    text = (result.report / "rtlsim_performance.json").read_text()
    return {key: json.loads(text)[key] for key in ("latency_cycles", "interval_cycles")}


def command(result, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a file of the package in its folder, as the README says."""
    # The project that is installed may be another checkout of it.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    folder = result.out / "deploy"
    return subprocess.run(
        [sys.executable, *argv], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_two_commands_tell_what_the_build_measured(results, config):
    result = results["sparse"]
    done = command(
        result, "driver.py", "--virtual", "--exec_mode", "throughput_test", "--batchsize", "1000"
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((result.out / "deploy" / "nw_metrics.json").read_text())
    assert metrics["built"] == built(result)
    assert metrics["latency_cycles"] == built(result)["latency_cycles"]
    assert metrics["interval_cycles"] == built(result)["interval_cycles"] == 1
    assert metrics["shell_latency_cycles"] > 0
    assert 0 <= metrics["shell_interval_cycles"] < 1
    assert f"(built: {built(result)['latency_cycles']})" in done.stdout
    done = command(result, "validate.py", "--virtual")
    assert done.returncode == 0, done.stderr
    assert "PASSED: 60 frames" in done.stdout
    # What the driver has written is kept, and is no reason to build again.
    assert build(replace(config, output_dir=result.out, style="sparse")).ran == ()
    assert (result.out / "deploy" / "nw_metrics.json").is_file()


@pytest.mark.parametrize("name", DESIGNS)
def test_every_style_runs_on_the_simulated_board(results, name):
    package = Package(results[name].out / "deploy")
    overlay = package.open(virtual=True, batch_size=60)
    found = validate(package, overlay)
    assert (found["frames"], found["features"]) == (60, 60)
    assert found["input_mismatches"] == found["mismatches"] == found["class_mismatches"] == 0
    metrics = throughput_test(overlay, repeats=2, description=package.description)
    for result in (found, metrics):
        assert result["latency_cycles"] == built(results[name])["latency_cycles"]
        assert result["interval_cycles"] == built(results[name])["interval_cycles"]
    kinds = {path.name.split("_")[0] for path in (package.folder / "rtl").glob("*_rtl_0*.v")}
    assert ("SparseMVAU" in kinds, "MVAU" in kinds) == (name != "folded", name != "sparse")


def test_classes_come_from_the_accelerator_with_top1(results):
    package = Package(results["folded"].out / "deploy")
    assert package.description["top1"]
    overlay = package.open(virtual=True, batch_size=60)
    with np.load(package.folder / "validation.npz") as saved:
        classes = overlay.classify(saved["features"])
        assert overlay.oshape_normal() == (60, 1)
        assert (classes == saved["classes"]).all()
        assert len(saved["labels"]) == 60
    assert len(np.unique(classes)) > 1


def test_the_zip_holds_the_package_and_runs_under_any_name(results, tmp_path):
    result = results["sparse"]
    with zipfile.ZipFile(result.out / "deploy.zip") as archive:
        archive.extractall(tmp_path)
    folder = (tmp_path / "deploy").rename(tmp_path / "my accelerator")
    (tmp_path / "virtual_board").symlink_to(result.out / "virtual_board")
    listed = (folder / "SHA256SUMS").read_text().splitlines()
    names = {line.split("  ")[1] for line in listed}
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == present - {"SHA256SUMS"}
    assert {"driver.py", "README.md", "notebooks/board.ipynb", "validation.npz"} <= names
    package = Package(folder)
    assert package.check_files() == len(names)
    overlay = package.open(virtual=True, batch_size=60)
    assert validate(package, overlay)["mismatches"] == 0


def test_one_zip_has_all_that_vivado_needs(results, tmp_path):
    """Nothing else is needed where it is unzipped: the script finds every source it names."""
    for name in ("sparse", "folded"):
        out = results[name].out
        with zipfile.ZipFile(out / "vivado.zip") as archive:
            names = archive.namelist()
            archive.extractall(tmp_path / name)
        (folder,) = (tmp_path / name).iterdir()
        assert len(names) == len(set(names))
        listed = (folder / "stitched_ip" / "all_verilog_srcs.txt").read_text().split()
        assert all((folder / "stitched_ip" / source).is_file() for source in listed)
        data = {path.name for path in (out / "stitched_ip").glob("*.dat")}
        assert data == {path.name for path in (folder / "stitched_ip").glob("*.dat")}
        for path in (folder / "vivado").rglob("*"):
            if path.is_file():
                built = out / "vivado" / path.relative_to(folder / "vivado")
                assert path.read_bytes() == built.read_bytes()
        assert {"build.tcl", "README.md", "sources"} == {
            p.name for p in (folder / "vivado").iterdir()
        }
        # Windows takes paths of 260 characters, and Vivado adds some 100 to those of its project.
        assert max(map(len, names)) < 120


def test_equal_builds_give_equal_packages(results, config):
    """Nothing of the time or the place is in a zip."""
    out = results["sparse"].out
    settings = replace(config, output_dir=out).validate()
    held = (result_of(out, kind) for kind in (Streamlined, HostSplit, Stitched, Simulated))
    digests = {hashlib.sha256((out / "deploy.zip").read_bytes()).hexdigest()}
    step_deployment_package(*held, None, None, settings)
    digests.add(hashlib.sha256((out / "deploy.zip").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_driver_folder_and_ip_description(results):
    result = results["mixed"]
    for name in ("driver.py", "driver_base.py", "overlay.json"):
        assert (result.out / "driver" / name).is_file()
    text = (result.stitched_ip / "component.xml").read_text()
    for source in (result.stitched_ip / "all_verilog_srcs.txt").read_text().split():
        assert f"<spirit:name>{source}</spirit:name>" in text
    for path in result.stitched_ip.glob("*.dat"):
        assert f"<spirit:name>{path.name}</spirit:name>" in text


@pytest.mark.parametrize("name", DESIGNS)
def test_the_vivado_project_of_every_style_is_complete(results, record, name):  # noqa: F811
    done = record(results[name].out / "vivado")
    assert done.returncode == 0, done.output
    # Every path that a source names is that of a file, or begins the names of some.
    copied = results[name].out / "vivado" / "project" / "src"
    for path in copied.iterdir():
        for named in path.read_text().split('"')[1::2]:
            if named.startswith("/"):
                folder, _, start = named.rpartition("/")
                assert any(f.startswith(start) for f in os.listdir(folder)), named


@pytest.mark.parametrize("late", [False, True])
def test_bitfile_goes_into_the_package_if_it_keeps_its_timing(
    results,
    config,
    fake_vivado,  # noqa: F811
    late,
):
    (fake_vivado / "options").write_text("late" if late else "")
    result = build(
        replace(
            config,
            output_dir=results["sparse"].out,
            style="sparse",
            bitfile=True,
            start_step="synthesize_bitfile",
        )
    )
    assert set(result.ran) >= {"synthesize_bitfile", "deployment_package", "summary"}
    bit = "finn-accel-timing-missed.bit" if late else "finn-accel.bit"
    names = sorted([bit, "finn-accel.hwh", "finn-accel.json"])
    assert sorted(path.name for path in (result.out / "bitfile").iterdir()) == names
    in_package = [result.out / "deploy" / "bitfile" / name for name in names]
    assert [path.is_file() for path in in_package] == [not late] * 3
    assert result.summary["timing_met"] != late
    assert ("misses its timing" in result.summary["bitfile"]) == late
    assert ("at 100.000 MHz (100.000 MHz asked for" in result.summary["bitfile"]) != late
    note = result.summary["board_files"]["note"]
    assert note.startswith("The processor has the presets of the board files ")
    assert note in summary_table(result.summary)
    assert note in (result.out / "report.html").read_text()
    # The package says what it was made for; without a bitfile, what was asked for.
    overlay = read_json(result.out / "deploy" / "overlay.json")
    made = {"asked_mhz": 100.0, "actual_mhz": 100.0, "period_ns": 10.0}
    assert overlay["clock"] == (made | ({"actual_mhz": None} if late else {}))
    assert overlay["fclk_mhz"] == 100.0
    assert overlay["vivado"] == (None if late else "2023.2")
    found = "unknown" if late else f"{load_board(config.board).board_part}:part0:1.0"
    assert overlay["board_files"]["found"] == found


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("failing-run", "the run impl_1 ended with 'route_design ERROR'"),
        ("fast-clock", "the processor makes 1000.000000 MHz where 100 MHz was asked for"),
    ],
)
def test_a_bitfile_that_fails_leaves_the_build_as_it_was(
    results,
    config,
    fake_vivado,  # noqa: F811
    option,
    reason,
):
    """The command line ends with this message and exit code 2."""
    out = results["sparse"].out

    def state() -> tuple[bytes, list[str]]:
        made = sorted(path.name for path in out.glob("bitfile/*"))
        return (out / "deploy.zip").read_bytes(), made

    before = state()
    (fake_vivado / "options").write_text(option)
    settings = replace(config, output_dir=out, style="sparse", bitfile=True)
    with pytest.raises(UserError, match="Vivado made no bitfile: ") as told:
        build(replace(settings, start_step="synthesize_bitfile"))
    assert reason in str(told.value)
    assert state() == before


def test_a_package_for_the_kv260_states_its_clock_and_its_board_files(
    config,
    fake_vivado,  # noqa: F811
    tmp_path,
):
    """Made with the board's default clock, 5.333 ns, and checked on the simulated board."""
    out = tmp_path / "kv260"
    result = build(replace(config, board="KV260_SOM", output_dir=out, style="sparse", bitfile=True))
    assert result.summary["timing_met"]
    with zipfile.ZipFile(out / "deploy.zip") as archive:
        archive.extractall(tmp_path)
        names = archive.namelist()
    assert {f"deploy/bitfile/finn-accel.{kind}" for kind in ("bit", "hwh", "json")} <= set(names)
    package = Package(tmp_path / "deploy")
    assert package.check_files() == len(names) - 1
    clock = package.description["clock"]
    assert clock["asked_mhz"] == pytest.approx(1000 / 5.333, abs=1e-6)
    assert (clock["actual_mhz"], clock["period_ns"]) == (187.498123, 5.333)
    assert package.description["board_files"]["found"] == "xilinx.com:kv260_som:part0:1.4"
    facts = read_json(tmp_path / "deploy" / "bitfile" / "finn-accel.json")
    assert facts["clock"] == clock
    # The stand-in's handoff is not one that pynq can read; without it the description is enough.
    (tmp_path / "deploy" / "bitfile" / "finn-accel.hwh").unlink()
    overlay = package.open(virtual=True, batch_size=60)
    assert validate(package, overlay)["mismatches"] == 0
    assert overlay.fclk_mhz == pytest.approx(187.498, abs=1e-3)
