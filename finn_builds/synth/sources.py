"""The stitched sources as Yosys reads them, and a top for each node alone.

What is synthesised is the delivered text, except for a few lines of FINN's RTL that Yosys' slang
frontend does not take; each is replaced by one of the same meaning, or is a check that runs in
simulation only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploy.packing import padded
from finn_builds.sparse.family import Family
from finn_builds.stitch.design import TOP, Design, Stage
from finn_builds.stitch.top import top_text
from finn_builds.synth import primitives

PRIMITIVES_FILE = "device_primitives.v"

#: What the names of tops of single nodes begin with.
ALONE = "alone_"

#: (text of finn-plus 1.6.1, text for Yosys) by file.
_EDITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # A watch over the first 100 ns of a simulation, and an assertion.
    "mvu.sv": (
        ("\t\t\t#100ns;\n\t\t\tDirty <= 0;\n", ""),
        ("always_ff @(posedge clk iff en && !rst)", "always_ff @(posedge clk)"),
    ),
    "mvu_vvu_8sx9_dsp58.sv": (("\t\t\t#100ns;\n\t\t\tDirty <= 0;\n", ""),),
    # A slice [M-1:M] of no bits, in the first stage, where the comparison does not matter.
    "thresholding.sv": (("p.ptr[M-1:SN+1] < 2**stage", "(p.ptr[M-1:0] >> (SN+1)) < 2**stage"),),
    # A compiler directive within the module.
    "vpc.sv": (("\n`default_nettype none\n", "\n"), ("\n`default_nettype wire\n", "\n")),
}


def readable(name: str, text: str) -> str:
    """Return the text of a source as Yosys reads it.

    Raises RuntimeError if the file is not the one that the changes were written for.
    """
    for old, new in _EDITS.get(name, ()):
        if old not in text:
            raise RuntimeError(f"{name} is not the text of finn-plus 1.6.1 that Yosys is fed from")
        text = text.replace(old, new)
    return text


def module_of(stage: Stage) -> str:
    """Return the name of the top that holds one node alone."""
    return f"{ALONE}{stage.name}"


def node_top(design: Design, stage: Stage) -> str:
    """Return Verilog of a node alone, its configuration ports tied off as in the whole design."""
    text = top_text(replace(design, stages=(stage,)))
    return text.replace(f"module {TOP} (", f"module {module_of(stage)} (")


def files_for(design: Design, stitched: Mapping[str, str], family: Family) -> dict[str, str]:
    """Return all that Yosys reads: sources, node tops, primitives, memory contents.

    `stitched` is the stitched folder, text by file name, sources in compile order.
    """
    files = {PRIMITIVES_FILE: primitives.declarations(family.primitives)}
    files |= {name: readable(name, text) for name, text in stitched.items() if name != f"{TOP}.v"}
    files |= {f"{module_of(s)}.v": node_top(design, s) for s in design.stages}
    return files


def parent(name: str, ports: Mapping[str, Sequence[tuple[str, str, int]]]) -> str:
    """Return a module that holds others side by side, all their ports brought out.

    `ports` has the (direction, port, width) of each module, which is instantiated once.
    """
    outer, body = [], []
    for module, listed in ports.items():
        links = []
        for direction, port, width in listed:
            outer.append(f"{direction} wire [{width - 1}:0] {module}_{port}")
            links.append(f".{port}({module}_{port})")
        body.append(f"  {module} {module}_inst ({', '.join(links)});\n")
    return f"module {name} (\n  " + ",\n  ".join(outer) + "\n);\n" + "".join(body) + "endmodule\n"


def node_ports(stage: Stage) -> tuple[tuple[str, str, int], ...]:
    """Return direction, name and width of the ports of a node's top."""
    in_bits, out_bits = padded(stage.in_bits), padded(stage.out_bits)
    return (
        ("input", "ap_clk", 1),
        ("input", "ap_rst_n", 1),
        ("input", "s_axis_0_tdata", in_bits),
        ("input", "s_axis_0_tvalid", 1),
        ("output", "s_axis_0_tready", 1),
        ("output", "m_axis_0_tdata", out_bits),
        ("output", "m_axis_0_tvalid", 1),
        ("input", "m_axis_0_tready", 1),
    )
