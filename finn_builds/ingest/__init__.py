"""From anybody's QONNX MLP to an exact integer network.

The stages:

1. :func:`load_model` reads the file and refuses what is not a QONNX file.
2. :func:`tidy` brings it into one plain form and refuses what is not a quantised MLP.
3. :func:`split_host` separates the floating point at both ends, which the host does.
4. :func:`network_of` leaves exact integer operations.

:class:`Reference` executes the QONNX model itself, the truth every later form is compared with.
"""

from finn_builds.ingest.input_quant import InputQuant, calibrate_scale
from finn_builds.ingest.load import load_model
from finn_builds.ingest.reference import Reference
from finn_builds.ingest.split import HostSplit, model_info, split_host
from finn_builds.ingest.thresholds import network_of
from finn_builds.ingest.tidy import Tidied, tidy

__all__ = [
    "HostSplit",
    "InputQuant",
    "Reference",
    "Tidied",
    "calibrate_scale",
    "load_model",
    "model_info",
    "network_of",
    "split_host",
    "tidy",
]
