"""RTL and netlists broken on purpose: the first tensor that differs is named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from finn_builds.config.build import BuildConfig
from finn_builds.errors import VerificationError
from finn_builds.flow.simulate import step_measure_rtlsim_performance
from finn_builds.network import IntegerNetwork, Linear, Lookup, Requantise, Tensor, chain
from finn_builds.network.ops import Thresholds
from finn_builds.sim.accelerator import Accelerator
from finn_builds.sim.compile import SimDesign, compile_designs
from finn_builds.stitch.design import TOP
from finn_builds.stitch.sources import stitched_sources
from finn_builds.style.styles import compile_block
from finn_builds.verify.exactness import mismatching_frames
from finn_builds.verify.locate import Finding, in_words
from finn_builds.verify.locate_rtl import RtlLocator
from tests.finn_builds.flow.networks import Built, small_network, stitch, view_of
from tests.finn_builds.network.networks import random_inputs

STALLS = {"stall_in": 0.3, "stall_out": 0.3, "seed": 5}
LIMITS = {"idle_limit": 20_000, "drain": 500}
CORE = "SparseMVAU_rtl_0_core.v"


def tabled_network() -> IntegerNetwork:
    """Return sums, thresholds, a table and sums again."""
    rng = np.random.default_rng(6)
    rows = np.sort(rng.integers(-40, 41, (6, 7)), axis=1)
    table = rng.integers(-9, 10, (6, 8))
    return chain(
        Tensor.of_type("x", "INT4", 7),
        [
            ("sums0", Linear(rng.integers(-3, 4, (7, 6)), rng.integers(-5, 6, 6))),
            ("codes0", Requantise(Thresholds(rows))),
            ("shapes", Lookup(np.arange(6), np.zeros(6, int), table, 6)),
            ("sums1", Linear(rng.integers(-3, 4, (6, 4)))),
        ],
    )


def substituted(pattern: str, new: str | Callable[[re.Match[str]], str], text: str) -> str:
    changed, count = re.subn(pattern, new, text, count=1)
    assert count == 1 and changed != text, pattern
    return changed


def inverted(match: re.Match[str]) -> str:
    """Return a sized hexadecimal constant with all its bits flipped."""
    width, digits = int(match[2]), int(match[3], 16)
    return f"{match[1]}{width}'h{digits ^ ((1 << width) - 1):x}"


def first_bit(match: re.Match[str]) -> str:
    """Return hexadecimal contents of a memory with the lowest bit of the first digit flipped."""
    return f"{int(match[0], 16) ^ 1:x}"


@dataclass(frozen=True)
class Fault:
    """A file of a stitched folder, how it is broken, and what is to be named."""

    design: str
    file: str
    pattern: str
    new: str | Callable[[re.Match[str]], str]
    tensor: str
    element: int
    net: str  # where the difference begins
    stalls: bool = False  # without them everything is right


FAULTS = {
    "a constant in a sum": Fault(
        "sparse",
        CORE,
        r"(\.NB\()(\d+)'h(\w+)(?=\)[^\n]*\n +l0_n1_acc_chain )",
        inverted,
        "sums0",
        1,
        "core.l0_n1_acc ",
    ),
    "a threshold": Fault(
        "sparse",
        CORE,
        r"(\.INIT\()(\d+)'h(\w+)(?=\)\) l0_n4_c\d+_lut )",
        inverted,
        "codes0",
        4,
        "core.l0_n4 ",
    ),
    "a table's entries": Fault(
        "sparse",
        CORE,
        r"(\.INIT\()(\d+)'h(\w+)(?=\)\) l1_n2_c\d+_lut )",
        inverted,
        "shapes",
        2,
        "core.l1_n2 ",
    ),
    "a register that is no register": Fault(
        "sparse",
        CORE,
        r"always @\(posedge clk\) if \(ce\) l0_n1_acc_d1 <= l0_n1_acc;",
        "always @* l0_n1_acc_d1 = l0_n1_acc;",
        "sums0",
        1,
        "core.l0_n1_acc_d1 ",
    ),
    "a wrong wire": Fault("sparse", CORE, r"x2 = x\[11:8\]", "x2 = x[15:12]", "x", 2, "core.x2 "),
    "an output without its sign": Fault(
        "sparse",
        CORE,
        r"(y\[8:0\] = \{)l2_n0_acc\[7\]",
        r"\g<1>1'b0",
        "sums1",
        0,
        "SparseMVAU_rtl_0_to_out",
    ),
    "a frame that is lost under back-pressure": Fault(
        "sparse",
        "SparseMVAU_rtl_0.v",
        r"head <= ce \? tail : spare",
        "head <= tail",
        "sums1",
        0,
        "SparseMVAU_rtl_0_to_out",
        stalls=True,
    ),
    "a folded layer's weights": Fault(
        "mixed",
        "MVAU_rtl_0_memblock.dat",
        r"\w(?=\s*\Z)",
        first_bit,
        "sums1",
        0,
        "MVAU_rtl_0_to_Thresholding_rtl_0",
    ),
    "a folded layer's thresholds": Fault(
        "mixed",
        "Thresholding_rtl_0_threshs_2_0.dat",
        r"\A\w+",
        "7f",
        "codes1",
        2,
        "Thresholding_rtl_0_to_SparseMVAU_rtl_1",
    ),
    "a wire after a folded layer": Fault(
        "mixed",
        "SparseMVAU_rtl_1_core.v",
        r"x3 = x\[\d+:\d+\]",
        "x3 = x[1:0]",
        "codes1",
        3,
        "core.x3 ",
    ),
}


@dataclass(frozen=True)
class Broken:
    """A stitched design, broken, in a library of its own kind."""

    built: Built
    folder: Path
    library: Path
    name: str

    def start(self, waveform: Path | None = None) -> Accelerator:
        return Accelerator(
            self.built.design, self.library, self.folder, name=self.name, trace_file=waveform
        )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Broken]:
    """Every fault in a copy of its design, all in one simulator build, and the designs whole."""
    folder = tmp_path_factory.mktemp("locate")
    mixed = small_network((6, 8, 5, 3), weight_bits=3, act_bits=2, input_type="INT4", seed=3)
    built = {
        "sparse": stitch("sparse", tabled_network(), folder / "sparse", style="sparse"),
        "mixed": stitch("mixed", mixed, folder / "mixed", styles=("sparse", "folded", "sparse")),
    }
    places = {}
    for k, (what, fault) in enumerate(FAULTS.items()):
        copy = folder / f"fault{k}"
        shutil.copytree(built[fault.design].folder, copy)
        text = (copy / fault.file).read_text()
        (copy / fault.file).write_text(substituted(fault.pattern, fault.new, text))
        places[what] = (built[fault.design], copy, f"fault{k}")
    for name, whole in built.items():
        places[name] = (whole, whole.folder, name)
    designs = [
        SimDesign(
            name,
            [copy / source for source in stitched_sources(copy)],
            TOP,
            item.design.input.width,
            item.design.output.width,
            item.design.links,
        )
        for item, copy, name in places.values()
    ]
    library = compile_designs(designs, build_dir=folder / "sim", trace="vcd")
    return {what: Broken(i, copy, library, name) for what, (i, copy, name) in places.items()}


def locator(item: Broken, waveform: Path) -> RtlLocator:
    network = item.built.network
    return RtlLocator(
        network,
        item.built.hardware.blocks,
        lambda block: compile_block(network, block, family="xc7", clock_ns=10.0, latency=None),
        item.start,
        waveform,
        LIMITS,
    )


def frames_of(item: Broken) -> tuple[np.ndarray, np.ndarray]:
    x = random_inputs(item.built.network, 60, seed=2)
    return x, item.built.network.execute(x)


@pytest.mark.slow
@pytest.mark.parametrize("what", FAULTS)
def test_the_first_tensor_that_differs_is_named(
    what: str, broken: dict[str, Broken], tmp_path: Path
) -> None:
    item, fault = broken[what], FAULTS[what]
    x, y = frames_of(item)
    accelerator = item.start()
    free = accelerator.run(x, **LIMITS).y
    stalled = accelerator.run(x, **STALLS, **LIMITS).y
    accelerator.close()
    assert (free == y).all() == fault.stalls
    frames = mismatching_frames(y, stalled if fault.stalls else free)
    waveform = tmp_path / "report" / "mismatch.vcd"
    message = locator(item, waveform)(x, y, int(frames[0]), STALLS if fault.stalls else {})

    found = re.search(
        r"frame (\d+) is '(\w+)', element (\d+), in (\w+): expected (-?\d+), "
        r"found (-?\d+), beginning with (.*)\. See it with `gtkwave (\S+)`, at time (\d+)",
        message,
    )
    assert found, message
    frame, tensor, element = int(found[1]), found[2], int(found[3])
    assert (tensor, element) == (fault.tensor, fault.element), message
    values = item.built.network.values(item.built.network.split(x))
    assert int(found[5]) == values[tensor][frame, element] != int(found[6]), message
    assert fault.net in found[7] + " ", message
    assert ("only under back-pressure" in message) == fault.stalls, message
    assert Path(found[8]) == waveform
    assert f"#{found[9]}\n" in waveform.read_text()


@pytest.mark.slow
def test_what_does_not_recur_is_said(broken: dict[str, Broken], tmp_path: Path) -> None:
    """A design that is right leaves no waveform."""
    item = broken["sparse"]
    x, y = frames_of(item)
    waveform = tmp_path / "mismatch.vcd"
    assert "depends on what was sent before" in locator(item, waveform)(x, y, 7, STALLS)
    assert not waveform.exists()


@pytest.mark.slow
def test_a_build_fails_with_the_tensor_and_leaves_the_waveform(tmp_path: Path) -> None:
    out = tmp_path / "build"
    built = stitch("sparse", tabled_network(), out, style="sparse")
    fault = FAULTS["a table's entries"]
    core = built.folder / CORE
    core.write_text(substituted(fault.pattern, fault.new, core.read_text()))
    asked = BuildConfig(board="Pynq-Z1", model="digits", output_dir=out, style="sparse")
    cfg = view_of(asked.validate())
    with pytest.raises(VerificationError) as raised:
        step_measure_rtlsim_performance(built.streamlined, built.hardware, built.stitched, cfg)
    waveform = out / "report" / "mismatch.vcd"
    assert re.search(
        r"the stitched RTL \(free running\) differs from the QONNX model in \d+ of 40 frames; the "
        r"first is frame \d+: .* The first tensor that differs in frame \d+ is 'shapes', "
        rf"element 2, in SparseMVAU_rtl_0: .* `gtkwave {waveform}`",
        str(raised.value),
    ), raised.value
    assert waveform.is_file()
    assert [path.name for path in waveform.parent.iterdir() if path.suffix == ".vcd"] == [
        "mismatch.vcd"
    ]


def test_the_node_of_the_model_is_named() -> None:
    whole = tabled_network()
    nodes = tuple(replace(n, origin=f"MatMul '{n.output.name}'") for n in whole.nodes)
    network = IntegerNetwork(whole.inputs, nodes, whole.outputs)
    finding = Finding(("codes0", 3), "SparseMVAU_rtl_0", 5, None, "net a.b", 7)
    assert in_words(finding, network, 12, Path("report/mismatch.vcd")) == (
        "The first tensor that differs in frame 12 is 'codes0' (of MatMul 'codes0'), element 3, in "
        "SparseMVAU_rtl_0: expected 5, found nothing, beginning with net a.b. See it with `gtkwave "
        "report/mismatch.vcd`, at time 15"
    )
