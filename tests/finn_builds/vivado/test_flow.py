"""``build.py --bitfile`` as a user types it, to its last message and file, with a stand-in.

The stand-in for Vivado answers as several versions do in public transcripts, and fails in the ways
in which the program fails. A first build makes everything before the bitfile.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import build as command
from tests.finn_builds.small_network import save_small_network
from tests.finn_builds.vivado.conftest import BANNERS

pytestmark = pytest.mark.slow  # two small builds, and their last steps some twenty times

#: Runs that step again, from what the build before has made.
AGAIN = ("--bitfile", "--start-step", "synthesize_bitfile")
LEFT = ("bitfile", "report/post_synth_resources.json", "report/post_route_timing.rpt")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build without Vivado, of a model with letters that Vivado on Windows does not take."""
    folder = tmp_path_factory.mktemp("flow")
    save_small_network(folder / "Müller & Söhne 日本.onnx")
    return folder


def run(folder: Path, *more: str, board: str = "Pynq-Z2", out: str = "out") -> int:
    """Run the command; the steps before the bitfile are those of the first build."""
    fast = ("--style", "sparse", "--synth", "none", "--verify-frames", "40", "--seed", "1")
    model = str(folder / "Müller & Söhne 日本.onnx")
    return command.main(
        ["--board", board, "--model", model, "--out", str(folder / out), *fast, *more]
    )


def ready(folder: Path) -> None:
    """Make all that stands before the bitfile, unless a test before has done so."""
    if not (folder / "out" / "deploy.zip").exists():
        assert run(folder) == 0


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_a_build_without_vivado_has_all_that_another_pc_needs(first, capsys):
    assert run(first) == 0
    assert "warning" not in capsys.readouterr().out
    out = first / "out"
    with zipfile.ZipFile(out / "vivado.zip") as archive:
        names = archive.namelist()
    assert all(name.isascii() and " " not in name and "&" not in name for name in names)
    (root,) = {name.partition("/")[0] for name in names}
    assert root.endswith("_Pynq-Z2")
    assert not any((out / name).exists() for name in LEFT)
    overlay = json.loads((out / "deploy" / "overlay.json").read_text())
    assert overlay["clock"] == {"asked_mhz": 100.0, "actual_mhz": None, "period_ns": 10.0}


@pytest.mark.parametrize("version", BANNERS)
def test_old_and_new_versions_make_the_bitfile(fake_vivado, first, capsys, version):
    (fake_vivado / "banner").write_text(BANNERS[version])
    (fake_vivado / "options").write_text("silent")
    ready(first)
    assert run(first, *AGAIN) == 0
    out = first / "out"
    said = capsys.readouterr().out
    assert "bitfile/finn-accel.bit at 100.000 MHz (100.000 MHz asked for" in said
    assert f"(Vivado {version})" in said
    assert "board files" in said and "tul.com.tw:pynq-z2:part0:1.0" in said
    made = {f"deploy/bitfile/finn-accel.{kind}" for kind in ("bit", "hwh", "json")}
    assert made | {f"bitfile/{Path(name).name}" for name in made} <= files(out)
    assert json.loads((out / "deploy" / "overlay.json").read_text())["vivado"] == version


@pytest.mark.parametrize(
    ("option", "slack"), [("late", "-0.25"), ("hold", "-0.011"), ("late-by-1ps", "-0.001")]
)
def test_missed_timing_is_said_and_kept_from_the_package(fake_vivado, first, capsys, option, slack):
    (fake_vivado / "options").write_text(option)
    ready(first)
    assert run(first, *AGAIN) == 0
    out = first / "out"
    said = capsys.readouterr().out
    assert f"misses its timing (slack {slack} ns) and is not in the package" in said
    assert "report/vivado/worst_paths.rpt says where it is lost" in said
    found = files(out)
    assert {"bitfile/finn-accel-timing-missed.bit", "report/vivado/worst_paths.rpt"} <= found
    assert "bitfile/finn-accel.bit" not in found
    assert not any(name.startswith("deploy/bitfile") for name in found)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("without-part", "this Vivado does not know the part xc7z020clg400-1: install its device"),
        ("failing-synthesis", "the run synth_1 ended with 'synth_design ERROR': ERROR: [Recorder"),
        ("failing-run", "the run impl_1 ended with 'route_design ERROR': ERROR: [Recorder 1-1]"),
        ("fast-clock", "the processor makes 1000.000000 MHz where 100 MHz was asked for"),
        ("other-constraint", "the routed design is constrained to 20.000 ns, a slower clock than"),
        ("no-bit", "the run impl_1 left no bitfile"),
        ("no-handoff", "Vivado has written no top.hwh"),
        ("broken", 'error writing "file7": no space left on device'),
        ("killed", "it was ended by SIGKILL, as a system does that is short of memory"),
    ],
)
def test_a_failure_ends_in_one_sentence_and_leaves_the_build(
    fake_vivado, first, capsys, option, message
):
    out = first / "out"
    ready(first)
    (fake_vivado / "options").write_text(option)
    before = files(out)
    capsys.readouterr()
    assert run(first, *AGAIN) == 2
    (error,) = (e for e in capsys.readouterr().err.splitlines() if not e.startswith("["))
    assert error.startswith("error: Vivado made no bitfile: ")
    assert message in error
    log = Path(error.partition("; all it said is in ")[2])
    assert option == "killed" or message in log.read_text(), "it is of this run"
    assert before <= files(out)


def test_another_clock_is_said_from_the_first_message_to_the_driver(fake_vivado, first, capsys):
    """7.123 ns: the PLL of 1,000 MHz makes 125 and 142.9 MHz, and nothing between them."""
    assert run(first, "--clock-ns", "7.123", out="other") == 0
    said = capsys.readouterr().out
    warned = (
        "the processor of Pynq-Z2 makes no clock of 140.390 MHz: the board will run at 125.000 MHz"
    )
    assert warned in " ".join(said.split()) and "--clock-ns 8" in said
    assert "on the board at most 125,000,000" in said
    out = first / "other"
    assert warned in (out / "report.html").read_text()
    overlay = json.loads((out / "deploy" / "overlay.json").read_text())
    assert overlay["fclk_mhz"] == 125.0 and overlay["clock"]["period_ns"] == 8.0
    settings = json.loads((out / "deploy" / "settings.json").read_text())
    assert settings["driver_information"]["fclk_mhz"] == 125.0, "FINN's driver asks pynq for it"
    assert run(first, "--clock-ns", "7.123", "--bitfile", out="other") == 0
    said = capsys.readouterr().out
    assert "at 125.000 MHz (140.390 MHz asked for, constrained to 8.0 ns)" in said
    overlay = json.loads((out / "deploy" / "overlay.json").read_text())
    assert overlay["fclk_mhz"] == overlay["clock"]["actual_mhz"] == 125.0


@pytest.mark.parametrize(
    ("board", "ns", "message"),
    [
        ("Pynq-Z2", "5000", "--clock-ns 5000: the slowest clock that the processor of Pynq-Z2"),
        ("KV260_SOM", "3000", "makes is 0.378 MHz; give 2646.03 ns or less"),
    ],
)
def test_a_clock_that_is_slower_than_any_is_refused_at_once(first, capsys, board, ns, message):
    assert run(first, "--clock-ns", ns, board=board, out="never") == 2
    assert message in capsys.readouterr().err
    assert not (first / "never").exists()
