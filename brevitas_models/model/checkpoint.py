"""Checkpoints: a trained model in one file, with what is needed to use and to judge it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP

FORMAT = "prunestream-checkpoint"
VERSION = 1
# What `info` holds at least; `config` comes from the model itself.
INFO_KEYS = (
    "model",  # name of the model
    "dataset",  # name of the data set
    "source",  # where the data came from: one sentence
    "surrogate",  # bool: made-up data that stand for the real ones
    "feature_names",  # list of n_in names
    "class_names",  # list of n_classes names; empty where there are `target_names` instead
    "scaler",  # {"mean": n_in numbers, "scale": n_in numbers} of the raw features
    "metrics",  # name -> number
    "seed",
    "versions",  # package -> version
)


def save(path: str | Path, model: QuantMLP, info: Mapping[str, Any]) -> Path:
    """Write a checkpoint; either the whole file is there afterwards or what was there before.

    Equal models and equal `info` give equal bytes. The folder of the file must exist. `info` has at
    least `INFO_KEYS`, with numbers, strings, booleans, None, and lists, tuples, mappings, numpy
    arrays and tensors of these; `config` is taken from the model. Raises ValueError if a key is
    missing, or sizes don't fit those of the model, and TypeError if there is anything else than
    plain values.
    """
    path = Path(path)
    content = plain(info, "info") | {"config": model.config.to_dict()}
    problem = _problem(content, model.config)
    if problem:
        raise ValueError(f"checkpoint info: {problem}")
    state = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
    # Through memory: torch writes the name of the file into it, which differs for each temporary.
    buffer = io.BytesIO()
    # As JSON: pickle would store whether two equal strings happen to be one object.
    text = json.dumps(content)
    torch.save({"format": FORMAT, "version": VERSION, "info": text, "state": state}, buffer)
    write_atomic(path, buffer.getvalue())
    return path


def load(path: str | Path) -> tuple[QuantMLP, dict[str, Any]]:
    """Read a checkpoint: the model, in evaluation mode on the CPU, and its `info`, with `config`.

    Nothing in the file is executed: tensors and plain values, arrays as lists, are all that is
    read. Raises UserError if the file is missing, damaged, or not a checkpoint of this project.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"no checkpoint at {path}; expected a .pt file that train.py wrote, found "
            f"{'a folder' if path.is_dir() else 'nothing'}"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(
            f"can't read checkpoint {path}: {error.strerror or error}; expected a readable file"
        ) from error
    except Exception as error:
        # torch raises a dozen kinds, from UnpicklingError to RuntimeError, on a foreign file.
        raise _not_ours(path, "a file that is damaged or of another kind") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _not_ours(path, "something else that torch can read")
    if content.get("version") != VERSION:
        raise _not_ours(path, f"version {content.get('version')!r} (version {VERSION} is read)")
    return _restore(path, content)


def _restore(path: Path, content: dict[str, Any]) -> tuple[QuantMLP, dict[str, Any]]:
    state = content.get("state")
    try:
        info = json.loads(content.get("info", ""))
    except (TypeError, ValueError):
        info = None
    if not isinstance(info, dict) or not isinstance(state, dict):
        raise _not_ours(path, "a checkpoint without its parts")
    try:
        config = MLPConfig.from_dict(info.get("config", {}))
    except UserError as error:
        raise _not_ours(path, f"a network description that is not valid ({error})") from error
    problem = _problem(info, config)
    if problem:
        raise _not_ours(path, problem)
    model = QuantMLP(config)
    try:
        model.load_state_dict(state)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise _not_ours(path, "parameters that don't fit the network it describes") from error
    return model.eval(), info


def _problem(info: Mapping[str, Any], config: MLPConfig) -> str | None:
    missing = [key for key in INFO_KEYS if key not in info]
    if missing:
        return f"no {', '.join(missing)}"
    scaler = info["scaler"]
    if not isinstance(scaler, dict) or set(scaler) != {"mean", "scale"}:
        return "scaler is not {mean, scale}"
    n_in, n_classes = config.layers[0], config.layers[-1]
    sizes = {
        "feature_names": (info["feature_names"], n_in),
        ("target_names" if info.get("target_names") else "class_names"): (
            info.get("target_names") or info["class_names"],
            n_classes,
        ),
        "scaler mean": (scaler["mean"], n_in),
        "scaler scale": (scaler["scale"], n_in),
    }
    for name, (value, size) in sizes.items():
        if not isinstance(value, list) or len(value) != size:
            return f"{name} is not a list of {size}"
    return None


def _not_ours(path: Path, found: str) -> UserError:
    return UserError(
        f"{path}: expected a checkpoint that train.py wrote, found {found}; train the model again "
        f"or point to another file"
    )


def plain(value: Any, where: str) -> Any:
    """Return `value` in plain Python: arrays, tensors and tuples as lists, numpy's numbers as such.

    Raises TypeError for anything else, saying `where` it is.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, where) for item in value]
    raise TypeError(f"{where}: plain values expected, found {type(value)}")
