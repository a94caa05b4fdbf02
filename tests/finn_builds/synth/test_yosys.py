"""Small designs through Yosys: every kind of node, each family, joined nodes against the whole."""

import json
from dataclasses import replace

import numpy as np
import pytest

from finn_builds import tools
from finn_builds.errors import VerificationError
from finn_builds.files import SYNTHESIS_FILE, read_json
from finn_builds.flow import synthesise as flow
from finn_builds.flow.synthesise import yosys_report
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.families import family_named
from finn_builds.sparse.families.four_input import FourInput
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.stitch.blocks import SPARSE
from finn_builds.stitch.design import TOP, Stage
from finn_builds.stitch.sources import stitched_sources
from finn_builds.synth import primitives, yosys
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import by_layer, chain, from_json
from finn_builds.synth.report import Figures
from finn_builds.synth.script import NETLIST
from finn_builds.synth.sources import PRIMITIVES_FILE, files_for, module_of, node_ports, readable
from finn_builds.synth.timing import longest_path
from tests.finn_builds.flow.networks import small_network, stitch, synthesise
from tests.finn_builds.sparse.sparse_networks import elements, layers
from tests.finn_builds.synth.plain_verilog import synthesise_verilog

pytestmark = pytest.mark.slow


def stitched_text(built) -> dict[str, str]:
    names = stitched_sources(built.folder)
    names += sorted(path.name for path in built.folder.glob("*.dat"))
    return {name: (built.folder / name).read_text() for name in names}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two sparse layers, two folded ones, width converter and thresholding, on 7-series."""
    folder = tmp_path_factory.mktemp("mixed")
    network = small_network(
        (6, 5, 4, 4, 3), weight_bits=3, act_bits=2, input_type="INT4", seed=5, density=0.7
    )
    built = stitch(
        "mixed", network, folder / "mixed", styles=("sparse", "sparse", "folded", "folded")
    )
    files = stitched_text(built)
    found = yosys.synthesise_design(built.design, files, {}, family_named("xc7"), folder / "nodes")
    return built, files, found


def test_every_node_has_figures(mixed):
    built, _, found = mixed
    assert list(found) == [stage.name for stage in built.design.stages]
    counts = {name: resources(netlist, XC7.kinds) for name, netlist in found.items()}
    for stage in built.design.stages:
        amounts = counts[stage.name]
        assert amounts["LUT"] > 0 or stage.kind == "StreamingDataWidthConverter_rtl"
        assert amounts["FF"] > 0
        assert (amounts["DSP"] > 0) == (stage.kind == "MVAU_rtl")
    # The queue of results is shift registers: one LUT a bit, no flip-flops.
    mvau = next(s for s in built.design.stages if s.kind == "MVAU_rtl")
    assert counts[mvau.name]["LUT_SRL"] >= mvau.out_bits


def test_joined_nodes_come_to_what_the_whole_comes_to(mixed, tmp_path):
    built, files, found = mixed
    ends = Stage("whole", "", built.design.in_bits, built.design.out_bits)
    sources = {name: readable(name, text) for name, text in files.items()}
    sources[PRIMITIVES_FILE] = primitives.declarations(family_named("xc7").primitives)
    command = yosys.prepare(
        sources, {TOP: node_ports(ends)}, family_named("xc7"), tmp_path / "whole", 300
    )
    tools.run(command.argv, cwd=command.cwd, timeout=command.timeout)
    netlist = json.loads((command.cwd / NETLIST).read_text())["modules"][TOP]
    whole, joined = (
        resources(one, XC7.kinds) for one in (from_json(netlist), chain(list(found.values())))
    )
    for name in ("DSP", "BRAM_18K"):
        assert joined[name] == whole[name]
    for name in ("LUT", "FF", "CARRY"):
        assert joined[name] == pytest.approx(whole[name], rel=0.06, abs=6), name
    for name in joined:
        assert joined[name] == sum(resources(part, XC7.kinds)[name] for part in found.values())


def test_cells_of_fused_sparse_layers_are_told_apart(mixed):
    built, _, found = mixed
    name = next(s.name for s in built.design.stages if s.kind == "SparseMVAU_rtl")
    parts = by_layer(found[name])
    assert set(parts) == {0, 1, None}
    counts = {layer: resources(part, XC7.kinds) for layer, part in parts.items()}
    whole = resources(found[name], XC7.kinds)
    for key, value in whole.items():
        assert value == sum(part[key] for part in counts.values()), key
    # What belongs to no layer is the stream's ends: two words of output and the valid bits.
    bits = built.design.stages[0].out_bits
    assert 2 * bits <= counts[None]["FF"] <= 2 * bits + 12
    assert min(counts[0]["LUT"], counts[1]["LUT"]) > 0


def test_the_short_script_of_sparse_nodes_gives_the_same_figures(mixed, tmp_path):
    """The others of `mixed` are small too, so its sparse node was mapped with them, by Yosys' own
    passes."""
    built, files, found = mixed
    node = next(s for s in built.design.stages if s.kind == SPARSE)
    ports = {module_of(node): node_ports(node)}
    sources = files_for(built.design, files, XC7)
    command = yosys.prepare(sources, ports, XC7, tmp_path / "alone", 300, sparse=True)
    tools.run(command.argv, cwd=command.cwd, timeout=command.timeout)
    assert "begin:fine" not in (command.cwd / "synthesis.ys").read_text()
    netlist = json.loads((command.cwd / NETLIST).read_text())["modules"][module_of(node)]
    alone = from_json(netlist)
    assert resources(alone, XC7.kinds) == resources(found[node.name], XC7.kinds)
    delays = family_named("xc7")
    assert longest_path(alone, delays).depth == longest_path(found[node.name], delays).depth


def test_report_of_the_step(mixed):
    _, _, found = mixed
    sparse, *others = found
    late = yosys.NotSynthesised("Yosys did not finish within 1 s and was stopped")
    report = yosys_report(found, family_named("xc7"), {sparse: 0})
    assert report.top.counts["LUT"] == sum(report.blocks[name].counts["LUT"] for name in found)
    assert report.top.logic_depth >= max(report.blocks[name].logic_depth for name in found)
    assert 1 < report.top.critical_path_ns < 20
    assert list(report.blocks[sparse].layers) == ["0", "1", "stream"]
    assert report.tool.name == "Yosys"
    assert any("synth_xilinx" in option for option in report.tool.options)
    report = yosys_report({**found, others[-1]: late}, family_named("xc7"), {})
    assert report.blocks[others[-1]] == Figures(why=late.why)
    assert report.top.counts == {}, "a part must not pass for the whole"
    assert others[-1] in report.top.why
    luts = sum(report.blocks[name].counts["LUT"] for name in (sparse, *others[:-1]))
    assert report.top.others["LUT"] == luts


def test_the_step_compares_the_whole_netlist_where_it_is_logic_alone(tmp_path):
    network = small_network((5, 4, 3), weight_bits=2, act_bits=2, input_type="BIPOLAR", seed=4)
    built = stitch("whole", network, tmp_path / "whole", styles=("sparse", "sparse"))
    synthesise(built, synth="yosys").save(tmp_path, "out_of_context_synthesis")
    top = read_json(tmp_path / SYNTHESIS_FILE)["(top)"]
    assert "why" not in top["gate_level"]
    assert top["gate_level"]["frames"] == len(built.streamlined.vectors.x)
    assert top["gate_level"]["mismatches"] == 0
    wrong = replace(built.streamlined.vectors, y=built.streamlined.vectors.y + 1)
    other = replace(built, streamlined=replace(built.streamlined, vectors=wrong))
    with pytest.raises(VerificationError, match="the netlist after synthesis differs"):
        synthesise(other, synth="yosys")


def test_the_step_compares_sparse_nodes_beside_dsp_blocks(mixed, monkeypatch, tmp_path):
    built, _, found = mixed
    monkeypatch.setattr(flow, "synthesise_design", lambda *args, **options: found)
    synthesise(built, synth="yosys").save(tmp_path, "out_of_context_synthesis")
    report = read_json(tmp_path / SYNTHESIS_FILE)
    (sparse,) = [block.name for block in built.hardware.blocks if block.kind == "SparseMVAU_rtl"]
    gate_level = report["(top)"]["gate_level"]
    assert "DSP48E1" in gate_level["why"]
    assert gate_level["nodes"] == {sparse: 500}
    assert list(report[sparse]["layers"]) == ["0", "1", "stream"]
    for name, estimate in built.hardware.resources().items():
        assert report["(top)" if name == "total" else name]["estimate"] == estimate


@pytest.fixture(scope="module")
def ultrascale(tmp_path_factory):
    """Two folded layers and thresholds on UltraScale+."""
    folder = tmp_path_factory.mktemp("ultrascale")
    network = small_network((4, 3, 2), weight_bits=3, act_bits=2, input_type="INT3", seed=7)
    built = stitch("up", network, folder / "up", board="ZCU104")
    return built, stitched_text(built)


def test_a_folded_design_on_ultrascale(ultrascale, tmp_path):
    built, files = ultrascale
    found = yosys.synthesise_design(built.design, files, {}, family_named("xcup"), tmp_path / "up")
    kinds = {cell.kind for netlist in found.values() for cell in netlist.cells}
    assert "DSP48E2" in kinds
    assert "DSP48E1" not in kinds
    whole = chain(list(found.values()))
    assert (
        longest_path(whole, family_named("xcup")).ns < longest_path(whole, family_named("xc7")).ns
    )


def test_a_folded_design_on_ecp5(ultrascale, tmp_path):
    """FINN's units have a form without DSP blocks of Xilinx, which takes ECP5's multipliers."""
    built, files = ultrascale
    found = yosys.synthesise_design(
        built.design, files, {}, family_named("ecp5"), tmp_path / "ecp5"
    )
    whole = chain(list(found.values()))
    amounts = resources(whole, family_named("ecp5").kinds)
    assert amounts["DSP"] > 0
    assert amounts["CARRY"] > 0
    assert amounts["LUT_logic"] > amounts["CARRY"] * 2
    assert 1 < longest_path(whole, family_named("ecp5")).ns < 40


@pytest.mark.parametrize("device", ["xc7", "ecp5", "gowin"])
def test_the_estimate_of_a_sparse_layer(device, tmp_path):
    rng = np.random.default_rng(3)
    weights = rng.integers(-3, 4, (12, 8)) * (rng.random((12, 8)) < 0.5)
    thresholds = np.sort(rng.integers(-12, 13, (8, 3)), axis=1)
    network = layers(elements(-8, 7, 12), (weights, thresholds))
    compiled = compile_network(network, "alone", device, clock_ns=10.0)
    family = family_named(device)
    command = f"synth_xilinx -top {{top}} -family {device} -flatten -noiopad"
    command = "\n".join(family.commands) if isinstance(family, FourInput) else command
    netlist = synthesise_verilog(compiled.files(), "alone", command, tmp_path, limit=300)
    found = resources(netlist, family.kinds)
    assert found["LUT"] == pytest.approx(compiled.cost().luts, rel=0.03)
    assert found["FF"] == pytest.approx(compiled.cost().flip_flops, rel=0.03)


def test_a_broken_source_is_named(ultrascale, tmp_path):
    built, files = ultrascale
    name = next(n for n in files if n.endswith("memstream.sv"))
    broken = {**files, name: files[name].replace("module memstream #(", "module memstream #(nono")}
    with pytest.raises(tools.ToolFailed, match=r"refused generated sources: .*memstream\.sv:"):
        yosys.synthesise_design(built.design, broken, {}, family_named("xcup"), tmp_path / "broken")


def test_other_text_of_finn_is_not_edited_blindly():
    with pytest.raises(RuntimeError, match=r"mvu\.sv is not the text of finn-plus"):
        readable("mvu.sv", "module mvu; endmodule\n")


def test_a_node_that_takes_too_long_says_so(ultrascale, tmp_path):
    built, files = ultrascale
    found = yosys.synthesise_design(
        built.design, files, {}, family_named("xcup"), tmp_path / "late", limit=0.2
    )
    assert {type(one) for one in found.values()} == {yosys.NotSynthesised}
    assert all("did not finish within 0.2 s" in one.why for one in found.values())


def test_a_breakdown_of_yosys_is_a_note(ultrascale, tmp_path, monkeypatch):
    built, files = ultrascale
    monkeypatch.setattr(tools, "yosys_command", lambda: ["sh", "-c", "echo out of memory; exit 9"])
    found = yosys.synthesise_design(
        built.design, files, {}, family_named("xcup"), tmp_path / "down"
    )
    assert all(one.why == "Yosys broke down: out of memory" for one in found.values())
