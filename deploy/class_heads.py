"""The outputs of a model that say a class beside others that are numbers, and their targets."""

import math

import numpy as np

from deploy.errors import HostModelError
from deploy.host_model import HostModel

#: An output that says a class: its name, and its places among the values of all outputs.
ClassHead = tuple[str, slice]

# What an output of the scores of classes may end in.
_SOFTMAX = (("softmax",), ("log_softmax",))


def class_heads(host: HostModel) -> list[ClassHead]:
    """Return the outputs that say a class, each by one value or by a score of each class.

    They are known by what the training says, or by the argmax or softmax that they end in. A single
    output of which the training says nothing is none.
    """
    sizes = _sizes(host)
    trained = len(host.losses) == sum(sizes)
    if len(host.outputs) == 1 and not trained:
        return []
    found, begin = [], 0
    for out, size in zip(host.outputs, sizes, strict=True):
        place = slice(begin, begin + size)
        begin += size
        chosen = out.kind == "argmax" or (size > 1 and out.operations[-1:] in _SOFTMAX)
        if set(host.losses[place]) == {"cross_entropy"} if trained else chosen:
            found.append((out.name, place))
    return found


def numbers_beside(heads: list[ClassHead], host: HostModel) -> list[int]:
    """Return the places, among the values of all outputs, of those that are in no class head."""
    classes = {at for _, columns in heads for at in range(columns.start, columns.stop)}
    return [at for at in range(sum(_sizes(host))) if at not in classes]


def with_all_values(targets: np.ndarray, host: HostModel) -> tuple[np.ndarray, list[ClassHead]]:
    """Return targets with one column for each value of all outputs, and the class heads.

    `targets` is (n, values), or has one column, the class counted from 0, for each output of
    several scores: then these outputs are classes. `HostModelError` if they do not fit.
    """
    sizes, width = _sizes(host), targets.shape[1]
    if width == sum(sizes):
        return targets, class_heads(host)
    if width != len(sizes) or width == 1:
        raise HostModelError(
            f"{width} targets a frame, but the model has {sum(sizes)} outputs; give a target "
            "for each of them, or of each output of scores its class"
        )
    parts, heads, begin = [], [], 0
    for out, size, column in zip(host.outputs, sizes, targets.T, strict=True):
        if size > 1 and not np.isin(column, np.arange(size)).all():
            raise HostModelError(
                f"{width} targets a frame, of which that of output '{out.name}' is not a class "
                f"from 0 to {size - 1}; give a target for each of all {sum(sizes)} values, or "
                "classes"
            )
        if size > 1 or out.kind == "argmax":
            heads.append((out.name, slice(begin, begin + size)))
        whole = column[:, None] == np.arange(size) if size > 1 else column[:, None]
        parts.append(whole.astype(targets.dtype))
        begin += size
    return np.concatenate(parts, axis=1), heads


def classes_right(outputs: np.ndarray, targets: np.ndarray, columns: slice) -> np.ndarray:
    """Return in which frames an output says the right class, bool (n,).

    `outputs` and `targets`, (n, values), have in `columns` the class, or a score of each class.
    """
    found, wanted = outputs[:, columns], targets[:, columns]
    if found.shape[1] == 1:
        return np.rint(found[:, 0]) == wanted[:, 0]
    return found.argmax(axis=1) == wanted.argmax(axis=1)


def _sizes(host: HostModel) -> list[int]:
    return [math.prod(out.shape) for out in host.outputs]
