"""A torch module of Brevitas layers as a QONNX file.

Neither torch nor Brevitas is needed to build from a file, so they are imported only here, when a
module is given: whoever has one has both.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

from finn_builds.errors import UserError


def exported(module: Any, example: object, file: Path) -> Path:
    """Write a ``torch.nn.Module``, in evaluation mode, as QONNX and return the file.

    The example, an array or a tensor, has one or more frames; the file takes one at a time. Raises
    UserError if it is no module, there is no example, or Brevitas can't export it.
    """
    if not hasattr(module, "state_dict"):
        raise UserError(
            f"model: expected a name, a path or a torch module, found {type(module).__name__}"
        )
    if example is None:
        raise UserError(
            "model is a torch module: expected example=x with it, a frame as the module takes it"
        )
    torch = importlib.import_module("torch")
    export = importlib.import_module("brevitas.export")
    frame = torch.as_tensor(example, dtype=torch.float32)[:1]
    training = module.training
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export.export_qonnx(module.eval(), args=frame, export_path=str(file), dynamo=False)
    except Exception as error:
        # Brevitas and torch have no common class for what they can't export.
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"Brevitas can't export {type(module).__name__} to QONNX: {said}; "
            "export it yourself and give the file"
        ) from error
    finally:
        module.train(training)
    return file
