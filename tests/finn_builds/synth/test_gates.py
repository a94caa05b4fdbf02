"""Gates by hand, and mapped sparse networks against the integers they stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from finn_builds import tools
from finn_builds.errors import VerificationError
from finn_builds.network import IntegerNetwork
from finn_builds.sparse.compiler import CompiledNetwork, compile_network
from finn_builds.sparse.families import family_named
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.options import Options
from finn_builds.stitch.blocks import SPARSE, Block, Resources
from finn_builds.stitch.design import Design, Stage
from finn_builds.stitch.streams import StreamFormat
from finn_builds.synth.gate_stream import run_words
from finn_builds.synth.gates import GateSimulator, NotSimulated
from finn_builds.synth.netlist import Cell, Netlist, from_json
from finn_builds.synth.primitives import declarations
from finn_builds.synth.report import GateLevel
from finn_builds.synth.script import NETLIST
from finn_builds.synth.sources import node_ports
from finn_builds.synth.timing import longest_path
from finn_builds.synth.yosys import prepare
from finn_builds.verify.gate_level import check_gates
from finn_builds.verify.locate_gates import registers_of
from tests.finn_builds.flow.networks import small_network
from tests.finn_builds.network.networks import random_graph, random_inputs
from tests.finn_builds.sparse.sparse_networks import (
    on_stream,
    pack,
    random_frames,
    random_network,
)

SEEDS = {
    "xc7": (*range(300, 324), *range(1000, 1012)),
    "xcup": (*range(324, 336), *range(1012, 1016)),
    "ecp5": (*range(336, 348), *range(1016, 1022)),
    "gowin": range(348, 356),
}
#: Seeds of graphs of every operation, with forks, joins, several inputs and outputs.
GRAPHS = 1000


def _gate(kind: str, init: str | None = None, **pins: int | str) -> Cell:
    parameters = {} if init is None else {"INIT": init}
    ends = {"O", "O5", "O6", "Q"}
    return Cell(
        kind,
        kind,
        parameters,
        {p: [b] for p, b in pins.items() if p not in ends},
        {p: [b] for p, b in pins.items() if p in ends},
    )


def _lanes(values: np.ndarray) -> list[int]:
    """Return the bits of a number per lane, lowest first, each over all lanes."""
    return [
        int("".join(str((int(v) >> k) & 1) for v in reversed(values)), 2)
        for k in range(int(values.max()).bit_length())
    ]


class TestByHand:
    def test_luts_over_all_their_addresses(self) -> None:
        rng = np.random.default_rng(3)
        inputs = dict(enumerate(_lanes(np.arange(64)), start=2))
        for n in range(1, 7):
            table = int(rng.integers(0, 1 << min(62, 1 << n)))
            pins = {f"I{k}": 2 + k for k in range(n)}
            cell = _gate(f"LUT{n}", f"{table:0{1 << n}b}", **pins, O=100)
            gates = GateSimulator(Netlist((cell,)), 64, XC7.kinds)
            gates.settle(inputs)
            expected = sum(((table >> (a % (1 << n))) & 1) << a for a in range(64))
            assert gates.read(100) == expected

    def test_a_lut_with_two_outputs(self) -> None:
        table = int(np.random.default_rng(4).integers(0, 1 << 62))
        cell = _gate("LUT6_2", f"{table:064b}", **{f"I{k}": 2 + k for k in range(6)}, O5=98, O6=99)
        gates = GateSimulator(Netlist((cell,)), 64, XC7.kinds)
        gates.settle(dict(enumerate(_lanes(np.arange(64)), start=2)))
        assert gates.read(99) == table
        assert gates.read(98) == (table & 0xFFFFFFFF) * ((1 << 32) + 1)

    @pytest.mark.parametrize(("kind", "size"), [("CARRY4", 4), ("CARRY8", 8)])
    def test_a_carry_chain_adds(self, kind: str, size: int) -> None:
        """S = a xor b and DI = a make O the sum and the last CO its carry."""
        rng = np.random.default_rng(5)
        a, b = rng.integers(0, 1 << size, (2, 200))
        carry_in = rng.integers(0, 2, 200)
        s, di, o, co = (list(range(k, k + size)) for k in (10, 20, 30, 40))
        ins = {"S": s, "DI": di, "CI": [2]} | ({"CYINIT": ["0"]} if size == 4 else {})
        gates = GateSimulator(
            Netlist((Cell("c", kind, {}, ins, {"O": o, "CO": co}),)), 200, XC7.kinds
        )
        top = 1 << size  # so that all bits are there
        lanes = [_lanes(np.append(v, top))[:size] for v in (a ^ b, a)]
        mask = gates.ones
        inputs = {2: _lanes(np.append(carry_in, 2))[0] & mask}
        inputs |= {bit: v & mask for bit, v in zip(s + di, lanes[0] + lanes[1], strict=True)}
        gates.settle(inputs)
        total = a + b + carry_in
        for k in range(size):
            assert gates.read(o[k]) == sum(int((t >> k) & 1) << n for n, t in enumerate(total))
        assert gates.read(co[-1]) == sum(int(t >> size) << n for n, t in enumerate(total))

    def test_flip_flops_enable_reset_and_set(self) -> None:
        cells = (
            _gate("FDRE", "0", C=9, D=2, CE=3, R=4, Q=20),
            _gate("FDSE", "1", C=9, D=2, CE=3, S=4, Q=21),
        )
        gates = GateSimulator(Netlist(cells), 1, XC7.kinds)
        assert (gates.read(20), gates.read(21)) == (0, 1)
        seen = []
        for d, enable, force in ((1, 0, 0), (1, 1, 0), (0, 0, 0), (0, 1, 0), (1, 1, 1), (0, 0, 0)):
            gates.settle({2: d, 3: enable, 4: force})
            gates.clock()
            seen.append((gates.read(20), gates.read(21)))
        assert seen == [(0, 1), (1, 1), (1, 1), (0, 0), (0, 1), (0, 1)]

    def test_two_positions_of_ecp5_add_and_pass_a_carry_on(self) -> None:
        """With LUT4 = a xor b and LUT2 = a, S is the sum and COUT its carry."""
        init = {f"INIT{k}": f"{0b1001011010101010:016b}" for k in "01"}
        init |= {f"INJECT1_{k}": "NO" for k in "01"}
        bits = dict(enumerate(_lanes(np.arange(32)), start=2))
        ins = {"CIN": [2], "A0": [3], "B0": [4], "A1": [5], "B1": [6]}
        ins |= {f"{pin}{k}": [level] for k in "01" for pin, level in (("C", "0"), ("D", "1"))}
        outs = {"S0": [20], "S1": [21], "COUT": [22]}
        gates = GateSimulator(Netlist((Cell("c", "CCU2C", init, ins, outs),)), 32, ECP5.kinds)
        gates.settle(bits)
        for lane in range(32):
            c, a0, b0, a1, b1 = ((lane >> k) & 1 for k in range(5))
            total = c + a0 + b0 + 2 * (a1 + b1)
            assert [(gates.read(20 + k) >> lane) & 1 for k in range(3)] == [
                (total >> k) & 1 for k in range(3)
            ]
        apart = Cell("c", "CCU2C", init | {"INJECT1_1": "YES"}, ins, outs)
        with pytest.raises(NotSimulated, match="without a carry"):
            GateSimulator(Netlist((apart,)), 1, ECP5.kinds)

    @pytest.mark.parametrize(
        ("kind", "pins"),
        [("PFUMX", ("BLUT", "ALUT", "C0")), ("L6MUX21", ("D0", "D1", "SD"))],
    )
    def test_multiplexers_of_ecp5(self, kind: str, pins: tuple[str, str, str]) -> None:
        ins = {pin: [2 + k] for k, pin in enumerate(pins)}
        gates = GateSimulator(Netlist((Cell("m", kind, {}, ins, {"Z": [20]}),)), 8, ECP5.kinds)
        gates.settle(dict(enumerate(_lanes(np.arange(8)), start=2)))
        expected = [(lane >> 1 if lane >> 2 else lane) & 1 for lane in range(8)]
        assert [(gates.read(20) >> lane) & 1 for lane in range(8)] == expected

    def test_flip_flops_of_ecp5(self) -> None:
        """An inverted enable, a set, and what is not simulated."""
        ins = {"DI": [2], "CE": [3], "LSR": [4], "CLK": [9]}
        plain = {"CEMUX": "INV", "REGSET": "RESET", "LSRMUX": "LSR"}
        sets = {"CEMUX": "1", "REGSET": "SET", "LSRMUX": "INV"}
        cells = [
            Cell(str(q), "TRELLIS_FF", parameters, ins, {"Q": [q]})
            for q, parameters in ((20, plain), (21, sets))
        ]
        gates = GateSimulator(Netlist(tuple(cells)), 1, ECP5.kinds)
        seen = [(gates.read(20), gates.read(21))]
        for d, ce, lsr in ((1, 1, 0), (1, 0, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (0, 1, 0)):
            gates.settle({2: d, 3: ce, 4: lsr})
            gates.clock()
            seen.append((gates.read(20), gates.read(21)))
        assert seen == [(0, 1), (0, 1), (1, 1), (0, 0), (0, 0), (0, 1), (0, 1)]
        apart = replace(cells[0], parameters={**plain, "SRMODE": "ASYNC"})
        with pytest.raises(NotSimulated, match="SRMODE ASYNC"):
            GateSimulator(Netlist((apart,)), 1, ECP5.kinds)

    def test_a_shift_register_is_read_at_its_address(self) -> None:
        pins = {f"A{k}": 10 + k for k in range(4)}
        gates = GateSimulator(
            Netlist((_gate("SRL16E", D=2, CE="1", CLK=9, Q=30, **pins),)), 1, XC7.kinds
        )
        bits = np.random.default_rng(6).integers(0, 2, 40)
        for bit in bits:
            gates.settle({2: int(bit)})
            gates.clock()
        for address in range(16):
            gates.settle({10 + k: (address >> k) & 1 for k in range(4)})
            assert gates.read(30) == bits[-1 - address]

    def test_what_it_does_not_know_is_said(self) -> None:
        with pytest.raises(NotSimulated, match="DSP48E1, RAMB18E1"):
            GateSimulator(Netlist((_gate("DSP48E1"), _gate("RAMB18E1"))), 1, XC7.kinds)
        inverted = replace(
            _gate("FDRE", C=9, D=2, CE="1", R="0", Q=20), parameters={"IS_C_INVERTED": "1"}
        )
        with pytest.raises(NotSimulated, match="IS_C_INVERTED"):
            GateSimulator(Netlist((inverted,)), 1, XC7.kinds)

    def test_a_loop_is_found(self) -> None:
        cells = (_gate("INV", I=2, O=3), replace(_gate("INV", I=3, O=2), name="back"))
        with pytest.raises(RuntimeError, match="loop through the cells"):
            GateSimulator(Netlist(cells), 1, XC7.kinds)


def _clock(seed: int) -> float:
    return ((6.0, 9.0, 12.0, 50.0) if seed < GRAPHS else (20.0, 30.0, 40.0, 50.0))[seed % 4]


@dataclass(frozen=True)
class Compiled:
    """A random network as sparse logic."""

    seed: int
    network: IntegerNetwork
    compiled: CompiledNetwork

    @classmethod
    def of_seed(cls, seed: int, family: str) -> Compiled:
        rng = np.random.default_rng(seed)
        network = random_network(rng, most=int(rng.choice((4, 8, 16))))
        if seed >= GRAPHS:
            network = random_graph(seed, nodes=8, bits=12, widest=24)
        options = Options(restarts=0)
        name, clock = f"net{seed}", _clock(seed)
        return cls(seed, network, compile_network(network, name, family, clock, options=options))

    @property
    def name(self) -> str:
        return self.compiled.name

    @property
    def design(self) -> Design:
        graph = self.compiled.combinational
        into = StreamFormat(self.compiled.in_datatype, graph.n_in, 1)
        out = StreamFormat(self.compiled.out_datatype, len(graph.outputs), 1)
        return Design((Stage(self.name, "SparseMVAU_rtl", into.width, out.width),), into, out)


@dataclass(frozen=True)
class Mapped(Compiled):
    """What synthesis left of it."""

    netlist: Netlist

    def check(
        self,
        x: np.ndarray,
        y: np.ndarray,
        waveform: Path,
        progress: Callable[[float], None] | None = None,
        **netlists: Netlist,
    ) -> GateLevel:
        """Compare netlists, by default its own, with expected outputs."""
        return check_gates(
            self.network,
            [self.block(name) for name in netlists or [self.name]],
            netlists or {self.name: self.netlist},
            x,
            y,
            self.compiled.family.kinds,
            latency=self.compiled.latency,
            seed=1,
            recompile=lambda block: self.compiled,
            waveform=waveform,
            progress=progress,
        )

    def block(self, name: str) -> Block:
        """Return the block of a netlist: its own, or one that no layer is in."""
        (stage,) = self.design.stages
        own = name == self.name
        return Block(
            replace(stage, name=name, kind=SPARSE if own else "StreamingFIFO_rtl"),
            tuple(range(1, 1 + len(self.network.layers()))) if own else (),
            self.design.input if own else self.design.output,
            self.design.output,
            cycles=1,
            latency=self.compiled.latency,
            resources=Resources(),
        )


@pytest.fixture(scope="module", params=SEEDS)
def mapped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Mapped]:
    """Return random networks of a family with their netlists, all of one call of Yosys."""
    family = request.param
    made = [Compiled.of_seed(seed, family) for seed in SEEDS[family]]
    files = {"primitives.v": declarations(family_named(family).primitives)}
    for item in made:
        files |= item.compiled.files()
    ports = {item.name: node_ports(item.design.stages[0]) for item in made}
    folder = tmp_path_factory.mktemp("gates") / family
    command = prepare(files, ports, family_named(family), folder, 300, sparse=True)
    tools.run(command.argv, cwd=command.cwd, log=command.log, timeout=command.timeout)
    modules = json.loads((folder / NETLIST).read_text())["modules"]
    return [Mapped(**vars(item), netlist=from_json(modules[item.name])) for item in made]


@pytest.mark.slow
def test_netlists_of_random_networks(mapped) -> None:
    """What the primitives of the cells come to is what the network is, whatever the stalls."""
    for item in mapped:
        network, compiled = item.network, item.compiled
        x = random_inputs(network, 203, 7)
        beats = pack(on_stream(x, compiled.in_datatype), compiled.in_width)
        y = on_stream(network.execute(x), compiled.out_datatype)
        out_bytes = item.design.output.width // 8
        told: list[int] = []
        kinds = item.compiled.family.kinds
        found = run_words(
            item.netlist, beats, (1, 1), out_bytes, kinds, seed=1, progress=told.append
        )
        assert np.array_equal(found.words, pack(y, compiled.out_width)), item.name
        assert told == list(range(1, found.clocks + 1))


@pytest.mark.slow
def test_netlists_are_as_fast_as_they_were_scheduled(mapped) -> None:
    """The estimate over the mapped netlist is within the clock that the stages were made for."""
    for item in mapped:
        clock = _clock(item.seed)
        assert item.compiled.pipeline.stage_ns <= clock
        assert longest_path(item.netlist, item.compiled.family).ns <= clock, item.name


@pytest.mark.slow
def test_a_wrong_bit_in_the_netlist_fails_the_build(mapped, tmp_path) -> None:
    waveform = tmp_path / "report" / "netlist_mismatch.vcd"
    chains = [m for m in mapped if m.seed < GRAPHS]
    item = max(chains, key=lambda m: len(m.netlist.cells))
    netlist, out = item.netlist, item.design.output
    x = random_frames(np.random.default_rng(8), item.network, 100)
    y = item.network.execute(x)
    shares: list[float] = []
    found = item.check(x, y, waveform, progress=shares.append)
    assert shares == sorted(shares) and 0 < shares[0] < 0.5 < shares[-1] <= 1
    assert (found.frames, found.mismatches) == (100, 0)

    # A bit that is 0 in some frame and comes from a flip-flop, which is now held at 1.
    driver = {b: k for k, c in enumerate(netlist.cells) for bs in c.outputs.values() for b in bs}
    bits = np.unpackbits(out.to_beats(y), axis=1, bitorder="little").T
    data = next(
        b
        for b, values in zip(netlist.ports["m_axis_0_tdata"], bits, strict=True)
        if not values.all()
        and b in driver
        and netlist.cells[driver[b]].kind.startswith(("FDRE", "TRELLIS_FF", "DFF"))
    )
    cells = list(netlist.cells)
    flop = cells[driver[data]]
    kind = "DFFS" if flop.kind.startswith("DFF") else flop.kind.replace("FDRE", "FDSE")
    forced = {**flop.inputs, "S": ["1"], "LSR": ["1"], "SET": ["1"]}
    settings_of = {**flop.parameters, "REGSET": "SET", "LSRMUX": "LSR"}
    cells[driver[data]] = replace(flop, kind=kind, inputs=forced, parameters=settings_of)
    broken = replace(netlist, cells=tuple(cells))
    with pytest.raises(VerificationError, match="the netlist after synthesis differs") as raised:
        item.check(x, y, waveform, **{item.name: broken})

    tensor = item.network.outputs[0]
    assert f" is '{tensor}', element " in str(raised.value)
    assert "beginning with the block's output, m_axis_0" in str(raised.value)
    assert waveform.is_file() and f"`gtkwave {waveform}`" in str(raised.value)

    # Beside a block that is not simulated, the sparse node is checked by itself.
    block = Netlist((_gate("DSP48E1"),), netlist.ports)
    found = item.check(x, y, waveform, **{item.name: netlist, "dsp": block})
    assert "DSP48E1" in (found.why or "") and found.nodes == {item.name: 500}
    assert (found.frames, found.mismatches) == (0, 0)
    with pytest.raises(VerificationError, match=f"the netlist of {item.name}"):
        item.check(x, y, waveform, **{item.name: broken, "dsp": block})


@pytest.mark.slow
def test_words_that_never_come_are_no_zeros(mapped, tmp_path) -> None:
    """A netlist that stands still fails, even where zeros are what is asked for."""
    item = mapped[0]
    out = item.design.output
    stuck = replace(item.netlist, ports={**item.netlist.ports, "m_axis_0_tvalid": ("0",)})
    x = random_frames(np.random.default_rng(9), item.network, 20)
    zeros = out.from_beats(np.zeros((20, out.width // 8), dtype=np.uint8))
    with pytest.raises(VerificationError, match="20 words less"):
        item.check(x, zeros, tmp_path / "waveform.vcd", **{item.name: stuck})


@pytest.mark.slow
def test_a_broken_cell_is_named_by_its_tensor(tmp_path: Path) -> None:
    """A flip-flop is inverted: the tensor whose element it holds is the first that differs."""
    options = {"weight_bits": 3, "act_bits": 3, "input_type": "INT4"}
    network = small_network((6, 6, 5, 3), seed=2, **options)
    compiled = compile_network(network, "deep", "xc7", 4.2)
    files = {"primitives.v": declarations(XC7.primitives), **compiled.files()}
    item = Compiled(0, network, compiled)
    ports = {"deep": node_ports(item.design.stages[0])}
    command = prepare(files, ports, XC7, tmp_path / "yosys", 300, sparse=True)
    tools.run(command.argv, cwd=command.cwd, log=command.log, timeout=command.timeout)
    modules = json.loads((tmp_path / "yosys" / NETLIST).read_text())["modules"]
    mapped = Mapped(**vars(item), netlist=from_json(modules["deep"]))
    x = random_inputs(network, 60, seed=8)
    y, values = network.execute(x), network.values(network.split(x))
    waveform = tmp_path / "netlist_mismatch.vcd"
    named = set()
    for tensor, elements in compiled.lowered.values.items():
        for element, value in enumerate(elements):
            broken = None if value is None else _inverted(mapped, value.node)
            if broken is None:
                continue
            with pytest.raises(VerificationError) as raised:
                mapped.check(x, y, waveform, deep=broken)
            found = re.search(
                r"frame (\d+) is '(\w+)', element (\d+), in deep: expected (-?\d+), found (-?\d+), "
                r"beginning with net registers\.\w+ ",
                str(raised.value),
            )
            assert found, str(raised.value)
            frame = int(found[1])
            assert (found[2], int(found[3])) == (tensor, element), (
                f"{tensor} {element}: {raised.value}"
            )
            expected = values[tensor][frame, element]
            assert int(found[4]) == expected != int(found[5]), raised.value
            assert waveform.is_file()
            named.add(tensor)
    assert {"x", "codes0"} <= named


def _inverted(item: Mapped, node: int) -> Netlist | None:
    """Return the netlist with bit 0 of a register inverted, if the node has one by its name."""
    label = item.compiled.combinational.labels[node]
    bits = registers_of(item.netlist, item.compiled).get(f"registers.{label}_d1", ())
    flops = {
        cell.outputs["Q"][0]: k
        for k, cell in enumerate(item.netlist.cells)
        if cell.kind in ("FDRE", "TRELLIS_FF")
    }
    if not bits or bits[0] not in flops:
        return None
    cells = list(item.netlist.cells)
    flop = cells[flops[bits[0]]]
    used = (bits for c in cells for bits in (*c.inputs.values(), *c.outputs.values()))
    unused = 1 + max(bit for bits in used for bit in bits if isinstance(bit, int))
    pin = "D" if flop.kind == "FDRE" else "DI"
    cells[flops[bits[0]]] = replace(flop, inputs={**flop.inputs, pin: [unused]})
    table = {"INIT": "01"}
    cells.append(Cell("fault", "INV", table, {"I": flop.inputs[pin]}, {"O": [unused]}))
    return replace(item.netlist, cells=tuple(cells))
