"""The serial shell: an accelerator, packets over a UART, and the whole of an open board."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finn_builds.config.open_route import bit_clocks
from finn_builds.errors import UserError
from finn_builds.sparse.routing import Pll

#: Module of the shell with its accelerator, without clock and pins.
UART_TOP = "prunestream_uart"
#: The same as a module without parameters, and the module of a whole board.
SHELL = "prunestream_uart_shell"
BOARD_TOP = "prunestream_board"

# Bits of memory that the frames of a packet may take, at the input and at the output each.
_STORE_BITS = 32_768
_MOST_FRAMES = 256
_PAYLOAD = 65_535
_IDLE_SECONDS = 0.02
_RUN_SECONDS = 1.0


@dataclass(frozen=True)
class UartSpec:
    """One serial shell; `UserError` if the accelerator's frames or the clock do not fit."""

    accelerator: str  # top module of the accelerator
    # Width of its two streams (TDATA) in bytes
    in_bytes: int
    out_bytes: int
    # Beats of a frame
    in_beats: int
    out_beats: int
    mhz: float  # clock of shell and accelerator
    baud: int  # bits per second on the line
    tracked: int = 16  # frames under way up to which latency is measured
    build_id: int = 0  # 32 bits, by which the driver knows the bitfile of its package

    def __post_init__(self) -> None:
        bit_clocks(self.mhz, self.baud)
        largest = max(self.in_bytes * self.in_beats, self.out_bytes * self.out_beats)
        if largest > _PAYLOAD:
            raise UserError(
                f"the serial shell takes frames of at most {_PAYLOAD} bytes, found {largest}"
            )

    @property
    def clocks(self) -> int:
        """Clock cycles of a bit."""
        return bit_clocks(self.mhz, self.baud)

    @property
    def frames(self) -> int:
        """Frames of a packet at most."""
        return packet_frames(self.in_bytes * self.in_beats, self.out_bytes * self.out_beats)

    def description(self) -> dict[str, Any]:
        """Return the shell for ``overlay.json``."""
        # The memory port of a packet is never what limits the pace: a beat goes in a clock.
        word = max(self.in_bytes, self.out_bytes)
        return {**asdict(self), "frames": self.frames, "word_bytes": word}


def packet_frames(into: int, out: int) -> int:
    """Return how many frames of `into` bytes, with results of `out` bytes, a packet takes."""
    most = min(_STORE_BITS // 8 // max(into, out), _PAYLOAD // max(into, out), _MOST_FRAMES)
    return max(1, most)


def uart_sources() -> list[Path]:
    """Return the RTL written by hand, in compile order."""
    folder = Path(__file__).resolve().parents[1] / "rtl"
    meter = folder / "shell" / "stream_meter.sv"
    names = ("uart_rx.sv", "uart_tx.sv", "crc16.sv", "uart_shell.sv")
    return [meter, *(folder / "uart" / name for name in names)]


def uart_files(spec: UartSpec, *, most_clocks: int | None = None) -> dict[str, str]:
    """Return the generated modules of a shell with its accelerator, `{file name: Verilog}`.

    `most_clocks` limits what the shell waits for a byte and for a run: a simulation is slow.
    """
    idle = round(_IDLE_SECONDS * spec.mhz * 1e6)
    run = round(_RUN_SECONDS * spec.mhz * 1e6)
    if most_clocks is not None:
        idle, run = min(idle, most_clocks), min(run, most_clocks)
    parts = {
        "in_high": 8 * spec.in_bytes - 1,
        "out_high": 8 * spec.out_bytes - 1,
        "shell": SHELL,
        "top": UART_TOP,
    }
    settings = {
        "IN_BYTES": spec.in_bytes,
        "OUT_BYTES": spec.out_bytes,
        "IN_BEATS": spec.in_beats,
        "OUT_BEATS": spec.out_beats,
        "FRAMES": spec.frames,
        "CLOCKS": spec.clocks,
        "IDLE_CLOCKS": idle,
        "RUN_CLOCKS": run,
        "TRACKED": spec.tracked,
        "BUILD_ID": f"32'h{spec.build_id:08x}",
    }
    given = ", ".join(f".{name}({value})" for name, value in settings.items())
    return {
        f"{SHELL}.v": _SHELL_TEXT.format(given=given, **parts),
        f"{UART_TOP}.v": _TOP_TEXT.format(accelerator=spec.accelerator, **parts),
    }


def board_file(pll: Pll | None) -> dict[str, str]:
    """Return the module of a whole board, `{file name: Verilog}`; without a PLL its own clock."""
    clock = "  assign clk = clk_in;\n  assign locked = 1'b1;\n" if pll is None else pll.text
    return {f"{BOARD_TOP}.v": _BOARD_TEXT.format(top=UART_TOP, board=BOARD_TOP, clock=clock)}


_PORTS = """\
    input wire clk,
    input wire rst_n,
    input wire rx,
    output wire tx,
    output wire busy"""

_SHELL_TEXT = (
    """\
// The serial shell for one accelerator.
`default_nettype none
module {shell} (
"""
    + _PORTS
    + """,
    output wire accelerator_rst_n,
    output wire [{in_high}:0] s_tdata,
    output wire s_tvalid,
    input wire s_tready,
    input wire [{out_high}:0] m_tdata,
    input wire m_tvalid,
    output wire m_tready
);
  uart_shell #({given}) shell (
      .clk(clk), .rst_n(rst_n), .rx(rx), .tx(tx), .busy(busy),
      .accelerator_rst_n(accelerator_rst_n),
      .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
      .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );
endmodule
`default_nettype wire
"""
)

_TOP_TEXT = (
    """\
// The serial shell with its accelerator.
`default_nettype none
module {top} (
"""
    + _PORTS
    + """
);
  wire accelerator_rst_n;
  wire [{in_high}:0] s_tdata;
  wire [{out_high}:0] m_tdata;
  wire s_tvalid, s_tready, m_tvalid, m_tready;
  {shell} shell (
      .clk(clk), .rst_n(rst_n), .rx(rx), .tx(tx), .busy(busy),
      .accelerator_rst_n(accelerator_rst_n),
      .s_tdata(s_tdata), .s_tvalid(s_tvalid), .s_tready(s_tready),
      .m_tdata(m_tdata), .m_tvalid(m_tvalid), .m_tready(m_tready)
  );
  {accelerator} accelerator (
      .ap_clk(clk), .ap_rst_n(accelerator_rst_n),
      .s_axis_0_tdata(s_tdata), .s_axis_0_tvalid(s_tvalid), .s_axis_0_tready(s_tready),
      .m_axis_0_tdata(m_tdata), .m_axis_0_tvalid(m_tvalid), .m_axis_0_tready(m_tready)
  );
endmodule
`default_nettype wire
"""
)

_BOARD_TEXT = """\
// A whole device: clock, reset after configuration, serial line, a LED while a packet is under way.
`default_nettype none
module {board} (
    input wire clk_in,
    input wire rx,
    output wire tx,
    output wire led
);
  wire clk, locked;
{clock}
  reg [7:0] settled = 8'd0;
  reg [1:0] steady = 2'd0;
  reg rst_n = 1'b0;
  always @(posedge clk) begin
    steady <= {{steady[0], locked}};
    if (!steady[1]) settled <= 8'd0;
    else if (!(&settled)) settled <= settled + 8'd1;
    rst_n <= &settled;
  end
  {top} design (.clk(clk), .rst_n(rst_n), .rx(rx), .tx(tx), .busy(led));
endmodule
`default_nettype wire
"""
