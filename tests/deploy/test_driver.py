"""The driver that ships, unchanged, on the virtual board and real pynq."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from deploy.driver_base import FINNExampleOverlay
from deploy.errors import HostModelError
from deploy.host_model import HostModel
from deploy.registers import DriverError

pytestmark = pytest.mark.slow  # one small compilation


def test_integers_in_and_out(overlay, made):
    """More frames than the buffers hold, and not a multiple of them."""
    assert (overlay.execute(made.integers) == made.outputs).all()
    assert (overlay.execute(made.integers[:1]) == made.outputs[:1]).all()


def test_raw_features_to_classes(overlay, made):
    scores = overlay.run(made.features)
    assert scores.dtype == np.float32
    assert (scores == made.outputs * np.float32(0.25)).all()
    assert (overlay.classify(made.features) == made.outputs.argmax(axis=1)).all()


def test_finn_s_steps_one_by_one(overlay, made):
    """The calls that FINN's own driver makes."""
    assert overlay.ishape_normal() == (16, 12)
    assert overlay.ishape_folded() == (16, 3, 4)
    assert overlay.ishape_packed() == (16, 3, 2)
    assert overlay.oshape_packed() == (16, 2, 4)
    folded = overlay.fold_input(made.integers[:16])
    overlay.copy_input_data_to_device(overlay.pack_input(folded))
    overlay.execute_on_buffers(asynch=True)
    overlay.wait_until_finished()
    packed = np.empty(overlay.oshape_packed(), np.uint8)
    overlay.copy_output_data_from_device(packed)
    result = overlay.unfold_output(overlay.unpack_output(packed))
    assert (result == made.outputs[:16]).all()


def test_finn_s_register_accesses(overlay, made):
    """Only the registers of FINN's IODMA, in the order FINN's driver writes and polls them."""
    idma, odma = overlay.idma0, overlay.odma0
    packed = overlay.pack_input(overlay.fold_input(made.integers[:16]))
    overlay.copy_input_data_to_device(packed)
    assert odma.read(0x00) & 0x4
    odma.write(0x10, overlay.obuf_packed_device[0].device_address)
    odma.write(0x1C, 16)
    odma.write(0x00, 1)
    idma.write(0x10, overlay.ibuf_packed_device[0].device_address)
    idma.write(0x1C, 16)
    idma.write(0x00, 1)
    for _ in range(200):
        if odma.read(0x00) & 0x2:
            break
    out = np.empty(overlay.oshape_packed(), np.uint8)
    overlay.copy_output_data_from_device(out)
    assert (overlay.unfold_output(overlay.unpack_output(out)) == made.outputs[:16]).all()


def test_the_accelerator_s_own_counts(overlay, made):
    overlay.execute(made.integers[:16])
    counts = overlay.counters()
    assert (counts["frames_in"], counts["frames_out"]) == (16, 16)
    assert counts["latency_min_cycles"] == 4  # first of 3 beats in to second of 2 beats out
    assert counts["interval_min_cycles"] == counts["interval_cycles"] == 5
    assert counts["span_cycles"] == 4 + 15 * 5


def test_the_clock_is_set_and_read_back(made, virtual):
    def clock(mhz):
        return FINNExampleOverlay(
            str(made.folder / "overlay.json"),
            "zynq-iodma",
            made.description["io_shape_dict"],
            fclk_mhz=mhz,
            device=virtual,
        ).fclk_mhz

    assert clock(125.0) == virtual.fclk_mhz == 125.0
    # The next faster clock, 200 MHz, would be too fast.
    assert clock(180.0) == pytest.approx(1000 / 6)
    assert clock(0) == pytest.approx(1000 / 6), "it is left as it was"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((3, 11), int), "expected"),
        (np.zeros(12, int), "expected"),
        (np.zeros((0, 12), int), "expected"),
        (np.full((2, 12), 8), "INT4 from -8 to 7"),
        (np.full((2, 12), 0.5), "fractions"),
        (np.full((2, 12), np.nan), "NaN"),
        (np.full((2, 12), "x"), "expected integers"),
    ],
)
def test_wrong_integers_are_refused(overlay, data, message):
    with pytest.raises(DriverError, match=message):
        overlay.execute(data)


def test_wrong_features_are_refused(overlay):
    with pytest.raises(HostModelError, match="NaN"):
        overlay.classify(np.full((2, 12), np.nan))
    with pytest.raises(HostModelError, match="shape"):
        overlay.classify(np.zeros((2, 13)))


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_wrong_batch_sizes_are_refused(overlay, size):
    with pytest.raises(DriverError, match="batch_size"):
        overlay.batch_size = size


def test_more_frames_than_the_buffers_hold_are_refused(overlay):
    with pytest.raises(DriverError, match="hold 16"):
        overlay.execute_on_buffers(batch_size=17)


def test_zero_frames(overlay, made):
    overlay.execute_on_buffers(batch_size=0)
    assert (overlay.execute(made.integers[:5]) == made.outputs[:5]).all()


@pytest.mark.parametrize(("write", "side"), [(False, "input"), (True, "output")])
@pytest.mark.parametrize(("resp", "name"), [(2, "SLVERR"), (3, "DECERR")])
def test_errors_on_the_bus_are_told_and_recovered_from(
    overlay, made, virtual, write, side, resp, name
):
    simulator = virtual.simulator
    simulator.add_fault(simulator.base, simulator.base + 65536, write=write, resp=resp)
    with pytest.raises(DriverError, match=f"(?s)error on the memory bus.*{side} DMA 0.*{name}"):
        overlay.execute(made.integers)
    simulator.clear_faults()
    assert (overlay.execute(made.integers) == made.outputs).all()


def test_a_run_that_hangs_times_out(overlay, made, virtual):
    virtual.simulator.set_hung(True)
    with pytest.raises(DriverError, match=r"(?s)did not end within 0.5 s.*soft reset does not end"):
        overlay.execute(made.integers)


def test_missing_input_times_out_and_the_soft_reset_helps(overlay, made):
    """The output DMA waits for more frames than come."""
    overlay.odma0.write(0x10, overlay.obuf_packed_device[0].device_address)
    overlay.odma0.write(0x1C, 3)
    overlay.odma0.write(0x00, 1)
    with pytest.raises(DriverError, match="not ready"):
        overlay.execute(made.integers)
    overlay.soft_reset()
    assert (overlay.execute(made.integers) == made.outputs).all()


def test_a_start_that_was_refused_is_told(overlay):
    overlay.odma0.write(0x1C, 1)
    overlay.odma0.write(0x00, 1)
    assert "refused" not in overlay.status()
    overlay.odma0.write(0x00, 1)
    assert "a start was refused" in overlay.status()
    overlay.soft_reset()
    assert "refused" not in overlay.status()


def test_no_run_begins_in_a_soft_reset(overlay, made, virtual):
    """Memory keeps it from ending."""
    virtual.simulator.set_hung(True)
    overlay.execute_on_buffers(asynch=True, batch_size=1)
    overlay.control0.write(0x00, 1)
    with pytest.raises(DriverError, match=r"(?s)not ready.*a soft reset is under way"):
        overlay.execute_on_buffers(batch_size=1)
    virtual.simulator.set_hung(False)
    overlay.soft_reset()
    assert (overlay.execute(made.integers) == made.outputs).all()


def test_a_description_of_another_build_is_refused(made, virtual):
    shapes = json.loads(json.dumps(made.description["io_shape_dict"]))
    shapes["ishape_packed"] = [[1, 3, 3]]
    with pytest.raises(DriverError, match="different builds"):
        FINNExampleOverlay(str(made.folder / "overlay.json"), "zynq-iodma", shapes, device=virtual)


def test_another_platform_is_refused(made, virtual):
    with pytest.raises(DriverError, match="zynq-iodma"):
        FINNExampleOverlay("x.bit", "alveo", {}, device=virtual)


def test_top1_gives_classes_and_refuses_scores(made, virtual):
    """The same integers, taken as the classes that an accelerator with --top1 gives."""
    shapes = {**made.description["io_shape_dict"], "oshape_normal": [[1, 6]]}
    overlay = FINNExampleOverlay(
        str(made.folder / "overlay.json"),
        "zynq-iodma",
        shapes,
        batch_size=16,
        device=virtual,
        host_model=HostModel.from_dict(made.description["host_model"]),
        top1=True,
    )
    with pytest.raises(DriverError, match="only the class"):
        overlay.run(made.features)
    classes = np.array([[3], [0], [5]])
    assert overlay.classes(classes).tolist() == [3, 0, 5]


def test_waiting_without_a_run_times_out(overlay):
    overlay.timeout_s = 1e-4
    with pytest.raises(DriverError, match="the run of 0 frames did not end"):
        overlay.wait_until_finished()
