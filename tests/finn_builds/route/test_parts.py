"""Place and route by hand: parts, PLLs, open pins, reports, placed cells."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finn_builds.config.boards import board_names, load_board
from finn_builds.config.open_boards import OpenBoard
from finn_builds.errors import UserError
from finn_builds.route import nextpnr
from finn_builds.route.design import with_open_pins
from finn_builds.route.kept import DIGESTS, copy, is_whole, keep
from finn_builds.route.nextpnr import timing_of
from finn_builds.route.placed import NotWhole, accelerator_of, cells_used, port_names
from finn_builds.sparse.device import NotSimulated
from finn_builds.sparse.families import FAMILIES, family_named
from finn_builds.sparse.families.ecp5 import Trellis
from finn_builds.sparse.routing import ProgramCall
from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import Cell, Netlist

OPEN = [name for name in board_names() if isinstance(load_board(name), OpenBoard)]


def open_board(name: str) -> OpenBoard:
    board = load_board(name)
    assert isinstance(board, OpenBoard)
    return board


def test_the_boards_that_people_own_are_there() -> None:
    assert {
        "ULX3S-25F", "ULX3S-45F", "ULX3S-85F", "Colorlight-i5", "OrangeCrab", "ECP5-EVN",
        "ECPIX-5-85F", "Tang-Nano-9K", "Tang-Nano-20K", "Tang-Primer-20K",
    } <= set(OPEN)  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_every_board_makes_its_default_clock(name: str) -> None:
    board = open_board(name)
    router = family_named(board.family).router
    assert router is not None
    wanted = 1000 / board.clock_ns
    if abs(wanted - board.clock_mhz) < 1e-3 * wanted:
        return
    pll = router.pll(board.part, board.clock_mhz, wanted)
    assert pll is not None and 0.99 * wanted <= pll.mhz <= wanted * (1 + 2e-4)
    assert len(set(board.pins.values())) == 4
    arguments = router.route(board.part, 1, 100.0).arguments
    family, _, grade = board.family.partition("-")
    if family == "ecp5":
        assert arguments[arguments.index("--speed") + 1] == (grade or "6")
    else:
        assert board.part in arguments


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("LFE5U-25F-6BG381C", ["--25k", "CABGA381", "6"]),
        ("LFE5UM5G-85F-8BG554I", ["--um5g-85k", "CABGA554", "8"]),
        ("LFE5U-25F-8MG285C", ["--25k", "CSFBGA285", "8"]),
    ],
)
def test_parts_of_ecp5(part: str, expected: list[str]) -> None:
    router = FAMILIES["ecp5"].router
    assert router is not None
    assert set(expected) <= set(router.route(part, 1, 100.0).arguments)


@pytest.mark.parametrize("family", ["ecp5", "gowin"])
def test_an_unknown_part_is_a_user_s_mistake(family: str) -> None:
    router = FAMILIES[family].router
    assert router is not None
    with pytest.raises(UserError, match="part XC7: expected"):
        router.route("XC7", 1, 100.0)


@pytest.mark.parametrize(("mhz_in", "mhz"), itertools.product((12.0, 25.0, 48.0), (50.0, 133.0)))
def test_a_pll_of_ecp5_is_within_its_limits(mhz_in: float, mhz: float) -> None:
    router = FAMILIES["ecp5"].router
    assert router is not None
    pll = router.pll("LFE5U-25F-6BG381C", mhz_in, mhz)
    assert pll is not None
    settings = {k: int(v) for k, v in re.findall(r"\.(CLK\w+_DIV)\((\d+)\)", pll.text)}
    assert pll.mhz == pytest.approx(mhz_in * settings["CLKFB_DIV"] / settings["CLKI_DIV"])
    assert 400 <= pll.mhz * settings["CLKOP_DIV"] <= 800
    assert 0.9 * mhz <= pll.mhz <= mhz * (1 + 1e-4)


def test_pins_are_opened_where_nothing_drives_them() -> None:
    def chain(cin: list) -> dict:
        pins = {"CIN": cin, "COUT": [9]} if cin is not None else {"COUT": [9]}
        return {
            "type": "CCU2C",
            "port_directions": {"CIN": "input", "COUT": "output"},
            "connections": pins,
        }

    cells = {
        "driven": chain([3]),
        "port": chain([4]),
        "open": chain([5]),
        "missing": chain(None),
        "constant": chain(["1"]),
        "undefined": chain(["x"]),
        "driver": {
            "type": "LUT4",
            "port_directions": {"Z": "output"},
            "connections": {"Z": [3]},
        },
    }
    module = {"ports": {"i": {"direction": "input", "bits": [4]}}, "cells": cells}
    pins = ("CCU2C.CIN", "CCU2C.COUT")
    fixed = with_open_pins({"modules": {"m": module}}, pins)["modules"]["m"]["cells"]
    found = {name: cell["connections"].get("CIN") for name, cell in fixed.items()}
    assert found == {
        "driven": [3], "port": [4], "open": ["x"], "missing": ["x"], "constant": ["1"],
        "undefined": ["x"], "driver": None,
    }  # fmt: skip
    assert all(cell["connections"].get("COUT", ["x"]) == ["x"] for cell in fixed.values())


def test_a_carry_that_is_read_stays() -> None:
    def chain(cin: list, cout: list) -> dict:
        return {
            "type": "CCU2C",
            "port_directions": {"CIN": "input", "COUT": "output"},
            "connections": {"CIN": cin, "COUT": cout},
        }

    cells = {"low": chain(["x"], [9]), "high": chain([9], [10]), "top": chain([10], [11])}
    module = {"ports": {"o": {"direction": "output", "bits": [10]}}, "cells": cells}
    pins = ("CCU2C.CIN", "CCU2C.COUT")
    fixed = with_open_pins({"modules": {"m": module}}, pins)["modules"]["m"]["cells"]
    found = {name: tuple(cell["connections"].values()) for name, cell in fixed.items()}
    assert found == {"low": (["x"], [9]), "high": ([9], [10]), "top": ([10], ["x"])}


def test_the_report_s_slowest_path() -> None:
    def step(kind: str, ns: float, net: str | None = None) -> dict:
        return {"type": kind, "delay": ns, "to": {"cell": "c"}, **({"net": net} if net else {})}

    path = [step("clk-to-q", 0.5), step("routing", 1.25, "n"), step("logic", 0.25)]
    report = {
        "fmax": {"clk": {"achieved": 109.2299, "constraint": 100}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": []},
            {"from": "posedge clk", "to": "posedge clk", "path": path},
        ],
        "utilization": {"TRELLIS_COMB": {"used": 6, "available": 24288}},
    }
    found = timing_of(report)
    assert (found.mhz, found.logic_ns, found.wire_ns) == (109.23, 0.75, 1.25)
    assert found.path[1].net == "n" and found.cells == {"TRELLIS_COMB": (6, 24288)}


def comb(init: int, mode: str | None = None, **pins: int) -> Cell:
    outputs = {"F", "OFX", "FCO"}
    parameters = {"INITVAL": f"{init:016b}"} | ({"MODE": mode} if mode else {})
    return Cell(
        "c",
        "TRELLIS_COMB",
        parameters,
        {p: [b] for p, b in pins.items() if p not in outputs},
        {p: [b] for p, b in pins.items() if p in outputs},
    )


def values(cell: Cell, inputs: int, out: int, family: str = "ecp5") -> int:
    """Return an output over all values of the nets 2, 3, ... as a truth table."""
    lanes = 1 << inputs
    gates = GateSimulator(Netlist((cell,)), lanes, FAMILIES[family].kinds)
    gates.settle({2 + k: sum(((a >> k) & 1) << a for a in range(lanes)) for k in range(inputs)})
    return gates.read(out)


class TestPlacedCellsOfEcp5:
    def test_open_inputs_read_one(self) -> None:
        table = 0b1000_0111_0110_1100
        # C and D are open: the highest quarter of the table is left.
        assert values(comb(table, A=2, B=3, F=9), 2, 9) == table >> 12

    def test_two_luts_and_their_multiplexer(self) -> None:
        """OFX is the other half's LUT where M is 1."""
        expected = sum(((a >> 1) & 1 if a >> 2 else a & 1) << a for a in range(8))
        assert values(comb(0xAAAA, A=2, F1=3, M=4, OFX=9), 3, 9) == expected

    def test_the_multiplexer_of_two_such(self) -> None:
        expected = sum(((a >> 1) & 1 if a >> 2 else a & 1) << a for a in range(8))
        assert values(comb(0x1234, FXA=2, FXB=3, M=4, OFX=9), 3, 9) == expected

    def test_a_position_of_a_chain(self) -> None:
        """S = a xor b xor carry, and the carry goes on where they differ, else it is a."""
        table = 0b0110_0110_1010_1010  # D open: the upper half passes on, the lowest quarter is A
        cell = comb(table, "CCU2", A=2, B=3, FCI=4, F=9, FCO=10)
        sums = [a + b + c for c, b, a in itertools.product((0, 1), repeat=3)]
        assert values(cell, 3, 9) == sum((s & 1) << k for k, s in enumerate(sums))
        assert values(cell, 3, 10) == sum((s >> 1) << k for k, s in enumerate(sums))


@given(
    st.integers(0, (1 << 16) - 1),
    st.integers(0, (1 << 16) - 1),
    st.lists(st.sampled_from(("0", "1", "net")), min_size=8, max_size=8),
)
def test_a_carry_cell_without_zeros_computes_the_same(
    init0: int, init1: int, ends: list[str]
) -> None:
    """A net at every pin is more than the device has wires for; a 1 needs none."""
    pins = [f"{pin}{half}" for half in "01" for pin in "ABCD"]
    nets = iter(range(2, 11))
    into = {pin: [next(nets) if end == "net" else end] for pin, end in zip(pins, ends, strict=True)}
    into["CIN"] = [next(nets)]
    cell = {
        "type": "CCU2C",
        "parameters": {"INIT0": f"{init0:016b}", "INIT1": f"{init1:032b}"}
        | {"INJECT1_0": "NO", "INJECT1_1": "NO"},
        "connections": {**into, "S0": [20], "S1": [21], "COUT": [22]},
    }
    router = FAMILIES["ecp5"].router
    assert router is not None
    other = router.prepared(cell)
    assert ["0"] not in other["connections"].values()
    inputs = into["CIN"][0] - 1

    def tables(found: Mapping[str, Any]) -> list[int]:
        ends = found["connections"]
        outs = {name: ends[name] for name in ("S0", "S1", "COUT")}
        given = {name: bits for name, bits in ends.items() if name not in outs}
        whole = Cell("c", "CCU2C", found["parameters"], given, outs)
        return [values(whole, inputs, net) for net in (20, 21, 22)]

    assert tables(cell) == tables(other)
    lut = {**cell, "type": "LUT4"}
    assert router.prepared(lut) is lut


def alu(parameters: dict[str, str], **pins: int) -> Cell:
    outputs = {"SUM", "COUT"}
    return Cell(
        "c",
        "ALU",
        parameters,
        {p: [b] for p, b in pins.items() if p not in outputs},
        {p: [b] for p, b in pins.items() if p in outputs},
    )


class TestPlacedCellsOfGowin:
    @pytest.mark.parametrize(
        ("parameters", "inverted"),
        [
            ({"ALU_MODE": "0"}, 0),
            ({"ALU_MODE": "0" * 31 + "1"}, 1),
            # nextpnr writes text of zeros and ones with a blank after it.
            ({"ALU_MODE": "0 "}, 0),
            ({"ALU_MODE": "10", "RAW_ALU_LUT": f"{0x606A:032b}"}, 0),
        ],
    )
    def test_it_adds(self, parameters: dict[str, str], inverted: int) -> None:
        cell = alu(parameters, I0=2, I1=3, CIN=4, SUM=9, COUT=10)
        sums = [a + (b ^ inverted) + c for c, b, a in itertools.product((0, 1), repeat=3)]
        assert values(cell, 3, 9, "gowin") == sum((s & 1) << k for k, s in enumerate(sums))
        assert values(cell, 3, 10, "gowin") == sum((s >> 1) << k for k, s in enumerate(sums))

    def test_i3_says_whether_it_adds_or_subtracts(self) -> None:
        cell = alu({"ALU_MODE": "10"}, I0=2, I1=3, CIN=4, I3=5, SUM=9)
        expected = [
            (a + (b ^ (not add)) + c) & 1 for add, c, b, a in itertools.product((0, 1), repeat=4)
        ]
        assert values(cell, 4, 9, "gowin") == sum(bit << k for k, bit in enumerate(expected))

    def test_the_ends_that_nextpnr_adds(self) -> None:
        """The head of a chain gives a 0 or a 1, its tail hands out the carry that comes in."""
        for mode, carry in (("C2L", 0), ("ONE2C", 0b11)):
            assert values(alu({"ALU_MODE": mode}, I2=2, COUT=9), 1, 9, "gowin") == carry
        assert values(alu({"ALU_MODE": "C2L"}, CIN=2, SUM=9), 1, 9, "gowin") == 0b10

    def test_an_unknown_mode_is_not_simulated(self) -> None:
        with pytest.raises(NotSimulated, match="ALU of mode 1001"):
            values(alu({"ALU_MODE": "1001"}, CIN=2, SUM=9), 1, 9, "gowin")

    def test_smaller_luts_count_as_four_input_ones(self) -> None:
        router = FAMILIES["gowin"].router
        assert router is not None
        kinds = ("LUT1", "LUT4", "DFFRE", "ALU", "MUX2_LUT5")
        found = [router.bucket(kind) for kind in kinds]
        assert found == ["LUT4", "LUT4", "DFF", "ALU", "MUX2_LUT5"]


def test_a_net_from_nowhere_is_found() -> None:
    def cell(pin: int) -> dict:
        return {
            "type": "TRELLIS_FF",
            "parameters": {},
            "port_directions": {"M": "input", "Q": "output"},
            "connections": {"M": [pin], "Q": [3]},
        }

    def module(pin: int) -> dict:
        cells = {"design.accelerator.f": cell(pin), "design.shell.g": cell(8)}
        names = {"other[1]": {"bits": [2]}, "design.m_tdata[0]": {"bits": [3]}}
        return {"modules": {"top": {"cells": cells, "netnames": names}}}

    # Before placement a net of the port had another name too, which is the one that was kept.
    single = ("s_tvalid", "s_tready", "m_tvalid", "m_tready", "accelerator_rst_n")
    mapped = {
        "netnames": {
            "design.s_tdata": {"bits": [12, "0"]},
            "other": {"bits": [11, 12]},
            "design.m_tdata[0]": {"bits": [13]},
            "design.m_tdata[1]": {"bits": [14]},
            **{f"design.{name}": {"bits": [20 + k]} for k, name in enumerate(single)},
        }
    }
    names = port_names(mapped)
    assert names["s_axis_0_tdata"] == [["design.s_tdata[0]", "other[1]"], []]
    found = accelerator_of(module(2), names)
    assert [c.name for c in found.cells] == ["design.accelerator.f"]
    assert found.ports["s_axis_0_tdata"] == (2, "0") and found.ports["m_axis_0_tdata"] == (3, "0")
    with pytest.raises(NotWhole, match=r"drives M of design\.accelerator\.f"):
        accelerator_of(module(7), names)


def test_boards_name_the_source_of_their_pins() -> None:
    folder = Path(__file__).parents[3] / "board_configs"
    for name in OPEN:
        assert re.search(r"^# Pins: https://", (folder / f"{name}.yaml").read_text(), re.M)
    assert json.dumps(open_board("ULX3S-25F").pins)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("echo 'ERROR: Unable to place cell x, no BELs'; exit 1", "no BELs. Choose a larger board"),
        ("kill -9 $$", "ended by SIGKILL. A user does that, or a system that is short of memory"),
        ("sleep 60", "did not end within 0.3 s and was stopped. Build on a less busy machine"),
        ("exit 3", "exit status 3"),
    ],
)
def test_why_a_seed_reached_nothing(program: str, expected: str, tmp_path: Path) -> None:
    class Stand(Trellis):
        def route(self, part: str, seed: int, mhz: float) -> ProgramCall:
            return ProgramCall("sh", ("-c", program))

    netlist: dict[str, Any] = {"modules": {}}
    limit = 0.3 if "sleep" in program else 60.0
    found = dict(nextpnr.route(Stand(), "p", netlist, "", 1.0, [1], tmp_path, limit=limit))[1]
    assert isinstance(found, str) and expected in found


def test_a_seed_is_told_of_while_others_are_still_placed(tmp_path: Path) -> None:
    """What has ended is kept, then, if somebody stops the build: as here, after the first."""

    class Stand(Trellis):
        def route(self, part: str, seed: int, mhz: float) -> ProgramCall:
            return ProgramCall("sh", ("-c", f"[ {seed} = 1 ] || sleep 60; exit 1"))

    began = time.monotonic()
    ends = nextpnr.route(Stand(), "p", {"modules": {}}, "", 1.0, [1, 2], tmp_path, limit=60.0)
    seed, why = next(ends)
    ends.close()
    assert seed == 1 and isinstance(why, str)
    assert time.monotonic() - began < 30


def test_a_shell_s_lut_that_feeds_a_flip_flop_of_the_accelerator_is_counted() -> None:
    """On Gowin it lies in the flip-flop's place, which only it can feed."""

    def placed(kind: str, name: str, pins: dict[str, int], out: tuple[str, int]) -> Cell:
        given = {pin: [net] for pin, net in pins.items()}
        return Cell(f"design.accelerator.{name}", kind, {}, given, {out[0]: [out[1]]})

    whole = Netlist(
        (
            placed("DFFE", "of_the_shell", {"D": 2, "CLK": 9}, ("Q", 3)),
            placed("LUT3", "lut", {"I0": 3}, ("F", 4)),
            placed("DFF", "own", {"D": 4, "CLK": 9}, ("Q", 5)),
        )
    )
    router = FAMILIES["gowin"].router
    assert router is not None
    found = cells_used(whole, router.bucket, FAMILIES["gowin"].kinds)
    assert found == {"DFF": 2, "LUT4": 2}


@pytest.mark.parametrize("text", ["", '{"fmax": {', '{"critical_paths": ['])
def test_a_full_disk_leaves_a_report_cut_off(text: str, tmp_path: Path) -> None:
    """nextpnr does not look whether what it writes reaches the disk."""

    class Stand(Trellis):
        def route(self, part: str, seed: int, mhz: float) -> ProgramCall:
            return ProgramCall(
                "sh", ("-c", f"echo {{}} > routed.json; echo '{text}' > report.json")
            )

    with pytest.raises(UserError, match=r"report\.json\) is cut off.*make room"):
        list(nextpnr.route(Stand(), "p", {"modules": {}}, "", 1.0, [1], tmp_path, limit=60.0))


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: (kept / nextpnr.PLACED).write_text("{"),
        lambda kept: (kept / nextpnr.REPORT).unlink(),
        lambda kept: (kept / DIGESTS).write_text("[]"),
        lambda kept: (kept / DIGESTS).write_text("{"),
        lambda kept: (kept / DIGESTS).unlink(),
        shutil.rmtree,
    ],
)
def test_a_damaged_placement_is_not_taken(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    run, kept = tmp_path / "run", tmp_path / "cache/key/seed_1"
    run.mkdir()
    for name in (nextpnr.PLACED, nextpnr.REPORT, nextpnr.BITSTREAM, "netlist.json"):
        (run / name).write_text(name)
    for _ in range(2):  # the second time in the place of the damaged one
        assert not is_whole(kept)
        keep(run, kept)
        assert is_whole(kept)
        copy(kept, tmp_path / "route")
        found = {path.name for path in (tmp_path / "route").iterdir()}
        assert found == {nextpnr.PLACED, nextpnr.REPORT, nextpnr.BITSTREAM}
        shutil.rmtree(tmp_path / "route")
        damage(kept)
    assert not is_whole(kept)


def test_cells_that_nextpnr_adds_to_a_chain_are_the_accelerator_s() -> None:
    """It hands a carry out by a carry cell, whose halves have names of their own."""

    def named(name: str, cell: Cell) -> Cell:
        return replace(cell, name=name)

    half = "$nextpnr_CCU2C_{}$CCU2_COMB{}".format
    own = named("design.accelerator.chain", comb(0, "CCU2", A=2, FCI=3, FCO=4))
    first = named(half(7, 0), comb(0, "CCU2", FCI=4, F=5, FCO=6))
    second = named(half(7, 1), comb(0, "CCU2", FCI=6))
    of_shell = named(half(8, 0), comb(0, "CCU2", A=9, FCI=20))
    ground = named("$PACKER_GND", comb(0, F=9))
    reads_ground = named("design.accelerator.lut", comb(0, A=9, B=5, F=2))
    whole = Netlist((own, first, second, of_shell, ground, reads_ground))
    assert cells_used(whole, lambda kind: kind, FAMILIES["ecp5"].kinds) == {"TRELLIS_COMB": 4}
