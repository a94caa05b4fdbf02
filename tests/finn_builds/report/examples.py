"""Reports without a build: every kind of network that a page must be able to show."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from finn_builds.ip import IpReport, PortRow
from finn_builds.report.content import BuildReport, Classes, Origin, Roc
from finn_builds.report.design import Layer, Node, Passage, Stream, Synthesis, Use
from finn_builds.report.edges import spreads
from finn_builds.report.on_board import on_board
from finn_builds.verify.accuracy import Accuracy
from finn_builds.verify.simulated import (
    OneFrame,
    Performance,
    SimulatedRun,
    Traffic,
    Verification,
)


def layer(n_in: int, n_out: int, *, style: str = "sparse", bits: int = 4, seed: int = 0) -> Layer:
    rng = np.random.default_rng(seed)
    reach = 2 ** (bits - 1) - 1
    weights = rng.integers(-reach, reach + 1, (n_in, n_out)) * (rng.random((n_in, n_out)) < 0.3)
    fan_in = np.count_nonzero(weights, axis=0)
    return Layer(
        n_in=n_in,
        n_out=n_out,
        input_type="UINT4",
        weight_type=f"INT{bits}",
        accumulator_type="INT12",
        output_type="UINT4",
        steps=15,
        nonzero=int(fan_in.sum()),
        fan_in=(int(fan_in.min()), round(float(fan_in.mean())), int(fan_in.max())),
        idle_neurons=int((fan_in == 0).sum()),
        constant_neurons=0,
        style=style,
        folding=(2, 4) if style == "folded" else None,
        node="MVAU_rtl_0",
        as_sparse={"LUT": 1234, "latency": 4},
        entries=weights.size,
        weights=weights,
    )


def tables(n_in: int, n_out: int, *, codes: int = 16, seed: int = 0) -> Layer:
    """Return a layer of table edges, one of three of them there."""
    rng = np.random.default_rng(seed)
    curves = rng.integers(-9, 10, (n_in, n_out, codes)) * (rng.random((n_in, n_out, 1)) < 0.3)
    weights = spreads(curves)
    counts = {"nonzero": int(np.count_nonzero(weights)), "weights": weights, "curves": curves}
    return replace(layer(n_in, n_out), weight_type="INT5", tables=True, **counts)


def block() -> IpReport:
    """Return what a build of the package for firmware says of its block."""
    return IpReport(
        name="tagger",
        part="xcvu9p-flga2104-2L-e",
        clock_ns=2.78,
        ports=(
            PortRow("valid_in", "in", 1, "a frame is at the inputs"),
            PortRow("jet", "in", 96, "jet: 16 x INT6"),
            PortRow("logits", "out", 1200, "logits: 100 x INT12"),
        ),
        latency_cycles=18,
        interval_cycles=1,
        stage_ns=2.71,
        caveat="",
        frames=1000,
        mismatches={"emulator": 0, "parallel core": 0},
        simulator="Verilator 5.0",
        compiler="g++ 12.2",
        resources={"LUT": 4127, "FF": 5043},
        resources_kind="Yosys 0.70, not placed",
        critical_path_ns=2.65,
        estimated={"LUT": 4100, "FF": 5043},
    )


def classes(count: int, *, surrogate: bool = False) -> Classes:
    curve = np.linspace(0, 1, 40)
    confusion = np.random.default_rng(0).integers(0, 50, (count, count))
    names = tuple(f"class {index}" for index in range(count))
    return Classes(
        names=names,
        confusion=tuple(map(tuple, confusion.tolist())),
        rocs=tuple(
            Roc(name, 0.9 - 0.01 * k, curve, curve ** (2 + k)) for k, name in enumerate(names)
        ),
        scores="softmax of the logits",
        frames=1000,
        source="a file of ours",
        surrogate=surrogate,
    )


def performance(latency: int, interval: float = 2.0) -> Performance:
    """Return the run of a design of one stream, at a clock of 10 ns."""
    links = {"in_to_out": Traffic(1000, 0, 0, 0, 1999)}
    return Performance(
        cycles=2000,
        frames=1000,
        clock_ns=10.0,
        frame_bytes=(16, 5),
        latency_cycles=latency,
        latency_cycles_max=latency,
        interval_cycles=interval,
        links=links,
        one_frame=OneFrame(latency, links),
    )


def report(
    sizes: tuple[int, ...] = (16, 64, 5),
    *,
    surrogate: bool = False,
    synthesised: bool = False,
    n_classes: int | None = 5,
    style: str = "sparse",
) -> BuildReport:
    """Return a report of one node per layer, its figures plain inventions."""
    layers = tuple(
        replace(layer(a, b, style=style, seed=k), node=f"MVAU_rtl_{k}")
        for k, (a, b) in enumerate(itertools.pairwise(sizes))
    )
    count = len(layers)
    counted = {"LUT": 900.0, "FF": 700.0, "DSP": 2.0, "BRAM_18K": 0.0} if synthesised else {}
    names = [one.node for one in layers]
    return BuildReport(
        model="a_model",
        board="Pynq-Z1",
        part="xc7z020clg400-1",
        style_asked="auto",
        style_why="it is the fastest <that> fits",
        top1=False,
        accuracy=Accuracy(0.75, 0.01, 1000, "a file of ours", surrogate),
        verification=Verification(
            frames=1000,
            mismatches=0,
            reference="qonnx",
            simulator="Verilator",
            inputs="random frames",
            runs={"free": SimulatedRun(1000, 0, 1234)},
            float32_disagreements=0,
            seed=0,
        ),
        performance=performance(10 * count),
        on_board=on_board(performance(10 * count), 64),
        uses=(
            Use("LUT", 1000.0 * count, 900.0 * count if synthesised else None, 53200),
            Use("FF", None, 700.0 * count if synthesised else None, 106400),
            Use("DSP", 2.0, 2.0 if synthesised else None, 220),
            Use("BRAM_18K", 0.0, 0.0 if synthesised else None, 280),
        ),
        synthesis=Synthesis("Yosys 1.0", "out of context", 6.25, 5, "delays")
        if synthesised
        else None,
        layers=layers,
        nodes=tuple(
            Node(name, "matrix-vector unit", (k + 1,), {"LUT": 1000.0}, counted)
            for k, name in enumerate(names)
        ),
        passages=tuple(
            Passage(name, "matrix-vector unit", 10 * k, 10 * k + 4, 10 * k + 10, 10)
            for k, name in enumerate(names)
        ),
        streams=tuple(
            Stream(a, b, 1000, 2000, 0.5, 0.25)
            for a, b in itertools.pairwise(["input", *names, "output"])
        ),
        classes=None if n_classes is None else classes(n_classes, surrogate=surrogate),
        origin=Origin("build.py", {"verification": 0}, {"numpy": "2"}, "ab" * 32, "", "now"),
        steps=(("tidy_up", 0.1), ("measure_rtlsim_performance", 6.0)),
    )
