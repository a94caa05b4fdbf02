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

    The example has one or more frames, of which the file takes one at a time: an array, a tensor, a
    table of pandas or a list of numbers; of one dimension it is a single frame. A tuple of arrays
    is for several inputs. Raises UserError if it is no module, there is no example, or Brevitas
    can't export it.
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
    given = example if isinstance(example, tuple) else (example,)
    examples = given if all(hasattr(one, "shape") for one in given) else (example,)
    frames = [_frame(torch, one) for one in examples]
    module = getattr(module, "_orig_mod", module)  # what torch.compile has wrapped
    training = module.training
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export.export_qonnx(
                module.eval(), args=tuple(frames), export_path=str(file), dynamo=False
            )
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


def _frame(torch: Any, example: object) -> Any:
    """Return the first frame of an example, as a batch of one."""
    numbers = example.to_numpy() if hasattr(example, "to_numpy") else example
    try:
        frames = torch.as_tensor(numbers, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"example: expected numbers of shape (frames, ...), found {type(example).__name__} "
            f"({said}); give an array or a tensor, for example example=x[:1]"
        ) from error
    if frames.numel() == 0:
        raise UserError(
            f"example: expected one frame or more, found shape {tuple(frames.shape)}; give at "
            "least one"
        )
    return frames[None] if frames.ndim < 2 else frames[:1]
