"""Contrastive losses in float64, with gradients: what a training loop in any precision can be checked against.

An anchor has the cosine s⁺ with its positive and the cosines s_j with its N negatives; a loss is a function of these,
averaged over the anchors, in nats. Each function takes the same arguments beside its own parameters:

``negatives`` says which candidates are an anchor's negatives:

- ``"both_views"``: both views of the other n - 1 samples, **2n - 2 of them**; both views of every sample are anchors,
  2n in all. The batch of SimCLR, and the default of all but :func:`info_nce`.
- ``"second_view"``: view 2 of the other samples, **K = n - 1**; anchors are the rows of ``z1``. The batch of the
  bounds.
- integers of shape (n, K): for each anchor **K samples**, whose view 2 are its negatives.
- features of shape (K, d): **the same K for every anchor**, as a queue holds them; no gradient flows into them.
- features of shape (n, K, d): **K of its own for each anchor**; no gradient flows into them.

``normalise`` says whether rows are scaled to unit length first. The gradient is then the one with respect to the rows
as given. With ``normalise=False`` dot products stand for cosines: for a training loop that normalises before it calls
its loss, compare with this gradient of its normalised features.

Exponentials are taken relative to the largest, so that no temperature overflows whose loss a double can hold, and a
small loss keeps its digits: values are exact to some 1e-15 (1 + 1/t).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from . import _negatives
from ._arguments import flag as _flag
from ._arguments import real as _real
from ._arguments import threads as _threads
from ._features import _array, _ordered, _whole
from ._features import features as _features
from ._features import labels as _labels
from .errors import ArgumentError

_Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["dcl", "dclw", "debiased", "eq_co", "flat_nce", "hard", "info_nce", "nscl", "nt_xent", "spectral"]


def _chosen(negatives: Any, num_samples: int) -> tuple[str, Any, Any]:
    """Which candidates are negatives, as the extension takes them."""
    if isinstance(negatives, str):
        if negatives in ("both_views", "second_view"):
            return negatives, None, None
        raise ArgumentError(f"negatives = {negatives!r} is neither 'both_views' nor 'second_view'")
    array = _array("negatives", negatives)
    if array.dtype.kind in "iu":
        if array.ndim != 2 or array.shape[0] != num_samples:
            raise ArgumentError(f"negatives have shape {array.shape}, not ({num_samples}, K), samples for each anchor")
        array = _whole("negatives", array, num_samples, f"a sample 0, …, {num_samples - 1}")
        return "samples", array.reshape(-1), None
    if array.ndim != 3:
        return "shared", None, _features("negatives", array)
    array = _features("negatives", array, 3)
    if array.shape[0] != num_samples:
        raise ArgumentError(f"negatives have shape {array.shape}, not ({num_samples}, K, d): K rows for each anchor")
    return "own", None, array.reshape(-1, array.shape[2])


def _loss(
    name: str,
    parameters: dict[str, float],
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    negatives: Any,
    normalise: bool,
    gradient: bool,
    threads: int | None,
    labels: Any = None,
) -> Any:
    views = (_features("z1", z1), _features("z2", z2))
    if views[0].dtype != views[1].dtype:
        views = (_ordered(views[0], np.float64), _ordered(views[1], np.float64))
    value, gradients = _negatives.contrastive_loss(
        name,
        [_real(key, value) for key, value in parameters.items()],
        views,
        _chosen(negatives, views[0].shape[0]),
        None if labels is None else _labels("labels", labels),
        _real("temperature", temperature),
        _flag("normalise", normalise),
        _flag("gradient", gradient),
        _threads(threads),
    )
    return (value, gradients) if gradient else value


_PARAMETERS = {
    "z1": """z1, z2 : array_like, shape (n, d)
    Features of two views of the same n samples; row i of ``z2`` is the positive of row i of ``z1``.""",
    "labels": """labels : array_like of int, shape (n,)
    Class of each sample.""",
    "temperature": """temperature : float
    t > 0.""",
    "class_probability": """class_probability : float, default 0.1
    τ⁺ in [0, 1), the probability that a negative has the anchor's class.""",
    "beta": """beta : float, default 1.0
    β ≥ 0; 0 gives :func:`debiased`.""",
    "sigma": """sigma : float, default 0.5
    σ > 0; a large one gives :func:`dcl`.""",
    "positive_in_denominator": """positive_in_denominator : bool, default False
    InfoNCE over the same negatives instead, the loss of the paper's second version.""",
    "virtual_negatives": """virtual_negatives : float, default 65536.0
    α > 0; the default is the queue of MoCo v2.""",
    "scale": """scale : float, default 1.0
    μ > 0.""",
    "negatives": """negatives : str or array_like
    Which candidates are negatives: see :mod:`negatives.contrastive`.""",
    "normalise": """normalise : bool, default True
    Whether rows are scaled to unit length first.""",
    "gradient": """gradient : bool, default False
    Whether the gradients are returned too.""",
    "threads": """threads : int, optional
    Threads to compute with, by default one, ``None`` for all processors; they change no bit.""",
}

_RESULTS = """
Returns
-------
value : float
    The mean over anchors, in nats.
(grad1, grad2) : tuple of numpy.ndarray, shape (n, d), float64
    With ``gradient=True`` only: the derivatives of the value with respect to ``z1`` and ``z2``.

Raises
------
ArgumentError
    Shapes that do not fit together, a row that is zero or not finite, a parameter out of range, an anchor without
    negatives.
NotFiniteError
    A temperature at which the loss overflows.

"""


def _documented(function: _Function) -> _Function:
    """Puts what all losses share between a function's text and its examples."""
    text, examples = inspect.cleandoc(function.__doc__ or "").split("Examples\n")
    names = inspect.signature(function).parameters
    parameters = "\n".join(entry for name, entry in _PARAMETERS.items() if name in names)
    function.__doc__ = f"{text}Parameters\n----------\n{parameters}\n{_RESULTS}Examples\n{examples}"
    return function


@_documented
def info_nce(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: str | ArrayLike = "second_view",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """InfoNCE: ln(1 + Σ_j e^{(s_j - s⁺)/t}), the positive in the denominator beside K negatives.

    By default the contrastive loss L_Info of the bounds and of :func:`negatives.measure`: K = n - 1, anchors in ``z1``.
    :func:`nt_xent` is the same over both views. Source: van den Oord, Li & Vinyals (2018, arXiv 1807.03748).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(K + 1), K = 3
    >>> bool(np.isclose(negatives.info_nce(z, z, 0.5), np.log(4)))
    True
    >>> rng = np.random.default_rng(0)
    >>> z1, z2, queue = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=(9, 3))
    >>> value, (grad1, grad2) = negatives.info_nce(z1, z2, 0.5, negatives=queue, gradient=True)  # K = 9
    >>> grad1.shape, grad2.shape
    ((4, 3), (4, 3))
    """
    return _loss("info_nce", {}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def nt_xent(
    z1: ArrayLike, z2: ArrayLike, temperature: float, *, normalise: bool = True, gradient: bool = False, threads: int | None = 1
) -> Any:
    """NT-Xent, the loss of SimCLR: InfoNCE with the 2n - 2 negatives of both views, over 2n anchors.

    Source: Chen, Kornblith, Norouzi & Hinton (2020, arXiv 2002.05709).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(2n - 1)
    >>> bool(np.isclose(negatives.nt_xent(z, z, 0.5), np.log(7)))
    True
    """
    return _loss("info_nce", {}, z1, z2, temperature, "both_views", normalise, gradient, threads)


@_documented
def debiased(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    class_probability: float = 0.1,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """Debiased: negatives of the anchor's class are subtracted in expectation.

    ln(1 + g e^{-s⁺/t}), g = max{(Σ_j e^{s_j/t} - N τ⁺ e^{s⁺/t}) / (1 - τ⁺), N e^{-1/t}} for N negatives. Where g is at
    its floor, the negatives get no gradient. τ⁺ = 0 gives InfoNCE. Source: Chuang et al. (2020, arXiv 2007.00224).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(2n - 1)
    >>> bool(np.isclose(negatives.debiased(z, z, 0.5), np.log(7)))
    True
    """
    return _loss("debiased", {"class_probability": class_probability}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def hard(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    class_probability: float = 0.1,
    beta: float = 1.0,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """Hard negatives by importance weights, debiased.

    As :func:`debiased`, with Σ_j w_j e^{s_j/t} for the sum, weights w_j ∝ e^{β s_j/t} of mean 1; the gradient goes
    through the weights, and β acts on s/t, as in the authors' code. Source: Robinson et al. (2021, arXiv 2010.04592).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(2n - 1)
    >>> bool(np.isclose(negatives.hard(z, z, 0.5), np.log(7)))
    True
    """
    return _loss("hard", {"class_probability": class_probability, "beta": beta}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def dcl(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """DCL, decoupled: ln Σ_j e^{(s_j - s⁺)/t}, without the positive in the denominator. It may be negative.

    Source: Yeh et al. (2022, arXiv 2110.06848); their code sums the two directions, twice this mean.

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(2n - 2)
    >>> bool(np.isclose(negatives.dcl(z, z, 0.5), np.log(6)))
    True
    """
    return _loss("dcl", {}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def dclw(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    sigma: float = 0.5,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """DCLW: DCL whose positive has the weight 2 - e^{s⁺/σ} / mean e^{s⁺/σ}, the mean over anchors.

    The weight is differentiated like the rest. Source: Yeh et al. (2022, arXiv 2110.06848).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(2n - 2)
    >>> bool(np.isclose(negatives.dclw(z, z, 0.5), np.log(6)))
    True
    """
    return _loss("dclw", {"sigma": sigma}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def flat_nce(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """FlatNCE: **the value is that of InfoNCE, the gradient that of DCL**, which is not small where the loss is.

    The loss e^{v - stop(v)} with v = ln Σ_j e^{(s_j - s⁺)/t} is always 1; its authors log ln(1 + e^v), the value here.
    Source: Chen et al. (2021, arXiv 2107.01152).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(2n - 1)
    >>> bool(np.isclose(negatives.flat_nce(z, z, 0.5), np.log(7)))
    True
    """
    return _loss("flat_nce", {}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def nscl(
    z1: ArrayLike,
    z2: ArrayLike,
    labels: ArrayLike,
    temperature: float,
    *,
    positive_in_denominator: bool = False,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """NSCL, negatives-only supervised: DCL without the negatives of the anchor's class.

    Source: Luthra, Yang & Galanti (2025, arXiv 2506.04411). ``negatives`` cannot be features, which have no class.

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features, two classes: ln 4, both views of the two samples of the other class
    >>> bool(np.isclose(negatives.nscl(z, z, [0, 0, 1, 1], 0.5), np.log(4)))
    True
    """
    return _loss(
        "info_nce" if positive_in_denominator else "dcl",
        {},
        z1,
        z2,
        temperature,
        negatives,
        normalise,
        gradient,
        threads,
        labels,
    )


@_documented
def eq_co(
    z1: ArrayLike,
    z2: ArrayLike,
    temperature: float,
    *,
    virtual_negatives: float = 65536.0,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """EqCo: InfoNCE whose N negatives weigh as much as α of them, ln(1 + (α/N) Σ_j e^{(s_j - s⁺)/t}).

    Source: Zhu et al. (2020, arXiv 2010.01929).

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: ln(1 + α)
    >>> bool(np.isclose(negatives.eq_co(z, z, 0.5, virtual_negatives=6), np.log(7)))
    True
    """
    return _loss("eq_co", {"virtual_negatives": virtual_negatives}, z1, z2, temperature, negatives, normalise, gradient, threads)


@_documented
def spectral(
    z1: ArrayLike,
    z2: ArrayLike,
    *,
    scale: float = 1.0,
    negatives: str | ArrayLike = "both_views",
    normalise: bool = True,
    gradient: bool = False,
    threads: int | None = 1,
) -> Any:
    """The spectral loss of rows of squared length μ: -2μ s⁺ + (μ²/N) Σ_j s_j². It knows no temperature.

    Source: HaoChen, Wei, Gaidon & Ma (2021, arXiv 2106.04156); their code pairs views 1 with views 2 only:
    ``negatives="second_view"``.

    Examples
    --------
    >>> import numpy as np, negatives
    >>> z = np.ones((4, 2))  # equal features: μ² - 2μ
    >>> bool(np.isclose(negatives.spectral(z, z, scale=3.0), 3.0))
    True
    """
    return _loss("spectral", {"scale": scale}, z1, z2, 1.0, negatives, normalise, gradient, threads)
