"""Pictures of a network: its connections, its weights, and how often each value occurs."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

#: Connections drawn for a layer; of more, that many are drawn at random.
MAX_LINES = 180

#: Longer sides are shrunk to this many pixels, each then showing several weights.
MAX_PIXELS = 800

#: Tables of a layer drawn one by one; of more, only how far each moves its sum is drawn.
MAX_TABLES = 1024

#: Bars of a histogram; values share bars where there are more.
MAX_BARS = 32

#: Colours of the largest weights, red-green-blue, readable on light and on dark paper.
_POSITIVE = (58, 134, 209)
_NEGATIVE = (224, 111, 40)


def connections(weights: np.ndarray, widest: int) -> str:
    """Return a layer's connections as inline SVG, inputs above, neurons below.

    The picture has no size of its own: it is stretched to that of its box. Widths are drawn to the
    `widest` layer of the network, in elements; weights have the shape (n_in, n_out).
    """
    n_in, n_out = weights.shape
    rows, columns = np.nonzero(weights)
    if len(rows) > MAX_LINES:
        chosen = np.random.default_rng(0).choice(len(rows), MAX_LINES, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    upper, lower = bar_width(n_in, widest), bar_width(n_out, widest)
    tops = 50 + upper * ((rows + 0.5) / n_in - 0.5)
    bottoms = 50 + lower * ((columns + 0.5) / n_out - 0.5)
    positive = weights[rows, columns] > 0
    paths = "".join(
        f'<path class="{name}" d="{_lines(tops[which], bottoms[which])}"/>'
        for name, which in (("pos", positive), ("neg", ~positive))
        if which.any()
    )
    return (
        '<svg class="wires" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f"{paths}</svg>"
    )


def bar_width(elements: int, widest: int) -> float:
    """Return the width in % at which a vector is drawn: with the root, so that small ones show."""
    return 94 * max(0.12, math.sqrt(elements / widest))


def _lines(tops: np.ndarray, bottoms: np.ndarray) -> str:
    return "".join(f"M{a:.1f} 0L{b:.1f} 100" for a, b in zip(tops, bottoms, strict=True))


def curve_grid(curves: np.ndarray) -> str:
    """Return the tables of a layer (n_in, n_out, codes) as inline SVG: a row for each input.

    All have the same scale, from their own middle; an edge that is not there leaves its place free.
    """
    n_in, n_out, codes = curves.shape
    low, high = curves.min(axis=2), curves.max(axis=2)
    scale = 8 / max(1, int((high - low).max()))
    heights = (curves - (low + high)[..., None] / 2) * scale
    across = np.linspace(1, 9, codes)
    paths = {"pos": "", "neg": ""}
    for i, j in np.argwhere(high > low):
        points = zip(10 * j + across, 10 * i + 5 - heights[i, j], strict=True)
        name = "pos" if curves[i, j, -1] >= curves[i, j, 0] else "neg"
        paths[name] += "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    lines = "".join(f"M0 {10 * i}H{10 * n_out}" for i in range(1, n_in))
    lines += "".join(f"M{10 * j} 0V{10 * n_in}" for j in range(1, n_out))
    drawn = "".join(f'<path class="{name}" d="{d}"/>' for name, d in paths.items() if d)
    return (
        f'<svg class="curves" viewBox="0 0 {10 * n_out} {10 * n_in}" role="img" '
        f'aria-label="Tables of {n_in} inputs and {n_out} neurons">'
        f'<path class="grid" d="{lines}"/>{drawn}</svg>'
    )


def weight_picture(weights: np.ndarray) -> str:
    """Return weights (n_in, n_out) as the data URI of a PNG, the longer side across.

    Positive weights are blue, negative ones orange, the stronger the larger; zeros are clear. Of
    a matrix that is too large, one pixel shows the largest of its weights.
    """
    matrix = weights if weights.shape[1] >= weights.shape[0] else weights.T
    matrix = _shrunk(matrix)
    largest = max(1, int(np.abs(matrix).max()))
    # Palette: 0 clear, 1 .. 127 positive, 128 .. 254 negative, by strength.
    strength = np.ceil(np.abs(matrix) / largest * 127).astype(np.uint8)
    pixels = np.where(matrix < 0, strength + 127, strength).astype(np.uint8)
    image = Image.fromarray(pixels, "P")
    image.putpalette(bytes([0, 0, 0, *_POSITIVE * 127, *_NEGATIVE * 127]))
    fade = [round(255 * (0.3 + 0.7 * k / 127)) for k in range(1, 128)]
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, transparency=bytes([0, *fade, *fade]))
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _shrunk(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix whose sides have no more than ``MAX_PIXELS`` elements."""
    steps = [math.ceil(size / MAX_PIXELS) for size in matrix.shape]
    if steps == [1, 1]:
        return matrix
    padding = [(0, -size % step) for size, step in zip(matrix.shape, steps, strict=True)]
    padded = np.pad(matrix, padding)
    rows, columns = (padded.shape[axis] // steps[axis] for axis in (0, 1))
    blocks = padded.reshape(rows, steps[0], columns, steps[1])
    high, low = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    return np.where(high >= -low, high, low)


def histogram(weights: np.ndarray) -> tuple[str, int, int]:
    """Return how often each value but zero occurs, as SVG stretched to its box, and its range.

    The range is that of the first and of the last bar, symmetric about zero.
    """
    reach = max(1, int(np.abs(weights).max()))
    width = math.ceil((2 * reach + 1) / MAX_BARS)
    count = math.ceil((2 * reach + 1) / width)
    values = weights[weights != 0]
    bars = np.bincount((values + reach) // width, minlength=count)
    tallest = max(1, int(bars.max()))
    shapes = []
    for index, bar in enumerate(bars):
        if bar:
            height = 40 * bar / tallest
            name = "pos" if (index + 0.5) * width > reach + 0.5 else "neg"
            x = 100 * (index + 0.1) / count
            shapes.append(
                f'<rect class="{name}" x="{x:.1f}" y="{40 - height:.1f}" '
                f'width="{80 / count:.1f}" height="{height:.1f}"/>'
            )
    svg = (
        '<svg class="histogram" viewBox="0 0 100 40" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(shapes)}</svg>'
    )
    return svg, -reach, reach
