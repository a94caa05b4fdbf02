"""The files that a build reads and the folder that it fills: found, and made absolute."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from finn_builds.config.fingerprint import ROOT
from finn_builds.errors import UserError

#: The models that ship with the project and the test sets of their data sets, as files.
ZOO = ROOT / "brevitas_models" / "zoo"

#: Where a test set that training has downloaded lies, under the name of its data set.
DATA_CACHE = Path.home() / ".cache" / "prunestream"


def is_path(text: str) -> bool:
    """Tell a path (it has a suffix or a separator) from a name."""
    return bool(Path(text).suffix) or "/" in text


def existing_file(what: str, given: str | Path) -> Path:
    """Return the absolute path of a file, or raise UserError if there is none to read."""
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        found = "this is a folder" if path.is_dir() else "there is no such file"
        raise UserError(f"{what} {given}: {found}; expected a file, check the path")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} {given}: no permission to read this file; change its permissions")
    return path


def model_names() -> list[str]:
    """Return the names of the models of the zoo, in alphabetical order."""
    return sorted(file.stem for file in ZOO.glob("*.onnx"))


def data_names() -> list[str]:
    """Return the names of the data sets that come with the project, in alphabetical order."""
    return sorted(file.stem for file in ZOO.glob("*.npz"))


def model_file(given: str) -> Path:
    """Return the QONNX file of a model given as `find_model` returns it."""
    return Path(given) if is_path(given) else ZOO / f"{given}.onnx"


def data_file(given: str) -> Path:
    """Return the file of data given as `find_data` returns them; real data win over shipped."""
    if is_path(given):
        return Path(given)
    downloaded = DATA_CACHE / f"{given}.npz"
    return downloaded if downloaded.is_file() else ZOO / downloaded.name


def find_model(given: str) -> str:
    """Return the name of a model of the zoo as it is, or the absolute path of a model's file."""
    if is_path(given):
        return str(existing_file("model", given))
    if given not in model_names():
        raise UserError(
            f"unknown model {given!r}: the zoo has {', '.join(model_names()) or 'none'}; "
            f"a QONNX file is given by its path, e.g. ./{given}.onnx"
        )
    return given


def find_data(given: str | None) -> str | None:
    """Return the name of a data set as it is, or the absolute path of a data file."""
    if given is None or given in data_names():
        return given
    if not is_path(given):
        raise UserError(
            f"unknown data {given!r}: expected {', '.join(data_names())}, or the path "
            "of a .npz, .npy, .csv, .tsv or .txt file; give one of them"
        )
    return str(existing_file("data", given))


def find_folding(given: str | Path | None) -> Path | None:
    """Return the absolute path of a folding configuration, a JSON object."""
    if given is None:
        return None
    path = existing_file("folding configuration", given)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"folding configuration {path}: not a JSON file ({error}); expected FINN's format, "
            "as auto_folding_config.json of any build has it"
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"folding configuration {path}: expected an object of node names, "
            f"found {type(content).__name__}; see auto_folding_config.json of any build"
        )
    return path


def find_output_dir(given: str | Path, inputs: Iterable[str | Path | None]) -> Path:
    """Return the absolute path of a build folder, which need not be there yet.

    Of the inputs of the build, names of data sets and None are passed over. Raises UserError where
    a build would overwrite what is not a build's.
    """
    out = Path(given).expanduser().absolute()
    if out.exists() and not out.is_dir():
        raise UserError(
            f"output folder {out}: there is a file of that name; choose another one (--out)"
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise UserError(
            f"output folder {out}: a build needs a folder of its own, this one holds the "
            "present one; choose another (--out)"
        )
    for package in ("board_configs", "brevitas_models", "deploy", "finn_builds", "tests"):
        if out.resolve().is_relative_to(ROOT / package):
            raise UserError(f"output folder {out} lies among the sources: choose another one")
    files = [Path(given) for given in inputs if given is not None and is_path(str(given))]
    for file in files:
        if file.resolve().is_relative_to(out.resolve()):
            raise UserError(
                f"output folder {out} holds the input {file}, which the build would delete: "
                f"move the file or choose another folder"
            )
    return out
