"""The driver that ships, unchanged, on the virtual board and real pynq."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from deploy import driver, validate
from deploy.driver_base import FINNExampleOverlay
from deploy.host_model import HostModel, HostModelError
from deploy.measure import latency_test, pace, power_test, summary, throughput_test
from deploy.package import Package
from deploy.registers import DriverError
from deploy.stream_forms import parse_datatype

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


def test_metrics_have_finn_s_keys(overlay):
    overlay.batch_size = 100
    result = throughput_test(overlay, repeats=5, warmup=1)
    assert {
        "runtime[ms]",
        "throughput[images/s]",
        "DRAM_in_bandwidth[MB/s]",
        "DRAM_out_bandwidth[MB/s]",
        "fclk[mhz]",
        "batch_size",
        "fold_input[ms]",
        "pack_input[ms]",
        "copy_input_data_to_device[ms]",
        "copy_output_data_from_device[ms]",
        "unpack_output[ms]",
        "unfold_output[ms]",
    } <= set(result)
    runtime = result["runtime[ms]"] / 1e3
    assert result["throughput[images/s]"] == pytest.approx(100 / runtime)
    assert result["DRAM_in_bandwidth[MB/s]"] == pytest.approx(600 / runtime / 1e6)
    # 100 frames at 5 cycles of 10 ns, and some register accesses
    assert 5e-6 < runtime < 5e-6 + 1000 * 10e-9
    assert result["shell_cycles"] == round(runtime * 1e8) - (4 + 99 * 5)
    assert result["simulated"]


def test_the_shell_s_part_is_told_apart(overlay, made):
    """Three beats of 2 bytes in and two of 4 out: the accelerator, not the port, sets the pace."""
    overlay.batch_size = 100
    result = throughput_test(overlay, repeats=3, warmup=1, description=made.description)
    assert (result["latency_cycles"], result["interval_cycles"]) == (4, 5)
    assert result["pace_set_by"] == "accelerator"
    assert result["built"] == {"latency_cycles": 4, "interval_cycles": 5.0}
    cycles = result["runtime[ms]"] * 1e-3 * 100e6
    total = result["interval_cycles"] + result["shell_interval_cycles"]
    assert total == pytest.approx(cycles / 100, abs=0.01)
    assert result["shell_latency_cycles"] > 50, "the memory alone answers after 30"
    text = summary(result)
    assert "4 cycles in the accelerator (built: 4)" in text
    assert "5 cycles in the accelerator (built: 5)" in text


def test_a_port_that_is_too_slow_is_named(overlay):
    """At two bytes a cycle three beats of 2 bytes and two of 4 would need four cycles."""
    counters = {"interval_cycles": 4.0, "frames_out": 10}
    assert pace(overlay, counters, port_bytes=2) == {
        "interval_cycles": 3.0,
        "pace_set_by": "memory port",
    }
    assert pace(overlay, counters, port_bytes=8)["pace_set_by"] == "accelerator"


class Sensor:
    """Power that rises while the accelerator runs."""

    def __init__(self, overlay):
        self.overlay = overlay

    @property
    def value(self):
        return 1.0 if self.overlay.shell.ready() else 1.5


def test_power_of_the_rails(overlay, made, monkeypatch):
    """On a board with sensors; the simulated board has none of its own."""
    rails = {
        "INT": SimpleNamespace(power=Sensor(overlay)),
        "AUX": SimpleNamespace(power=None),
    }
    overlay.execute(made.integers[:16])
    assert power_test(overlay, seconds=0) == {}
    monkeypatch.setattr("pynq.get_rails", lambda: rails)
    assert power_test(overlay, seconds=0.01) == {"INT": {"idle": 1.0, "active": 1.5}}
    metrics = throughput_test(overlay, repeats=1)
    assert "INT: 1.00 W idle, 1.50 W active" in summary(metrics)


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
    with pytest.raises(DriverError, match="class alone"):
        overlay.run(made.features)
    classes = np.array([[3], [0], [5]])
    assert overlay.classes(classes).tolist() == [3, 0, 5]


def test_latency_is_that_of_one_frame(overlay):
    result = latency_test(overlay, repeats=5, warmup=1)
    assert result["accelerator"]["frames_out"] == 1
    assert result["accelerator"]["latency_last_cycles"] == 4
    assert result["latency[ms]"] == pytest.approx((4 + result["shell_cycles"]) * 1e-5, rel=0.01)


def test_datatypes():
    assert parse_datatype("UINT4") == (4, False)
    assert parse_datatype("INT20") == (20, True)
    assert parse_datatype("BINARY") == (1, False)
    for name in ("FLOAT32", "INT0", "BIPOLAR", "UINT", "INT8x"):
        with pytest.raises(DriverError, match="datatype"):
            parse_datatype(name)


def test_command_line(made, tmp_path, capsys):
    common = ["--virtual", "--package", str(made.folder), "--batchsize", "32"]
    np.save(tmp_path / "x.npy", made.features)
    files = ["--inputfile", str(tmp_path / "x.npy"), "--outputfile", str(tmp_path / "y.npy")]
    assert driver.main([*common, *files]) == 0
    assert (np.load(tmp_path / "y.npy") == made.outputs.argmax(axis=1)).all()
    np.save(tmp_path / "x.npy", made.integers)
    assert driver.main([*common, *files, "--integers"]) == 0
    assert (np.load(tmp_path / "y.npy") == made.outputs).all()
    metrics = tmp_path / "nw_metrics.json"
    throughput = ["--exec_mode", "throughput_test", "--metrics", str(metrics), "--repeats", "2"]
    assert driver.main([*common, *throughput]) == 0
    assert json.loads(metrics.read_text())["batch_size"] == 32
    assert "throughput[images/s]: " in metrics.with_suffix(".txt").read_text()
    assert capsys.readouterr().err.count("compiling the simulated board") <= 1
    assert driver.main([*common, "--inputfile", str(tmp_path / "none.npy")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: can't read") and "none.npy" in error


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 cut off", "several"])
def test_an_input_that_is_no_array_is_told_before_the_board_is_made(
    tmp_path, made, capsys, content
):
    path = tmp_path / "x.npy"
    if content == "several":
        with path.open("wb") as file:
            np.savez(file, x=made.features)
    else:
        path.write_bytes(content)
    assert driver.main(["--virtual", "--package", str(made.folder), "--inputfile", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"error: .*x\.npy .*expected an array saved with numpy\.save", line)


@pytest.mark.parametrize("option", ["--outputfile", "--metrics"])
def test_a_file_that_can_t_be_written_is_told(made, tmp_path, capsys, option):
    np.save(tmp_path / "x.npy", made.features)
    argv = ["--virtual", "--package", str(made.folder), "--inputfile", str(tmp_path / "x.npy")]
    argv += [option, str(tmp_path / "none" / "y"), "--repeats", "1"]
    argv += ["--exec_mode", "throughput_test"] if option == "--metrics" else []
    assert driver.main(argv) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: can't write")


def test_metrics_do_not_overwrite_each_other(made, tmp_path, capsys):
    """The text beside the JSON file would have its name."""
    with pytest.raises(SystemExit) as ended:
        driver.main(["--package", str(made.folder), "--metrics", str(tmp_path / "measured.txt")])
    assert ended.value.code == 2
    assert "measured.json" in capsys.readouterr().err


def test_a_description_that_is_none_is_told(tmp_path, capsys):
    (tmp_path / "overlay.json").write_text("[]")
    assert driver.main(["--package", str(tmp_path), "--exec_mode", "latency_test"]) == 2
    assert "not a package's description" in capsys.readouterr().err


def test_waiting_without_a_run_times_out(overlay):
    overlay.timeout_s = 1e-4
    with pytest.raises(DriverError, match="the run of 0 frames did not end"):
        overlay.wait_until_finished()


def test_without_bitfile_the_message_says_what_to_do(made, capsys):
    assert driver.main(["--package", str(made.folder), "--exec_mode", "latency_test"]) == 2
    assert "--virtual" in capsys.readouterr().err


def test_validate_passes_and_fails(made, tmp_path, capsys):
    assert validate.main(["--virtual", "--package", str(made.folder)]) == 0
    assert "PASSED: 70 frames" in capsys.readouterr().out
    package = Package(made.folder)
    overlay = package.open(virtual=True, batch_size=64)
    assert "compiling" not in capsys.readouterr().err, "what was compiled before is used again"
    right = overlay.execute
    overlay.execute = lambda x: right(x) + (np.arange(len(x)) == 3)[:, None]
    result = validate.validate(package, overlay)
    assert (result["mismatches"], result["input_mismatches"]) == (1, 0)
    assert (result["frames"], result["features"]) == (70, 50)


def test_a_changed_package_is_refused(made, tmp_path, capsys):
    with zipfile.ZipFile(made.archive) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "deploy"
    with (folder / "driver.py").open("a") as file:
        file.write("\n")
    assert validate.main(["--package", str(folder)]) == 2
    assert "driver.py is not as it was built" in capsys.readouterr().err
    (folder / "driver.py").unlink()
    assert validate.main(["--package", str(folder)]) == 2
    assert "driver.py is missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["deploy", "a folder", "pynq"])
def test_the_unzipped_package_runs_by_itself(made, tmp_path, repo, name):
    """From another folder of any name, importing its own files, as after scp and unzip."""
    with zipfile.ZipFile(made.archive) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "deploy").rename(tmp_path / name)
    # Saves a compilation; the sources are in the package.
    (tmp_path / "virtual_board").symlink_to(made.folder.parent / "virtual_board")
    done = subprocess.run(
        [sys.executable, str(tmp_path / name / "validate.py"), "--virtual"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "PASSED: 70 frames" in done.stdout
    assert "Warning" not in done.stderr
