"""``build.py --bitfile``: with a stand-in for Vivado, and without any.

The stand-in answers as several versions of the program do in public transcripts, and fails in the
ways it fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finn_builds.config.boards import load_board
from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.vivado.bitfile import Placed, make_bitfile
from finn_builds.vivado.script import REPORTS
from tests.finn_builds.vivado.conftest import BANNERS, BOARDS, small_spec, write_build


def build_folder(tmp_path: Path, board: str = "Pynq-Z1") -> Path:
    out = tmp_path / "build"
    write_build(out, board, load_board(board).clock_ns)
    (out / "report").mkdir()
    (tmp_path / "scratch").mkdir()
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_folder(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bitfile_reports_and_log_are_collected(fake_vivado, folder, tmp_path):
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    placed.save(folder, "synthesize_bitfile")
    assert Placed.load(folder, "synthesize_bitfile") == placed
    assert placed.timing_met
    assert names(folder / "bitfile") == ["finn-accel.bit", "finn-accel.hwh", "finn-accel.json"]
    assert names(folder / "report" / "vivado") == sorted(REPORTS)
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
    log = (folder / "report" / "vivado.log").read_text()
    assert "finished" in log and "MHz asked for" in log and "board files: " in log
    assert "WNS" in (folder / "report" / "post_route_timing.rpt").read_text()
    assert not (folder / "vivado" / "project").exists(), "Vivado works in the scratch folder"


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_s_clock_and_board_files_are_told(fake_vivado, tmp_path, board):
    spec = load_board(board)
    folder = build_folder(tmp_path, board)
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    facts = placed.facts
    assert facts["clock"]["actual_mhz"] <= facts["clock"]["asked_mhz"]
    made = spec.fabric_mhz(spec.clock_ns)
    assert facts["clock"]["actual_mhz"] == pytest.approx(made, rel=1e-6)
    assert facts["board_files"]["found"].startswith(f"{spec.board_part}:part0:")
    words = placed.words
    assert words["board files"] == facts["board_files"]["note"]
    assert words["bitfile"].startswith(f"bitfile/finn-accel.bit at {made:.3f} MHz (")
    written = json.loads((folder / "bitfile" / "finn-accel.json").read_text())
    assert {key: written[key] for key in facts} == facts
    assert written["build_id"] == small_spec(board).build_id


@pytest.mark.parametrize("version", BANNERS)
def test_the_version_is_read_of_old_and_new_banners(fake_vivado, folder, tmp_path, version):
    """Where the script can't ask for it; a version that nobody knows fails no build."""
    (fake_vivado / "options").write_text("silent")
    (fake_vivado / "banner").write_text(BANNERS[version])
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert placed.report["tool"]["version"] == placed.facts["vivado"] == version
    assert placed.timing_met


@pytest.mark.parametrize(
    ("option", "slack"),
    [("late", "WNS"), ("late-by-1ps", "WNS"), ("hold", "WHS"), ("pulse", "WPWS")],
)
def test_missed_timing_is_recorded(fake_vivado, folder, tmp_path, option, slack):
    (fake_vivado / "options").write_text(option)
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert not placed.timing_met
    placed.save(folder, "synthesize_bitfile")
    timing = json.loads((folder / "report" / "post_synth_resources.json").read_text())["timing"]
    assert timing[slack] < 0 and timing["met"] is False
    assert names(folder / "bitfile") == [
        "finn-accel-timing-missed.bit",
        "finn-accel.hwh",
        "finn-accel.json",
    ]
    assert f"misses its timing (slack {timing[slack]} ns)" in placed.words["bitfile"]
    assert "TIMING MISSED" in (folder / "report" / "vivado.log").read_text()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("failing-synthesis", "the run synth_1 ended with 'synth_design ERROR'"),
        ("failing-run", "the run impl_1 ended with 'route_design ERROR'"),
        ("fast-clock", "a clock that is too fast, and none that is slower: build again for"),
        ("no-clock", "takes no clock of 100 MHz: ERROR: [IP_Flow 19-3461] Value '100' is out of"),
        ("no-bit", "the run impl_1 left no bitfile"),
        ("no-handoff", "Vivado has written no top.hwh"),
        ("broken", 'error writing "file7": no space left on device'),
        (
            "killed",
            "Vivado made no bitfile: it was ended by SIGKILL, as a system does that is short",
        ),
        ("other-constraint", "is constrained to 20.000 ns, a slower clock"),
        ("without-part", "does not know the part xc7z020clg400-1: install its device family"),
    ],
)
def test_a_failure_keeps_the_log_and_makes_no_bitfile(
    fake_vivado, folder, tmp_path, option, message
):
    (fake_vivado / "options").write_text(option)
    with pytest.raises(UserError) as told:
        make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    said = str(told.value)
    assert said.startswith("Vivado made no bitfile: ") and "\n" not in said
    assert said.endswith(f"; all it said is in {folder}/report/vivado.log")
    assert message in said
    log = (folder / "report" / "vivado.log").read_text()
    assert message in log or option == "killed"
    assert ("this is why" in said) == option.startswith("failing")
    assert not (folder / "bitfile").exists()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (
            "echo 'loader: line 312: libtinfo.so.5: cannot open shared object file'; exit 127",
            "it ended with exit status 127, and said last: loader: line 312: libtinfo.so.5: cannot",
        ),
        (
            # The program is started by a script, which tells of its end.
            'echo \'loader: line 312:  4711 Killed   "$RDI_PROG" "$@"\'; exit 137',
            "it ended with exit status 137, and said last: loader: line 312:  4711 Killed",
        ),
        (
            "echo; echo 'ERROR: [Common 17-345] A valid license was not found for feature'; exit 1",
            "ERROR: [Common 17-345] A valid license was not found for feature",
        ),
        ("exit 3", "it ended with exit status 3 without a word"),
        ("kill -SEGV $$", "it was ended by SIGSEGV without a word"),
    ],
)
def test_a_vivado_that_does_not_run_is_told(fake_vivado, folder, tmp_path, program, reason):
    (fake_vivado / "vivado").write_text(f"#!/bin/sh\n{program}\n")
    with pytest.raises(UserError) as told:
        make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert str(told.value).startswith(f"Vivado made no bitfile: {reason}")
    assert str(told.value).endswith(f"; all it said is in {folder}/report/vivado.log")
    assert not (folder / "bitfile").exists()


def test_a_vivado_that_ends_well_without_results_is_told(fake_vivado, folder, tmp_path):
    (fake_vivado / "vivado").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(UserError, match=r"made no utilization\.rpt, timing\.rpt, finn-accel\.json"):
        make_bitfile(folder, folder / "vivado", tmp_path / "scratch")


def test_tables_of_a_layout_that_is_not_known_cost_no_bitfile(fake_vivado, folder, tmp_path):
    (fake_vivado / "options").write_text("new-tables")
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert placed.timing_met
    assert names(folder / "bitfile") == ["finn-accel.bit", "finn-accel.hwh", "finn-accel.json"]
    assert placed.report["timing"] == {"WNS": 0.321, "WHS": 0.02, "WPWS": None, "met": True}
    assert set(placed.report["unread"]) == {"utilization.rpt", "timing.rpt"}
    assert "utilization.rpt: no table of utilisation" in placed.words["not read"]
    assert "slack 0.321 ns" in placed.words["bitfile"]


def test_a_host_whose_name_is_no_utf_8_costs_no_figures(fake_vivado, folder, tmp_path):
    """Reports name the host, in the letters of its system."""
    text = (fake_vivado / "vivado").read_text().replace("exec ", "")
    latin = "printf '| Host : M\\374ller\\n' >> result/utilization.rpt\n"
    (fake_vivado / "vivado").write_text(text + latin)
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert placed.timing_met and "unread" not in placed.report
    assert b"M\xfcller" in (folder / "report" / "vivado" / "utilization.rpt").read_bytes()


def test_timing_that_is_missed_by_less_than_a_digit_is_missed(fake_vivado, folder, tmp_path):
    (fake_vivado / "options").write_text("late-by-less")
    placed = make_bitfile(folder, folder / "vivado", tmp_path / "scratch")
    assert not placed.timing_met
    assert "finn-accel-timing-missed.bit" in names(folder / "bitfile")


def test_without_vivado_the_message_says_what_to_run_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as told:
        BuildConfig(board="Pynq-Z1", bitfile=True, output_dir=tmp_path / "out").validate()
    message = str(told.value)
    assert f"build without --bitfile, take {tmp_path}/out/vivado.zip to a machine" in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


def test_with_vivado_a_bitfile_may_be_asked_for(fake_vivado, tmp_path):
    cfg = BuildConfig(board="Pynq-Z1", bitfile=True, output_dir=tmp_path / "out").validate()
    assert cfg.bitfile
