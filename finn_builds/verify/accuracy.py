"""How often a network is right, on which data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deploy.host_model import HostModel
from finn_builds.ingest import IntegerMLP, Reference
from finn_builds.verify.frames import LabelledData


def share_right(classes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the share of right classes and its binomial standard error.

    Parameters
    ----------
    classes, labels : ndarray of int, shape (n,)
        Found and true class indices.
    """
    share = float((classes == labels).mean())
    return share, math.sqrt(share * (1 - share) / len(labels))


def accuracy_report(host: HostModel, network: IntegerMLP, data: LabelledData) -> dict[str, Any]:
    """Return accuracy, standard error and source of an integer network on labelled data."""
    classes = host.classify(network.execute(host.before(data.x)))
    accuracy, error = share_right(classes, data.y)
    return {
        "accuracy": accuracy,
        "standard_error": error,
        "frames": len(data.y),
        "source": data.source,
        "surrogate": data.surrogate,
        "kind": "measured: the verified integer network on all of these frames",
    }


def float_accuracy(reference: Reference, data: LabelledData) -> float:
    """Return the accuracy of the QONNX model as it was given, on raw inputs."""
    return share_right(reference.classify(data.x), data.y)[0]
