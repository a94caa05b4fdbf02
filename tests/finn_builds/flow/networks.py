"""Small integer networks, and a way to take many of them through the flow at once."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finn_builds.config.build import BuildConfig, no_progress
from finn_builds.flow import choose_style, convert, fold, generate
from finn_builds.flow import stitch as stitching
from finn_builds.flow.synthesise import step_out_of_context_synthesis
from finn_builds.network import IntegerNetwork, Linear, Operation, Requantise, Tensor, chain
from finn_builds.network.ops import Thresholds, affine_form, full_box
from finn_builds.sim.compile import SimDesign, compile_designs
from finn_builds.sim.simulator import Simulator
from finn_builds.stitch.blocks import Hardware
from finn_builds.stitch.design import TOP, Design
from finn_builds.stitch.sources import Stitched, stitched_sources
from finn_builds.style.styles import Styles
from finn_builds.synth.report import Synthesised
from finn_builds.verify.streamlined import Streamlined, Vectors
from tests.finn_builds.network.networks import random_inputs


def small_network(
    sizes: tuple[int, ...],
    *,
    weight_bits: int,
    act_bits: int,
    input_type: str,
    seed: int,
    density: float = 1.0,
) -> IntegerNetwork:
    """Return a random network: a Linear and a Requantise in turn, the last one a Linear.

    One-bit weights are bipolar, one-bit activations are unsigned where the seed is even and
    bipolar where it is odd. Weights use the most negative value of their type.
    """
    rng = np.random.default_rng(seed)
    source = Tensor.of_type("x", input_type, sizes[0])
    network = chain(source, [("probe", Linear(np.eye(sizes[0], dtype=int)))])
    samples = random_inputs(network, 300, seed)
    ops: list[tuple[str, Operation]] = []
    datatype = input_type
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        linear = Linear(_weights(rng, (n_in, n_out), weight_bits, density))
        ops.append((f"sums{layer}", linear))
        sums = linear.execute(samples)
        if layer == len(sizes) - 2:
            break
        bipolar = act_bits == 1 and seed % 2 == 1
        steps = 1 if bipolar else 2**act_bits - 1
        # Thresholds among the sums that occur, so that every level does.
        rows = np.sort(rng.permuted(sums, axis=0)[:steps].T + rng.integers(0, 2), axis=1)
        signed = act_bits > 1 and seed % 3 == 1
        bias = -1 if bipolar else -(2 ** (act_bits - 1)) if signed else 0
        form = affine_form(rows, *linear.range(*full_box(datatype, n_in))) or Thresholds(rows)
        counts = Requantise(form, bias, 2 if bipolar else 1)
        ops.append((f"codes{layer}", counts))
        samples = counts.execute(sums)
        datatype = "BIPOLAR" if bipolar else f"{'INT' if signed else 'UINT'}{act_bits}"
    return chain(source, ops)


def _weights(
    rng: np.random.Generator, shape: tuple[int, int], bits: int, density: float
) -> np.ndarray:
    if bits == 1:
        return rng.choice([-1, 1], size=shape)
    weights = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size=shape)
    return weights * (rng.random(shape) < density)


@dataclass(frozen=True)
class Built:
    """A network taken as far as stitched RTL."""

    name: str
    network: IntegerNetwork
    streamlined: Streamlined
    styles: Styles
    hardware: Hardware
    stitched: Stitched
    folder: Path

    @property
    def design(self) -> Design:
        """The stages of the hardware."""
        return self.hardware.design


def view_of(cfg: BuildConfig) -> BuildConfig:
    """Return a configuration as a step gets it, with a new scratch folder beside the build's."""
    scratch = tempfile.mkdtemp(prefix=f"{cfg.out.name}.scratch.", dir=cfg.out.parent)
    return cfg.view(no_progress, Path(scratch), cfg.out)


def as_streamlined(network: IntegerNetwork, frames: int = 40, seed: int = 0) -> Streamlined:
    """Return a network as the step that verifies it does, with random frames."""
    x = random_inputs(network, frames, seed)
    vectors = Vectors(x, network.execute(x), "random frames", 0)
    return Streamlined(network, vectors, None, None)


def stitch(
    name: str,
    network: IntegerNetwork,
    out: Path,
    *,
    board: str = "Pynq-Z1",
    styles: tuple[str, ...] | None = None,
    **options,
) -> Built:
    """Take a network through the hardware steps, without FIFOs."""
    options.setdefault("style", "folded")
    out.mkdir(parents=True)
    cfg = view_of(BuildConfig(board=board, model="digits", output_dir=out, **options).validate())
    streamlined = as_streamlined(network)
    chosen = (
        choose_style.step_choose_style(streamlined, cfg)
        if styles is None
        else choose_style.with_styles(streamlined, styles, "asked for", cfg)
    )
    folded = convert.step_convert_to_hw(streamlined, chosen, cfg)
    folded = convert.step_specialize_layers(folded, cfg)
    folded = fold.step_target_fps_parallelization(folded, streamlined, chosen, cfg)
    folded = fold.step_apply_folding_config(folded, streamlined, chosen, cfg)
    hardware = generate.step_hw_codegen(folded, streamlined, chosen, cfg)
    stitched = stitching.step_create_stitched_ip(hardware, cfg)
    return Built(name, network, streamlined, chosen, hardware, stitched, out / "stitched_ip")


def synthesise(built: Built, *, board: str = "Pynq-Z1", **options) -> Synthesised | None:
    """Take a stitched network through the step that synthesises it."""
    out = built.folder.parent
    cfg = view_of(BuildConfig(board=board, model="digits", output_dir=out, **options).validate())
    return step_out_of_context_synthesis(built.streamlined, built.hardware, cfg)


def simulators(built: list[Built], build_dir: Path) -> dict[str, Simulator]:
    """Compile all designs into one library and return a simulator for each, by name."""
    designs = [
        SimDesign(
            item.name,
            [item.folder / name for name in stitched_sources(item.folder)],
            TOP,
            item.design.input.width,
            item.design.output.width,
            item.design.links,
        )
        for item in built
    ]
    library = compile_designs(designs, build_dir=build_dir)
    return {item.name: Simulator(library, item.folder, design=item.name) for item in built}
