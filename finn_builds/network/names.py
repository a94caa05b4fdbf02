"""Names of tensors as other languages take them: ports, constants, files."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Reserved words of Verilog, SystemVerilog (IEEE 1800-2017), VHDL (IEEE 1076-2019) and C++ (20).
_RESERVED = """
abs accept_on access after alias alignas alignof all always always_comb always_ff always_latch and
and_eq architecture array asm assert assign assume assume_guarantee attribute auto automatic before
begin bind bins binsof bit bitand bitor block body bool break buf buffer bufif0 bufif1 bus byte case
casex casez catch cell chandle char char16_t char32_t char8_t checker class clocking cmos co_await
co_return co_yield compl component concept config configuration const const_cast constant consteval
constexpr constinit constraint context continue cover covergroup coverpoint cross deassign decltype
default defparam delete design disable disconnect dist do double downto dynamic_cast edge else elsif
end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
entity enum event eventually exit expect explicit export extends extern fairness false file final
first_match float for force foreach forever fork forkjoin friend function generate generic genvar
global goto group guarded highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies
import impure in incdir include inertial initial inline inout input inside instance int integer
interconnect interface intersect is join join_any join_none label large let liblist library linkage
literal local localparam logic long longint loop macromodule map matches medium mod modport module
mutable namespace nand negedge nettype new next nexttime nmos noexcept nor noshowcancelled not
not_eq notif0 notif1 null nullptr of on open operator or or_eq others out output package packed
parameter pmos port posedge postponed primitive priority private procedure process program property
protected public pull pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand
randc randcase randsequence range rcmos real realtime record ref reg register reinterpret_cast
reject reject_on release rem repeat report requires restrict restrict_guarantee return rnmos rol ror
rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared select
sequence severity shared short shortint shortreal showcancelled signal signed sizeof sla sll small
soft solve specify specparam sra srl static static_assert static_cast string strong strong0 strong1
struct subtype super supply supply0 supply1 switch sync_accept_on sync_reject_on table tagged task
template then this thread_local throughout throw time timeprecision timeunit to tran tranif0 tranif1
transport tri tri0 tri1 triand trior trireg true try type typedef typeid typename unaffected union
unique unique0 units unsigned until until_with untyped use using uwire var variable vector vectored
view virtual vmode void volatile vprop vunit wait wait_order wand wchar_t weak weak0 weak1 when
while wildcard wire with within wor xnor xor xor_eq
"""

#: What VHDL's standard packages call their own, and C++ its library.
_STANDARD = """
bit_vector boolean character delay_length endfile endline error failure falling_edge ieee natural
note now ns numeric_std positive readline real_vector resize rising_edge rotate_left rotate_right
severity_level shift_left shift_right side std std_logic std_logic_1164 std_logic_vector std_match
std_ulogic std_ulogic_vector text textio to_01 to_integer to_signed to_unsigned warning work write
writeline
"""

#: What the texts of a package have in the scope of their ports.
_PACKAGE = """
all_times all_vectors ce check clk clock clocks core digit dut edges ended errors filled found frame
frames got interval last latency least line_bits most noise pause read_vectors rst sent taken_at
to_vector valid_in valid_out vectors wanted
"""
_TAKEN = frozenset(f"{_RESERVED} {_STANDARD} {_PACKAGE}".split())

#: What C++ finds in its global namespace, where a block's is, and VHDL beside it: functions and
#: types of C's library, and those of reading a text.
_GLOBAL = """
int8_t int16_t int32_t int64_t intmax_t intptr_t line max_align_t off_t ptrdiff_t read size_t
ssize_t uint8_t uint16_t uint32_t uint64_t uintmax_t uintptr_t width wint_t
abort abs acos acosh asctime asin asinh atan atan2 atanh atexit atof atoi atol atoll bsearch calloc
cbrt ceil clearerr copysign cos cosh ctime difftime div erf erfc errno exit exp exp2 expm1 fabs
fclose fdim feof ferror fflush fgetc fgets floor fma fmax fmin fmod fopen fprintf fputc fputs fread
free freopen frexp fscanf fseek ftell fwrite gamma getc getchar getenv gets gmtime hypot ilogb index
isalnum isalpha isdigit isinf islower isnan isspace isupper j0 j1 jn labs ldexp ldiv lgamma llabs
lldiv llrint llround localtime log log10 log1p log2 logb lrint lround main malloc mblen memchr
memcmp memcpy memmove memset mktime modf nan nearbyint nextafter nexttoward perror pow printf putc
putchar puts qsort raise random realloc remainder remove remquo rename rewind rindex rint round
scalbln scalbn scanf setbuf setjmp setvbuf significand sin sinh sprintf sqrt srand sscanf stderr
stdin stdout strcat strchr strcmp strcpy strlen strncmp strstr strtod strtol system tan tanh tgamma
time_t tmpfile tmpnam tolower toupper trunc uint ulong ungetc ushort va_list wcslen y0 y1 yn
"""

#: What the header of a block has in the namespace of that name, and its test beside that.
_HEADER = """
decode detail finish inputs input_t in_tensors model n_features n_in n_out n_results output_t
outputs out_tensors predict prepare tensor
"""
_TAKEN_BY_BLOCKS = frozenset(f"{_GLOBAL} {_HEADER}".split())

#: The longest identifier: files and build folders have it in their names, with more behind it.
_LONGEST = 100


def identifier(name: str) -> str:
    """Return a name that Verilog, VHDL and C++ all take, in lower case: VHDL has no other."""
    plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", name.lower()))
    plain = plain.strip("_")[:_LONGEST].rstrip("_")
    # Cells are called ps_..., and the wrapper's signals ..._bits.
    if not plain or plain[0].isdigit() or plain.startswith("ps_"):
        plain = f"t_{plain}".rstrip("_")
    return f"{plain}_t" if plain in _TAKEN or plain.endswith("_bits") else plain


def block_name(name: str) -> str:
    """Return an identifier for a module, an entity and a namespace."""
    plain = identifier(name)
    return f"{plain}_t" if plain in _TAKEN_BY_BLOCKS else plain


def identifiers(names: Iterable[str], block: str = "") -> list[str]:
    """Return distinct identifiers in the order of the names.

    None is a name that the package of `block` makes from its own.
    """
    own = re.compile(rf"(to_)?{block}(_(latency|pkg|wrap|tb|\w+_t|\w+_t_element))?")
    found: list[str] = []
    for name in names:
        base = identifier(name)
        word, k = base, 2
        while word in found or own.fullmatch(word):
            word, k = f"{base}_{k}", k + 1
        found.append(word)
    return found


def in_comment(name: str) -> str:
    """Return a name as comments and tables take it, whatever their language."""
    return re.sub(r"[^\w .,:;/+=()\[\]-]", "_", name)
