"""The models that ship with the project: a recipe, a checkpoint and a card each."""

from __future__ import annotations

import difflib
from pathlib import Path

from brevitas_models.errors import UserError

_FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the names of all shipped models, in alphabetical order."""
    return sorted(file.stem for file in _FOLDER.glob("*.pt"))


def path(name: str) -> Path:
    """Return the checkpoint of a shipped model.

    Raises
    ------
    UserError
        If there is no such model.
    """
    return _file(name, ".pt")


def recipe_path(name: str) -> Path:
    """Return the YAML of a shipped model; raises as `path`."""
    return _file(name, ".yaml")


def card_path(name: str) -> Path:
    """Return the card (Markdown) of a shipped model; raises as `path`."""
    return _file(name, ".md")


def export(name: str, out_path: str | Path) -> Path:
    """Write a shipped model as QONNX.

    Parameters
    ----------
    name : str
        One of `names`.
    out_path : path
        File to write; see `brevitas_models.export.export_qonnx`.

    Returns
    -------
    Path
        `out_path`.

    Raises
    ------
    UserError
        If there is no such model.
    """
    # Here and not above: that a build looks for a model must not import torch.
    from brevitas_models.checkpoint import load
    from brevitas_models.export import export_qonnx

    model, info = load(path(name))
    return export_qonnx(model, info, out_path)


def _file(name: str, suffix: str) -> Path:
    file = _FOLDER / f"{name}{suffix}"
    known = sorted(found.stem for found in _FOLDER.glob(f"*{suffix}"))
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Is {near[0]} meant?" if near else ""
        raise UserError(f"no shipped model {name!r}; there are {', '.join(known) or 'none'}.{hint}")
    return file
