"""Features and labels from whatever holds arrays, as the extension reads them: in C order, aligned, without a copy
where that is what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arguments import unmasked as _unmasked
from .errors import ArgumentError

_MOST_CLASSES = 10_000_000


def _array(name: str, values: Any) -> NDArray[Any]:
    """The array behind a numpy array, a torch tensor, a DataFrame, lists, or anything with an array protocol."""
    if hasattr(values, "detach"):
        # A torch tensor of a training loop: its values are read, and nothing is differentiated.
        values = values.detach()
    _unmasked(name, values)
    only_dlpack = hasattr(values, "__dlpack__") and not hasattr(values, "__array__")
    try:
        return np.from_dlpack(values) if only_dlpack else np.asarray(values)
    except (TypeError, RuntimeError, ValueError, BufferError) as error:
        if "BFloat16" in str(error) and hasattr(values, "float"):
            return np.asarray(values.float())  # exact: numpy has no bfloat16
        reason = str(error).splitlines()[0]
        raise TypeError(f"{name} is no array of numbers in the memory of the CPU: {reason}") from None


def _ordered(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def features(name: str, values: Any, axes: int = 2) -> NDArray[Any]:
    """Features, float64 or float32: half and single precision stay exact as float32, the rest becomes float64."""
    array = _array(name, values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    if array.ndim != axes:
        shape = "rows of features, [N, d]" if axes == 2 else "features of K negatives for each anchor, [n, K, d]"
        raise ArgumentError(f"{name} has shape {array.shape}, not that of {shape}")
    return _ordered(array, np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64)


def labels(name: str, values: Any) -> NDArray[np.int64]:
    """Classes 0, 1, … of every sample: whole numbers of any type, in a row or in a column."""
    array = _array(name, values)
    if array.dtype.kind in "USTO":
        raise TypeError(
            f"{name} must be classes 0, 1, …, got {array.dtype}: "
            f"numpy.unique({name}, return_inverse=True)[1] numbers other labels"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be classes 0, 1, …, got {array.dtype}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        advice = f": numpy.argmax({name}, axis=1) makes classes of one-hot rows" if array.ndim == 2 else ""
        raise ArgumentError(f"{name} has shape {array.shape}, not one class for each sample{advice}")
    return _whole(name, array, _MOST_CLASSES, "a class 0, 1, …")


def _whole(name: str, array: NDArray[Any], limit: int, what: str) -> NDArray[np.int64]:
    if array.dtype.kind != "b":
        wrong = ~((array >= 0) & (array < limit))
        if array.dtype.kind == "f":
            wrong |= array != np.floor(array)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ArgumentError(f"'{name}' entry {', '.join(map(str, place))} is {array[place]}, not {what}")
    return _ordered(array, np.int64)
