"""A shell of shift registers: an accelerator in a device with four pins and no path of its own."""

from __future__ import annotations

from finn_builds.shell.uart import SHELL, UART_TOP, UartSpec, board_file, uart_files

_SHELL_TEXT = """\
// Bits go through a shift register into the accelerator, and what it gives through another one out.
module {name} (
    input wire clk, input wire rst_n, input wire rx, output wire tx, output wire busy,
    output wire accelerator_rst_n, output wire [{i}:0] s_tdata, output wire s_tvalid,
    input wire s_tready, input wire [{o}:0] m_tdata, input wire m_tvalid, output wire m_tready
);
  reg [{i}+3:0] given;
  reg [{o}+2:0] taken;
  always @(posedge clk) begin
    given <= {{given, rx}};
    taken <= given[0] ? {{m_tdata, m_tvalid, s_tready}} : taken << 1;
  end
  assign {{s_tdata, s_tvalid, m_tready, accelerator_rst_n}} = given;
  assign tx = taken[{o}+2];
  assign busy = rst_n;
endmodule
"""


def register_files(accelerator: str, in_bytes: int, out_bytes: int) -> dict[str, str]:
    """Return a shell of shift registers in the place of the serial one, `{file name: Verilog}`.

    `accelerator` is its top module, with streams of `in_bytes` and `out_bytes`. The clock is that
    of the pin; the device is there to be placed and routed, and is of no use on a board.
    """
    spec = UartSpec(accelerator, in_bytes, out_bytes, 1, 1, 100.0, 1_000_000)
    shell = _SHELL_TEXT.format(name=SHELL, i=8 * in_bytes - 1, o=8 * out_bytes - 1)
    top = f"{UART_TOP}.v"
    return {f"{SHELL}.v": shell, top: uart_files(spec)[top], **board_file(None)}
