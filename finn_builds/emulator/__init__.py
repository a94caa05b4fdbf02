"""A network as one C++ header: bit-exact, without dependencies, for the software beside a trigger.

It is written from the `IntegerNetwork`, not from the operator graph that becomes hardware, so it
checks that independently.
"""

from finn_builds.emulator.header import header_text
from finn_builds.emulator.run import FLAGS, run_header

__all__ = ["FLAGS", "header_text", "run_header"]
