"""The error that a user's mistake ends with."""


class UserError(Exception):
    """A mistake in what the user gave: one clear message, exit code 2, no traceback.

    The message says what was expected, what was found and what to do about it.
    """

    exit_code = 2
