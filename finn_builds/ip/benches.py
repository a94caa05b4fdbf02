"""Self-checking test benches in Verilog, VHDL and C++, and the vectors that all three read.

A line of the vectors is a frame: every input and then every output in hexadecimal, the first tensor
first, each filled up to whole digits, with ``_`` between them. Both benches of the hardware run
every frame twice, first one every clock, then with pauses, and check each result and its latency.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finn_builds.ip.ports import port_rows
from finn_builds.network.types import step_of
from finn_builds.sparse.core_ports import CorePorts, Port

VECTORS = "vectors.txt"


def _digits(port: Port) -> int:
    return -(-port.bits // 4)


def _hex(port: Port, values: Sequence[int]) -> str:
    """Return the elements of a frame as the port holds them, in hexadecimal."""
    word = 0
    for k, value in enumerate(values):
        code = (value + 1) // 2 if step_of(port.datatype) == 2 else value
        word |= (code & ((1 << port.width) - 1)) << (k * port.width)
    return f"{word:0{_digits(port)}x}"


def _heading(ports: Sequence[Port]) -> str:
    return "// " + " ".join(f"{port.name} ({_digits(port)} digits)" for port in ports)


def vectors_text(core: CorePorts, x: np.ndarray, y: np.ndarray) -> str:
    """Return the vectors for frames, (frames, n_in), and their outputs, (frames, n_out)."""
    ports = (*core.inputs, *core.outputs)
    ends = np.cumsum([port.elements for port in ports]).tolist()
    lines = [_heading(ports)]
    for row in np.concatenate([x, y], axis=1).tolist():
        parts = zip(ports, [0, *ends[:-1]], ends, strict=True)
        lines.append("_".join(_hex(port, row[begin:end]) for port, begin, end in parts))
    return "\n".join(lines) + "\n"


def _places(core: CorePorts) -> dict[str, int]:
    """Return the bit of a line at which each port begins; the last one begins at 0."""
    ports = (*core.inputs, *core.outputs)
    widths = [4 * _digits(port) for port in ports]
    return {port.name: sum(widths[k + 1 :]) for k, port in enumerate(ports)}


def _width(core: CorePorts) -> int:
    return sum(4 * _digits(port) for port in (*core.inputs, *core.outputs))


_VERILOG = """\
// Runs every frame of vectors.txt through {name} twice and prints PASS or FAIL.
`timescale 1ns / 1ps
`default_nettype none
module {name}_tb;
  localparam FRAMES = {frames};
  localparam LATENCY = {latency};
  reg [{width}-1:0] vectors [0:FRAMES-1];
  integer taken_at [0:2*FRAMES-1];
  reg clk = 1'b0, rst = 1'b1, valid_in = 1'b0;
{ce_reg}{nets}
  wire valid_out;
  {name} dut (
{map}
  );
  always #({half:.3f}) clk = ~clk;
  initial $readmemh("vectors.txt", vectors);

  // Frames 0 .. FRAMES-1 come one every clock, the same again with pauses.
  integer clocks = 0, edges = 0, sent = 0, got = 0, errors = 0, last = 0, interval = 0;
  integer least = 1000000, most = 0, latency;
  reg [31:0] noise = 32'h2545f491;
  reg [{width}-1:0] frame, wanted;
  reg pause;
  always @(posedge clk) begin
    edges = edges + 1;
    noise = noise ^ (noise << 13);
    noise = noise ^ (noise >> 17);
    noise = noise ^ (noise << 5);
    if (rst) begin
      rst <= edges < 4;
    end else begin
      if ({enabled}) begin
        if (valid_out) begin
          wanted = vectors[got % FRAMES];
{checks}
          latency = clocks - taken_at[got];
          if (latency < least) least = latency;
          if (latency > most) most = latency;
          if (got > 0 && got < FRAMES && clocks - last > interval) interval = clocks - last;
          last = clocks;
          got = got + 1;
        end
        clocks = clocks + 1;
        pause = sent >= FRAMES && noise[8];
        if (sent < 2 * FRAMES && !pause) begin
          frame = vectors[sent % FRAMES];
          valid_in <= 1'b1;
{drives}
          taken_at[sent] = clocks;
          sent = sent + 1;
        end else begin
          valid_in <= 1'b0;
        end
      end
{ce_drive}      if (got == 2 * FRAMES || edges > 20 * FRAMES + 1000) begin
        if (got == 2 * FRAMES && errors == 0 && least == LATENCY && most == LATENCY)
          $display("PASS: %0d frames, latency %0d, interval %0d", got, most, interval);
        else
          $display("FAIL: %0d of %0d frames, %0d errors, latency %0d to %0d", got, 2 * FRAMES,
                   errors, least, most);
        $finish;
      end
    end
  end
endmodule
`default_nettype wire
"""


def verilog_bench(core: CorePorts, frames: int) -> str:
    """Return ``{name}_tb.v`` for a number of vectors."""
    places = _places(core)

    def part(word: str, port: Port) -> str:
        at = places[port.name]
        return f"{word}[{at + port.bits - 1}:{at}]"

    checks = []
    for port in core.outputs:
        checks += [
            f"          if ({port.name} !== {part('wanted', port)}) begin",
            "            errors = errors + 1;",
            "            if (errors < 10)",
            f'              $display("frame %0d: {port.name} is %h, expected %h", '
            f"got % FRAMES, {port.name},",
            f"                       {part('wanted', port)});",
            "          end",
        ]
    names = [row.name for row in port_rows(core)]
    nets = [f"  reg [{p.bits - 1}:0] {p.name} = {p.bits}'d0;" for p in core.inputs]
    nets += [f"  wire [{p.bits - 1}:0] {p.name};" for p in core.outputs]
    return _VERILOG.format(
        name=core.name,
        frames=frames,
        latency=core.latency,
        width=_width(core),
        half=core.clock_ns / 2,
        ce_reg="  reg ce = 1'b1;\n" if core.with_ce else "",
        enabled="ce" if core.with_ce else "1'b1",
        ce_drive="      ce <= got < FRAMES || noise[3] | noise[4];\n" if core.with_ce else "",
        nets="\n".join(nets),
        map=",\n".join(f"      .{name}({name})" for name in names),
        checks="\n".join(checks),
        drives="\n".join(f"          {p.name} <= {part('frame', p)};" for p in core.inputs),
    )


_VHDL = """\
-- Runs every frame of vectors.txt through {name}_wrap twice and reports PASS or FAIL. VHDL-93.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;
use work.{name}_pkg.all;

entity {name}_tb is
end entity;

architecture test of {name}_tb is
  constant frames : positive := {frames};
  subtype line_bits is std_logic_vector({width} - 1 downto 0);
  type all_vectors is array (0 to frames - 1) of line_bits;
  type all_times is array (0 to 2 * frames - 1) of integer;

  function digit(c : character) return std_logic_vector is
    variable value : natural;
  begin
    if c >= '0' and c <= '9' then
      value := character'pos(c) - character'pos('0');
    else
      value := character'pos(c) - character'pos('a') + 10;
    end if;
    return std_logic_vector(to_unsigned(value, 4));
  end function;

  impure function read_vectors return all_vectors is
    file source : text open read_mode is "vectors.txt";
    variable found : all_vectors;
    variable text_line : line;
    variable at : natural := 0;
    variable bits : line_bits;
  begin
    while not endfile(source) loop
      readline(source, text_line);
      if text_line'length > 0 and text_line(text_line'low) /= '/' then
        bits := (others => '0');
        for i in text_line'range loop
          if text_line(i) /= '_' then
            bits := bits(bits'high - 4 downto 0) & digit(text_line(i));
          end if;
        end loop;
        found(at) := bits;
        at := at + 1;
      end if;
    end loop;
    assert at = frames report "FAIL: vectors.txt has other frames" severity failure;
    return found;
  end function;

  signal clk, rst : std_logic := '1';
  signal valid_in : std_logic := '0';
  signal valid_out : std_logic;
  signal ended : boolean := false;
{signals}
begin
  dut : entity work.{name}_wrap
    port map (
{map}
    );

  clock : process
  begin
    while not ended loop
      clk <= '0';
      wait for {half:.3f} ns;
      clk <= '1';
      wait for {half:.3f} ns;
    end loop;
    wait;
  end process;

  check : process
    constant vectors : all_vectors := read_vectors;
    variable taken_at : all_times;
    variable noise : unsigned(31 downto 0) := x"2545f491";
    variable frame, wanted : line_bits;
    variable clocks, edges, sent, got, errors, interval, most, last : integer := 0;
    variable least : integer := 1000000;
    variable pause : boolean;
  begin
    while got < 2 * frames and edges < 20 * frames + 1000 loop
      wait until rising_edge(clk);
      edges := edges + 1;
      noise := noise xor shift_left(noise, 13);
      noise := noise xor shift_right(noise, 17);
      noise := noise xor shift_left(noise, 5);
      if rst = '1' then
        if edges >= 4 then
          rst <= '0';
        end if;
      else
        if {enabled} then
          if valid_out = '1' then
            wanted := vectors(got mod frames);
{checks}
            if clocks - taken_at(got) < least then
              least := clocks - taken_at(got);
            end if;
            if clocks - taken_at(got) > most then
              most := clocks - taken_at(got);
            end if;
            if got > 0 and got < frames and clocks - last > interval then
              interval := clocks - last;
            end if;
            last := clocks;
            got := got + 1;
          end if;
          clocks := clocks + 1;
          pause := sent >= frames and noise(8) = '1';
          if sent < 2 * frames and not pause then
            frame := vectors(sent mod frames);
            valid_in <= '1';
{drives}
            taken_at(sent) := clocks;
            sent := sent + 1;
          else
            valid_in <= '0';
          end if;
        end if;
{ce_drive}      end if;
    end loop;
    ended <= true;
    assert got = 2 * frames and errors = 0 and least = {name}_latency and most = {name}_latency
      report "FAIL: " & integer'image(got) & " of " & integer'image(2 * frames) & " frames, "
      & integer'image(errors) & " errors, latency " & integer'image(least) & " to "
      & integer'image(most)
      severity failure;
    report "PASS: " & integer'image(got) & " frames, latency " & integer'image(most)
      & ", interval " & integer'image(interval);
    wait;
  end process;
end architecture;
"""


def vhdl_bench(core: CorePorts, frames: int) -> str:
    """Return ``{name}_tb.vhd`` for a number of vectors."""
    places = _places(core)

    def part(word: str, port: Port) -> str:
        at = places[port.name]
        return f"{word}({at + port.bits - 1} downto {at})"

    checks = []
    for port in core.outputs:
        checks += [
            f"            if to_vector({port.name}) /= {part('wanted', port)} then",
            "              errors := errors + 1;",
            "              assert errors > 9",
            f'                report "frame " & integer\'image(got mod frames) & ": {port.name}"',
            '                & " differs" severity warning;',
            "            end if;",
        ]
    names = [row.name for row in port_rows(core)]
    zeros = " := (others => (others => '0'))"
    signals = [f"  signal {p.name} : {core.name}_{p.name}_t{zeros};" for p in core.inputs]
    signals += [f"  signal {p.name} : {core.name}_{p.name}_t;" for p in core.outputs]
    if core.with_ce:
        signals.append("  signal ce : std_logic := '1';")
    ce_drive = "        ce <= noise(3) or noise(4);\n        if got < frames then\n"
    ce_drive += "          ce <= '1';\n        end if;\n"
    return _VHDL.format(
        name=core.name,
        frames=frames,
        width=_width(core),
        half=core.clock_ns / 2,
        signals="\n".join(signals),
        map=",\n".join(f"      {name} => {name}" for name in names),
        enabled="ce = '1'" if core.with_ce else "true",
        ce_drive=ce_drive if core.with_ce else "",
        checks="\n".join(checks),
        drives="\n".join(
            f"            {p.name} <= to_{core.name}_{p.name}_t({part('frame', p)});"
            for p in core.inputs
        ),
    )


_CPP = """\
// Runs every frame of vectors.txt through the header twice and prints PASS or FAIL: once by the
// class, once by the batch call.
#include <cstdio>

#include "{name}.h"

namespace {{

struct tensor {{
  std::size_t elements, digits;
  int width;
  bool is_signed, bipolar;
}};

const tensor in_tensors[] = {{{inputs}}};
const tensor out_tensors[] = {{{outputs}}};

int digit(char c) {{ return c <= '9' ? c - '0' : c - 'a' + 10; }}

// The elements of a tensor from its digits, the last of which is the lowest.
template <typename T>
void decode(const tensor& t, const char* text, T* to) {{
  for (std::size_t e = 0; e < t.elements; ++e) {{
    std::int64_t code = 0;
    for (int b = 0; b < t.width; ++b) {{
      const std::size_t at = e * static_cast<std::size_t>(t.width) + static_cast<std::size_t>(b);
      const int bits = digit(text[t.digits - 1 - at / 4]);
      if ((bits >> (at % 4)) & 1) code += static_cast<std::int64_t>(1) << b;
    }}
    if (t.bipolar) {{
      code = 2 * code - 1;
    }} else if (t.is_signed && code >> (t.width - 1)) {{
      code -= static_cast<std::int64_t>(1) << t.width;
    }}
    to[e] = static_cast<T>(code);
  }}
}}

}}  // namespace

int main() {{
  using namespace {name};
  static char line[{line}];
  static input_t x[n_in];
  static output_t wanted[n_out], y[2][n_out];
  static model one;
  long frames = 0, errors = 0;
  std::FILE* file = std::fopen("vectors.txt", "r");
  if (file == nullptr) return 2;
  while (std::fgets(line, sizeof line, file) != nullptr) {{
    if (line[0] == '/') continue;
    const char* text = line;
    input_t* to = x;
    for (const tensor& t : in_tensors) {{
      decode(t, text, to);
      text += t.digits + 1;
      to += t.elements;
    }}
    output_t* result = wanted;
    for (const tensor& t : out_tensors) {{
      decode(t, text, result);
      text += t.digits + 1;
      result += t.elements;
    }}
    one.prepare_input(x);
    one.predict();
    one.read_result(y[0]);
    predict(x, y[1], 1);
    for (int k = 0; k < 2; ++k) {{
      bool equal = true;
      for (std::size_t i = 0; i < n_out; ++i) equal = equal && y[k][i] == wanted[i];
      if (!equal && ++errors < 10) std::printf("frame %ld differs\\n", frames);
    }}
    ++frames;
  }}
  std::fclose(file);
  const bool good = frames > 0 && errors == 0;
  std::printf("%s: %ld frames, %ld errors\\n", good ? "PASS" : "FAIL", frames, errors);
  return good ? 0 : 1;
}}
"""


def cpp_bench(core: CorePorts) -> str:
    """Return ``{name}_test.cpp``."""

    def listed(ports: Sequence[Port]) -> str:
        rows = []
        for port in ports:
            bipolar = step_of(port.datatype) == 2
            flags = f"{str(port.signed).lower()}, {str(bipolar).lower()}"
            rows.append(f"{{{port.elements}, {_digits(port)}, {port.width}, {flags}}}")
        return ", ".join(rows)

    ports = (*core.inputs, *core.outputs)
    # With the ends of a line, and of a string.
    length = max(sum(_digits(port) + 1 for port in ports), len(_heading(ports))) + 3
    return _CPP.format(
        name=core.name, inputs=listed(core.inputs), outputs=listed(core.outputs), line=length
    )
