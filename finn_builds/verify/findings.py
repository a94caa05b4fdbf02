"""What is odd about a network and the data it was given, though it is verified: warnings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deploy.host_model import HostModel
from finn_builds.network import IntegerNetwork, Requantise
from finn_builds.verify.accuracy import Accuracy, Quality, TargetError
from finn_builds.verify.data import GivenData

#: Share of the input values that may lie outside the input quantiser's range without a warning.
MOST_SATURATED = 0.1

_MOST_NAMED = 5


@dataclass(frozen=True)
class Constant:
    """Elements of a tensor that no input of the network can change."""

    tensor: str
    elements: tuple[int, ...]
    of: int  # elements of the tensor
    output: bool  # the tensor is an output of the network
    origin: str = ""  # what of the user's model it is of, in words

    @property
    def whole(self) -> bool:
        """No element of the tensor changes."""
        return len(self.elements) == self.of


@dataclass(frozen=True)
class Findings:
    """What a user should look at."""

    warnings: tuple[str, ...] = ()
    constants: tuple[Constant, ...] = ()
    # share of the values in front of the input quantiser that lie outside its range
    saturated_inputs: float | None = None


def constants_of(network: IntegerNetwork) -> tuple[Constant, ...]:
    """Return the outputs of layers, and of the network, that no input can change.

    The ranges of the network are exact over all inputs, so an element whose range is a single value
    always has that value.
    """
    found = []
    for node in network.nodes:
        tensor, output = node.output, node.output.name in network.outputs
        if not (output or isinstance(node.op, Requantise)):
            continue
        elements = np.flatnonzero(np.asarray(tensor.low) == np.asarray(tensor.high))
        if len(elements):
            numbers = tuple(int(element) for element in elements)
            found.append(Constant(tensor.name, numbers, tensor.size, output, node.origin))
    return tuple(found)


def findings_of(
    network: IntegerNetwork,
    host: HostModel,
    data: GivenData | None,
    integers: np.ndarray | None = None,
    quality: Quality | None = None,
) -> Findings:
    """Return what is odd about a network, the data, and its answers to them.

    Parameters
    ----------
    integers : (n, n_out) or None
        The network's outputs for the data.
    quality : Accuracy, TargetError or None
        What the data say of them.
    """
    constants = constants_of(network)
    warnings = _of_constants(constants, host)
    saturated = None
    if data is not None and len(data.x):
        saturated = float(host.saturated(data.x).mean())
        if saturated > MOST_SATURATED:
            warnings.append(
                f"{saturated:.0%} of the input values lie outside the range of the input quantiser "
                "and are cut off: are the data scaled as for the training?"
            )
    if data is not None:
        warnings += _of_data(data)
    if data is not None and integers is not None:
        warnings += _of_answers(host, data, integers, quality)
    return Findings(tuple(warnings), constants, saturated)


def _of_data(data: GivenData) -> list[str]:
    """Return what makes data say little, whatever the network answers."""
    warnings = []
    if len(data.x) > 1 and (data.x == data.x[0]).all():
        warnings.append(f"the {len(data.x):,} frames of the data are all equal")
    if data.y is not None and len(data.y) > 1 and (data.y == data.y[0]).all():
        warnings.append(
            "all frames of the data are of one class: the accuracy says nothing of the others"
        )
    return warnings


def _of_constants(constants: tuple[Constant, ...], host: HostModel) -> list[str]:
    warnings = []
    for found in constants:
        if found.whole:
            what = "output of the network" if found.output else "neuron of the layer"
            origin = f" (of {found.origin})" if found.origin else ""
            warnings.append(
                f"no {what} {found.tensor!r}{origin} ever changes, whatever the input: its "
                f"{found.of} values are constants of the model"
            )
        elif found.output:
            names = [_output_name(host, element) for element in found.elements[:_MOST_NAMED]]
            more = len(found.elements) - len(names)
            warnings.append(
                f"output {', '.join(names)}{f' and {more} more' if more else ''} of the network "
                "never changes, whatever the input"
            )
    return warnings


def _output_name(host: HostModel, element: int) -> str:
    named = len(host.class_names) == host.n_scores
    return f"{element} ({host.class_names[element]})" if named else str(element)


def _of_answers(
    host: HostModel, data: GivenData, integers: np.ndarray, quality: Quality | None
) -> list[str]:
    if data.y is None or not isinstance(quality, Accuracy):
        if not isinstance(quality, TargetError):
            return []
        own, constant = quality.rmse, quality.rmse_of_constant
        if own is not None and constant is not None and own >= constant:
            return ["the network is not closer to the targets than their mean would be"]
        return []
    found, outputs = host.classify(integers), max(2, host.n_scores)
    if len(np.unique(found)) == 1 < len(np.unique(data.y)):
        name = _output_name(host, int(found[0])) if host.n_scores > 1 else str(found[0])
        return [
            f"the network answers class {name} on every frame: its accuracy is only the share of "
            "that class"
        ]
    chance = 1 / outputs
    if quality.accuracy < chance - 3 * math.sqrt(chance * (1 - chance) / quality.frames):
        order = f"; taken as {data.classes}" if data.classes else ""
        return [
            f"the accuracy is far below chance ({chance:.1%}): are the classes of the data in the "
            f"order of the model's outputs{order}? --classes gives another order"
        ]
    return []
