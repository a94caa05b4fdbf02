"""Move the floating point at both ends of a network to the host."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_model import FORMAT_VERSION, HostModel
from finn_builds.errors import UserError
from finn_builds.files import HOST_FILE, checkpoint_path, read_json, write_json
from finn_builds.ingest.accumulators import accumulator_datatype
from finn_builds.ingest.chain import Chain, Step, read_plain, write_chain
from finn_builds.ingest.elementwise import operations
from finn_builds.ingest.input_quant import InputQuant, insert
from finn_builds.ingest.lattice import Lattice
from finn_builds.ingest.sections import (
    Sections,
    final_lattice,
    hidden_lattice,
    input_lattice,
    sections,
)

#: Metadata of the core's checkpoint: the quantiser in front of it, as JSON.
INPUT_QUANT = "input_quant"
MODEL_INFO = "prunestream"


@dataclass(frozen=True, eq=False)
class HostSplit:
    """A model in two parts: what the host computes, and the core of integers between.

    The core has the input ``global_in`` (1, n_in) and the output ``global_out`` (1, n_out),
    annotated as integers; each of its MatMuls multiplies integers by integers.
    """

    core: Chain
    description: dict[str, Any]  # the host's part, for HostModel
    input_quant: InputQuant | None  # put in front of the model's first layer

    @cached_property
    def host(self) -> HostModel:
        """What the host computes, ready to execute."""
        return HostModel.from_dict(self.description)

    def save(self, out: Path, step: str) -> None:
        """Write the host's part as ``host_model.json`` and the core as a checkpoint."""
        quant = None if self.input_quant is None else asdict(self.input_quant)
        core = replace(self.core, metadata={INPUT_QUANT: json.dumps(quant)})
        write_chain(core).save(str(checkpoint_path(out, step)))
        write_json(out / HOST_FILE, self.description)

    @classmethod
    def load(cls, out: Path, step: str) -> HostSplit:
        """Read what `save` wrote."""
        core = read_plain(ModelWrapper(str(checkpoint_path(out, step))))
        quant = json.loads(core.metadata[INPUT_QUANT])
        core = replace(core, metadata={})
        return cls(core, read_json(out / HOST_FILE), None if quant is None else InputQuant(**quant))


def split_host(model: ModelWrapper, input_quant: InputQuant | None = None) -> HostSplit:
    """Separate the integer core of a tidied model from what the host does before and after it.

    The core takes the integers that stand for the quantised input. It gives the accumulators of the
    last layer, or, where the network ends in a quantizer of up to 8 bits, that quantizer's
    integers. Raises UserError if the input is not quantised and no quantizer is given, or is and
    one is given.
    """
    chain = read_plain(model)
    if input_quant is not None:
        chain = insert(chain, input_quant)
    parts = sections(chain)
    into = require_input(chain, parts, input_lattice(chain, parts))
    steps: list[Step] = []
    lattice = into
    after: list[Step] = []
    for i, layer in enumerate(parts.layers):
        weights = layer.matmul.constants[0].astype(np.int64)
        sums = accumulator_datatype(layer.matmul, weights, lattice.datatype)
        steps.append(replace(layer.matmul, datatype=sums))
        values = lattice.from_codes(f"{layer.matmul.name}_input", weights)
        last = i == len(parts.layers) - 1
        quantised = final_lattice(parts) if last else hidden_lattice(parts, i)
        if quantised is None:
            after = [*values, *layer.tail]
            break
        steps += [*values, *quantised.kept, *quantised.to_codes(f"{layer.matmul.name}_output")]
        lattice = quantised
        after = quantised.from_codes("output", None)
    n_in = parts.layers[0].matmul.constants[0].shape[0]
    core = Chain("global_in", (1, n_in), into.datatype, "global_out", tuple(steps), {})
    return HostSplit(core, _describe(chain, parts, into, core, after), input_quant)


def require_input(chain: Chain, parts: Sections, lattice: Lattice | None) -> Lattice:
    """Return the lattice of the input, or raise UserError where there is none."""
    if lattice is None:
        raise UserError(
            f"input '{chain.input_name}' reaches {parts.layers[0].matmul} without a quantizer; "
            "pass --input-quant INT8 to insert one, with --input-scale or with data to find its "
            "range from"
        )
    return lattice


def _plain(value: Any) -> Any:
    """Return an operation's constant as JSON holds it; float32 values survive exactly."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _json_operations(steps: list[Step] | tuple[Step, ...]) -> list[dict[str, Any]]:
    return [
        {k: _plain(v) for k, v in op.items()}
        for step in steps
        for op in operations(step, np.float32)
    ]


def _describe(
    chain: Chain, parts: Sections, into: Lattice, core: Chain, after: list[Step]
) -> dict[str, Any]:
    argmax = bool(after) and after[-1].op == "ArgMax"
    after = after[:-1] if argmax else after
    info = _parsed(chain.metadata.get(MODEL_INFO))
    values = None
    if chain.input_datatype:
        kind = DataType[chain.input_datatype]
        values = {"datatype": kind.name, "min": int(kind.min()), "max": int(kind.max())}
    return {
        "version": FORMAT_VERSION,
        "input": {
            "name": chain.input_name,
            "shape": list(chain.input_shape[1:]),
            "n": core.input_shape[1],
            "datatype": core.input_datatype,
            "values": values,
        },
        "before": _json_operations(into.kept),
        "codes": {
            "scale": float(into.scale),
            "divisor": into.divisor,
            "zero_point": into.zero_point,
            "min": into.low,
            "max": into.high,
        },
        "output": {
            "name": chain.output_name,
            "n": parts.layers[-1].matmul.constants[0].shape[1],
            "datatype": core.steps[-1].datatype,
            "kind": _output_kind(parts, argmax),
        },
        "after": _json_operations(after),
        "feature_names": info.get("feature_names") or [],
        "class_names": info.get("class_names") or [],
    }


def _output_kind(parts: Sections, argmax: bool) -> str:
    if argmax:
        return "argmax"
    tail = parts.layers[-1].tail
    if tail and tail[-1].op in ("Softmax", "Sigmoid"):
        return "probabilities"
    return "logits" if final_lattice(parts) is None else "levels"


def model_info(model: ModelWrapper) -> dict[str, Any]:
    """Return what ``train.py`` wrote about a model, an empty dict where it did not.

    It holds the data set and the recipe of the training, and the names of features and classes.
    """
    return _parsed(model.get_metadata_prop(MODEL_INFO))


def _parsed(text: str | None) -> dict[str, Any]:
    """Return metadata as a dict; entries of another form are left out."""
    try:
        info = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return info if isinstance(info, dict) else {}
