"""A model in two parts: the integer network, and what the host computes before and after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_model import FORMAT_VERSION, HostModel
from finn_builds.errors import UserError
from finn_builds.files import HOST_FILE, checkpoint_path, read_json, write_json
from finn_builds.ingest.elementwise import operations
from finn_builds.ingest.growing import Growing
from finn_builds.ingest.input_quant import InputQuant
from finn_builds.ingest.reading import Graph, read
from finn_builds.ingest.settling import Boundary, Settling
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import Symbol, known_line, line_of
from finn_builds.ingest.walk import Walk
from finn_builds.network import IntegerNetwork, Linear
from finn_builds.network.types import common_datatype

#: Metadata of a model: what ``train.py`` wrote about it, as JSON.
MODEL_INFO = "prunestream"


@dataclass(frozen=True, eq=False)
class Link:
    """Where integers of the network are values of the model: ``scale * integer + offset``."""

    tensor: str  # of the model
    shape: tuple[int, ...]  # of that tensor, batch of 1 first
    places: np.ndarray  # (n,): the elements, in the tensor as a vector
    at: np.ndarray  # (n,): the integers, in all inputs or all outputs side by side
    scale: np.ndarray  # of Fraction (n,)
    offset: np.ndarray  # of Fraction (n,)


@dataclass(frozen=True, eq=False)
class HostSplit:
    """The integer network of a model, the host's part, and how both lie in the model."""

    network: IntegerNetwork
    description: dict[str, Any]  # the host's part, for HostModel
    inputs: tuple[Link, ...]
    outputs: tuple[Link, ...]
    input_quant: InputQuant | None  # put on the tensors `inserted` of the model
    inserted: tuple[str, ...]

    @cached_property
    def host(self) -> HostModel:
        """What the host computes, ready to execute."""
        return HostModel.from_dict(self.description)

    def shown_names(self) -> dict[str, str]:
        """Return the model's names of the network's outputs, where one is an output as it is."""
        found: dict[str, str] = {}
        begin = 0
        outputs = self.description["outputs"]
        for name in self.network.outputs:
            places = list(range(begin, begin + self.network.tensor(name).size))
            begin += len(places)
            whole = places == list(range(self.description["n_out"]))
            same = [o for o in outputs if o["take"] == places or (o["take"] is None and whole)]
            if len(same) == 1:
                found[name] = same[0]["name"]
        return found

    def save(self, out: Path, step: str) -> None:
        """Write the host's part as ``host_model.json``, the rest as checkpoints."""
        write_json(out / HOST_FILE, self.description)
        self.network.save(checkpoint_path(out, step, ".npz"))
        arrays: dict[str, np.ndarray] = {}
        headers: dict[str, Any] = {
            "input_quant": None if self.input_quant is None else asdict(self.input_quant),
            "inserted": list(self.inserted),
        }
        for side in ("inputs", "outputs"):
            links: tuple[Link, ...] = getattr(self, side)
            headers[side] = [{"tensor": link.tensor, "shape": list(link.shape)} for link in links]
            for k, link in enumerate(links):
                arrays |= {f"{side}.{k}.{name}": getattr(link, name) for name in _PLACES}
                for name in _FRACTIONS:
                    texts = [str(v) for v in getattr(link, name)]
                    arrays[f"{side}.{k}.{name}"] = np.array(texts, dtype=np.str_)
        with checkpoint_path(out, step, ".links.npz").open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, header=np.array(json.dumps(headers)), **arrays
            )

    @classmethod
    def load(cls, out: Path, step: str) -> HostSplit:
        """Read what `save` wrote."""
        with np.load(checkpoint_path(out, step, ".links.npz"), allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        header = json.loads(str(held["header"]))

        def links(side: str) -> tuple[Link, ...]:
            return tuple(
                Link(
                    item["tensor"],
                    tuple(item["shape"]),
                    **{name: held[f"{side}.{k}.{name}"] for name in _PLACES},
                    **{name: _fractions(held[f"{side}.{k}.{name}"]) for name in _FRACTIONS},
                )
                for k, item in enumerate(header[side])
            )

        quant = header["input_quant"]
        return cls(
            IntegerNetwork.load(checkpoint_path(out, step, ".npz")),
            read_json(out / HOST_FILE),
            links("inputs"),
            links("outputs"),
            None if quant is None else InputQuant(**quant),
            tuple(header["inserted"]),
        )


_PLACES, _FRACTIONS = ("places", "at"), ("scale", "offset")


def _fractions(texts: np.ndarray) -> np.ndarray:
    found = np.empty(len(texts), dtype=object)
    found[:] = [Fraction(text) for text in texts.tolist()]
    return found


def split_host(
    model: ModelWrapper, input_quant: InputQuant | None = None, *, host_input: bool = False
) -> HostSplit:
    """Separate the integers of a tidied model from what the host does before and after them.

    The network takes the integers that stand for the quantised inputs. It gives the last integers
    on the way to each output: those of a quantizer at its end, or accumulators. Where an input is
    quantised by a power of two, elementwise operations after its first quantizer are the network's,
    with `host_input` the host's. Raises UserError, naming everything, for what can't be built; and
    if an input is not quantised and no quantizer is given, or one is given and none is needed.
    """
    graph = read(model)
    walk = Walk(graph, input_quant, host_input)
    walk.run()
    outputs = walk.outputs(graph.outputs)
    if input_quant is not None and not walk.state.inserted:
        raise UserError(
            "the model quantises its input itself; leave out --input-quant and --input-scale"
        )
    return _split(graph, walk.state, outputs)


def _split(graph: Graph, state: Settling, symbols: Sequence[Symbol]) -> HostSplit:
    symbols = _with_fills_anywhere(symbols)
    results, moved = _results(state.net, symbols)
    network, names = state.net.finish(results)
    known = {names[v]: v for v in state.net.inputs}
    boundaries = {b.vector: b for b in state.boundaries}
    used = [boundaries[known[tensor.name]] for tensor in network.inputs]
    begins = dict(
        zip(
            network.outputs,
            np.cumsum([0, *(network.tensor(n).size for n in network.outputs)]),
            strict=False,
        )
    )
    into, begin = [], 0
    for b in used:
        into.append(_input_link(b, begin))
        begin += len(b.take)
    out, described = [], []
    for name, symbol in zip(graph.outputs, symbols, strict=True):
        at = np.array(
            [
                begins[names[moved[v, i][0]]] + moved[v, i][1]
                for v, i in zip(symbol.vectors.tolist(), symbol.index.tolist(), strict=True)
            ]
        )
        out += _output_links(symbol, at)
        described.append(_described_output(name, symbol, at, network))
    description = {
        "version": FORMAT_VERSION,
        "inputs": [_described_input(b, graph) for b in used],
        "input_datatype": common_datatype([tensor.datatype for tensor in network.inputs]),
        "outputs": described,
        "output_datatype": common_datatype(
            [network.tensor(name).datatype for name in network.outputs]
        ),
        "n_out": sum(network.tensor(name).size for name in network.outputs),
        **_of_training(graph),
    }
    return HostSplit(
        network,
        description,
        tuple(into),
        tuple(out),
        state.input_quant,
        tuple(sorted(state.inserted)),
    )


def _with_fills_anywhere(symbols: Sequence[Symbol]) -> list[Symbol]:
    """Return outputs whose constant elements are functions of an element that is there anyway."""
    constant = [_is_fill(symbol.steps, symbol.size) for symbol in symbols]
    free = [(k, int(np.argmin(fill))) for k, fill in enumerate(constant) if not fill.all()]
    if not free:
        return list(symbols)
    k, at = free[0]
    vector, index = symbols[k].vectors[at], symbols[k].index[at]
    return [
        replace(
            symbol,
            vectors=np.where(fill, vector, symbol.vectors),
            index=np.where(fill, index, symbol.index),
        )
        for symbol, fill in zip(symbols, constant, strict=True)
    ]


def _is_fill(steps: Sequence[Step], n: int) -> np.ndarray:
    """Return which elements are a number whatever the network gives, bool (n,)."""
    line = line_of(steps, n)
    if line is not None:
        return np.array([not v for v in line.scale], dtype=bool)
    for i, step in enumerate(steps):
        found = [_is_fill(branch, n) for branch in step.branches]
        if step.op == "Switch":
            return np.choose(step.constants[0], found)
        if step.op == "Joined":
            return np.logical_and(*found)
        if line_of(steps[: i + 1], n) is None:
            break
    return np.zeros(n, dtype=bool)


def _results(
    net: Growing, symbols: Sequence[Symbol]
) -> tuple[list[int], dict[tuple[int, int], tuple[int, int]]]:
    """Return the vectors that the network gives, and where each element of the outputs is."""
    elements: dict[int, set[int]] = {}
    for symbol in symbols:
        for v, i in zip(symbol.vectors.tolist(), symbol.index.tolist(), strict=True):
            elements.setdefault(v, set()).add(i)
    results: list[int] = []
    moved: dict[tuple[int, int], tuple[int, int]] = {}
    for v, places in elements.items():
        index = np.array(sorted(places))
        size = net.tensors[v].size
        result = v
        if v in net.inputs or len(index) < size:
            ones = np.eye(len(index), dtype=np.int64)
            chosen = Symbol((1, len(index)), np.full(len(index), v), index)
            result = net.linear(chosen, ones, None, "an output")
            moved |= {(v, int(i)): (result, k) for k, i in enumerate(index)}
        else:
            moved |= {(v, i): (v, i) for i in range(size)}
        results.append(result)
    return results, moved


def _input_link(b: Boundary, begin: int) -> Link:
    n = len(b.take)
    line = known_line(b.values, n)
    return _link(b.mark, np.arange(begin, begin + n), line.scale, line.offset)


def _output_links(symbol: Symbol, at: np.ndarray) -> list[Link]:
    """Return the last tensors of the model that are exact lines of the network's integers.

    There are several where the output is a concatenation of different functions.
    """
    head = symbol.steps[0] if symbol.steps else None
    if head is not None and head.op == "Switch" and line_of([head], symbol.size) is None:
        which = np.asarray(head.constants[0])
        parts = [np.flatnonzero(which == k) for k in range(len(head.branches))]
        return [
            link
            for branch, part in zip(head.branches, parts, strict=True)
            for link in _output_links(
                replace(symbol, steps=branch).selected(part, (1, len(part))), at[part]
            )
        ]
    if head is not None and head.op == "Joined":
        # Of the two functions of the same elements one has the tensor before it.
        found = (_output_links(replace(symbol, steps=branch), at) for branch in head.branches)
        return next((links for links in found if links), [])
    last, end = None, 0
    for i, step in enumerate(symbol.steps):
        if line_of(symbol.steps[: i + 1], symbol.size) is None:
            break
        if step.op == "Mark":
            last, end = step, i
    if last is None:  # a fill
        return []
    line = known_line(symbol.steps[:end], symbol.size)
    return [_link(last, at, line.scale, line.offset)]


def _link(mark: Step, at: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> Link:
    places = np.arange(len(at)) if mark.places is None else mark.places
    varies = np.array([bool(v) for v in scale], dtype=bool)  # constants come from no integer
    shape = tuple(mark.attrs["shape"])
    return Link(mark.tensor, shape, places[varies], at[varies], scale[varies], offset[varies])


def _described_input(b: Boundary, graph: Graph) -> dict[str, Any]:
    (model_input,) = (i for i in graph.inputs if i.name == b.source)
    values = None
    if b.datatype is not None:
        kind = DataType[b.datatype]
        values = {"datatype": kind.name, "min": int(kind.min()), "max": int(kind.max())}
    n = len(b.take)
    whole = n == int(np.prod(model_input.shape)) and (b.take == np.arange(n)).all()
    return {
        "name": b.source,
        "shape": list(model_input.shape[model_input.shape[0] == 1 :]),
        "n": n,
        "take": None if whole else b.take.tolist(),
        "datatype": b.codes.datatype,
        "values": values,
        "before": _json_operations(b.before),
        "codes": {
            "scale": _plain(b.codes.scale),
            "divisor": b.codes.divisor,
            "zero_point": b.codes.zero_point,
            "min": b.codes.low,
            "max": b.codes.high,
        },
    }


def _described_output(
    name: str, symbol: Symbol, at: np.ndarray, network: IntegerNetwork
) -> dict[str, Any]:
    steps = [step for step in symbol.steps if step.op != "Mark"]
    argmax = bool(steps) and steps[-1].op == "ArgMax"
    n_out = sum(network.tensor(out).size for out in network.outputs)
    whole = len(at) == n_out and (at == np.arange(n_out)).all()
    made = {node.output.name: node.op for node in network.nodes}
    sums = any(isinstance(made[out], Linear) for out in network.outputs)
    kind = "logits" if sums else "levels"
    if argmax:
        kind = "argmax"
    elif steps and steps[-1].op in ("Softmax", "Sigmoid"):
        kind = "probabilities"
    return {
        "name": name,
        "shape": [1] if argmax else list(symbol.shape[symbol.shape[0] == 1 :]) or [1],
        "take": None if whole else at.tolist(),
        "kind": kind,
        "after": _json_operations(steps[:-1] if argmax else steps),
    }


def _plain(value: Any) -> Any:
    """Return an operation's constant as JSON holds it; float32 values survive exactly."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _json_operations(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [_plain(op) for step in steps for op in operations(step, np.float32)]


def _of_training(graph: Graph) -> dict[str, Any]:
    """Return what the host has to know of the training, as far as the model says it."""
    info = _parsed(graph.metadata.get(MODEL_INFO))
    names = {name: info.get(name) or [] for name in ("feature_names", "class_names")}
    return names | {name: info[name] for name in ("losses", "split") if info.get(name)}


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
