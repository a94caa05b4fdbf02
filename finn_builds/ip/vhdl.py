"""The core for VHDL: a package of types, and a wrapper with arrays of numbers for ports."""

from __future__ import annotations

from finn_builds.ip.ports import port_rows
from finn_builds.sparse.core_ports import CorePorts, Port
from finn_builds.sparse.vhdl import entity_ports

_PACKAGE = """\
-- Types, latency and component of {name}. VHDL-93 and newer.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;

package {name}_pkg is
  -- Clocks from the edge that takes a frame to the edge that takes its result.
  constant {name}_latency : positive := {latency};

{types}
  -- The Verilog module, or its model in VHDL.
  component {name}
    port (
{ports}
    );
  end component;
end package;

package body {name}_pkg is
{bodies}end package body;
"""

_TYPES = """\
  subtype {type}_element is {number}({top} downto 0);
  type {type} is array (0 to {last}) of {type}_element;
  function to_vector(x : {type}) return std_logic_vector;
  function to_{type}(v : std_logic_vector) return {type};
"""

_BODIES = """\
  function to_vector(x : {type}) return std_logic_vector is
    variable v : std_logic_vector({bits} - 1 downto 0);
  begin
    for i in x'range loop
      v({width} * i + {top} downto {width} * i) := std_logic_vector(x(i));
    end loop;
    return v;
  end function;

  function to_{type}(v : std_logic_vector) return {type} is
    alias w : std_logic_vector({bits} - 1 downto 0) is v;
    variable x : {type};
  begin
    for i in x'range loop
      x(i) := {number}(w({width} * i + {top} downto {width} * i));
    end loop;
    return x;
  end function;

"""

_WRAPPER = """\
-- {name}_wrap: the core {name} with arrays of numbers for ports. A frame is taken at every rising
-- edge of clk at which valid_in is '1'; its result comes {name}_latency edges later.
--
-- To instantiate it:
--
{template}
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use work.{name}_pkg.all;

entity {name}_wrap is
  port (
{ports}
  );
end entity;

architecture rtl of {name}_wrap is
{signals}
begin
{moves}
  core : {name}
    port map (
{map}
    );
end architecture;
"""


def type_of(core: CorePorts, port: Port) -> str:
    """Return the name of the type of a port."""
    return f"{core.name}_{port.name}_t"


def _words(core: CorePorts, port: Port) -> dict[str, object]:
    return {
        "type": type_of(core, port),
        "number": "signed" if port.signed else "unsigned",
        "top": port.width - 1,
        "width": port.width,
        "bits": port.bits,
        "last": port.elements - 1,
    }


def package_text(core: CorePorts) -> str:
    """Return ``{name}_pkg.vhd``."""
    ports = (*core.inputs, *core.outputs)
    return _PACKAGE.format(
        name=core.name,
        latency=core.latency,
        types="\n".join(_TYPES.format(**_words(core, port)) for port in ports),
        bodies="".join(_BODIES.format(**_words(core, port)) for port in ports),
        ports=";\n".join(f"      {port}" for port in entity_ports(core)),
    )


def wrapper_text(core: CorePorts) -> str:
    """Return ``{name}.vhd``: the entity ``{name}_wrap``."""
    tensors = (*core.inputs, *core.outputs)
    types = {port.name: type_of(core, port) for port in tensors}
    rows = port_rows(core)
    ports = [f"{p.name} : {p.direction} {types.get(p.name, 'std_logic')}" for p in rows]
    named = {port.name: f"{port.name}_bits" for port in tensors}
    return _WRAPPER.format(
        name=core.name,
        template="\n".join(f"--   {line}".rstrip() for line in template(core)),
        ports=";\n".join(f"    {port}" for port in ports),
        signals="\n".join(
            f"  signal {named[p.name]} : std_logic_vector({p.bits - 1} downto 0);" for p in tensors
        ),
        moves="\n".join(
            [f"  {named[p.name]} <= to_vector({p.name});" for p in core.inputs]
            + [f"  {p.name} <= to_{type_of(core, p)}({named[p.name]});" for p in core.outputs]
        ),
        map=",\n".join(f"      {p.name} => {named.get(p.name, p.name)}" for p in rows),
    )


def template(core: CorePorts) -> list[str]:
    """Return the lines that declare signals for a wrapper and instantiate it."""
    lines = [f"use work.{core.name}_pkg.all;", ""]
    lines += [f"signal {p.name} : {type_of(core, p)};" for p in (*core.inputs, *core.outputs)]
    lines += ["", f"{core.name}_0 : entity work.{core.name}_wrap", "  port map ("]
    names = [row.name for row in port_rows(core)]
    width = max(map(len, names))
    pairs = [f"    {name.ljust(width)} => {name}" for name in names]
    return [*lines, *(f"{pair}," for pair in pairs[:-1]), pairs[-1], "  );"]
