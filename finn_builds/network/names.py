"""Names of tensors as other languages take them: ports, constants, files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: Words of Verilog, SystemVerilog, VHDL and C++ that a tensor might be called.
_WORDS = """
abs access after alias all always and architecture array asm assert assign attribute auto begin
block body bool break buf buffer bus byte case catch ce cell char class clk component config
configuration const constant continue default delete design disable disconnect do double downto edge
else elsif end endcase endmodule entity enum event exit explicit export extern false file final
float for force forever fork friend function generate generic genvar goto group guarded if impure in
inertial initial inline inout input instance int integer is join label large library linkage literal
long loop map medium mod module mutable namespace nand negedge new next nor not null of on open
operator or others out output package parameter port posedge postponed private procedure process
protected pull pure range real record reg register reject release rem repeat report return rol ror
rst scalared select severity shared short signal signed sizeof sla sll small specify sra srl static
strong struct subtype supply switch table task template then this throw time to transport true try
type typedef typename unaffected union units unsigned until use using valid_in valid_out variable
vector virtual void volatile wait weak when while wire with xnor xor
"""
_TAKEN = frozenset(_WORDS.split())


def identifier(name: str) -> str:
    """Return a name that Verilog, VHDL and C++ all take, in lower case: VHDL has no other."""
    plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", name.lower())).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"t_{plain}".rstrip("_")
    return f"{plain}_t" if plain in _TAKEN else plain


def identifiers(names: Iterable[str]) -> Mapping[str, str]:
    """Return distinct identifiers of distinct names, by name and in their order."""
    found: dict[str, str] = {}
    for name in names:
        base = identifier(name)
        word, k = base, 2
        while word in found.values():
            word, k = f"{base}_{k}", k + 1
        found[name] = word
    return found
