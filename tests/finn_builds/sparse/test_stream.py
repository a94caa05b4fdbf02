"""A proof that the elastic shell keeps every frame, in order, under any stall pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from finn_builds import tools
from finn_builds.sparse.stream import emit_stream

TAG = 4  # bits of the sequence number that every frame carries


def _with_proof(inner: int) -> str:
    """Return the shell with a delay line as its datapath, and what is to be proven of it.

    A frame is its sequence number. The assertions at the end are the claims; those before tie
    the numbers in flight together, which makes the claims inductive.
    """
    text = emit_stream("shell", TAG, TAG, inner)["shell.v"]
    start = text.index("  shell_core core (")
    end = text.index(");", start) + 2
    delay = [f"  reg [{TAG - 1}:0] d{k};" for k in range(inner)]
    delay += ["  always @(posedge ap_clk) if (ce) begin", "    d0 <= sent;"]
    delay += [f"    d{k} <= d{k - 1};" for k in range(1, inner)]
    delay += ["  end", f"  assign tail = d{inner - 1};"]
    text = text[:start] + "\n".join(delay) + text[end:]
    # The source sends its count of frames; the sink counts what it takes.
    text = text.replace("  reg ce;\n", f"  reg ce;\n  reg [{TAG - 1}:0] sent, got;\n")
    filled = [f"filled[{k}]" if inner > 1 else "filled" for k in range(inner)]
    claims = [
        "  always @(posedge ap_clk) begin",
        "    if (!ap_rst_n) begin sent <= 0; got <= 0; end else begin",
        "      if (s_axis_0_tvalid & s_axis_0_tready) sent <= sent + 1;",
        "      if (m_axis_0_tvalid & m_axis_0_tready) got <= got + 1;",
        "    end",
        "  end",
        f"  wire [{TAG - 1}:0] p{inner} = got + head_valid + !ce;",
    ]
    for k in reversed(range(inner)):
        claims.append(f"  wire [{TAG - 1}:0] p{k} = p{k + 1} + {filled[k]};")
    claims += [
        "  reg started = 0, waiting = 0;",
        f"  reg [{TAG - 1}:0] offered;",
        "  always @(posedge ap_clk) begin",
        "    started <= 1;",
        "    waiting <= started & ap_rst_n & m_axis_0_tvalid & ~m_axis_0_tready;",
        "    offered <= m_axis_0_tdata;",
        "  end",
        "  always @* begin",
        "    assume (ap_rst_n == started);",
        "    if (started) begin",
        "      assert (sent == p0);",
        "      assert (ce || head_valid);",
        f"      if (!ce) assert (spare == got + {TAG}'d1);",
    ]
    claims += [f"      if ({filled[k]}) assert (d{k} == p{k + 1});" for k in range(inner)]
    claims += [
        f"      if (m_axis_0_tvalid) assert (m_axis_0_tdata[{TAG - 1}:0] == got);",
        f"      if (waiting) assert (m_axis_0_tvalid && m_axis_0_tdata[{TAG - 1}:0] == offered);",
        "    end",
        "  end",
        "endmodule",
    ]
    return text.replace("endmodule", "\n".join(claims)).replace("`default_nettype none", "")


def _prove(text: str, folder: Path) -> str:
    (folder / "shell.v").write_text(text)
    script = (
        "read_verilog -formal shell.v; prep -top shell -flatten; "
        "async2sync; chformal -lower; opt; "
        "sat -tempinduct -set-assumes -prove-asserts -set-def-inputs -seq 1 -maxsteps 8 -verify"
    )
    command = [*tools.yosys_command(), "-q", "-p", script]
    return tools.run(command, cwd=folder, timeout=300).stdout


@pytest.mark.slow
@pytest.mark.parametrize("inner", [1, 2, 5])
def test_no_frame_is_lost_doubled_or_reordered(tmp_path: Path, inner: int) -> None:
    _prove(_with_proof(inner), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ce <= move | (ce & ~tail_valid);", "ce <= 1'b1;"),
        ("if (move) head <= ce ? tail : spare;", "if (move) head <= tail;"),
        ("ce <= move | (ce & ~tail_valid);", "ce <= move | ce;"),
        ("if (move) head_valid <= ~ce | tail_valid;", "head_valid <= tail_valid;"),
        ("if (ce) spare <= tail;", "spare <= tail;"),
    ],
)
def test_the_proof_finds_faults(tmp_path: Path, right: str, wrong: str) -> None:
    text = _with_proof(3)
    assert right in text
    with pytest.raises(tools.ToolFailed):
        _prove(text.replace(right, wrong), tmp_path)
