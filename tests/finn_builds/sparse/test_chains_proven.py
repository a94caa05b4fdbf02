"""Carry chains of four-input families, proven equal to their behavioural bodies with SAT.

What comes into the first CIN of a chain is any value: on ECP5 it is open.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from finn_builds import tools
from finn_builds.sparse.cells import CellText
from finn_builds.sparse.families import FAMILIES

pytestmark = pytest.mark.slow

WIDTHS = range(1, 21)

#: Yosys' models of a family's cells, and the cells.
MODELS = {
    "ecp5": ("+/lattice/cells_sim_ecp5.v", ("CCU2C", "LUT2", "LUT4")),
    "gowin": ("+/gowin/cells_sim.v", ("ALU",)),
}


def cell_of(family: str, name: str) -> CellText:
    return next(cell for cell in FAMILIES[family].cells if cell.name == name)


def prove(family: str, cell: CellText, pairs: list[tuple[str, str, str]], folder: Path) -> bool:
    """Say whether instances of a cell compute what the same ones of its twin do.

    `pairs` have the parameters, the inputs as ports of a cell, and the width of the output.
    """
    twin = cell.behavioural.replace(f"module {cell.name} ", f"module twin_{cell.name} ")
    body = []
    for k, (parameters, inputs, width) in enumerate(pairs):
        for net, module in ((f"y{k}", cell.name), (f"z{k}", f"twin_{cell.name}")):
            body.append(f"wire [{width}-1:0] {net};")
            body.append(f"{module} #({parameters}) u_{net} ({inputs}, .y({net}));")
        body.append(f"wire ok{k} = y{k} == z{k};")
    oks = ", ".join(f"ok{k}" for k in range(len(pairs)))
    text = "module miter(input [63:0] p, q, output ok);\n" + "\n".join(body)
    (folder / "miter.v").write_text(f"{text}\nassign ok = &{{{oks}}};\nendmodule\n")
    (folder / "cell.v").write_text(cell.text)
    (folder / "twin.v").write_text(twin)
    library, kinds = MODELS[family]
    picked = " ".join(f"t:{kind}" for kind in kinds) + " %u" * (len(kinds) - 1)
    script = (
        "read_verilog -D YOSYS miter.v cell.v twin.v; hierarchy -top miter; proc; flatten; "
        f"select -assert-min 1 t:{kinds[0]}; read_verilog -lib {library}; "
        f"techmap -autoproc -map {library} {picked}; proc; flatten; opt_clean; "
        f"select -assert-none {picked}; "
        "setundef -undriven -anyconst; setundef -anyconst; sat -verify -prove ok 1 miter"
    )
    try:
        tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=folder, timeout=600)
    except tools.ToolFailed as failed:
        assert "proof did fail" in failed.output or "FAIL" in failed.output, failed
        return False
    return True


def adders(seed: int) -> list[tuple[str, str, str]]:
    """Return adders of every width: plain, and with random inverters and a carry."""
    rng = random.Random(seed)
    pairs = []
    for w in WIDTHS:
        for na, nb, ones in (
            (0, 0, 0),
            (rng.getrandbits(w), rng.getrandbits(w), 1),
            (rng.getrandbits(w), rng.getrandbits(w), 0),
        ):
            parameters = f".W({w}), .NA({w}'d{na}), .NB({w}'d{nb}), .ONES({ones})"
            pairs.append((parameters, f".a(p[{w - 1}:0]), .b(q[{w - 1}:0])", str(w)))
    return pairs


@pytest.mark.parametrize("family", MODELS)
def test_adders_of_every_width(family: str, tmp_path: Path) -> None:
    assert prove(family, cell_of(family, "ps_add"), adders(1), tmp_path)


def test_comparisons_of_ecp5_of_every_length(tmp_path: Path) -> None:
    """Positions with random tables, the lowest of two inputs and of three."""
    rng = random.Random(2)
    pairs = []
    for n in range(1, 17):
        for narrow in (False, True):
            init = rng.getrandbits(16 * n)
            if narrow:  # "equal" of the lowest position does not see the third input
                init &= ~0xF000
                init |= (init & 0x0F00) << 4
            pairs.append((f".N({n}), .INIT({16 * n}'h{init:x})", f".x(p[{3 * n - 1}:0])", "1"))
    assert prove("ecp5", cell_of("ecp5", "ps_compare3"), pairs, tmp_path)


def test_comparisons_of_gowin_of_every_length(tmp_path: Path) -> None:
    pairs = [(f".N({n})", f".a(p[{n - 1}:0]), .b(q[{n - 1}:0])", "1") for n in WIDTHS]
    assert prove("gowin", cell_of("gowin", "ps_compare"), pairs, tmp_path)


def test_a_chain_that_needs_its_first_carry_is_not_proven(tmp_path: Path) -> None:
    """The lowest position passes on what comes in: with any value there, the sum is not the sum."""
    cell = cell_of("ecp5", "ps_add")
    broken = cell.primitives.replace("{12'd0, BIT0}", "{12'hfff, BIT0}")
    assert broken != cell.primitives
    wrong = CellText(cell.name, cell.title, cell.head, cell.behaviour, broken, cell.guard)
    assert not prove("ecp5", wrong, adders(1)[9:12], tmp_path)


def test_behavioural_bodies_are_whole_modules() -> None:
    """Without a macro in sight: plain Verilog for any device."""
    for family in FAMILIES.values():
        for cell in family.cells:
            assert "`if" not in cell.behavioural and "`else" not in cell.behavioural
            assert cell.behavioural.count("endmodule") == 1
            assert f"module {cell.name} " in cell.behavioural
