"""Text of the shell: plain-Verilog wrappers of its blocks and the top that joins them.

Each block has its own wrapper because a block design names registers by cell: the cells are
``idma0``, ``odma0`` and ``control0``, and PYNQ finds them under these names. The wrappers are plain
Verilog, as a module reference in Vivado must be, and have the sizes as constants. The top connects
the three with the accelerator exactly as a block design does. The simulation runs this top.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finn_builds.shell.spec import ShellSpec

__all__ = ["TOP", "clock_and_reset", "shell_files", "shell_sources"]

TOP = "prunestream_shell"
IDMA, ODMA, CONTROL = "prunestream_idma", "prunestream_odma", "prunestream_control"

_RTL = Path(__file__).resolve().parents[1] / "rtl"
_SOURCES = (
    "stream_fifo.sv",
    "shell/axil_slave.sv",
    "shell/dma_registers.sv",
    "shell/burst_addresses.sv",
    "shell/byte_turn.sv",
    "shell/words_to_beats.sv",
    "shell/beats_to_words.sv",
    "shell/burst_store.sv",
    "shell/idma.sv",
    "shell/odma.sv",
    "shell/stream_meter.sv",
    "shell/shell_control.sv",
)

Port = tuple[str, int, str]  # direction, bits, name

_HEAD = "// {what} Generated.\n`default_nettype none\nmodule {name} (\n{ports}\n);\n"
_TAIL = "endmodule\n`default_nettype wire\n"


def shell_sources() -> list[Path]:
    """Return the hand-written SystemVerilog of the shell, in compile order."""
    return [_RTL / name for name in _SOURCES]


def _range(bits: int) -> str:
    return "" if bits == 1 else f"[{bits - 1}:0] "


def _declare(ports: Sequence[Port]) -> str:
    return ",\n".join(f"    {way:<6} wire {_range(bits)}{name}" for way, bits, name in ports)


def clock_and_reset(buses: Sequence[str], *, makes: str | None = None) -> str:
    """Return the ports ``ap_clk`` and ``ap_rst_n`` with what a block design has to know of them.

    It does not guess that `buses` belong to the clock, nor the polarity of a reset (UG994). `makes`
    is a second reset, active low, that the module drives.
    """

    def reset(way: str, name: str) -> str:
        return (
            f'    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 {name} RST" *)\n'
            '    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n'
            f"    {way:<6} wire {name},\n"
        )

    resets = "ap_rst_n" if makes is None else f"ap_rst_n:{makes}"
    return (
        '    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)\n'
        f'    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(buses)}, '
        f'ASSOCIATED_RESET {resets}" *)\n'
        "    input  wire ap_clk,\n"
        + reset("input", "ap_rst_n")
        + ("" if makes is None else reset("output", makes))
    )


def _declare_master(ports: Sequence[Port], prefix: str, spec: ShellSpec, *, reads: bool) -> str:
    """Return the ports of an AXI4 master with the properties that the interconnect is made for.

    Inferred from the ports alone, they would be: narrow bursts, 2 requests under way, bursts of
    256 words. The interconnect would convert bursts that never come.
    """
    way = "READ" if reads else "WRITE"
    burst = spec.read_burst if reads else spec.write_burst
    properties = (
        f"PROTOCOL AXI4, READ_WRITE_MODE {way}_ONLY, SUPPORTS_NARROW_BURST 0, "
        f"NUM_{way}_OUTSTANDING {spec.pending}, MAX_BURST_LENGTH {burst}"
    )
    lines = []
    for port in ports:
        signal = port[2].removeprefix(f"{prefix}_").upper()
        info = f"xilinx.com:interface:aximm:1.0 {prefix} {signal}"
        lines.append(f'    (* X_INTERFACE_INFO = "{info}" *)\n{_declare([port])}')
    return f'    (* X_INTERFACE_PARAMETER = "{properties}" *)\n' + ",\n".join(lines)


def _connect(pairs: Sequence[tuple[str, str]]) -> str:
    return ",\n".join(f"        .{port}({net})" for port, net in pairs)


def _flip(ports: Sequence[Port]) -> list[Port]:
    other = {"input": "output", "output": "input"}
    return [(other[way], bits, name) for way, bits, name in ports]


def _prefixed(prefix: str, ports: Sequence[Port]) -> list[Port]:
    return [(way, bits, f"{prefix}_{name}") for way, bits, name in ports]


def axil_ports(prefix: str) -> list[Port]:
    """Return the ports of an AXI4-Lite slave with 7-bit addresses."""
    ports = (
        ("input", 7, "awaddr"), ("input", 1, "awvalid"), ("output", 1, "awready"),
        ("input", 32, "wdata"), ("input", 4, "wstrb"), ("input", 1, "wvalid"),
        ("output", 1, "wready"), ("output", 2, "bresp"), ("output", 1, "bvalid"),
        ("input", 1, "bready"), ("input", 7, "araddr"), ("input", 1, "arvalid"),
        ("output", 1, "arready"), ("output", 32, "rdata"), ("output", 2, "rresp"),
        ("output", 1, "rvalid"), ("input", 1, "rready"),
    )  # fmt: skip
    return _prefixed(prefix, ports)


def stream_ports(prefix: str, num_bytes: int) -> list[Port]:
    """Return the ports of a stream slave."""
    ports = ("input", 8 * num_bytes, "tdata"), ("input", 1, "tvalid"), ("output", 1, "tready")
    return _prefixed(prefix, ports)


def _request_ports(prefix: str, kind: str, spec: ShellSpec) -> list[Port]:
    """Return the address channel of an AXI4 master; `kind` is ``ar`` or ``aw``."""
    ports = (
        ("output", spec.addr_bits, "addr"), ("output", 8, "len"), ("output", 3, "size"),
        ("output", 2, "burst"), ("output", 4, "cache"), ("output", 3, "prot"),
        ("output", 1, "valid"), ("input", 1, "ready"),
    )  # fmt: skip
    return [(way, bits, f"{prefix}_{kind}{name}") for way, bits, name in ports]


def read_ports(prefix: str, spec: ShellSpec) -> list[Port]:
    """Return the ports of an AXI4 master that only reads."""
    ports = (
        ("input", 8 * spec.word_bytes, "rdata"), ("input", 2, "rresp"), ("input", 1, "rlast"),
        ("input", 1, "rvalid"), ("output", 1, "rready"),
    )  # fmt: skip
    return [*_request_ports(prefix, "ar", spec), *_prefixed(prefix, ports)]


def write_ports(prefix: str, spec: ShellSpec) -> list[Port]:
    """Return the ports of an AXI4 master that only writes."""
    ports = (
        ("output", 8 * spec.word_bytes, "wdata"), ("output", spec.word_bytes, "wstrb"),
        ("output", 1, "wlast"), ("output", 1, "wvalid"), ("input", 1, "wready"),
        ("input", 2, "bresp"), ("input", 1, "bvalid"), ("output", 1, "bready"),
    )  # fmt: skip
    return [*_request_ports(prefix, "aw", spec), *_prefixed(prefix, ports)]


def _constants(prefix: str, kind: str, spec: ShellSpec) -> str:
    """Return the constant signals of a request: whole words, incrementing, plain data."""
    size = spec.word_bytes.bit_length() - 1
    return (
        f"    assign {prefix}_{kind}size = 3'd{size};\n"
        f"    assign {prefix}_{kind}burst = 2'b01;\n"
        f"    assign {prefix}_{kind}cache = 4'b0011;\n"
        f"    assign {prefix}_{kind}prot = 3'b000;\n"
    )


_FIXED = ("size", "burst", "cache", "prot")
_BUS = "m_axi_gmem"
_REGS = "s_axi_control"

#: Nets between axil_slave, which is in every wrapper, and the registers of its block.
_REGISTER_NETS = (
    (1, "write"), (5, "write_at"), (32, "write_data"), (4, "write_strobe"), (1, "hold_writes"),
    (5, "read_at"), (32, "read_data"),
)  # fmt: skip


def _register_slave() -> str:
    """Return the bus slave of a wrapper and the nets to its block's registers."""
    pairs = [("clk", "ap_clk"), ("rst_n", "ap_rst_n")]
    pairs += [(n.removeprefix(f"{_REGS}_"), n) for _, _, n in axil_ports(_REGS)]
    pairs += [(n, n) for _, n in _REGISTER_NETS]
    return (
        "".join(f"    wire {_range(bits)}{name};\n" for bits, name in _REGISTER_NETS)
        + f"    axil_slave #(.ADDR_BITS(7)) registers (\n{_connect(pairs)}\n    );\n"
    )


def _dma(spec: ShellSpec, *, reads: bool, runtime_sizes: bool) -> str:
    """Return the wrapper of one DMA."""
    name, module, kind = (IDMA, "idma", "ar") if reads else (ODMA, "odma", "aw")
    beat = spec.in_bytes if reads else spec.out_bytes
    bus = (read_ports if reads else write_ports)(_BUS, spec)
    stream = _flip(stream_ports("m_axis_0", beat)) if reads else stream_ports("s_axis_0", beat)
    stream_name = "m_axis_0" if reads else "s_axis_0"
    side = [("input", 1, "stop"), ("output", 1, "quiet"), ("input", 1, "clear")]
    sizes = [("input", 32, "frame_bytes")] if runtime_sizes else []
    others = [*axil_ports(_REGS), *stream, *side, *sizes]
    frame = spec.in_frame_bytes if reads else spec.out_frame_bytes
    what = "Input DMA: memory to stream." if reads else "Output DMA: stream to memory."
    pairs = [("ap_clk", "ap_clk"), ("ap_rst_n", "ap_rst_n")]
    pairs += [(n, n) for _, _, n in side]
    pairs.append(("frame_bytes", "frame_bytes" if runtime_sizes else f"32'd{frame}"))
    pairs += [(n, n) for _, n in _REGISTER_NETS]
    pairs += [(n.replace(_BUS, "m_axi"), n) for _, _, n in bus if not n.endswith(_FIXED)]
    pairs += [(n.replace("axis_0", "axis"), n) for _, _, n in stream]
    return (
        _HEAD.format(
            what=what,
            name=name,
            ports=clock_and_reset((_REGS, _BUS, stream_name))
            + f"{_declare_master(bus, _BUS, spec, reads=reads)},\n{_declare(others)}",
        )
        + _constants(_BUS, kind, spec)
        + _register_slave()
        + f"    {module} #(\n"
        + f"        .ADDR_BITS({spec.addr_bits}), .WORD_BYTES({spec.word_bytes}),\n"
        + f"        .BEAT_BYTES({beat}), .MAX_PENDING({spec.pending}),\n"
        + f"        .MAX_BURST({spec.read_burst if reads else spec.write_burst}),\n"
        + f"        .SIZE_BITS({32 if runtime_sizes else frame.bit_length()})\n"
        + f"    ) dma (\n{_connect(pairs)}\n    );\n"
        + _TAIL
    )


def _control(spec: ShellSpec, *, runtime_sizes: bool) -> str:
    """Return the wrapper of the control block, which the two streams pass through unchanged."""
    streams = [
        *stream_ports("s_axis_in", spec.in_bytes),
        *_flip(stream_ports("m_axis_in", spec.in_bytes)),
        *stream_ports("s_axis_out", spec.out_bytes),
        *_flip(stream_ports("m_axis_out", spec.out_bytes)),
    ]
    side = [("output", 1, name) for name in ("stop", "clear")]
    side += [("input", 1, f"{dma}_quiet") for dma in ("idma", "odma")]
    sizes = [("input", 16, "in_beats"), ("input", 16, "out_beats")] if runtime_sizes else []
    ports = [*axil_ports(_REGS), *streams, *side, *sizes]
    pairs = [("ap_clk", "ap_clk"), ("ap_rst_n", "ap_rst_n")]
    pairs += [(n, n) for _, _, n in side]
    pairs.append(("accelerator_rst_n", "accelerator_rst_n"))
    pairs += [(n, n) for _, n in _REGISTER_NETS]
    for stream in ("in", "out"):
        pairs += [(f"{stream}_{x}", f"s_axis_{stream}_t{x}") for x in ("valid", "ready")]
        beats = spec.in_beats if stream == "in" else spec.out_beats
        pairs.append((f"{stream}_beats", f"{stream}_beats" if runtime_sizes else f"16'd{beats}"))
    buses = (_REGS, "s_axis_in", "m_axis_in", "s_axis_out", "m_axis_out")
    through = "".join(
        f"    assign m_axis_{s}_tdata = s_axis_{s}_tdata;\n"
        f"    assign m_axis_{s}_tvalid = s_axis_{s}_tvalid;\n"
        f"    assign s_axis_{s}_tready = m_axis_{s}_tready;\n"
        for s in ("in", "out")
    )
    return (
        _HEAD.format(
            what="Soft reset and measurement; the streams pass through.",
            name=CONTROL,
            ports=clock_and_reset(buses, makes="accelerator_rst_n") + _declare(ports),
        )
        + through
        + _register_slave()
        + f"    shell_control #(\n        .TRACKED({spec.tracked}),\n"
        + f"        .BUILD_ID(32'h{spec.build_id:08X})\n"
        + f"    ) control (\n{_connect(pairs)}\n    );\n"
        + _TAIL
    )


def _top(spec: ShellSpec, *, runtime_sizes: bool) -> str:
    """Return the top: the three blocks and the accelerator."""
    ports: list[Port] = [("input", 1, "ap_clk"), ("input", 1, "ap_rst_n")]
    for block in ("idma0", "odma0", "control0"):
        ports += axil_ports(f"s_axi_{block}")
    ports += [*read_ports("m_axi_idma0", spec), *write_ports("m_axi_odma0", spec)]
    if runtime_sizes:
        ports += [("input", 16, "in_beats"), ("input", 16, "out_beats")]
        ports += [("input", 32, "in_frame_bytes"), ("input", 32, "out_frame_bytes")]
    side = ("stop", "clear", "idma_quiet", "odma_quiet", "accelerator_rst_n")
    wires = [(1, name) for name in side]
    for link in ("read", "in", "out", "written"):
        num_bytes = spec.in_bytes if link in ("read", "in") else spec.out_bytes
        wires += [(bits, name) for _, bits, name in stream_ports(link, num_bytes)]

    def stream(port: str, net: str) -> list[tuple[str, str]]:
        return [(f"{port}_t{x}", f"{net}_t{x}") for x in ("data", "valid", "ready")]

    def cell(module: str, name: str, pairs: list[tuple[str, str]]) -> str:
        clock = [("ap_clk", "ap_clk"), ("ap_rst_n", "ap_rst_n")]
        registers = [(n, n.replace(_REGS, f"s_axi_{name}")) for _, _, n in axil_ports(_REGS)]
        return f"    {module} {name} (\n{_connect([*clock, *registers, *pairs])}\n    );\n"

    def dma(name: str, bus: Sequence[Port], port: str, net: str, side: str) -> str:
        pairs = [("stop", "stop"), ("clear", "clear"), ("quiet", f"{name}_quiet")]
        pairs += [(n, n.replace(_BUS, f"m_axi_{name}0")) for _, _, n in bus]
        pairs += stream(port, net)
        if runtime_sizes:
            pairs.append(("frame_bytes", f"{side}_frame_bytes"))
        return cell(f"prunestream_{name}", f"{name}0", pairs)

    control = [(n, n) for n in side]
    control += [*stream("s_axis_in", "read"), *stream("m_axis_in", "in")]
    control += [*stream("s_axis_out", "out"), *stream("m_axis_out", "written")]
    if runtime_sizes:
        control += [("in_beats", "in_beats"), ("out_beats", "out_beats")]
    accelerator = [("ap_clk", "ap_clk"), ("ap_rst_n", "accelerator_rst_n")]
    accelerator += [*stream("s_axis_0", "in"), *stream("m_axis_0", "out")]
    return (
        _HEAD.format(what="Shell with its accelerator.", name=TOP, ports=_declare(ports))
        + "".join(f"    wire {_range(bits)}{name};\n" for bits, name in wires)
        + dma("idma", read_ports(_BUS, spec), "m_axis_0", "read", "in")
        + dma("odma", write_ports(_BUS, spec), "s_axis_0", "written", "out")
        + cell(CONTROL, "control0", control)
        + f"    {spec.accelerator} accelerator0 (\n{_connect(accelerator)}\n    );\n"
        + _TAIL
    )


def shell_files(spec: ShellSpec, *, runtime_sizes: bool = False) -> dict[str, str]:
    """Return the generated Verilog by file name: the three wrappers and the top.

    With `runtime_sizes` the size of a frame is an input of the top instead of a constant (for tests
    of the shell, so that one compilation serves all sizes).
    """
    return {
        f"{IDMA}.v": _dma(spec, reads=True, runtime_sizes=runtime_sizes),
        f"{ODMA}.v": _dma(spec, reads=False, runtime_sizes=runtime_sizes),
        f"{CONTROL}.v": _control(spec, runtime_sizes=runtime_sizes),
        f"{TOP}.v": _top(spec, runtime_sizes=runtime_sizes),
    }
