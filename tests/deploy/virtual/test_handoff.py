"""pynq's real parser reads what the driver relies on from a handoff of the block design."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("pynq", reason="the virtual board is a pynq device")

from pynq.pl_server.embedded_device import Metadata, RuntimeMetadataParser

from deploy import handoff
from deploy.driver_base import FINNExampleOverlay
from deploy.package import Package
from deploy.registers import DriverError
from deploy.virtual.simulate import simulate_package
from finn_builds.config.boards import load_board
from finn_builds.shell.compile import compile_for_virtual_board
from finn_builds.shell.spec import ShellSpec
from tests.finn_builds.vivado.conftest import BOARDS, write_build

pytestmark = pytest.mark.slow  # two small compilations

FIRST = {"zynq_7000": 0x4000_0000, "zynq_ultrascale": 0xA000_0000}


@pytest.fixture(params=["made", "made_for_kv260"])
def package(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def board(package):
    board = simulate_package(
        package.folder, package.description, compile_shell=compile_for_virtual_board
    )
    yield board
    board.close()


def opened(package, bit: Path, board, **more) -> FINNExampleOverlay:
    shapes = Package(package.folder).io_shape_dict()
    arguments = {"batch_size": 16, "fclk_mhz": 100.0, **more}
    return FINNExampleOverlay(str(bit), "zynq-iodma", shapes, device=board, **arguments)


def test_the_driver_runs_where_the_handoff_has_the_blocks(package, board, with_handoff):
    bit = with_handoff(package)
    overlay = opened(package, bit, board)
    first = FIRST[package.description["ps_type"]]
    names = ("idma0", "odma0", "control0")
    expected = {name: first + i * 0x1_0000 for i, name in enumerate(names)}
    assert {name: overlay.ip_dict[name]["phys_addr"] for name in names} == expected
    assert handoff.addresses(bit.with_suffix(".hwh")) == expected
    assert [overlay.ip_dict[name]["addr_range"] for name in names] == [0x1_0000] * 3
    types = [overlay.ip_dict[name]["type"] for name in names]
    assert types == [f"xilinx.com:module_ref:prunestream_{n[:-1]}:1.0" for n in names]
    assert overlay.clock_dict[0]["divisor0"] * overlay.clock_dict[0]["divisor1"] in (10, 15)
    assert overlay.fclk_mhz == board.fclk_mhz == pytest.approx(100, rel=2e-5)
    assert (overlay.execute(package.integers) == package.outputs).all()


@pytest.mark.parametrize("board_name", BOARDS)
def test_pynq_reads_every_board_s_handoff(board_name, handoff_of, tmp_path):
    """Blocks, addresses, clock and processor, from the block design of each board."""
    write_build(tmp_path, board_name)
    spec = ShellSpec.for_board(
        load_board(board_name),
        "finn_design_wrapper",
        in_bytes=2,
        out_bytes=1,
        in_beats=3,
        out_beats=5,
    )
    path = tmp_path / "finn-accel.hwh"
    path.write_text(handoff_of(tmp_path / "vivado", spec, board_name))
    parser = RuntimeMetadataParser(Metadata(input=path))
    first = FIRST[load_board(board_name).ps_type]
    expected = {name: first + i * 0x1_0000 for i, name in enumerate(("idma0", "odma0", "control0"))}
    found = {name: parser.ip_dict[name]["phys_addr"] for name in expected}
    assert found == expected == handoff.addresses(path)
    assert all(parser.ip_dict[name]["mem_id"] == "s_axi_control" for name in expected)
    clock = parser.clock_dict[0]
    assert clock["enable"] == 1 and clock["divisor0"] * clock["divisor1"] in (10, 15)
    assert [parser.clock_dict[i]["enable"] for i in (1, 2, 3)] == [0, 0, 0]
    kind = {"zynq_7000": "processing_system7", "zynq_ultrascale": "zynq_ultra_ps_e"}
    assert kind[load_board(board_name).ps_type] in parser.ip_dict["zynq_ps"]["type"]


def test_addresses_that_pynq_kept_of_another_overlay_are_never_used(
    package, board, with_handoff, monkeypatch
):
    """As in PYNQ's issue 1652: the file is new, what pynq answers is not."""
    bit = with_handoff(package)
    true = board.get_bitfile_metadata

    def stale(name):
        parser = true(name)
        parser.ip_dict["odma0"]["phys_addr"] += 0x10_0000
        return parser

    monkeypatch.setattr(board, "get_bitfile_metadata", stale)
    accesses = []
    monkeypatch.setattr(board.simulator, "read", lambda *a, **_: accesses.append(a))
    monkeypatch.setattr(board.simulator, "write", lambda *a, **_: accesses.append(a))
    with pytest.raises(DriverError, match=r"(?s)pynq has odma0 at 0x.*\.hwh at.*PL\.reset"):
        opened(package, bit, board)
    assert accesses == []


def test_a_block_that_pynq_does_not_find_is_told(package, board, with_handoff, monkeypatch):
    bit = with_handoff(package)
    true = board.get_bitfile_metadata

    def stale(name):
        parser = true(name)
        del parser.ip_dict["idma0"]
        return parser

    monkeypatch.setattr(board, "get_bitfile_metadata", stale)
    with pytest.raises(DriverError, match=r"(?s)pynq finds no idma0.*PL\.reset"):
        opened(package, bit, board)


def test_a_handoff_that_is_damaged_is_told(package, board, with_handoff, tmp_path):
    for suffix in (".bit", ".hwh"):
        shutil.copy(with_handoff(package).with_suffix(suffix), tmp_path / f"finn-accel{suffix}")
    cut = tmp_path / "finn-accel.hwh"
    cut.write_text(cut.read_text()[:-40])
    with pytest.raises(DriverError, match=r"is not a hardware handoff.*copy the \.hwh"):
        opened(package, cut.with_suffix(".bit"), board)
