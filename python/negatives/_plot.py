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


def plot_bounds(losses: Any, ax: Any = None, *, bounds: Sequence[str] = _KEYS) -> Any:
    """Upper bounds of the supervised loss against n = K + 1, beside the measured loss and the trivial value ln C.

    Parameters
    ----------
    losses : DataFrame, mapping of columns, or path
        As for :func:`negatives.bounds`; one setting but for n.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes if not given.
    bounds : sequence of str, optional
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
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("plot_bounds needs matplotlib: pip install 'negatives[plot]'") from error
        ax = pyplot.subplots()[1]
    rows = _losses.read(losses)
    table = _theory.bounds(rows)
    draws = table[_DRAWS]
    if len(set(draws)) < len(draws):
        twice = next(n for n in draws if draws.count(n) > 1)
        raise ArgumentError(f"several settings have n = {twice}: give the rows of one of them")
    order = sorted(range(len(draws)), key=draws.__getitem__)
    _line(ax, table, order, "L_sup", label="measured L_sup", color="black", linewidth=2)
    for key in bounds:
        # A bound that is no theorem says so before the relation.
        name = next((name for name in table if name.endswith(f"L_sup ≤ ({key})")), None)
        if name is None:
            raise ArgumentError(f"{key!r} is no upper bound of L_sup; registry() names all")
        _line(ax, table, order, name, label=key, marker="o", markersize=3)
    if rows.num_classes is not None:
        trivial = math.log(rows.num_classes)
        ax.axhline(trivial, color="grey", linestyle=":", label=f"ln C = {trivial:.2f}")
    ax.set_xscale("log", base=2)
    ax.set_xlabel("number of draws n = K + 1")
    ax.set_ylabel("supervised loss in nats")
    ax.legend()
    return ax


def _line(ax: Any, table: Any, order: list[int], name: str, **style: Any) -> None:
    """The values that there are; a bound has none where it is not applicable."""
    points = [(table[_DRAWS][index], table[name][index]) for index in order]
    points = [(n, value) for n, value in points if isinstance(value, float) and math.isfinite(value)]
    if points:
        ax.plot(*zip(*points), **style)
