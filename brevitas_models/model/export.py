"""QONNX export: a graph from raw features to logits that computes what the model computes.

Every quantiser in the graph has the scale 1 and every scale is a node of its own, so that MatMul
nodes multiply and add integers, which is exact::

    features -> Sub mean -> Div scale [-> Sub centre -> Div width]
    -> [Div step -> Quant -> MatMul -> Mul scale -> Add bias -> Sub -> Mul -> Add (BatchNorm)] ...

A layer of tables looks up a row of integers for each input and adds them::

    -> Div step -> Quant -> Add -> Cast -> Add first row -> Gather -> ReduceSum -> Mul scale
    -> Add bias

All other nodes are single float32 operations, the same and in the same order as in the model in
evaluation mode. Both therefore agree to the last bit wherever weights and activations are
quantised, ties between classes included. (Values that carry their scale would make the last bit of
each sum depend on the order in which a library adds.)
"""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.inject import ExtendedInjector
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveReadableTensorNames
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.model.checkpoint import plain
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.layers import MaskedLinear, Norm
from brevitas_models.model.quant_mlp import QuantMLP, activation
from brevitas_models.model.quantizers import unit_act_quantizer, unit_weight_quantizer
from brevitas_models.model.tables import TableEdges

METADATA_KEY = "prunestream"
# Only where the data are a user's file, targets are numbers, or outputs differ in what they are.
METADATA_IF_KNOWN = ("split", "target_names", "losses")
METADATA = ("model", "dataset", "source", "surrogate", "feature_names", "class_names", "metrics")
INPUT_NAME = "features"
OUTPUT_NAME = "logits"
VALUES_NAME = "values"  # of a single output that does not give classes


def export_qonnx(model: QuantMLP, info: Mapping[str, Any], path: str | Path) -> Path:
    """Write a model as QONNX.

    Parameters
    ----------
    model : QuantMLP
        The model; it is not changed. With ``batch_norm: no_running_stats`` its statistics must
        have been fixed with `QuantMLP.freeze_statistics`.
    info : mapping
        As in a checkpoint: `scaler` ({"mean", "scale"}, n_in numbers each) goes into the graph, and
        `target_scaler`, of as many numbers as there are outputs, if there is one. What `METADATA`
        and `METADATA_IF_KNOWN` name goes as JSON into the metadata property ``prunestream``.
    path : path
        File to write, ``.onnx``; its folder must exist.

    Returns
    -------
    Path
        `path`. Its graph takes ``features`` (1, n_in) float32, raw, and gives ``logits``
        (1, n_classes) float32; ``values`` where targets are numbers; the outputs that the network
        names, where it does.

    Raises
    ------
    UserError
        If there are no statistics to export, or the scaler has a scale that is not positive.
    """
    single = VALUES_NAME if info.get("target_names") else OUTPUT_NAME
    names = tuple(model.config.outputs or (single,))
    return write_graph(Deployed(model, info), info, path, names)


def write_graph(
    module: nn.Module, info: Mapping[str, Any], path: str | Path, outputs: Sequence[str]
) -> Path:
    """Write a module of constants and unit quantisers as QONNX; `outputs` names what it returns.

    It takes raw features (1, n_in); `info` is as in `export_qonnx`.
    """
    path = Path(path)
    size = len(info["scaler"]["mean"])
    with tempfile.TemporaryDirectory() as folder:
        raw = str(Path(folder) / "raw.onnx")
        _trace(module, torch.zeros(1, size), raw)
        graph = cleanup_model(ModelWrapper(raw))
    graph = graph.transform(GiveReadableTensorNames())
    graph.rename_tensor(graph.graph.input[0].name, INPUT_NAME)
    for found, name in zip([out.name for out in graph.graph.output], outputs, strict=True):
        graph.rename_tensor(found, name)
    graph.graph.name = str(info["model"])
    graph.set_metadata_prop(METADATA_KEY, _metadata(info))
    write_atomic(path, graph.model.SerializeToString(deterministic=True))
    return path


def export_bare(model: QuantMLP, path: Path) -> Path:
    """Write a model of which nothing else is known as QONNX; features are standardised ones."""
    n_in, n_out = model.config.layers[0], model.config.layers[-1]
    info = dict.fromkeys(METADATA, "") | {
        "model": path.stem,
        "surrogate": False,
        "feature_names": [f"x{i}" for i in range(n_in)],
        "class_names": [f"c{i}" for i in range(n_out)],
        "metrics": {},
        "scaler": {"mean": np.zeros(n_in), "scale": np.ones(n_in)},
    }
    return export_qonnx(model, info, path)


def _trace(deployed: nn.Module, frame: Tensor, path: str) -> None:
    with warnings.catch_warnings():
        # Brevitas warns at import that an optional package for other hardware is missing.
        warnings.filterwarnings("ignore", message="fast_hadamard_transform")
        from brevitas.export import export_qonnx as brevitas_export
    # With the TorchScript exporter: ten times as fast here as the newer one.
    brevitas_export(deployed, args=frame, export_path=path, dynamo=False)


def _metadata(info: Mapping[str, Any]) -> str:
    content = {key: plain(info[key], key) for key in METADATA}
    for key in METADATA_IF_KNOWN:
        if info.get(key):
            content[key] = plain(info[key], key)
    # JSON has no NaN or infinity: a metric that could not be computed is null.
    content["metrics"] = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in content["metrics"].items()
    }
    return json.dumps(content)


def _scaler(info: Mapping[str, Any], key: str, size: int) -> tuple[Tensor, Tensor]:
    mean = np.asarray(info[key]["mean"], np.float32)
    scale = np.asarray(info[key]["scale"], np.float32)
    if mean.shape != (size,) or scale.shape != (size,):
        raise ValueError(f"{key} of {size} values expected, found {mean.shape}, {scale.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise UserError(f"{key}: expected finite means and scales above 0 for every value")
    return torch.from_numpy(mean), torch.from_numpy(scale)


def _check_statistics(model: QuantMLP) -> None:
    if any(isinstance(norm, Norm) and not norm.frozen for norm in model.norms):
        raise UserError(
            "batch_norm: no_running_stats has no statistics to export; expected a model whose "
            "statistics were fixed with freeze_statistics(training features) after its last "
            "training step"
        )


class Deployed(nn.Module):
    """A model in evaluation mode, made of unit quantisers and constants.

    `info` has the `scaler`, and `target_scaler` if there is one, as in `export_qonnx`, which also
    names the errors.
    """

    @torch.no_grad()
    def __init__(self, model: QuantMLP, info: Mapping[str, Any]) -> None:
        super().__init__()
        mean, scale = _scaler(info, "scaler", model.config.layers[0])
        _check_statistics(model)
        config = model.config
        signed = config.activation == "hardtanh"
        self.mean, self.scale = nn.Buffer(mean), nn.Buffer(scale)
        steps = [model.input_scale(index) for index in range(len(model.linears))]
        acts = [qnn.QuantIdentity(unit_act_quantizer(config.input_bits, signed=True))]
        acts += [
            activation(bits, unit_act_quantizer(bits, signed=signed), signed=signed)
            for bits in config.act_widths
        ]
        own = [model.act_scale(index) for index in range(len(steps))]
        self.acts = nn.ModuleList(map(Quantised, acts, own))
        self.joins = nn.ModuleList(
            _Join(place, config.skips_to(place), own[place], steps) for place in range(len(steps))
        )
        norms = [*model.norms, nn.Identity()]
        self.ranges = model.ranges
        self.layers = nn.ModuleList(
            _Tables(linear)
            if isinstance(linear, TableEdges)
            else _Layer(
                linear, unit_weight_quantizer(bits, narrow_range=config.narrow_range), step, norm
            )
            for linear, bits, step, norm in zip(
                model.linears, config.weight_widths, steps, norms, strict=True
            )
        )

        self.heads = nn.ModuleList(_heads(config, info))

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits (n, n_classes) of raw features (n, n_in), or each of several outputs."""
        total = self.after(self.codes(features))
        found = tuple(head(total) for head in self.heads)
        return found if len(found) > 1 else found[0]

    def codes(self, features: Tensor) -> Tensor:
        """Return the integers (n, n_in) that the inputs become."""
        x: Tensor = self.acts[0](self.ranges((features - self.mean) / self.scale))
        return x

    def after(self, codes: Tensor) -> Tensor:
        """Return the output (n, n_out) for the integers of the inputs."""
        seen = [codes]
        x: Tensor = self.layers[0](codes)
        for act, join, layer in zip(self.acts[1:], self.joins[1:], self.layers[1:], strict=True):
            seen.append(join(act(x), seen))
            x = layer(seen[-1])
        return x


class _Join(nn.Module):
    """A sum of codes and earlier ones, all brought to the scale of the finest.

    Its place is `place`; `places` are those of what is added. `own` is the scale of the codes, None
    if they are float; `steps` are those of what comes into each layer.
    """

    def __init__(
        self, place: int, places: Sequence[int], own: Tensor | None, steps: Sequence[Tensor | None]
    ) -> None:
        super().__init__()
        self.places = tuple(places)
        scales = [own, *(steps[at] for at in places)]
        # Of powers of two, so factors are whole numbers; a sum with floats is of values.
        step = torch.ones(()) if steps[place] is None else steps[place]
        self.factors = nn.ModuleList(
            _Factor(None if scale is None else scale / step) for scale in scales
        )

    def forward(self, codes: Tensor, seen: Sequence[Tensor]) -> Tensor:
        if not self.places:
            return codes
        parts = [codes, *(seen[place] for place in self.places)]
        total, *others = (factor(part) for factor, part in zip(self.factors, parts, strict=True))
        for other in others:
            total = total + other
        return total


class _Factor(nn.Module):
    def __init__(self, factor: Tensor | None) -> None:
        super().__init__()
        self.factor = None if factor is None or factor == 1 else _constant(factor)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.factor is None else x * self.factor


def _heads(config: MLPConfig, info: Mapping[str, Any]) -> list[_Head]:
    """Return what gives each output, of the sums of the last layer."""
    size = config.layers[-1]
    mean = scale = None
    if info.get("target_scaler"):
        mean, scale = _scaler(info, "target_scaler", size)
    sizes = list(config.outputs.values()) if config.outputs else [size]
    stops = np.cumsum(sizes).tolist()
    return [
        _Head(stop - count, stop, len(sizes) > 1, mean, scale)
        for count, stop in zip(sizes, stops, strict=True)
    ]


class _Head(nn.Module):
    """One output: some sums of the last layer, in the units of their targets."""

    def __init__(
        self, start: int, stop: int, part: bool, mean: Tensor | None, scale: Tensor | None
    ) -> None:
        super().__init__()
        self.part = slice(start, stop) if part else None
        if mean is not None and scale is not None:
            mean, scale = mean[start:stop], scale[start:stop]
            if bool((mean == 0).all() and (scale == 1).all()):
                mean = scale = None
        self.mean, self.scale = _constant(mean), _constant(scale)

    def forward(self, total: Tensor) -> Tensor:
        y = total if self.part is None else total[:, self.part]
        return y if self.scale is None else y * self.scale + self.mean


class Quantised(nn.Module):
    """An activation that gives integers; or the float one, where `step` is None."""

    def __init__(self, act: nn.Module, step: Tensor | None) -> None:
        super().__init__()
        self.act = act
        # A step of 1 (bipolar, always) needs no division.
        self.step = None if step is None or step == 1 else _constant(step)

    def forward(self, x: Tensor) -> Tensor:
        """Return integers as floats, or what the float activation gives."""
        return self.act(x if self.step is None else x / self.step)


class _Layer(nn.Module):
    """A Linear layer on integers and the BatchNorm after it, all parameters constant."""

    @torch.no_grad()
    def __init__(
        self,
        linear: MaskedLinear,
        quantizer: type[ExtendedInjector] | None,
        in_step: Tensor | None,
        norm: nn.Module,
    ) -> None:
        super().__init__()
        weight, scale, offset = linear.integers(in_step)
        self.linear = qnn.QuantLinear(
            linear.in_features, linear.out_features, bias=False, weight_quant=quantizer
        )
        self.linear.weight.copy_(weight)
        center = factor = shift = None
        if isinstance(norm, Norm):
            center, factor, shift = norm.terms()
        self.scale, self.offset = _constant(scale), _constant(offset)
        self.center, self.factor, self.shift = map(_constant, (center, factor, shift))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.linear.quant_weight()
        y = x.matmul((weight if isinstance(weight, Tensor) else weight.value).t())
        if self.scale is not None:
            y = y * self.scale
        if self.offset is not None:
            y = y + self.offset
        if self.factor is not None:
            y = (y - self.center) * self.factor
        if self.shift is not None:
            y = y + self.shift
        return y


class _Tables(nn.Module):
    """A layer of tables on integers, all parameters constant."""

    @torch.no_grad()
    def __init__(self, layer: TableEdges) -> None:
        super().__init__()
        rows, scale, offset = layer.integers(None)
        first = torch.arange(layer.in_features) * layer.codes
        self.rows, self.first = nn.Buffer(rows.contiguous()), nn.Buffer(first)
        self.lowest = float(layer.lowest)
        self.scale, self.offset = _constant(scale), _constant(offset)

    def forward(self, x: Tensor) -> Tensor:
        index = (x - self.lowest).to(torch.int64) + self.first
        y = self.rows[index].sum(1) * self.scale
        return y if self.offset is None else y + self.offset


def _constant(value: Tensor | None) -> nn.Buffer | None:
    return None if value is None else nn.Buffer(value.detach().clone())
