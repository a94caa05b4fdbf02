"""Pictures, texts, traffic and curves: the parts a page is made of."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finn_builds.network import (
    IntegerNetwork,
    Linear,
    Lookup,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)
from finn_builds.report import origin, text
from finn_builds.report.classes import CURVE_POINTS, one_against_all
from finn_builds.report.design import ESTIMATED, SYNTHESISED, Part, Synthesis, Use
from finn_builds.report.drawing import (
    MAX_LINES,
    MAX_PIXELS,
    bar_width,
    connections,
    curve_grid,
    histogram,
    weight_picture,
)
from finn_builds.report.edges import edge_curves, spreads
from finn_builds.report.figures import Point, pareto_plot
from finn_builds.report.network import nodes_of, synthesis_of, uses_of
from finn_builds.report.traffic import streams_of
from finn_builds.stitch.blocks import SPARSE, Block, Hardware, Resources
from finn_builds.stitch.design import Stage
from finn_builds.stitch.streams import StreamFormat
from finn_builds.style.styles import StyledLayer, Styles
from finn_builds.synth.report import Figures, GateLevel, Synthesised, Tool
from finn_builds.verify.simulated import Traffic
from tests.finn_builds.network.networks import random_network
from tests.finn_builds.report.examples import report

TOOL = Tool("Yosys", "0.70", [], "alone", "delays")
STYLES = Styles(
    "sparse",
    "",
    (StyledLayer("a", "sparse", {"LUT": 6, "latency": 1}), StyledLayer("b", "sparse")),
    (),
)


def hardware(*layers: int) -> Hardware:
    """Return one sparse block of these layers."""
    stream = StreamFormat("INT4", 2, 1)
    cost = Resources(LUT=6.5)
    block = Block(Stage("S_0", SPARSE, 8, 8), layers, stream, stream, 1, 1, cost, flip_flops=3)
    return Hardware((block,))


class TestText:
    @pytest.mark.parametrize(
        ("share", "digits", "expected"),
        [
            (0.0, 1, "0.0 %"),
            (1.0, 0, "100 %"),
            (0.9996, 1, ">99.9 %"),
            (0.9, 0, "90 %"),
            (0.0001, 1, "<0.1 %"),
            (0.1234, 1, "12.3 %"),
        ],
    )
    def test_a_share_is_never_rounded_to_all_or_nothing(
        self, share: float, digits: int, expected: str
    ) -> None:
        assert text.percent(share, digits) == expected

    def test_numbers(self) -> None:
        assert text.count(1234567) == "1,234,567"
        assert text.count(2.5) == "2.5"
        assert text.trimmed(10.0) == "10" and text.trimmed(2.25) == "2.25"
        assert text.cycles(1) == "1 cycle" and text.cycles(1.5) == "1.5 cycles"
        assert text.short(12_500_000) == "12.5 M" and text.short(950) == "950"
        assert text.area(0.9) == "0.900" and text.area(1.0) == "1.000"
        assert text.area(0.99971) == ">0.999"
        assert text.duration(80) == "80 ns" and text.duration(2030) == "2.03 µs"
        assert text.duration(0.5) == "0.5 ns" and text.duration(2.5e9) == "2.5 s"

    def test_a_number_that_rounds_up_to_the_next_unit_is_told_in_it(self) -> None:
        assert text.duration(999.4) == "999 ns" and text.duration(999.9) == "1 µs"
        assert text.duration(999_700) == "1 ms"
        assert text.short(999.7) == "1 k" and text.short(999_600_000) == "1 G"


class TestPictures:
    def picture(self, weights: np.ndarray) -> np.ndarray:
        data = weight_picture(weights).removeprefix("data:image/png;base64,")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))

    def test_one_pixel_is_one_weight(self) -> None:
        weights = np.array([[0, 3, -3], [1, 0, 0]])
        pixels = self.picture(weights)
        assert pixels.shape == (2, 3, 4)
        np.testing.assert_array_equal(pixels[..., 3] > 0, weights != 0)
        blue = pixels[..., 2].astype(int) - pixels[..., 0]
        np.testing.assert_array_equal(np.sign(blue) * (pixels[..., 3] > 0), np.sign(weights))
        assert pixels[0, 1, 3] > pixels[1, 0, 3], "the larger, the stronger"

    def test_the_longer_side_lies_across(self) -> None:
        weights = np.zeros((5, 2), int)
        weights[4, 1] = 1
        assert self.picture(weights).shape == (2, 5, 4)
        assert self.picture(weights)[1, 4, 3] > 0

    def test_of_many_weights_the_largest_shows(self) -> None:
        weights = np.zeros((7, MAX_PIXELS * 2 + 1), int)
        weights[3, 100] = -5
        weights[3, 101] = 1
        pixels = self.picture(weights)
        assert pixels.shape[1] <= MAX_PIXELS
        assert np.count_nonzero(pixels[..., 3]) == 1

    def test_every_weight_is_a_line_and_of_many_some_are(self) -> None:
        weights = np.array([[1, 0], [-1, 1]])
        svg = connections(weights, 4)
        assert svg.count("M") == 3
        many = connections(np.ones((200, 200)), 200)
        assert many.count("M") == MAX_LINES
        assert connections(np.zeros((3, 2)), 3).count("<path") == 0

    def test_lines_stay_in_the_picture(self) -> None:
        places = [float(x) for x in re.findall(r"[ML]([\d.]+) ", connections(np.ones((9, 2)), 9))]
        assert 0 <= min(places) < max(places) <= 100
        assert bar_width(9, 9) > bar_width(2, 9) > 0

    def test_histogram(self) -> None:
        svg, low, high = histogram(np.array([[0, 1, 1], [-3, 0, 1]]))
        assert (low, high) == (-3, 3)
        heights = [float(h) for h in re.findall(r'height="([\d.]+)"', svg)]
        assert heights == [pytest.approx(40 / 3, abs=0.1), 40]
        assert svg.count('class="pos"') == svg.count('class="neg"') == 1
        assert histogram(np.arange(-128, 128).reshape(16, 16))[0].count("<rect") <= 33


class TestEdges:
    def network(self) -> IntegerNetwork:
        """Two inputs, two neurons: x0 has tables for both, x1 for the second, once negated."""
        tables = [[0, 1, 4, 9], [5, 5, 5, 5], [3, 2, 1, 0]]
        lookup = Lookup([0, 0, 1], [-2, -2, 0], tables, 2)
        source = Tensor("x", "INT3", np.array([-2, 0]), np.array([1, 2]))
        sums = Linear([[1, 0], [0, 1], [0, -2]], [7, 0])
        count = Requantise(Thresholds([[8], [1]]), 0)
        return chain(source, [("edges", lookup), ("sums", sums), ("out", count)])

    def test_tables_their_sum_and_its_count_are_one_layer(self) -> None:
        (layer,) = self.network().layers()
        assert layer.name == layer.accumulators.name == "sums" and not layer.is_dense
        assert (layer.n_in, layer.n_out) == (2, 2)

    def test_a_function_of_each_element_is_a_layer_of_its_own(self) -> None:
        square = Lookup([0, 1], [0, 0], [[0, 1, 4, 9]] * 2, 2)
        whole = chain(Tensor.of_type("x", "UINT2", 2), [("s", square), ("y", Linear([[1], [1]]))])
        assert [layer.name for layer in whole.layers()] == ["s", "y"]

    def test_curves_are_what_each_input_adds(self) -> None:
        network = self.network()
        curves = edge_curves(network.layers()[0])
        assert curves is not None
        assert curves[0].tolist() == [[0, 1, 4, 9], [5, 5, 5, 5]]
        # Of x1 codes 0 to 2 are reached; the last stays.
        assert curves[1].tolist() == [[0, 0, 0, 0], [-6, -4, -2, -2]]
        assert spreads(curves).tolist() == [[9, 0], [0, 4]]
        assert edge_curves(random_network((3, 2, 2), 0).layers()[0]) is None

    def test_every_edge_that_is_there_is_drawn(self) -> None:
        curves = np.zeros((3, 2, 4), int)
        curves[0, 1], curves[2, 0] = [0, 1, 2, 8], [3, 2, 1, 0]
        svg = curve_grid(curves)
        lines = dict(re.findall(r'<path class="(pos|neg)" d="([^"]*)"', svg))
        assert lines["pos"] == "M11.0 9.0L13.7 8.0L16.3 7.0L19.0 1.0"
        assert lines["neg"] == "M1.0 23.5L3.7 24.5L6.3 25.5L9.0 26.5"
        assert curve_grid(np.zeros((2, 2, 3), int)).count("<path") == 1


class TestCurves:
    def test_roc_of_known_scores(self) -> None:
        truth = np.array([True, True, False, False])
        roc = one_against_all("a", truth, np.array([0.9, 0.4, 0.6, 0.1]))
        assert roc is not None and roc.auc == 0.75
        assert (roc.signal[0], roc.background[0]) == (0, 0)
        assert (roc.signal[-1], roc.background[-1]) == (1, 1)

    def test_long_curves_are_thinned_but_not_their_area(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.random(20000) < 0.3
        score = rng.normal(size=20000) + truth
        roc = one_against_all("a", truth, score)
        assert roc is not None and len(roc.signal) <= CURVE_POINTS
        area = np.trapezoid(roc.signal, roc.background)
        assert roc.auc == pytest.approx(0.76, abs=0.01) == pytest.approx(area, abs=0.02)

    def test_no_curve_without_both_kinds_of_frames(self) -> None:
        assert one_against_all("a", np.array([True, True]), np.array([0.1, 0.2])) is None
        assert one_against_all("a", np.array([False]), np.array([0.1])) is None

    def test_a_plot_knows_no_colour_but_the_pages(self) -> None:
        points = [Point(f"b{k}", 10.0 * 3**k, 0.7 + k / 50, 0.01, "d", k < 2) for k in range(4)]
        svg = pareto_plot(points, "LUT", "lut")
        assert not re.search(r"#[0-9a-f]{6}\b", svg)
        assert "var(--ink)" in svg and "var(--c3)" in svg
        assert all(name in svg for name in ("b0", "b3", "LUT"))
        assert "<style" not in svg
        assert set(re.findall(r'id="(\w+)-', svg)) == {"lut"}


class TestResources:
    def test_a_use_prefers_what_was_synthesised(self) -> None:
        guessed, found = Use("LUT", 100.0, None, 1000), Use("LUT", 100.0, 80.0, 1000)
        assert (guessed.best, guessed.kind, guessed.share) == (100, ESTIMATED, 0.1)
        assert (found.best, found.kind, found.share) == (80, SYNTHESISED, 0.08)
        assert Use("URAM", 0.0, None, 0).share is None

    @pytest.mark.parametrize(
        ("found", "figures", "note"),
        [
            (Figures({"LUT": 5, "FF": 2.0, "CARRY": 1}), {"LUT": 5.0, "FF": 2.0}, ""),
            (Figures(why="took too long"), {}, "took too long"),
            (Figures({"LUT": 5}, yosys={"LUT": 1009, "FF": 2}), {"LUT": 5.0}, "1,009 LUT by Yosys"),
            (None, {}, ""),
        ],
    )
    def test_synthesis_reports_of_every_shape(self, found, figures, note) -> None:
        (made,) = nodes_of(hardware(1), STYLES, found and Synthesised(found, {"S_0": found}, TOOL))
        assert (made.name, made.kind, made.layers) == ("S_0", "sparse layer", (1,))
        assert (made.synthesised, made.note, made.parts) == (figures, note, ())
        assert made.estimated == {"LUT": 7.0, "FF": 3.0, "DSP": 0.0, "BRAM_18K": 0.0}

    def test_fused_layers_are_told_apart(self) -> None:
        counts = {"0": {"LUT": 3}, "1": {"LUT": 2}, "stream": {"FF": 4}}
        found = Figures({"LUT": 5, "FF": 4}, layers=counts)
        (made,) = nodes_of(hardware(1, 2), STYLES, Synthesised(found, {"S_0": found}, TOOL))
        assert made.kind == "2 sparse layers"
        assert made.parts == (
            Part("layer 1", {"LUT": 6.0}, {"LUT": 3.0}),
            Part("layer 2", {}, {"LUT": 2.0}),
            Part("around the layers", {}, {"FF": 4.0}),
        )

    def test_a_sum_over_some_nodes_is_no_total(self) -> None:
        nodes = report().nodes
        device = type("Device", (), {"LUT": 9, "FF": 9, "DSP": 9, "BRAM_18K": 9})
        uses = {use.name: use for use in uses_of(nodes, None, device)}
        assert uses["LUT"].estimated == 2000 and uses["FF"].estimated is None

    def test_the_tool(self) -> None:
        def of(top: Figures) -> Synthesis:
            found = synthesis_of(Synthesised(top, {}, TOOL))
            assert found is not None
            return found

        top = Figures({"LUT": 5}, logic_depth=4, critical_path_ns=5.5)
        assert of(top) == Synthesis("Yosys 0.70", "alone", 5.5, 4, "delays")
        checked = replace(top, gate_level=GateLevel(1000, 0))
        assert of(checked).gates.startswith("1,000 frames through the mapped")
        alone = GateLevel(0, 0, why="cells DSP48E1", nodes={"S_0": 500, "S_1": 0})
        words = of(replace(top, gate_level=alone)).gates
        assert "S_0 alone" in words and "500" in words
        nothing = GateLevel(0, 0, why="cells DSP48E1 are unknown", nodes={})
        assert "cells DSP48E1 are unknown" in of(replace(top, gate_level=nothing)).gates
        lost = of(Figures(why="too large"))
        assert (lost.path_ns, lost.why_not, lost.gates) == (None, "too large", "")
        assert synthesis_of(None) is None


def test_streams_are_seen_between_their_first_and_last_beat() -> None:
    link, never = Traffic(50, 30, 20, 11, 110), Traffic(0, 0, 100, None, None)
    (stream,) = streams_of({"in_to_A": link, "A_to_out": never})
    assert (stream.source, stream.sink, stream.window) == ("input", "A", 100)
    assert (stream.moved, stream.stalled) == (0.5, 0.3)
    assert stream.empty == pytest.approx(0.2)


def test_the_note_of_what_a_training_measured() -> None:
    figures = {"accuracy": 0.752, "accuracy_error": 0.019, "frames": 501, "folds": 8}
    said = origin.training_note({"source": "some jets", "metrics": figures})
    assert said == (
        "trained on some jets; measured then: accuracy 75.2% ± 1.9% on 501 frames by 8 siblings, "
        "each on frames that it had not seen, not checked by this build"
    )
    taught = {**figures, "soft_regret": -0.0115, "soft_regret_error": 0.0028}
    said = origin.training_note({"metrics": taught})
    assert "± 1.9% and soft regret -1.15 ± 0.28 points against its teacher on 501 frames" in said
    assert origin.training_note({}) == ""
