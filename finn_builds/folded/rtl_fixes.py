"""Changes to FINN's RTL sources: one that lets Verilator read them, one that fixes a fault."""

from __future__ import annotations

_FUNCTION = """		typedef int unsigned  leaf_load_t[2*N-1];
		function leaf_load_t init_leaf_loads();
			automatic leaf_load_t  res;
			for(int unsigned  i = 2*N-1; i-- > N-1;)  res[i] = 1;
			for(int unsigned  i =   N-1; i-- >   0;)  res[i] = res[2*i+1] + res[2*i+2];
			return  res;
		endfunction : init_leaf_loads
"""

_MODULE_BODY = "	localparam int unsigned  L = $clog2(N);  // Number of levels with reductions\n"


def _hoist_function(text: str) -> str:
    """Move the constant function of ``add_multi.sv`` out of its generate block.

    Verilator 5.48 refuses a constant function that is declared inside a generate block.
    """
    if _FUNCTION not in text or _MODULE_BODY not in text:
        raise RuntimeError(
            "FINN's add_multi.sv is not the text of finn-plus 1.6.1 that this fix was written for"
        )
    text = text.replace(_FUNCTION, "")
    return text.replace(_MODULE_BODY, _MODULE_BODY + "\n" + _FUNCTION)


_DEPTH = "/* else */    3 + $clog2(SIMD+1) + (SIMD == 1);"
_CAPACITY = "localparam int unsigned  MAX_IN_FLIGHT = CORE_PIPELINE_DEPTH;"


def _deepen_queue(text: str) -> str:
    """Give the output queue of ``mvu_vvu_axi.sv`` room for all that can be on its way.

    The unit stops taking input two cycles after the first result that its sink does not take, so
    with a result in every cycle a pipeline of D stages still delivers D + 2: the queue's
    MAX_IN_FLIGHT + 1 places must hold them. FINN has D + 1 places, and D itself is one too small
    where SIMD is not a power of two (``mvu.sv`` has 4 + ceil(log2(SIMD)) stages). Under long
    back-pressure the unit loses results.
    """
    if _DEPTH not in text or _CAPACITY not in text:
        raise RuntimeError(
            "FINN's mvu_vvu_axi.sv is not the text of finn-plus 1.6.1 that this fix is for"
        )
    text = text.replace(_DEPTH, "/* else */    4 + $clog2(SIMD) + (SIMD == 1);")
    return text.replace(_CAPACITY, _CAPACITY.replace("DEPTH;", "DEPTH + 1;"))


_FIXES = {"add_multi.sv": _hoist_function, "mvu_vvu_axi.sv": _deepen_queue}


def fixed_source(name: str, text: str) -> str:
    """Return the text of one of FINN's RTL files as this project uses it."""
    fix = _FIXES.get(name)
    return fix(text) if fix else text
