"""Netlists by hand: counting, joining nodes, telling layers apart, depth and delay."""

import pytest

from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.gowin import GOWIN
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.families.xcup import XCUP
from finn_builds.synth.counts import fed_through, resources
from finn_builds.synth.netlist import Cell, Netlist, by_layer, chain, from_json
from finn_builds.synth.timing import longest_path


def lut(name, output, *inputs, kind=None):
    pins = {f"I{k}": [bit] for k, bit in enumerate(inputs)}
    return Cell(name, kind or f"LUT{len(inputs)}", {"INIT": "0"}, pins, {"O": [output]})


def register(name, output, data):
    return Cell(
        name, "FDRE", {}, {"C": [1000], "CE": ["1"], "D": [data], "R": ["0"]}, {"Q": [output]}
    )


def carry(name, kind, s, out, carry_out, carry_in="0"):
    pins = {"CI": [carry_in], "CYINIT": ["0"], "S": s, "DI": ["0"] * len(s)}
    return Cell(name, kind, {}, pins, {"O": out, "CO": carry_out})


def test_units_of_cells():
    cells = [
        lut("a", 1, 2),
        lut("b", 3, *range(10, 16)),
        Cell("c", "LUT6_2", {}, {}, {}),
        Cell("d", "INV", {}, {}, {}),
        Cell("e", "SRL16E", {}, {}, {}),
        Cell("f", "RAM32M", {}, {}, {}),
        Cell("g", "RAMB36E1", {}, {}, {}),
        Cell("h", "RAMB18E2", {}, {}, {}),
        Cell("i", "DSP48E2", {}, {}, {}),
        Cell("j", "CARRY8", {}, {}, {}),
        Cell("k", "MUXF7", {}, {}, {}),
        register("l", 5, 6),
    ]
    assert resources(Netlist(tuple(cells)), XC7.kinds) == {
        "LUT": 9,
        "LUT_logic": 4,
        "LUT_RAM": 4,
        "LUT_SRL": 1,
        "FF": 1,
        "CARRY": 1,
        "DSP": 1,
        "BRAM_18K": 3,
        "URAM": 0,
        "MUXF": 1,
    }


def test_a_chain_of_gowin_has_a_cell_in_front():
    def alu(name, carry_in, carry_out):
        return Cell(name, "ALU", {}, {"CIN": [carry_in]}, {"SUM": [50], "COUT": [carry_out]})

    # With it there are four cells of the first, two of the second and three of the last, so four.
    chains = [alu("c", 2, 3), alu("a", "0", 1), alu("b", 1, 2), alu("d", 9, 10)]
    chains += [alu("e", "1", 20), alu("f", 20, 21)]
    found = resources(Netlist((*chains, Cell("l", "LUT4", {}, {}, {"F": [9]}))), GOWIN.kinds)
    assert (found["LUT"], found["CARRY"]) == (4 + 2 + 4 + 1, 6)


def test_a_flip_flop_of_gowin_is_fed_by_the_lut_of_its_place():
    """From anywhere else it gets its D through a LUT that does nothing else."""

    def flip_flop(name, data, kind="DFFE"):
        return Cell(name, kind, {}, {"CLK": [100], "CE": ["1"], "D": [data]}, {"Q": [name]})

    logic = (
        Cell("lut", "LUT3", {}, {"I0": [1]}, {"F": [10]}),
        Cell("alu", "ALU", {}, {"CIN": ["0"]}, {"SUM": [11], "COUT": [12]}),
        Cell("mux", "MUX2_LUT5", {}, {"I0": [1], "I1": [2], "S0": [3]}, {"O": [13]}),
        Cell("lut2", "LUT4", {}, {"I0": [1]}, {"F": [14]}),
    )
    own = (flip_flop("of_l0", 10), flip_flop("of_alu", 11, "DFFR"), flip_flop("of_lut2", 14))
    through = (
        flip_flop("second", 10, "DFF"),
        flip_flop("port", 1, "DFFS"),
        flip_flop("after_mux", 13),
        flip_flop("delay", "of_l0"),
        flip_flop("constant", "1"),
    )
    whole = Netlist((*logic, *own, *through))
    assert fed_through(whole, GOWIN.kinds) == {cell.name: "LUT4" for cell in through}
    # Two LUTs, an ALU with the cell in front of it.
    assert resources(whole, GOWIN.kinds)["LUT"] == 2 + 2 + len(through)
    parts = [Netlist(logic), Netlist(own), Netlist(through)]
    counted = [resources(part, GOWIN.kinds, whole)["LUT"] for part in parts]
    assert counted == [4, 0, len(through)]
    assert fed_through(Netlist((register("r", 5, 6),)), XC7.kinds) == {}


def test_units_of_ecp5():
    cells = [Cell(k, k, {}, {}, {}) for k in ("LUT4", "CCU2C", "TRELLIS_FF", "MULT18X18D")]
    found = resources(Netlist(tuple(cells)), ECP5.kinds)
    assert (found["LUT"], found["CARRY"], found["FF"], found["DSP"]) == (3, 1, 1, 1)


def test_unknown_cells_are_not_left_out():
    with pytest.raises(RuntimeError, match="2 cells of the unknown kind \\$mul"):
        resources(
            Netlist((Cell("a", "$mul", {}, {}, {}), Cell("b", "$mul", {}, {}, {}))), XC7.kinds
        )


def test_what_flattening_leaves_behind_is_no_cell():
    pins = {"A": "input", "Y": "output"}
    cell = {"parameters": {}, "port_directions": pins, "connections": {"A": [2], "Y": [3]}}
    module = {
        "ports": {"a": {"direction": "input", "bits": [2]}},
        "cells": {"x": {"type": "INV", **cell}, "y": {"type": "$scopeinfo", **cell}},
        "netnames": {"n": {"bits": [3, "0"], "hide_name": 0}, "$1": {"bits": [3], "hide_name": 1}},
    }
    netlist = from_json(module)
    assert [c.name for c in netlist.cells] == ["x"]
    assert netlist.names == {3: ("n",)}


def node(first: int, ready_from_source: bool = False) -> Netlist:
    """Return a node of one LUT and one register per data bit, its nets numbered from `first`."""
    clk, d0, d1, valid, ready, q0, q1, out_valid = range(first, first + 8)
    t0, t1 = first + 8, first + 9
    cells = (
        lut("l0", t0, d0),
        lut("l1", t1, d1),
        Cell("r0", "FDRE", {}, {"C": [clk], "D": [t0]}, {"Q": [q0]}),
        Cell("r1", "FDRE", {}, {"C": [clk], "D": [t1]}, {"Q": [q1]}),
        Cell("rv", "FDRE", {}, {"C": [clk], "D": [valid]}, {"Q": [out_valid]}),
        lut("lr", ready, first + 10),
    )
    ports = {
        "ap_clk": (clk,),
        "ap_rst_n": (first + 11,),
        "s_axis_0_tdata": (d0, d1),
        "s_axis_0_tvalid": (valid,),
        "s_axis_0_tready": (ready,),
        "m_axis_0_tdata": (q0, q1),
        "m_axis_0_tvalid": (out_valid,),
        "m_axis_0_tready": (first + 10,),
    }
    return Netlist(cells, ports, {q0: (f"n{first}.q",)})


def test_a_chain_has_one_path_for_ready_and_one_clock():
    nodes = [node(2), node(2), node(7)]
    whole = chain(nodes)
    parts = resources(whole, XC7.kinds)
    assert parts["LUT"] == 9
    assert parts["FF"] == 9
    assert len({cell.inputs["C"][0] for cell in whole.cells if cell.kind == "FDRE"}) == 1
    # Data passes a register in every node; ready runs back through all three.
    assert longest_path(nodes[0], XC7).depth == 1
    assert longest_path(whole, XC7).depth == 3
    driven = [bit for cell in whole.cells for bits in cell.outputs.values() for bit in bits]
    assert len(driven) == len(set(driven)) == 18
    data = {cell.inputs["I0"][0] for cell in whole.cells if cell.name.endswith("/l0")}
    q = {cell.outputs["Q"][0] for cell in whole.cells if cell.name.endswith("/r0")}
    assert len(data & q) == 2
    assert sorted(n for names in whole.names.values() for n in names) == ["n2.q", "n2.q", "n7.q"]


def test_a_node_may_pass_a_wire_through():
    wire = {"s_axis_0_tdata": (5, 6), "m_axis_0_tdata": (5, 6), "s_axis_0_tvalid": (7,)}
    wire |= {"m_axis_0_tvalid": (7,), "s_axis_0_tready": (8,), "m_axis_0_tready": (8,)}
    whole = chain([node(2), Netlist((), wire), node(2)])
    assert longest_path(whole, XC7).depth == 2
    assert resources(whole, XC7.kinds)["LUT"] == 6


def test_constants_reach_the_next_node():
    left = node(2)
    ports = {**left.ports, "m_axis_0_tdata": (left.ports["m_axis_0_tdata"][0], "0", "0")}
    whole = chain([Netlist(left.cells, ports), node(2)])
    inputs = [c.inputs["I0"][0] for c in whole.cells if c.name == "1/l1"]
    assert inputs == ["0"]


def test_layers_by_name_and_by_reader():
    cells = (
        register("x", 1, 100),  # read by layer 0 alone
        lut("$abc$1", 2, 1),
        lut("core.l0_n3.lut", 3, 2),
        register("$ff", 4, 3),  # named through its net
        lut("$abc$2", 5, 4),
        lut("core.l1_n0.lut", 6, 5),
        register("head", 7, 6),
    )
    parts = by_layer(Netlist(cells, {}, {4: ("core.l0_n3_d1", "core.y")}))
    names = {layer: [c.name for c in part.cells] for layer, part in parts.items()}
    assert names == {
        0: ["x", "$abc$1", "core.l0_n3.lut", "$ff"],
        1: ["$abc$2", "core.l1_n0.lut"],
        None: ["head"],
    }


@pytest.mark.parametrize(("family", "kind", "per"), [(XC7, "CARRY4", 4), (XCUP, "CARRY8", 8)])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_an_adder_takes_what_the_pipelining_model_says(family, kind, per, blocks):
    cells, at = [], "0"
    net = 10
    for block in range(blocks):
        s = []
        for _ in range(per):
            net += 3
            cells += [register(f"r{net}", net, 0), lut(f"l{net}", net + 1, net, net)]
            s.append(net + 1)
        out = [2000 + block * per + k for k in range(per)]
        co = [3000 + block * per + k for k in range(per)]
        cells.append(carry(f"c{block}", kind, s, out, co, at))
        at = co[-1]
    cells.append(register("sum", 5000, 2000 + blocks * per - 1))
    path = longest_path(Netlist(tuple(cells)), family)
    assert path.depth == 1 + blocks
    assert path.ns == pytest.approx(family.t_reg + family.adder(blocks * per), abs=0.011)


def test_depth_sees_which_inputs_matter():
    # The saved carry of a three-operand adder does not depend on the carry saved below it.
    init = (0x96969696 << 32) | 0xE8E8E8E8
    cells = []
    for k in range(4):
        pins = {f"I{j}": [10 * k + j] for j in range(3)}
        pins |= {"I3": [10 * k - 5 if k else "0"], "I4": ["0"], "I5": ["1"]}
        cells.append(
            Cell(
                f"l{k}",
                "LUT6_2",
                {"INIT": f"{init:064b}"},
                pins,
                {"O5": [10 * k + 5], "O6": [10 * k + 6]},
            )
        )
    assert longest_path(Netlist(tuple(cells)), XC7).depth == 1
    init = (0x69966996 << 32) | 0xE8E8E8E8  # now the sum bit sees I3
    cells = [Cell(c.name, c.kind, {"INIT": f"{init:064b}"}, c.inputs, c.outputs) for c in cells]
    assert longest_path(Netlist(tuple(cells)), XC7).depth == 2


def test_clocked_blocks_end_a_path():
    dsp = Cell("m", "DSP48E1", {}, {"A": [3], "CLK": [9]}, {"P": [4]})
    cells = (register("r", 1, 0), lut("a", 3, 1), dsp, lut("b", 5, 4))
    found = longest_path(Netlist(cells, {"y": (5,)}), XC7)
    assert found.depth == 1
    assert found.ns == pytest.approx(XC7.t_reg + XC7.t_lut + 1.2)  # set-up of the pre-adder
    assert found.cells == ("a",)


def test_memories_are_read_through_and_written_at_the_clock():
    ram = Cell("m", "RAM64X1S", {}, {"A0": [2], "D": [3], "WCLK": [9], "WE": [4]}, {"O": [5]})
    early = longest_path(Netlist((lut("a", 2, 1), ram)), XC7)
    late = longest_path(Netlist((lut("a", 3, 1), ram)), XC7)
    assert (early.depth, late.depth) == (2, 1)


def test_a_loop_is_an_error():
    with pytest.raises(RuntimeError, match="loop through"):
        longest_path(Netlist((lut("a", 1, 2), lut("b", 2, 1))), XC7)


def test_nothing_has_no_path():
    found = longest_path(Netlist(()), XC7)
    assert (found.depth, found.ns, found.cells) == (0, 0.0, ())
