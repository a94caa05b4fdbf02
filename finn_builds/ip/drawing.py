"""The timing of the core as a drawing."""

from __future__ import annotations

from finn_builds.sparse.core_ports import CorePorts

_CLOCK, _ROW, _LEFT, _TOP = 44, 34, 110, 30


def timing_svg(core: CorePorts) -> str:
    """Return ``timing.svg``: three frames one after another, and their results."""
    shown = 4  # clocks at each end, with a gap between them where the latency is longer
    gap = core.latency > shown + 1
    first_out = shown + 1 if gap else core.latency
    clocks = first_out + 4
    width, height = _LEFT + clocks * _CLOCK + 20, _TOP + 6 * _ROW + 30

    def x(clock: float) -> float:
        return _LEFT + clock * _CLOCK

    def row(k: int) -> float:
        return _TOP + k * _ROW

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]

    def text(px: float, py: float, said: str, anchor: str = "middle") -> None:
        parts.append(f'<text x="{px:g}" y="{py:g}" text-anchor="{anchor}">{said}</text>')

    def line(points: list[tuple[float, float]]) -> None:
        listed = " ".join(f"{px:g},{py:g}" for px, py in points)
        parts.append(f'<polyline points="{listed}" fill="none" stroke="black"/>')

    def level(k: int, high: tuple[float, float], word: str) -> None:
        bottom, top = row(k) + 20, row(k)
        a, b = high
        line([(x(0), bottom), (x(a), bottom), (x(a), top), (x(b), top), (x(b), bottom)])
        line([(x(b), bottom), (x(clocks), bottom)])
        text(_LEFT - 10, row(k) + 15, word, "end")

    def words(k: int, begin: int, names: list[str], word: str) -> None:
        for i, name in enumerate(names):
            a, b = x(begin + i), x(begin + i + 1)
            top, bottom = row(k), row(k) + 20
            parts.append(
                f'<polygon points="{a:g},{top + 10:g} {a + 4:g},{top:g} {b - 4:g},{top:g} '
                f'{b:g},{top + 10:g} {b - 4:g},{bottom:g} {a + 4:g},{bottom:g}" '
                'fill="#dce9f7" stroke="black"/>'
            )
            text((a + b) / 2, top + 15, name)
        text(_LEFT - 10, row(k) + 15, word, "end")

    points = [(x(0), row(0) + 20)]
    for clock in range(clocks):
        # Frames are put out a little after an edge, and taken at the next one.
        points += [(x(clock), row(0)), (x(clock + 0.5), row(0))]
        points += [(x(clock + 0.5), row(0) + 20), (x(clock + 1), row(0) + 20)]
    line(points)
    text(_LEFT - 10, row(0) + 15, "clk", "end")
    level(1, (0.1, 3.1), "valid_in")
    words(2, 0, ["A", "B", "C"], "inputs")
    level(3, (first_out + 0.1, first_out + 3.1), "valid_out")
    words(4, first_out, ["f(A)", "f(B)", "f(C)"], "outputs")
    y = row(5) + 10
    line([(x(1), y - 8), (x(1), y + 8)])
    line([(x(first_out + 1), y - 8), (x(first_out + 1), y + 8)])
    line([(x(1), y), (x(first_out + 1), y)])
    middle = (x(1) + x(first_out + 1)) / 2
    text(middle, y + 22, f"latency {core.latency} clocks: edge of A to edge of f(A)")
    if gap:
        a = x(4.2)
        parts.append(
            f'<rect x="{a:g}" y="{_TOP - 6}" width="14" height="{5 * _ROW}" fill="white"/>'
        )
        text(a + 7, row(2) + 14, "…")
    return "\n".join([*parts, "</svg>"]) + "\n"
