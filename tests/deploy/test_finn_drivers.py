"""FINN's drivers run unchanged on the shell, and FINN's scripts run unchanged with ours."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")
pytest.importorskip("qonnx", reason="FINN's drivers take their types from qonnx")

from pynq.pl_server.device import Device

from deploy import driver
from deploy.driver_base import FINNExampleOverlay
from deploy.registers import DriverError
from deploy.virtual.simulate import simulate_package
from finn_builds.shell.compile import compile_for_virtual_board
from tests.deploy.environments import environment

pytestmark = pytest.mark.slow  # two small compilations

FRAMES = 16


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


@pytest.fixture
def bit(package, with_handoff) -> str:
    """Return the bitfile to load.

    Without a handoff for a Zynq-7000: pynq 4.0.0's own ``Overlay`` fails on its clocks.
    """
    if package.description["ps_type"] == "zynq_7000":
        return str(package.folder / "overlay.json")
    return str(with_handoff(package))


@pytest.fixture(scope="module")
def finn_plus(request: pytest.FixtureRequest):
    """The driver that FINN+ publishes for boards, from pip, as it is."""
    pytest.importorskip("bitstring", reason="FINN+'s driver packs with bitstring")
    folder = environment(request.config, ["finn-plus-driver==1.6.1"], dependencies=False)
    sys.path.insert(0, str(folder))
    yield pytest.importorskip("finn_plus_driver")
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "finn_plus_driver"]:
        del sys.modules[name]


def test_finn_s_generated_driver(package, board, bit):
    pytest.importorskip("finn.util.data_packing", reason="FINN's driver packs with FINN")
    from tests.deploy.finn_driver import GeneratedOverlay, generated_io_shape_dict

    shapes = generated_io_shape_dict(package.description["io_shape_dict"])
    overlay = GeneratedOverlay(bit, "zynq-iodma", shapes, FRAMES, device=board)
    for first in (0, FRAMES, 2 * FRAMES):
        part = slice(first, first + FRAMES)
        found = overlay.execute(package.integers[part].astype(np.float32))
        assert (found == package.outputs[part]).all()
    measured = overlay.throughput_test()
    assert (measured["batch_size"], measured["fclk[mhz]"]) == (FRAMES, board.fclk_mhz)
    assert board.simulator.breaches() == []


def test_finn_plus_s_driver(package, board, bit, finn_plus, tmp_path):
    settings = json.loads((package.folder / "settings.json").read_text())["driver_information"]
    made = finn_plus.get_driver_class(settings["driver_type"])
    overlay = made(
        bit, device=board, batch_size=FRAMES, runtime_weight_dir=str(tmp_path / "none"), **settings
    )
    for first in (0, FRAMES):
        part = slice(first, first + FRAMES)
        found = overlay.execute([package.integers[part].astype(np.float32)])
        assert (found == package.outputs[part]).all()
    overlay.run_throughput_test(report_dir=str(tmp_path))
    report = json.loads((tmp_path / "report_throughput_test.json").read_text())
    assert report["batch_size"] == FRAMES and report["throughput[images/s]"] > 0
    assert board.simulator.breaches() == []


def test_finn_plus_s_command(package, board, bit, finn_plus, monkeypatch, tmp_path):
    """``finn-plus-driver -b bitfile -s settings.json -f throughput_test``."""
    testing = pytest.importorskip("click.testing")
    from finn_plus_driver.cli import driver_cli

    monkeypatch.setattr(Device, "_active_device", board, raising=False)
    argv = ["-b", bit, "-s", str(package.folder / "settings.json"), "-f", "throughput_test"]
    done = testing.CliRunner().invoke(driver_cli, [*argv, "-ck", "batch_size=8", "Int"])
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert "'batch_size': 8" in done.output


def ours(package, board, bit, **more) -> FINNExampleOverlay:
    return FINNExampleOverlay(
        bitfile_name=bit,
        platform="zynq-iodma",
        io_shape_dict=package.description["io_shape_dict"],
        batch_size=FRAMES,
        device=board,
        **more,
    )


@pytest.mark.parametrize("kind", ["ours", "FINN+"])
def test_finn_plus_s_validation_loop(package, board, bit, finn_plus, tmp_path, kind):
    """Over both classes: what FINN+ asks of an overlay is what ours has."""
    common = pytest.importorskip("finn_plus_driver.validate.common")
    labels = package.outputs.argmax(axis=1)
    labels[3] += 1
    if kind == "ours":
        overlay = ours(package, board, bit)
    else:
        settings = json.loads((package.folder / "settings.json").read_text())["driver_information"]
        made = finn_plus.get_driver_class("FINNDMAOverlay")
        overlay = made(bit, device=board, batch_size=FRAMES, **settings)
    frames = 4 * FRAMES
    data = common.ArrayDataset(package.integers[:frames].astype(np.float32), labels[:frames])
    report = common.run_validation(overlay, data, str(tmp_path), passes=2)
    assert report["top-1_accuracy"] == pytest.approx(100 * (frames - 1) / frames)
    assert report["num_prediction_mismatches"] == 0


def test_our_class_has_every_member_of_finn_s(package, board, bit, finn_plus):
    """FINN+ adds members of its own for other kinds of accelerators and for its command."""
    settings = json.loads((package.folder / "settings.json").read_text())["driver_information"]
    made = finn_plus.get_driver_class("FINNDMAOverlay")
    theirs = made(bit, device=board, **settings)
    its_own = {"load_mlo_weights", "mlo_weight_buffer", "mlo_weight_dir"}  # weights in DDR
    its_own |= {"runtime_weights_expected", "validation_dataset"}
    its_own |= {"validate", "idle", "run_throughput_test"}  # of its command
    its_own |= {"odma_handle"}  # of Alveo
    inherited = set(dir(type(theirs).__mro__[1]))
    public = {name for name in (*vars(type(theirs)), *vars(theirs)) if not name.startswith("_")}
    missing = {name for name in public - inherited if not hasattr(ours(package, board, bit), name)}
    assert missing == its_own


def test_a_script_in_finn_s_manner(package, board, bit, monkeypatch, tmp_path):
    """What FINN's ``validate.py`` does, which imports ``io_shape_dict`` from ``driver``."""
    monkeypatch.setattr(driver, "HERE", package.folder)
    from deploy.driver import io_shape_dict

    overlay = FINNExampleOverlay(
        bitfile_name=bit,
        platform="zynq-iodma",
        io_shape_dict=io_shape_dict,
        batch_size=10,
        runtime_weight_dir=str(tmp_path / "weights"),
        device=board,
    )
    assert (overlay.num_inputs, overlay.num_outputs) == (1, 1)
    assert overlay.external_weights == [] and overlay.io_shape_dict is io_shape_dict
    frames = package.integers[:70].reshape(7, 10, -1)
    for batch, expected in zip(frames, package.outputs[:70].reshape(7, 10, -1), strict=True):
        packed = overlay.pack_input(overlay.fold_input(batch))
        overlay.copy_input_data_to_device(packed.reshape(overlay.ibuf_packed_device[0].shape))
        overlay.execute_on_buffers()
        obuf = np.empty_like(overlay.obuf_packed_device[0])
        overlay.copy_output_data_from_device(obuf)
        assert (overlay.unfold_output(overlay.unpack_output(obuf)) == expected).all()
        overlay.copy_output_data_from_device(overlay.obuf_packed[0])
        assert (overlay.obuf_packed[0] == obuf).all()
    assert driver.__getattr__("io_shape_dict") == io_shape_dict
    with pytest.raises(AttributeError, match="no attribute 'shapes'"):
        driver.shapes  # noqa: B018


def test_execute_takes_a_list_of_one(package, board, bit):
    overlay = ours(package, board, bit)
    assert (overlay.execute([package.integers]) == package.outputs).all()
    with pytest.raises(DriverError, match="got 2 arrays; expected 1"):
        overlay.execute([package.integers, package.integers])


def test_the_throughput_test_has_finn_s_keys(package, board, bit):
    measured = ours(package, board, bit).throughput_test()
    keys = ("runtime[ms]", "throughput[images/s]", "DRAM_in_bandwidth[MB/s]", "fclk[mhz]")
    keys += ("DRAM_out_bandwidth[MB/s]", "batch_size", "fold_input[ms]", "pack_input[ms]")
    keys += ("copy_input_data_to_device[ms]", "copy_output_data_from_device[ms]")
    assert {*keys, "unpack_output[ms]", "unfold_output[ms]"} <= set(measured)
    assert measured["batch_size"] == FRAMES


def test_weights_beside_the_bitfile_are_refused(package, board, bit, tmp_path):
    """They are of another accelerator: this one's are constants."""
    weights = tmp_path / "runtime_weights"
    weights.mkdir()
    overlay = ours(package, board, bit, runtime_weight_dir=str(weights))  # empty: a run, as in FINN
    assert overlay.counters()["frames_out"] == FRAMES
    for name in ("0_0_MatrixVectorActivation_0.dat", "idma1.npy"):
        (weights / name).write_text("01\n")
        with pytest.raises(DriverError, match=rf"weights \({name}\).*constants of its bitfile"):
            ours(package, board, bit, runtime_weight_dir=str(weights))
        (weights / name).unlink()
