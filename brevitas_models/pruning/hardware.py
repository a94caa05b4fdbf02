"""What a model costs as sparse logic, by the build's own estimate; needs no vendor tool.

The only place on the training side that knows the build side, and only inside functions, so that
training goes without it. All figures are estimates.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brevitas_models.errors import UserError
from brevitas_models.model.config import WIDEST_BUILT
from brevitas_models.model.quant_mlp import QuantMLP

if TYPE_CHECKING:
    from finn_builds.sparse.network import SparseNetwork


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


def sparse_network(model: QuantMLP) -> SparseNetwork:
    """Return the integer network that a build makes logic of.

    Parameters
    ----------
    model : QuantMLP
        All widths 1..8 bits. It is left in evaluation mode.

    Raises
    ------
    UserError
        If there are float or wider weights, activations or inputs, which no build takes.
    """
    from finn_builds.sparse.network import SparseLayer, SparseNetwork

    from brevitas_models.model.export import METADATA, export_qonnx
    from finn_builds.ingest import integer_mlp, load_model, split_host, tidy, to_thresholds

    config = model.config
    if not config.buildable:
        found = sorted({*config.weight_widths, *config.input_widths})
        raise UserError(
            f"the cost in logic: expected weights, activations and inputs of 1..{WIDEST_BUILT} "
            f"bits throughout, found {', '.join(map(str, found))}; change the widths, or choose a "
            f"criterion that needs no cost"
        )
    n_in, n_out = config.layers[0], config.layers[-1]
    info = dict.fromkeys(METADATA, "") | {
        "model": "estimate",
        "surrogate": False,
        "feature_names": [f"x{i}" for i in range(n_in)],
        "class_names": [f"c{i}" for i in range(n_out)],
        "metrics": {},
        "scaler": {"mean": np.zeros(n_in), "scale": np.ones(n_in)},
    }
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        graph = load_model(export_qonnx(model, info, Path(folder) / "model.onnx"))
    network = integer_mlp(to_thresholds(split_host(tidy(graph))))
    low, high = _range(config.input_bits)
    layers: list[SparseLayer] = []
    for layer in network.layers:
        layers.append(
            SparseLayer(layer.weights, layer.thresholds, layer.out_bias, layer.out_step, low, high)
        )
        low, high = layers[-1].output_range()
    return SparseNetwork(tuple(layers), "estimate")


def estimate(model: QuantMLP, family: str = "xc7", clock_ns: float = 10.0) -> LogicEstimate:
    """Return what the whole network costs, pipelined for a clock.

    Parameters
    ----------
    model : QuantMLP
    family : {"xc7", "xcup", "ecp5"}
    clock_ns : float
        Clock period in ns.
    """
    from finn_builds.sparse.compiler import compile_network

    compiled = compile_network(sparse_network(model), family=family, clock_ns=clock_ns)
    cost = compiled.cost()
    return LogicEstimate(int(cost.luts), int(cost.flip_flops), compiled.latency)


def layer_luts(model: QuantMLP, family: str = "xc7") -> list[int]:
    """Return the LUTs of each Linear layer with the thresholds behind it, each by itself.

    Registers for a pipeline are not counted, nor what layers share with each other.
    """
    from finn_builds.sparse.network import SparseNetwork

    from finn_builds.sparse.cost import estimate as estimate_graph
    from finn_builds.sparse.family import family_named
    from finn_builds.sparse.lower import lower

    target = family_named(family)
    return [
        int(estimate_graph(lower(SparseNetwork((layer,)), target), target).luts)
        for layer in sparse_network(model).layers
    ]


def _range(bits: int) -> tuple[int, int]:
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
