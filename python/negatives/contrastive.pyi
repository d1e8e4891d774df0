from typing import Literal, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["dcl", "dclw", "debiased", "eq_co", "flat_nce", "hard", "info_nce", "nscl", "nt_xent", "spectral"]

_Gradients: TypeAlias = tuple[float, tuple[NDArray[np.float64], NDArray[np.float64]]]
_Negatives: TypeAlias = Literal["both_views", "second_view"] | ArrayLike

@overload
def info_nce(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def info_nce(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def nt_xent(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def nt_xent(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def debiased(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    class_probability: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def debiased(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    class_probability: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def hard(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    class_probability: float = ...,
    beta: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def hard(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    class_probability: float = ...,
    beta: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def dcl(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def dcl(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def dclw(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    sigma: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def dclw(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    sigma: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def flat_nce(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def flat_nce(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def nscl(
    z1: ArrayLike,
    z2: ArrayLike,
    labels: ArrayLike,
    temperature: float,
    *,
    positive_in_denominator: bool = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def nscl(
    z1: ArrayLike,
    z2: ArrayLike,
    labels: ArrayLike,
    temperature: float,
    *,
    positive_in_denominator: bool = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def eq_co(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    virtual_negatives: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def eq_co(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    virtual_negatives: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
@overload
def spectral(
    z1: ArrayLike,
    z2: ArrayLike,
    *,
    scale: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[False] = ...,
    threads: int | None = ...,
) -> float: ...
@overload
def spectral(
    z1: ArrayLike,
    z2: ArrayLike,
    *,
    scale: float = ...,
    negatives: _Negatives = ...,
    normalise: bool = ...,
    gradient: Literal[True],
    threads: int | None = ...,
) -> _Gradients: ...
