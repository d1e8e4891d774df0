"""The exceptions of this package. Each is a ``ValueError``, so that one ``except`` catches them all."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "DataError",
    "FileError",
    "InternalError",
    "NegativesError",
    "NotFiniteError",
]


class NegativesError(ValueError):
    """Every exception that this package raises on purpose, but for a ``TypeError`` of an argument's type."""


class ArgumentError(NegativesError):
    """An argument lies outside the domain of the function; the message names value and limit."""


class DataError(NegativesError):
    """A file or a table holds something that cannot be accepted.

    Attributes
    ----------
    file : str or None
        The file, or what was given in its place.
    line : int or None
        The line, counted from 1 with the header; of a DataFrame or dict the row, counted from 0.
    column : str or None
        The column.
    """

    def __init__(
        self, message: str, file: str | None = None, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.column = column


class FileError(NegativesError, OSError):
    """The operating system refused to read or write a file."""


class NotFiniteError(NegativesError):
    """A loss or a gradient exceeds the range of floats, as at a temperature that is too low."""


class InternalError(NegativesError):
    """A defect of this package, and no fault of the arguments. Please report it."""
