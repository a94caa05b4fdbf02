"""The errors a build can end with, and the exit code of each."""

from deploy.errors import UserError

__all__ = ["UserError", "VerificationError"]


class VerificationError(Exception):
    """A form of the network differs from the QONNX model: exit code 1."""

    exit_code = 1
