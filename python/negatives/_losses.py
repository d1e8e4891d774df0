"""Measured losses from a path, a DataFrame or a dict of columns, through the one reader of ``losses.csv``."""

from __future__ import annotations

import csv
import difflib
import io
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _negatives
from .errors import ArgumentError

__all__ = ["read"]


def read(losses: Any) -> _negatives.Losses:
    """The rows of ``losses``."""
    if isinstance(losses, _negatives.Losses):
        return losses
    if isinstance(losses, (str, os.PathLike)):
        path = os.fspath(losses)
        if isinstance(path, str):
            return _negatives.Losses.of_path(path)
    is_frame = hasattr(losses, "columns") and hasattr(losses, "to_numpy")
    if not is_frame and not isinstance(losses, Mapping):
        raise TypeError(f"losses must be a DataFrame, a dict of columns or a path, got {type(losses).__name__}")
    name = "the DataFrame" if is_frame else "losses"
    return _negatives.Losses.of_text(_text(losses, name), name)


def _text(losses: Any, name: str) -> str:
    """The table as the text of a ``losses.csv``."""
    headers = list(losses.columns) if hasattr(losses, "to_numpy") else list(losses)
    for header in headers:
        if not isinstance(header, str):
            raise TypeError(f"{name}: a column is named {header!r}, which is no text")
    if len(set(headers)) < len(headers):
        twice = next(header for header in headers if headers.count(header) > 1)
        raise ArgumentError(f"{name}: the column {twice} stands twice")
    _check_names(headers, name)
    columns = []
    for header in headers:
        column = losses[header]
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
            raise TypeError(f"{name}: column {header} must be a sequence with one value a row")
        if getattr(column, "ndim", 1) != 1:
            raise ArgumentError(f"{name}: column {header} must have one axis")
        columns.append(list(column))
    lengths = {header: len(column) for header, column in zip(headers, columns)}
    if len(set(lengths.values())) > 1:
        raise ArgumentError(f"{name}: columns differ in length: {lengths}")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headers)
    for row, values in enumerate(zip(*columns)):
        writer.writerow([_cell(value, f"{name}, row {row}, column {header}") for header, value in zip(headers, values)])
    return out.getvalue()


def _check_names(headers: list[str], name: str) -> None:
    """Refuses a name that looks mistyped, and in a dict, which is written for this package, every unknown one."""
    known = _negatives.column_names()
    for header in headers:
        if header in known or header.startswith("info_nce_minus_"):
            continue
        # Other columns of a file or a DataFrame are the user's own.
        close = difflib.get_close_matches(header, known, 1, 0.8 if name == "the DataFrame" else 0.0)
        if close:
            raise ArgumentError(f"{name}: there is no column {header}: do you mean {close[0]}?")


def _cell(value: Any, place: str) -> str:
    """A cell as ``losses.csv`` has it: numbers so that they read back as themselves, nothing where nothing is known."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, str):
        if "\n" in value or "\r" in value:
            raise ArgumentError(f"{place}: a text with a line break")
        return value
    if isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{place}: {value} is neither a number nor a text")
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return ""
        # pandas makes a float of an integer whose column has gaps.
        whole = number.is_integer() and abs(number) < 2**53 and math.copysign(1, number) > 0
        return str(int(number)) if whole else repr(number)
    if isinstance(value, (list, tuple, np.ndarray)):
        return ";".join(_cell(entry, place) for entry in value)
    raise ArgumentError(f"{place}: {type(value).__name__} is neither a number nor a text")
