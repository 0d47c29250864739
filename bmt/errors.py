"""The errors that users meet.

Each message names what was found, where, what is allowed and what to do, on one line.
"""

from __future__ import annotations


class BMTError(Exception):
    """Base of every error that a command reports as one line. `status` is the command's exit status."""

    status = 1


class ConfigError(BMTError):
    """A setting, an argument or a params file is wrong: key, value, what is allowed. Exit status 2."""

    status = 2


class DataError(BMTError):
    """Data cannot be used: file, line, what was found, what to do."""


class ModelError(BMTError):
    """A model, a mask or a checkpoint cannot be used: folder or tensor, what was found, what to do."""
