"""Collision, simulation, the optimum, and what measured losses say: the functions of the crate ``theory``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _losses, _negatives
from ._table import Table
from .errors import ArgumentError

__all__ = [
    "bounds",
    "certify",
    "collision",
    "collision_law",
    "explain",
    "optimum",
    "registry",
    "simulate",
]

_COLLISION = (
    "tau",
    "complement",
    "ln_tau",
    "ln_complement",
    "relative_error_bound",
    "complement_relative_error_bound",
    "expected_log1p_collisions",
)


def collision(
    num_negatives: ArrayLike,
    num_classes: int | None = None,
    *,
    counts: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    replace: bool = True,
) -> Table:
    """Collision τ: the probability that some of K negatives has the anchor's class.

    Parameters
    ----------
    num_negatives : int or array_like of int
        K, not n = K + 1.
    num_classes, counts, probs, replace
        The classes, as :class:`CouponCollector` takes them.

    Returns
    -------
    Table
        One row for each K: ``negatives``, ``tau``, ``complement`` = 1 − τ, ``ln_tau``, ``ln_complement``, bounds of
        the relative errors of the first two, and ``expected_log1p_collisions`` = E ln(1 + Col) in nats, with Col
        the number of negatives of the anchor's class.

    Examples
    --------
    >>> from negatives import collision
    >>> table = collision([1, 31], 10)
    >>> [round(tau, 4) for tau in table["tau"]]
    [0.1, 0.9618]
    """
    law = _arguments.classes(num_classes, counts, probs, replace)
    negatives = _arguments.numbers("num_negatives", num_negatives)
    columns = [column.tolist() for column in _negatives.collision_columns(law, negatives)]
    return Table(["negatives", *_COLLISION], [negatives, *columns])


def collision_law(
    num_negatives: int,
    num_classes: int | None = None,
    *,
    counts: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    replace: bool = True,
    log: bool = False,
) -> NDArray[np.float64]:
    """Law of Col, the number of the K negatives that have the anchor's class.

    Parameters
    ----------
    num_negatives : int
        K, not n = K + 1; at most 10⁶.
    num_classes, counts, probs, replace
        The classes, as :class:`CouponCollector` takes them.
    log : bool, default False
        Natural logarithms of the probabilities, which never underflow.

    Returns
    -------
    ndarray of float64, shape (K + 1,)
        P(Col = 0), …, P(Col = K).

    Examples
    --------
    >>> from negatives import collision_law
    >>> collision_law(2, 2)
    array([0.25, 0.5 , 0.25])
    """
    law = _arguments.classes(num_classes, counts, probs, replace)
    return _negatives.collision_law(law, _arguments.whole("num_negatives", num_negatives, 0))[1 if _arguments.flag("log", log) else 0]


def simulate(
    num_draws: ArrayLike,
    num_classes: int | None = None,
    *,
    counts: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    replace: bool = True,
    num_samples: int,
    seed: int = 7,
    method: str = "plain",
    collisions: bool = False,
    level: float = 0.95,
    threads: int | None = None,
) -> Table:
    """Coverage υ, and on request τ and E ln(1 + Col), by Monte Carlo, with confidence intervals.

    Parameters
    ----------
    num_draws : int or array_like of int
        n = K + 1.
    num_classes, counts, probs, replace
        The classes, as :class:`CouponCollector` takes them.
    num_samples : int
        Independent batches of n labels.
    seed : int, default 7
        The same seed gives the same result on any number of threads.
    method : {'plain', 'rare'}, default 'plain'
        'plain' draws the labels of whole batches, 'rare' tilted class counts, for coverage as rare as 1e-400.
    collisions : bool, default False
        Also τ and E ln(1 + Col), of the same batches.
    level : float, default 0.95
        Confidence level of the intervals.
    threads : int, optional
        Threads; all processors if not given.

    Returns
    -------
    Table
        One row for each quantity and n, as ``theory simulate`` prints them.

    Examples
    --------
    >>> from negatives import CouponCollector, simulate
    >>> found = simulate(27, 10, num_samples=10_000).row(0)
    >>> low, high = found["interval"]
    >>> low < CouponCollector(10).cdf(27) < high
    True
    """
    law = _arguments.classes(num_classes, counts, probs, replace)
    if method not in ("plain", "rare"):
        raise ArgumentError(f"method = {method!r} is neither 'plain' nor 'rare'")
    return Table(
        *_negatives.simulation(
            law,
            _arguments.numbers("num_draws", num_draws),
            _arguments.whole("num_samples", num_samples),
            _arguments.whole("seed", seed, 0),
            method == "rare",
            _arguments.flag("collisions", collisions),
            _arguments.real("level", level),
            _arguments.threads(threads),
        )
    )


def optimum(
    num_negatives: ArrayLike,
    num_classes: int | None = None,
    *,
    temperature: float,
    counts: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    tolerance: float | None = None,
    threads: int | None = None,
) -> Table:
    """Least contrastive loss that any encoder can reach, its classifier, and the bounds there.

    Parameters
    ----------
    num_negatives : int or array_like of int
        K, not n = K + 1; negatives are drawn with replacement.
    num_classes, counts, probs
        The classes, as :class:`CouponCollector` takes them.
    temperature : float
        t, which divides the inner products.
    tolerance : float, optional
        Unequal classes: the gap to reach, in nats, relative to the weight of the other classes' negatives.
    threads : int, optional
        Threads; all processors if not given.

    Returns
    -------
    Table
        One row for each K, as ``theory optimum`` prints them; ``optimal_loss`` and ``sup_loss`` in nats.

    Examples
    --------
    >>> from negatives import optimum
    >>> optimum(31, 10, temperature=0.5).row(0)["accuracy"]
    1.0
    """
    law = _arguments.classes(num_classes, counts, probs, True)
    parts, converged = _negatives.optimum(
        law,
        _arguments.numbers("num_negatives", num_negatives),
        _arguments.real("temperature", temperature),
        None if tolerance is None else _arguments.real("tolerance", tolerance),
        _arguments.threads(threads),
    )
    stopped = "the program stopped before its tolerance; the column gap says how far from the optimum it is at most"
    return Table(*parts, notes=[] if converged else [stopped])


def bounds(losses: Any, *, confidence: float | None = None, threads: int | None = None) -> Table:
    """Every bound on measured losses, with mean and standard deviation over seeds.

    Parameters
    ----------
    losses : DataFrame, mapping of columns, or path
        Rows of ``losses.csv``: a file or the folder of a run, or its columns, of which ``num_classes``, ``num_draws``
        (n = K + 1), ``temperature`` and ``sampling`` are needed. None, NaN and "" mean that nothing is known.
    confidence : float, optional
        Also what holds with this confidence for all images, of which the evaluated ones are a sample.
    threads : int, optional
        Threads; all processors if not given.

    Returns
    -------
    Table
        One row for each setting, with the columns that ``theory bounds --format csv`` prints: ``n = K+1``, ``L_Info``,
        ``L_sup``, ``L_sup ≤ (key)`` for the bound of this key, and where there are several seeds ``… sd``, the standard
        deviation. Losses are in nats. It is shown as ``theory bounds`` prints it, a row for each bound and a column for
        each n; names, ``row`` and ``to_pandas`` are those of the columns above.

    Raises
    ------
    DataError
        A cell that cannot be accepted; ``line`` (of a file) or row, and ``column`` say where.
    ArgumentError
        A column of a dict that ``docs/losses.md`` does not have, or one of a DataFrame whose name is nearly one of these.

    Examples
    --------
    >>> from negatives import bounds
    >>> losses = {
    ...     "num_classes": [100], "class_counts": [[100] * 100], "num_draws": [512], "temperature": [0.5],
    ...     "sampling": ["without_replacement"], "info_nce": [4.66], "gap": [-0.97],
    ... }
    >>> table = bounds(losses)
    >>> table["n = K+1"], round(table["L_sup ≤ (specht)"][0], 3)
    ([512], 4.021)
    """
    level = None if confidence is None else _arguments.real("confidence", confidence)
    parts, notes = _negatives.bounds_table(_losses.read(losses), level, _arguments.threads(threads))
    return Table(*parts, notes=notes)


def explain(
    losses: Any,
    *,
    bounds: str | Sequence[str] | None = None,
    num_draws: ArrayLike | None = None,
    threads: int | None = None,
) -> Table:
    """Where the slack of each bound is: every inequality between L_Info and L_sup, and what it costs.

    Parameters
    ----------
    losses : DataFrame, mapping of columns, or path
        As for :func:`bounds`.
    bounds : str or sequence of str, optional
        Keys of upper bounds of L_sup, or ``"all"``; the best theorem and four published ones if not given.
    num_draws : int or array_like of int, optional
        Only these n = K + 1.
    threads : int, optional
        Threads; all processors if not given.

    Returns
    -------
    Table
        One row for each inequality, as ``theory explain --format csv`` prints them, in nats.
    """
    draws = None if num_draws is None else _arguments.numbers("num_draws", num_draws)
    keys = None if bounds is None else [bounds] if isinstance(bounds, str) else [str(key) for key in bounds]
    parts, notes = _negatives.explain_table(_losses.read(losses), keys, draws, _arguments.threads(threads))
    return Table(*parts, notes=notes)


def certify(losses: Any, *, confidence: float | None = None, threads: int | None = None) -> Table:
    """What measured losses prove: the least upper bound of L_sup at each temperature, and of the error.

    Parameters
    ----------
    losses : DataFrame, mapping of columns, or path
        As for :func:`bounds`.
    confidence : float, optional
        Also what holds with this confidence for all images, of which the evaluated ones are a sample.
    threads : int, optional
        Threads; all processors if not given.

    Returns
    -------
    Table
        One row for each claim, as ``theory certify --format csv`` prints them, with ``vacuous`` as a bool: whether the
        claim says no more than chance does.

    Examples
    --------
    >>> from negatives import certify
    >>> losses = {
    ...     "num_classes": [100], "class_counts": [[100] * 100], "num_draws": [512], "temperature": [0.5],
    ...     "sampling": ["without_replacement"], "info_nce": [4.66], "gap": [-0.97],
    ... }
    >>> table = certify(losses)
    >>> table["claim"][0], round(table["upper_bound"][0], 3), table["vacuous"][0]
    ('L_sup', 4.017, False)
    """
    level = None if confidence is None else _arguments.real("confidence", confidence)
    (names, columns, shown), notes = _negatives.certify_table(_losses.read(losses), level, _arguments.threads(threads))
    place = names.index("vacuous")
    columns[place] = [text == "yes" for text in columns[place]]
    return Table(names, columns, shown, notes)


def registry() -> Table:
    """Every bound and certificate: key, name, standing, what is missing, conditions, source, needed columns, formula of a bound.

    Examples
    --------
    >>> from negatives import registry
    >>> table = registry()
    >>> standing = dict(zip(table["key"], table["standing"]))
    >>> standing["nozawa_sato"]
    'theorem'
    """
    return Table(*_negatives.registry_table())
