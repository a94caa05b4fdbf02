"""From anybody's QONNX file to an exact integer network.

The stages:

1. :func:`load_model` reads the file and refuses what is not a QONNX file.
2. :func:`tidy` computes its constants and fixes its shapes.
3. :func:`split_host` walks through it: the floating point at both ends is left to the host, and
   what lies between becomes exact integer operations.

:class:`Reference` executes the QONNX model itself, the truth every later form is compared with.
"""

from finn_builds.ingest.input_quant import InputQuant, calibrate_scale
from finn_builds.ingest.load import load_model
from finn_builds.ingest.reference import Reference
from finn_builds.ingest.split import HostSplit, model_info, split_host
from finn_builds.ingest.tidy import Tidied, tidy

__all__ = [
    "HostSplit",
    "InputQuant",
    "Reference",
    "Tidied",
    "calibrate_scale",
    "load_model",
    "model_info",
    "split_host",
    "tidy",
]
