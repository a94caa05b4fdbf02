"""From anybody's QONNX MLP to an exact integer network.

The stages, each a function of a qonnx ``ModelWrapper``:

1. :func:`load_model` reads the file and refuses what is not a QONNX file.
2. :func:`tidy` brings it into one plain form and refuses what is not a quantised MLP.
3. :func:`split_host` moves what is floating point at both ends into a host description.
4. :func:`to_thresholds` leaves integer MatMul and MultiThreshold nodes, exactly.

:class:`Reference` executes the QONNX model itself, the truth every later form is compared with;
:func:`integer_mlp` reads the result of 4 as plain numpy arrays.
"""

from finn_builds.ingest.input_quant import InputQuant, calibrate_scale
from finn_builds.ingest.integer_mlp import IntegerLayer, IntegerMLP, integer_mlp
from finn_builds.ingest.load import load_model
from finn_builds.ingest.reference import Reference
from finn_builds.ingest.split import HOST_MODEL, host_description, model_info, split_host
from finn_builds.ingest.thresholds import to_thresholds
from finn_builds.ingest.tidy import tidy

__all__ = [
    "HOST_MODEL",
    "InputQuant",
    "IntegerLayer",
    "IntegerMLP",
    "Reference",
    "calibrate_scale",
    "host_description",
    "integer_mlp",
    "load_model",
    "model_info",
    "split_host",
    "tidy",
    "to_thresholds",
]
