"""What a model costs in hardware, for training and studies: QONNX files in, plain values out.

Each function imports what it needs: a training is given all of them and may call none.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finn_builds.errors import UserError

if TYPE_CHECKING:
    from finn_builds.network import IntegerNetwork


@dataclass(frozen=True)
class LogicEstimate:
    """Estimated cost of a network of sparse layers.

    Attributes
    ----------
    luts, flip_flops : int
    latency : int
        Clocks from a frame to its result.
    """

    luts: int
    flip_flops: int
    latency: int


def logic_estimate(model: Path, family: str = "xc7", clock_ns: float = 10.0) -> LogicEstimate:
    """Return what a QONNX model costs in the sparse style, pipelined for a clock period in ns."""
    from finn_builds.sparse.compiler import compile_network

    compiled = compile_network(_network(model), "estimate", family=family, clock_ns=clock_ns)
    cost = compiled.cost()
    return LogicEstimate(int(cost.luts), int(cost.flip_flops), compiled.latency)


def layer_luts(model: Path, family: str = "xc7") -> list[int]:
    """Return the LUTs of each Linear layer of a QONNX model with its activation, each by itself.

    Registers for a pipeline are not counted, nor what layers share with each other.
    """
    from finn_builds.sparse.cost import estimate
    from finn_builds.sparse.family import family_named
    from finn_builds.sparse.lower import lower

    network, target = _network(model), family_named(family)
    parts = (network.part([layer]) for layer in network.layers())
    return [int(estimate(lower(part, target), target).luts) for part in parts]


def check_board(name: str) -> None:
    """Raise `UserError` unless there is such a board."""
    from finn_builds.config.boards import load_board

    load_board(name)


def build_row(model: Path, board: str, synth: str, frames: int) -> dict[str, Any]:
    """Build a QONNX model in the sparse style, verify it, and return the columns of a study's row.

    Parameters
    ----------
    model : Path
    board : str
    synth : str
        As in a build. ``none``: LUTs are those that the build estimates; it estimates no FFs.
    frames : int
        Frames to verify.

    Returns
    -------
    dict
        ``lut``, ``ff``, ``latency_cycles``, ``verified_frames``, ``mismatches``, and
        ``hardware_tool``: what counted LUTs and FFs.

    Raises
    ------
    UserError
        If it can't be built, or LUTs and FFs were to be counted and were not: a synthesis that is
        too slow is stopped, and an estimate among counted figures would be taken for one of them.
    """
    from finn_builds import BuildConfig, build

    with tempfile.TemporaryDirectory(prefix="study-") as folder:
        config = BuildConfig(
            board=board,
            model=str(model),
            style="sparse",
            synth=synth,
            verify_frames=frames,
            output_dir=Path(folder),
        )
        # A build shows what it does on the terminal; a study has its own lines.
        with contextlib.redirect_stdout(None):
            summary = build(config).summary
    counted = summary.get("synthesised")
    if counted is None and synth != "none":
        raise UserError(
            f"LUTs and FFs were to be counted by {synth} and were not "
            f"({summary.get('not_synthesised', 'no reason given')}); run the same command again on "
            f"a less busy machine, or take estimates with hardware.synth: none"
        )
    resources = counted or summary["resources"]
    return {
        "lut": resources["LUT"],
        "ff": resources.get("FF"),
        "latency_cycles": summary["latency_cycles"],
        "verified_frames": summary["frames_verified"],
        "mismatches": summary["mismatches"],
        "hardware_tool": resources["kind"],
    }


def _network(model: Path) -> IntegerNetwork:
    from finn_builds.ingest import integer_mlp, load_model, split_host, tidy, to_thresholds
    from finn_builds.network import Linear, Operation, Requantise, Tensor, Thresholds, chain

    layers = integer_mlp(to_thresholds(split_host(tidy(load_model(model))))).layers
    ops: list[tuple[str, Operation]] = []
    for layer in layers:
        ops.append((layer.name, Linear(layer.weights)))
        if layer.thresholds is not None:
            codes = Requantise(Thresholds(layer.thresholds), layer.out_bias, layer.out_step)
            ops.append((f"{layer.name}_codes", codes))
    first = layers[0]
    return chain(Tensor.of_type("x", first.input_datatype, len(first.weights)), ops)
