"""The errors that a user's mistake, or data that do not fit a model, end with."""


class UserError(Exception):
    """A mistake in what the user gave: one clear message, exit code 2, no traceback.

    The message says what was expected, what was found and what to do about it.
    """

    exit_code = 2


class HostModelError(ValueError):
    """Wrong data for the host's part of the network, or a description of another format."""
