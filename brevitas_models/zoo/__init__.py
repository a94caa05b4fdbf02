"""The models that ship with the project: a recipe, a checkpoint, its QONNX and a card each.

Beside them lie the test sets that builds of these models are verified with: ``<data set>.npz``, in
the form that `deploy.tables` reads. A build needs the ``.onnx`` and ``.npz`` files alone. After a
new training of a model, copy its checkpoint and its ``.onnx`` here, and write what
``benchmarks/model_card.py`` prints of it into its card; after a change of a data set, call
`write_data`.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from brevitas_models import datasets
from brevitas_models.errors import UserError

_FOLDER = Path(__file__).resolve().parent

SURROGATE_FRAMES = 4_000
"""Of the 10,000 test frames of the jets' surrogate, so that the file stays small."""


def names() -> list[str]:
    """Return the names of all shipped models, in alphabetical order."""
    return sorted(file.stem for file in _FOLDER.glob("*.pt"))


def path(name: str, suffix: str = ".pt") -> Path:
    """Return a file of a shipped model: ``.pt`` (checkpoint), ``.onnx``, ``.yaml`` or ``.md``."""
    file = _FOLDER / f"{name}{suffix}"
    known = sorted(found.stem for found in _FOLDER.glob(f"*{suffix}"))
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Is {near[0]} meant?" if near else ""
        raise UserError(f"no shipped model {name!r}; there are {', '.join(known) or 'none'}.{hint}")
    return file


def write_data(folder: Path = _FOLDER) -> None:
    """Write the test sets that shipped models are verified with, drawn and split with seed 0."""
    datasets.load("digits").write_test_set(folder / "digits.npz")
    jets = datasets.load("jets", source="surrogate")
    jets.write_test_set(folder / "jets.npz", SURROGATE_FRAMES)
    jets.write_test_set(folder / "jets_unlabelled.npz", SURROGATE_FRAMES, labelled=False)
