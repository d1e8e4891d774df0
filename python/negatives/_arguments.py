"""Arguments from Python as the extension takes them: class laws, and whole numbers of any shape and type."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _negatives
from .errors import ArgumentError

_LIMIT = 2**53  # what the crates accept, and what a float holds exactly


def classes(
    num_classes: int | None, counts: ArrayLike | None, probs: ArrayLike | None, replace: bool
) -> _negatives.Classes:
    """The class law that exactly one of the three describes."""
    arguments = {"num_classes": num_classes, "counts": counts, "probs": probs}
    given = [name for name, value in arguments.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ArgumentError(f"give exactly one of num_classes, counts and probs, got {got}")
    replace = flag("replace", replace)
    if num_classes is not None:
        return _negatives.Classes(whole("num_classes", num_classes, 0), None, None, replace)
    if counts is not None:
        return _negatives.Classes(None, _counts(counts), None, replace)
    return _negatives.Classes(None, None, _vector("probs", probs).tolist(), replace)


def _vector(name: str, values: Any) -> NDArray[np.float64]:
    """One-dimensional numbers as float64."""
    array = array_of(name, values)
    if array.ndim != 1:
        raise ArgumentError(f"{name} must have one axis, with an entry for every class; got shape {array.shape}")
    return array.astype(np.float64)


def _counts(values: Any) -> list[int]:
    """Items per class."""
    array = array_of("counts", values)
    if array.ndim != 1:
        raise ArgumentError(f"counts must have one axis, with an entry for every class; got shape {array.shape}")
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~(array == np.floor(array)) | ~np.isfinite(array))
        if wrong.size:
            raise ArgumentError(f"counts[{wrong[0]}] = {array[wrong[0]]} is not a whole number")
    wrong = np.flatnonzero((array < 0) | (array > _LIMIT))
    if wrong.size:
        raise ArgumentError(f"counts[{wrong[0]}] = {array[wrong[0]]} is outside 0..{_LIMIT}")
    return [int(count) for count in array]


def unmasked(name: str, values: Any) -> None:
    """Refuses an array with gaps, which numpy would fill with what lies below them."""
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name} is a masked array: fill it, or leave out what is masked")


def flag(name: str, value: Any) -> bool:
    """True or False, and no text or number that looks like one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def array_of(name: str, values: Any) -> NDArray[Any]:
    """Real numbers as an array: integers or floats, no booleans, texts or complex numbers."""
    unmasked(name, values)
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(f"{name} is not an array of numbers: {error}") from None
    if array.dtype.kind == "O":
        array = _of_objects(name, array)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be numbers, got values of type {array.dtype}")
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _of_objects(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Python integers that no numpy integer holds end here: they are beyond every limit."""
    for value in array.flat:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be numbers, got {type(value).__name__} {_short(value)}")
        if isinstance(value, int) and abs(value) > _LIMIT:
            raise ArgumentError(f"{name} = {_short(value)} exceeds the limit of {_LIMIT}")
    return array.astype(np.float64)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of too many digits
        text = f"about 2**{value.bit_length()}"
    return text if len(text) <= 40 else text[:37] + "..."


def whole(name: str, value: Any, least: int = 1) -> int:
    """One whole number."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        as_float = value if isinstance(value, (float, np.floating)) else None
        if as_float is None:
            raise TypeError(f"{name} must be a whole number, got {type(value).__name__} {_short(value)}") from None
        if not float(as_float).is_integer():
            raise ArgumentError(f"{name} = {as_float} is not a whole number") from None
        number = int(as_float)
    if not least <= number <= _LIMIT:
        raise ArgumentError(f"{name} = {_short(number)} is outside {least}..{_LIMIT}")
    return number


def numbers(name: str, values: Any) -> list[int]:
    """Whole numbers of at least one, as a list."""
    array = array_of(name, values)
    return [whole(name, value.item(), 0) for value in array.reshape(-1)]


def threads(value: Any) -> int | None:
    """A number of threads, or all processors."""
    return None if value is None else whole("threads", value)


def over(
    name: str,
    values: Any,
    function: Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.float64]]],
    at_infinity: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A function of whole numbers over an array of any shape, with its error bounds.

    Other numbers are rounded down, infinity has a value of its own, NaN stays NaN.
    """
    array = array_of(name, values)
    floats = array.dtype.kind == "f"
    beyond = (array > _LIMIT) & (array < np.inf) if floats else array > _LIMIT
    if np.any(beyond):
        raise ArgumentError(f"{name} = {array[beyond].flat[0]} exceeds the limit of {_LIMIT}")
    finite = np.where(np.isfinite(array), np.floor(np.maximum(array, -1.0)), -1.0) if floats else array
    found, bounds = function(np.asarray(finite, dtype=np.int64).reshape(-1))
    found, bounds = found.reshape(array.shape), bounds.reshape(array.shape)
    if floats:
        for special, value, bound in ((array == np.inf, at_infinity, 0.0), (np.isnan(array), np.nan, np.nan)):
            found[special], bounds[special] = value, bound
    return found, bounds


def real(name: str, value: Any) -> float:
    """One number."""
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ArgumentError(f"{name} = {_short(value)} exceeds the range of floats") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}") from None
