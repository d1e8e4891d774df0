"""The coupon collector's time T as a frozen distribution."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _negatives
from .errors import ArgumentError

__all__ = ["Bounded", "CouponCollector"]


class Bounded(NamedTuple):
    """A value with a bound of its error, as ``full_output=True`` returns them.

    Attributes
    ----------
    value : float or ndarray of float64
        The value.
    error_bound : float or ndarray of float64
        A proved bound of the relative error of ``value``; where it is a logarithm, of the absolute error.
    """

    value: Any
    error_bound: Any


class CouponCollector:
    """Law of T, the number of draws until every class was seen.

    Its distribution function is the coverage probability υ of the bounds: ``cdf(n)`` is the probability that
    n = K + 1 draws, the anchor and its K negatives, show every class. The methods have the names and rules of a frozen
    distribution of ``scipy.stats`` (``cdf``, ``sf``, their logarithms, ``pmf``, ``ppf``, ``isf``, ``rvs``, moments,
    ``support``); they take n, never K.

    Parameters
    ----------
    num_classes : int, optional
        C equally likely classes. Exactly one of ``num_classes``, ``counts`` and ``probs`` is given.
    counts : array_like of int, shape (C,), optional
        Items per class, each at least 1: class c has the probability counts[c] / sum(counts).
    probs : array_like of float, shape (C,), optional
        Probabilities of the classes, up to a common factor, each positive.
    replace : bool, default True
        Whether draws are independent. With False a batch is drawn from the items of ``counts`` without putting
        any back, as a shuffled loader does.

    Raises
    ------
    ArgumentError
        A value outside its domain, or not exactly one of the three.

    Examples
    --------
    >>> from negatives import CouponCollector
    >>> two = CouponCollector(2)
    >>> two.cdf(2)
    0.5
    >>> two.cdf([1, 2, 3])
    array([0.  , 0.5 , 0.75])
    >>> two.exact(3)
    Fraction(3, 4)
    >>> CouponCollector(100).ppf(0.95)
    754.0

    CIFAR-100's test set in batches of 512, shuffled: coverage is a coin toss.

    >>> round(CouponCollector(counts=[100] * 100, replace=False).cdf(512), 10)
    0.5967328739

    Both tails keep their digits, however small they are:

    >>> round(CouponCollector(1000).logcdf(1010), 4)
    -948.5157
    """

    __slots__ = ("_classes", "_given", "_time")

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        counts: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        replace: bool = True,
    ) -> None:
        self._classes = _arguments.classes(num_classes, counts, probs, replace)
        own = [None if given is None else np.array(given) for given in (counts, probs)]
        names = ("num_classes", "counts", "probs", "replace")
        self._given: dict[str, Any] = dict(zip(names, (num_classes, *own, replace)))
        self._time: tuple[float, float] | None = None

    def __repr__(self) -> str:
        kind = next((f"{name} of " for name in ("counts", "probs") if self._given[name] is not None), "")
        how = "" if self._given["replace"] else ", replace=False"
        return f"<CouponCollector: {kind}{self.num_classes} classes{how}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(CouponCollector, **self._given), ()

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self._classes.num_classes

    def cdf(self, num_draws: ArrayLike, *, full_output: bool = False) -> Any:
        """Coverage υ = P(T ≤ n): the probability that n draws show every class.

        Parameters
        ----------
        num_draws : array_like
            n = K + 1, of any shape; what is not whole is rounded down, as by ``scipy.stats``.
        full_output : bool, default False
            Return :class:`Bounded`: the value and a bound of its relative error.

        Returns
        -------
        float or ndarray of float64
            Of the shape of ``num_draws``; relative error below 1e-14 for one n, below 1e-12 in long arrays of
            equal classes, where one pass gives all n.

        Examples
        --------
        >>> value, error_bound = CouponCollector(1000).cdf(7709, full_output=True)
        >>> round(value, 12), error_bound < 1e-13
        (0.638959894285, True)
        """
        return self._of("cdf", num_draws, full_output, 1.0)

    def sf(self, num_draws: ArrayLike, *, full_output: bool = False) -> Any:
        """1 − υ = P(T > n): the probability that n draws miss a class; with digits of its own where υ is near 1.

        Parameters and returned value are those of :meth:`cdf`.

        Examples
        --------
        >>> CouponCollector(2).sf(60) == 2.0**-59
        True
        """
        return self._of("sf", num_draws, full_output, 0.0)

    def logcdf(self, num_draws: ArrayLike, *, full_output: bool = False) -> Any:
        """ln υ, also where υ is below the range of floats; ``error_bound`` is absolute.

        Parameters and returned value are those of :meth:`cdf`.

        Examples
        --------
        >>> CouponCollector(2).logcdf([1, 2])
        array([       -inf, -0.69314718])
        """
        return self._of("logcdf", num_draws, full_output, 0.0)

    def logsf(self, num_draws: ArrayLike, *, full_output: bool = False) -> Any:
        """ln (1 − υ), also where 1 − υ is below the range of floats; ``error_bound`` is absolute.

        Parameters and returned value are those of :meth:`cdf`.

        Examples
        --------
        >>> round(CouponCollector(2).logsf(10_001), 6)
        -6931.471806
        """
        return self._of("logsf", num_draws, full_output, -np.inf)

    def pmf(self, num_draws: ArrayLike, *, full_output: bool = False) -> Any:
        """P(T = n): the probability that draw n is the one that completes the classes; 0 where n is not whole.

        Parameters and returned value are those of :meth:`cdf`.

        Examples
        --------
        >>> CouponCollector(2).pmf([1, 2, 3, 3.5])
        array([0.  , 0.5 , 0.25, 0.  ])
        """
        return self._of("pmf", num_draws, full_output, 0.0, 0.0)

    def logpmf(self, num_draws: ArrayLike, *, full_output: bool = False) -> Any:
        """ln P(T = n); ``error_bound`` is absolute.

        Parameters and returned value are those of :meth:`cdf`.
        """
        return self._of("logpmf", num_draws, full_output, -np.inf, -np.inf)

    def _of(
        self, name: str, num_draws: Any, full_output: bool, at_infinity: float, between: float | None = None
    ) -> Any:
        # One whole number, by the shortest way; numpy's own and a float that is whole are none of the slower arrays.
        if isinstance(num_draws, np.integer) or (isinstance(num_draws, float) and num_draws.is_integer()):
            num_draws = int(num_draws)
        if type(num_draws) is int and num_draws < 1 << 53:
            found = _negatives.law_at(self._classes, name, max(num_draws, -1))
            return Bounded(*found) if full_output else found[0]
        array = _arguments.array_of("num_draws", num_draws)
        values, bounds = _arguments.over(
            "num_draws", array, lambda draws: _negatives.law_at_all(self._classes, name, draws), at_infinity
        )
        if between is not None and array.dtype.kind == "f":
            partial = np.isfinite(array) & (array != np.floor(array))
            values[partial], bounds[partial] = between, 0.0
        if values.ndim == 0:
            values, bounds = float(values), float(bounds)  # type: ignore[assignment]
        return Bounded(values, bounds) if full_output else values

    def ppf(self, levels: ArrayLike) -> Any:
        """Quantile: the least n with υ_n ≥ level.

        Parameters
        ----------
        levels : array_like of float
            In [0, 1]; anything else gives NaN. At 0 it is C − 1, one less than T can be, and at 1 the most draws
            that can be needed, as ``scipy.stats`` has it.

        Returns
        -------
        float or ndarray of float64
            Whole numbers, of the shape of ``levels``.

        Examples
        --------
        >>> CouponCollector(10).ppf([0.5, 0.95])
        array([27., 51.])
        """
        return self._quantiles(levels, upper=False)

    def isf(self, levels: ArrayLike) -> Any:
        """Quantile of the upper tail: the least n with 1 − υ_n ≤ level, also where ``ppf(1 - level)`` would lose it.

        Parameters
        ----------
        levels : array_like of float
            In [0, 1]; anything else gives NaN. At 0 and 1 it is :meth:`ppf` at 1 and 0.

        Returns
        -------
        float or ndarray of float64
            Whole numbers, of the shape of ``levels``.

        Examples
        --------
        >>> CouponCollector(10).isf([0.5, 0.05, 1e-100])
        array([  27.,   51., 2208.])
        """
        return self._quantiles(levels, upper=True)

    def _quantiles(self, levels: ArrayLike, upper: bool) -> Any:
        array = _arguments.array_of("levels", levels)
        flat = array.astype(np.float64).reshape(-1)
        found = np.full(flat.shape, np.nan)
        inner = (flat > 0.0) & (flat < 1.0)
        found[inner] = _negatives.quantiles(self._classes, flat[inner], upper)
        low, high = self.support()
        at_zero, at_one = (high, low - 1) if upper else (low - 1, high)
        found[flat == 0.0], found[flat == 1.0] = at_zero, at_one
        return float(found[0]) if array.ndim == 0 else found.reshape(array.shape)

    def median(self) -> float:
        """The least n with υ_n ≥ ½."""
        return float(self.ppf(0.5))

    def support(self) -> tuple[int, float]:
        """Least and largest value of T: C, and infinity, or without replacement M + 1 less the smallest class.

        Examples
        --------
        >>> CouponCollector(counts=[5, 2], replace=False).support()
        (2, 6)
        """
        classes, items = self.num_classes, self._classes.num_items
        if classes == 1:
            return 1, 1
        if items is None:
            return classes, np.inf
        return classes, items + 1 - (self._classes.smallest_count or 1)

    def _moments(self) -> tuple[float, float]:
        if self._time is None:
            self._time = _negatives.collector_time(self._classes)
        return self._time

    def mean(self) -> float:
        """E[T], for equal classes C (1 + 1/2 + … + 1/C).

        Examples
        --------
        >>> CouponCollector(2).mean()
        3.0
        """
        return self._moments()[0]

    def std(self) -> float:
        """Standard deviation of T.

        Examples
        --------
        >>> CouponCollector(2).std() == 2**0.5
        True
        """
        return self._moments()[1]

    def var(self) -> float:
        """Variance of T: the square of :meth:`std`."""
        return self._moments()[1] ** 2

    def rvs(
        self,
        size: int | tuple[int, ...] | None = None,
        rng: int | np.random.Generator | np.random.RandomState | None = None,
    ) -> Any:
        """Random values of T, by inversion of one uniform number each.

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape; one value if it is not given.
        rng : int, numpy.random.Generator or numpy.random.RandomState, optional
            Where the uniform numbers come from, or the seed of a new ``numpy.random.default_rng``.

        Returns
        -------
        int or ndarray of int64
            The same ``rng`` gives the same values.

        Examples
        --------
        >>> times = CouponCollector(10).rvs(1000, rng=7)
        >>> 28 < float(times.mean()) < 31
        True
        """
        if not isinstance(rng, (np.random.Generator, np.random.RandomState)):
            try:
                rng = np.random.default_rng(rng)
            except ValueError as error:
                raise ArgumentError(f"rng = {rng!r}: {error}") from None
        try:
            uniforms = np.asarray(rng.random(size))
        except ValueError as error:
            raise ArgumentError(f"size = {size!r}: {error}") from None
        found = _negatives.sample(self._classes, uniforms.reshape(-1))
        return int(found[0]) if size is None else found.reshape(uniforms.shape)

    def exact(self, num_draws: int, *, at_any_cost: bool = False, threads: int | None = None) -> Fraction:
        """υ as an exact fraction.

        Parameters
        ----------
        num_draws : int
            n = K + 1.
        at_any_cost : bool, default False
            Compute it even where it takes more than about a minute.
        threads : int, optional
            Threads; all processors if not given.

        Raises
        ------
        ArgumentError
            The law has unequal ``probs``, which have no exact fraction; the computation is too expensive, and how much.

        Examples
        --------
        >>> CouponCollector(3).exact(4)
        Fraction(4, 9)
        """
        n = _arguments.whole("num_draws", num_draws, 0)
        if n == 0:
            return Fraction(0)
        items = self._classes.num_items
        if items is not None and n > items:
            return Fraction(1)
        top, bottom = _negatives.exact_coverage(
            self._classes, n, _arguments.flag("at_any_cost", at_any_cost), _arguments.threads(threads)
        )
        return Fraction(top, bottom)
