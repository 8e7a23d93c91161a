"""Errors that are meant for the user: what is wrong, and what to do about it."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_INCOMPLETE = 1  # measured, but something failed
EXIT_BAD_INPUT = 2  # bad input or configuration, nothing was measured
EXIT_INTERRUPTED = 130  # by Ctrl-C; by another signal 128 and its number
OF_USERS_CODE = (Exception, SystemExit)  # what code of the user's may raise; a script may end itself when imported


class BenchError(Exception):
    """An error whose message is shown to the user without a traceback.

    Args:
        message: what is wrong.
        hint: what to do about it; printed on a line of its own.
        exit_code: the process' exit status when the error reaches the command line.
    """

    def __init__(self, message: str, hint: str = "", exit_code: int = EXIT_BAD_INPUT) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  {self.hint}" if self.hint else message


class ConfigurationError(BenchError):
    """A YAML file, an option or a name is wrong."""


class DatasetError(BenchError):
    """A dataset is missing, incomplete or altered."""


class ImageError(BenchError):
    """An image can't be used; in a run this becomes a row, not an abort."""


class CheckpointError(BenchError):
    """A checkpoint can't be read or would not give the model its output."""


class CodecError(BenchError):
    """A codec failed on one image; in a run this becomes a row, not an abort."""


class CodecUnavailable(BenchError):
    """A codec's program or library is not installed here."""
