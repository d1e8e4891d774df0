"""Bounds against the number of draws, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import _losses, _theory
from .errors import ArgumentError

__all__ = ["plot_bounds"]

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
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("plot_bounds needs matplotlib: pip install 'negatives[plot]'") from error
        ax = pyplot.subplots()[1]
    table = _theory.bounds(_losses.read(losses))
    draws = table["num_draws"]
    if len(set(draws)) < len(draws):
        twice = next(n for n in draws if draws.count(n) > 1)
        raise ArgumentError(f"several settings have num_draws = {twice}: give one of them")
    order = sorted(range(len(draws)), key=draws.__getitem__)
    if "full_sup_loss" in table:
        _line(ax, table, order, "full_sup_loss", label="measured L_sup", color="black", linewidth=2)
    for key in bounds:
        name = f"{key}_upper"
        if name not in table:
            raise ArgumentError(f"{key!r} is no upper bound of L_sup; registry() names all")
        _line(ax, table, order, name, label=key, marker="o", markersize=3)
    classes = set(table["num_classes"])
    if len(classes) == 1:
        trivial = math.log(classes.pop())
        ax.axhline(trivial, color="grey", linestyle=":", label=f"ln C = {trivial:.2f}")
    ax.set_xscale("log", base=2)
    ax.set_xlabel("number of draws n = K + 1")
    ax.set_ylabel("supervised loss in nats")
    ax.legend()
    return ax


def _line(ax: Any, table: Any, order: list[int], name: str, **style: Any) -> None:
    """The values that there are; a bound has none where it is not applicable."""
    points = [(table["num_draws"][index], table[name][index]) for index in order]
    points = [(n, value) for n, value in points if isinstance(value, float) and math.isfinite(value)]
    if points:
        ax.plot(*zip(*points), **style)
