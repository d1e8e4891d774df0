"""Bounds against the number of draws, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import _losses, _theory
from .errors import ArgumentError

__all__ = ["plot_bounds"]

_DRAWS = "n = K+1"
_KEYS = ("curl", "nozawa_sato", "submodular", "specht")


def plot_bounds(losses: Any, ax: Any = None, *, bounds: str | Sequence[str] = _KEYS) -> Any:
    """Upper bounds of the supervised loss against n = K + 1, beside the measured loss and the trivial value ln C.

    The axis ends a fifth above the larger of ln C and the measured loss: a bound beyond says nothing, however large it is.
    One that is never within is named in the legend as such.

    Parameters
    ----------
    losses : DataFrame, mapping of columns, or path
        As for :func:`negatives.bounds`; one setting but for n.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes if not given.
    bounds : str or sequence of str, optional
        Keys of upper bounds of L_sup, as ``registry()["key"]`` has them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        No bound of these keys, or several settings at one n.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> losses = {
    ...     "num_classes": [10, 10], "class_counts": [[100] * 10] * 2, "num_draws": [16, 32], "temperature": [1.0, 1.0],
    ...     "sampling": ["with_replacement"] * 2, "info_nce": [1.8, 2.4], "gap": [-0.1, -0.1],
    ... }
    >>> from negatives import plot_bounds
    >>> plot_bounds(losses, bounds=["specht"]).get_xlabel()
    'number of draws n = K + 1'
    """
    keys = [bounds] if isinstance(bounds, str) else list(bounds)
    rows = _losses.read(losses)
    table = _theory.bounds(rows)
    draws = table[_DRAWS]
    if len(set(draws)) < len(draws):
        twice = next(n for n in draws if draws.count(n) > 1)
        raise ArgumentError(f"several settings have n = {twice}: give the rows of one of them")
    names: dict[str, str] = {}
    for key in keys:
        # A bound that is no theorem says so before the relation.
        name = next((name for name in table if name.endswith(f"L_sup ≤ ({key})")), None)
        if name is None:
            raise ArgumentError(f"{key!r} is no upper bound of L_sup; registry() names all")
        names[key] = name
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("plot_bounds needs matplotlib: pip install 'negatives[plot]'") from error
        ax = pyplot.subplots()[1]
    order = sorted(range(len(draws)), key=draws.__getitem__)
    measured = _points(table, order, "L_sup")
    trivial = None if rows.num_classes is None else math.log(rows.num_classes)
    top = 1.2 * max([value for _, value in measured] + ([] if trivial is None else [trivial]), default=math.inf)
    if measured:
        ax.plot(*zip(*measured), label="measured L_sup", color="black", linewidth=2)
    for key, name in names.items():
        points = _points(table, order, name)
        if points:
            beyond = all(value > top for _, value in points)
            ax.plot(*zip(*points), label=f"{key} (above)" if beyond else key, marker="o", markersize=3)
    if math.isfinite(top):
        ax.set_ylim(0, top)
    if trivial is not None:
        ax.axhline(trivial, color="grey", linestyle=":", label=f"ln C = {trivial:.2f}")
    ax.set_xscale("log", base=2)
    ax.set_xlabel("number of draws n = K + 1")
    ax.set_ylabel("supervised loss in nats")
    ax.legend()
    return ax


def _points(table: Any, order: list[int], name: str) -> list[tuple[int, float]]:
    """n and the value, where there is one: a bound has none where it is not applicable."""
    points = [(table[_DRAWS][index], table[name][index]) for index in order]
    return [(n, value) for n, value in points if isinstance(value, float) and math.isfinite(value)]
