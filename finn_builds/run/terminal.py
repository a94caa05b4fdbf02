"""What a build shows at its end: a short table of its figures, or what went wrong.

Colours are for terminals; rich leaves them out where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

#: What summaries call an amount that no tool has counted.
ESTIMATED = "estimated"


def console_on(stream: TextIO) -> Console | None:
    """Return rich's console on a terminal that can move its cursor, or None."""
    if not stream.isatty():
        return None
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    return None if console.is_dumb_terminal else console


def show_summary(summary: Mapping[str, Any], stream: TextIO) -> None:
    """Write the table of a build's figures: on a terminal in its width, elsewhere line by line."""
    console = console_on(stream)
    if console is None:
        print(summary_table(summary), file=stream)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    styles = {
        "warning": "yellow",
        "data": "yellow" if summary.get("accuracy_surrogate") else "",
        "verified": "bold red" if summary.get("mismatches") else "green",
    }
    for name, text in _rows(summary):
        if text:
            table.add_row(name, Text(text, styles.get(name, "")))
    console.print(table)


def show_error(message: object, stream: TextIO) -> None:
    """Write what went wrong as one message."""
    console = console_on(stream)
    if console is None:
        print(f"error: {message}", file=stream)
        return
    from rich.text import Text

    console.print(Text.assemble(("error: ", "bold red"), str(message)), soft_wrap=True)


def summary_table(summary: Mapping[str, Any]) -> str:
    """Return the short table of ``BuildResult.summary``; what is absent or None is left out."""
    rows = [(name, text) for name, text in _rows(summary) if text]
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


#: Kinds of cells of a routed device that the summary has.
_SHOWN_CELLS = ("TRELLIS_COMB", "TRELLIS_FF", "LUT4", "ALU", "DFF", "LUT sites", "SLICE_FFX")


def _routed(found: Mapping[str, Any] | None) -> str:
    """Return what place and route reached: clock, cells, and what was verified."""
    if not found:
        return ""
    said = f"{found['mhz']:g} MHz by nextpnr for {found['made_mhz']:g} MHz"
    said += "" if found["met"] else ", which it misses"
    shares = [
        f"{kind} {used['used']:,} ({used['used'] / used['available']:.0%})"
        for kind, used in found["cells"].items()
        if kind in _SHOWN_CELLS
    ]
    if found["frames_verified"]:
        shares.append(f"placed netlist: {found['frames_verified']:,} frames")
    return f"{said}; {', '.join(shares)}"


def _missed(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return a warning where the routed clock is slower than the device's."""
    if not found or found["met"] or found.get("second_opinion"):
        return []
    said = (
        f"the device runs at {found['made_mhz']:g} MHz and its slowest path, in the "
        f"{found['limit']}, takes only {found['mhz']:g}: results may be wrong. Build with "
        f"--clock-ns {math.ceil(1e5 / found['mhz']) / 100:g} or more, or with more --seeds"
    )
    return [("warning", said)]


def _turns(found: Sequence[Mapping[str, float]] | None) -> str:
    """Return the plans of a build that was made again for the sake of its routed clock."""
    shown = []
    for turn in found or ():
        seeds = f", {turn['seeds']} seeds" if turn.get("seeds", 1) > 1 else ""
        shown.append(f"{turn['planned_ns']:g} ns{seeds}: {turn['routed_mhz']:g} MHz")
    return "; ".join(shown)


def _rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    get = summary.get
    accuracy = _text("{:.1%}", get("accuracy"))
    if accuracy:
        accuracy += _text(" ± {:.1%}", get("accuracy_standard_error"))
        accuracy += _text(" on {:,} frames", get("accuracy_frames"))
    error = _text("{:.4g}", get("rmse"))
    if error:
        error += _text(" on {:,} frames", get("accuracy_frames"))
        error += _text("; {:.4g} for the best constant answer", get("rmse_of_constant"))
    errors = get("accuracy_standard_error_by_output") or {}
    heads = [
        ("accuracy", f"of {name} {share:.1%} ± {errors[name]:.1%}")
        for name, share in (get("accuracy_by_output") or {}).items()
    ]
    clipped = _text("{:.1%} of the input values", get("saturated_inputs") or None)
    if clipped:
        clipped += ": they lie outside the input quantiser's range"
    verified = _text("{:,} frames", get("frames_verified"))
    if verified:
        verified += _text(", {:,} mismatches", get("mismatches"))
        verified += _text("; mapped netlist: {:,} frames", get("netlist_frames_verified") or None)
        verified += _text("; expected integers of --golden: {:,} frames", get("golden_frames"))
    latency = _text("{:,} cycles", get("latency_cycles"))
    if latency:
        latency += _text(", {:,.0f} ns", get("latency_ns"))
        latency += _text(" at a clock of {:g} ns", get("clock_ns"))
    board = get("board_throughput") or {}
    throughput = _text("{:,.0f} frames/s", get("fps"))
    if throughput and board:
        if added := board.get("added_latency_cycles"):
            latency += f"; through the board's DMAs about {added} cycles and twice the memory's "
            latency += "latency more"
        throughput += f"; on the board at most {board['fps']:,.0f}, set by {board['limit']}"
    of_what = " of the part" if get("board", "") is None else " of the board"
    synthesised = _resources(get("synthesised"), get("device"), of_what)
    path = _text("{:,.2f} ns before placement (estimated)", get("critical_path_ns"))
    return [
        *(("warning", text) for text in get("warnings") or ()),
        *_missed(get("routed")),
        ("accuracy", accuracy),
        *heads,
        ("RMSE", error),
        # The whole of it is on the page; what matters here stands before the first semicolon.
        ("data", _text("{}", get("accuracy_source")).partition(";")[0]),
        ("classes", _text("{}", get("classes"))),
        ("clipped", clipped),
        ("unquantised", _text("{:.1%} with float inputs", get("accuracy_without_input_quantizer"))),
        ("verified", verified),
        ("latency", latency),
        ("interval", _interval(get("interval_cycles"))),
        ("throughput", throughput),
        ("synthesised", synthesised or _text("{}", get("not_synthesised"))),
        ("longest path", path),
        ("routed", _routed(get("routed"))),
        ("planned for", _turns(get("turns"))),
        ("estimated", _resources(get("resources"), get("device"), of_what)),
        *_parallel(get("ip"), get("device"), of_what),
        ("bitfile", _text("{}", get("bitfile"))),
        ("board files", _text("{}", (get("board_files") or {}).get("note"))),
        ("folder", _text("{}", get("out_dir"))),
        ("files", ", ".join(get("files") or ())),
    ]


def _interval(cycles: float | None) -> str:
    if cycles is None:
        return ""
    return "1 cycle" if cycles == 1 else f"{cycles:,.1f} cycles".replace(".0 ", " ")


def _parallel(
    ip: Mapping[str, Any] | None, device: Mapping[str, int] | None, of_what: str
) -> list[tuple[str, str]]:
    """Return the figures of the parallel core of a package for firmware, if there is one."""
    if ip is None:
        return []
    clocks = f"{ip['latency_cycles']:,} cycles, {ip['latency_ns']:,.1f} ns; a frame every cycle"
    checked = f"{ip['frames']:,} frames, {ip['mismatches']:,} mismatches in core and C++ emulator"
    return [
        ("parallel core", f"latency {clocks}"),
        ("", checked),
        ("", _resources(ip["resources"], device, of_what)),
    ]


def _resources(
    found: Mapping[str, Any] | None, device: Mapping[str, int] | None, of_what: str
) -> str:
    """Return amounts, their shares of the device, and the tool that counted them.

    The tool stands before the first comma of ``kind``.
    """
    amounts = dict(found or {})
    kind = (amounts.pop("kind", None) or "").partition(",")[0]
    figures = []
    for name, value in amounts.items():
        has = (device or {}).get(name)
        if has == value == 0:
            continue  # the device has none
        share = ""
        if has and value:
            percent = f"{value / has:.1%}" if value / has >= 0.0005 else "<0.1%"
            share, of_what = f" ({percent}{of_what})", ""
        figures.append(f"{name} {value:,.0f}{share}")
    return ", ".join(figures) + (f"; by {kind}" if figures and kind not in ("", ESTIMATED) else "")


def _text(form: str, value: Any) -> str:
    return "" if value is None else form.format(value)
