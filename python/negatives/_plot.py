"""Bounds against the number of draws, with matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _losses, _theory
from ._table import Table
from .errors import ArgumentError

__all__ = ["plot_bounds"]

_DRAWS = "n = K+1"
_KEYS = ("curl", "nozawa_sato", "submodular", "specht", "specht_measured")
_PANELS = ("log", "linear")
# Okabe and Ito's colours without yellow and black, which tells apart who sees colours differently; markers do the same in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vPX<>hp"
_STROKES = "+1243"  # neither filled nor hollow: what is not proved says nothing below ln C either
_MOST_DECADES = 4  # of the log panel above ln C: a bound of 1e17 must not press everything else together


class _Line(NamedTuple):
    """What is drawn as one line; of an undefined value the mean is infinite. The standing of a theorem is empty."""

    label: str
    points: list[tuple[int, float, float]]  # n, mean, standard deviation over seeds
    colour: str
    marker: str
    standing: str = ""


def plot_bounds(
    losses: Any,
    ax: Any = None,
    *,
    bounds: str | Sequence[str] = _KEYS,
    panels: str | None = None,
) -> Any:
    """Upper bounds of the supervised loss against n = K + 1, beside the measured loss and the trivial value ln C.

    The upper panel has a logarithmic axis and every bound; the lower one, linear from 0 to 1.2 ln C, those that say
    something. Markers of vacuous values (above ln C) are hollow; values beyond the axis are arrows at its edge and
    undefined ones crosses at the upper one. What is no theorem (``registry()["standing"]``) is dotted, with markers of
    strokes. A note below names it, and the bounds that are not shown: without a value at any n, or in a single linear
    panel above ln C at every n. Bands, and bars where a line has one point, are ± one standard deviation, where there
    are several seeds.

    Parameters
    ----------
    losses : DataFrame, mapping of columns, or path
        As for :func:`negatives.bounds`; one setting but for n.
    ax : matplotlib.axes.Axes, or two of them, optional
        Where to draw; a new figure if not given. Two are the upper and the lower panel.
    bounds : str or sequence of str, optional
        Keys of upper bounds of L_sup, as ``registry()["key"]`` has them.
    panels : {'both', 'log', 'linear'}, optional
        By default both, or in a single ``ax`` the linear one.

    Returns
    -------
    matplotlib.axes.Axes or ndarray of two
        The panel, or the upper and the lower one.

    Raises
    ------
    ArgumentError
        No bound of these keys, several settings at one n, rows of several numbers of classes, panels that do not fit
        ``ax``.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> losses = {
    ...     "num_classes": [10, 10], "class_counts": [[100] * 10] * 2, "num_draws": [16, 32], "temperature": [1.0, 1.0],
    ...     "sampling": ["with_replacement"] * 2, "info_nce": [1.8, 2.4], "gap": [-0.1, -0.1],
    ... }
    >>> from negatives import plot_bounds
    >>> upper, lower = plot_bounds(losses, bounds=["specht", "curl"])
    >>> upper.get_yscale(), lower.get_yscale(), lower.get_xlabel()
    ('log', 'linear', 'number of draws n = K + 1')
    """
    keys = [bounds] if isinstance(bounds, str) else list(bounds)
    rows = _losses.read(losses)
    lines = _lines(_theory.bounds(rows), keys)
    if rows.num_classes is None:
        raise ArgumentError("the rows are of several numbers of classes: give those of one")
    trivial = math.log(rows.num_classes)
    shown, axes = _axes(ax, panels)
    shown_lines = [_draw(one, kind, lines, trivial) for kind, one in zip(shown, axes)]
    axes[-1].set_xlabel("number of draws n = K + 1")
    drawn = [line for one in shown_lines for line in one]
    hidden = [line for line in lines[1:] if line not in drawn and (shown == ("linear",) or not line.points)]
    _note(axes[-1], [line for line in drawn if line.standing], hidden)
    return axes[0] if len(shown) == 1 else axes


def _lines(table: Table, keys: list[str]) -> list[_Line]:
    """The measured loss, and the bounds of these keys."""
    draws = table[_DRAWS]
    if len(set(draws)) < len(draws):
        twice = next(n for n in draws if draws.count(n) > 1)
        raise ArgumentError(f"several settings have n = {twice}: give the rows of one of them")
    registry = _theory.registry()
    standings = dict(zip(registry["key"], registry["standing"]))
    lines = [_Line("L_sup, measured", _points(table, "L_sup"), "black", "*")]
    for place, key in enumerate(keys):
        # A bound that is no theorem says so before the relation.
        name = next((name for name in table if name.endswith(f"L_sup ≤ ({key})")), None)
        if name is None:
            raise ArgumentError(f"{key!r} is no upper bound of L_sup; registry() names all")
        standing = "" if standings[key] == "theorem" else standings[key]
        markers = _STROKES if standing else _MARKERS
        colour, marker = _COLOURS[place % len(_COLOURS)], markers[place % len(markers)]
        lines.append(_Line(key, _points(table, name), colour, marker, standing))
    return lines


def _points(table: Table, name: str) -> list[tuple[int, float, float]]:
    """n with mean and deviation; a bound that is not applicable, or was not measured, has no point."""
    deviations = table[f"{name} sd"] if f"{name} sd" in table else [None] * table.num_rows
    points = []
    for n, value, deviation in zip(table[_DRAWS], table[name], deviations):
        if isinstance(value, float):
            points.append((n, value, deviation or 0.0))
        elif isinstance(value, str) and value.startswith("undefined"):
            points.append((n, math.inf, 0.0))
    return sorted(points)


def _axes(ax: Any, panels: str | None) -> tuple[Sequence[str], Any]:
    """The kinds of panels, and as many axes."""
    several = ax is not None and hasattr(ax, "__len__")
    if panels is None:
        panels = "both" if ax is None or several else "linear"
    if panels not in ("both", *_PANELS):
        raise ArgumentError(f"panels = {panels!r} is none of 'both', 'log' and 'linear'")
    shown = _PANELS if panels == "both" else (panels,)
    if ax is not None:
        given = list(ax) if several else [ax]
        if len(given) != len(shown):
            raise ArgumentError(f"panels = {panels!r} needs {len(shown)} axes, got {len(given)}")
        return shown, np.array(given, dtype=object)
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plot_bounds needs matplotlib: pip install 'negatives[plot]'") from error
    size = (6.4, 3.2 + 2.6 * (len(shown) - 1))
    figure, axes = pyplot.subplots(len(shown), sharex=True, squeeze=False, figsize=size, layout="constrained")
    return shown, axes[:, 0]


def _draw(ax: Any, kind: str, lines: list[_Line], trivial: float) -> list[_Line]:
    """One panel; returns what it shows."""
    from matplotlib import ticker

    if kind == "linear":
        # Bounds that say something somewhere, and what was measured.
        lines = [line for line in lines if line.marker == "*" or any(mean < trivial for _, mean, _ in line.points)]
    finite = [mean for line in lines for _, mean, _ in line.points if 0 < mean < math.inf]
    if kind == "log":
        low = min([*finite, trivial]) / 1.3
        high = min(1.5 * max([*finite, trivial]), 10**_MOST_DECADES * trivial)
        ax.set_yscale("log")
    else:
        measured = max((mean for _, mean, _ in lines[0].points), default=0.0)
        low, high = 0.0, 1.2 * max(trivial, measured)
    ax.set_ylim(low, high)
    ax.set_xscale("log", base=2)
    draws = sorted({n for line in lines for n, _, _ in line.points})
    ax.set_xticks(draws[:: 1 + len(draws) // 12])
    ax.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.axhline(trivial, color="0.4", linestyle=":", linewidth=1)
    ends = [(f"ln C = {trivial:.2f}", trivial, "0.4")]
    for line in lines:
        _draw_line(ax, line, trivial, low, high)
        if line.points:
            # With the standing: the note below may be cut off a figure that is not ours.
            name = f"{line.label} ({line.standing})" if line.standing else line.label
            ends.append((name, max(low, min(line.points[-1][1], high)), line.colour))
    _label(ax, ends)
    ax.set_ylabel("L_sup in nats" if kind == "linear" else "L_sup in nats, log scale")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return [line for line in lines if line.points]


def _note(ax: Any, unproved: list[_Line], hidden: list[_Line]) -> None:
    """Below the axis: which lines are not proved to be bounds, and which are not drawn."""
    texts = []
    if unproved:
        names = ", ".join(dict.fromkeys(f"{line.label} ({line.standing})" for line in unproved))
        texts.append(
            f"Dotted, with markers of strokes: not proved to be upper bounds of L_sup, so that being below ln C says nothing: {names}."
        )
    for reason, has_points in (("above ln C at every n", True), ("without a value at any n", False)):
        names = ", ".join(line.label for line in hidden if bool(line.points) == has_points)
        if names:
            texts.append(f"Not shown, {reason}: {names}.")
    if not texts:
        return
    ax.annotate(
        "\n".join(textwrap.fill(text, 90) for text in texts),
        (0, 0),
        xytext=(0, -36),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        fontsize=8,
        color="0.3",
        annotation_clip=False,
    )


def _draw_line(ax: Any, line: _Line, trivial: float, low: float, high: float) -> None:
    """Line, band and markers; what is beyond the axis is marked at its edge."""
    finite = [point for point in line.points if point[1] < math.inf]
    draws = [n for n, _, _ in finite]
    means = [mean for _, mean, _ in finite]
    width, style = 2 if line.marker == "*" else 1.2, ":" if line.standing else "-"
    ax.plot(draws, means, color=line.colour, linewidth=width, linestyle=style, label=line.label)
    if len(finite) == 1 and finite[0][2]:
        ax.errorbar(draws, means, finite[0][2], color=line.colour, capsize=3)
    elif any(deviation for _, _, deviation in finite):
        band = [[mean + sign * deviation for _, mean, deviation in finite] for sign in (-1, 1)]
        ax.fill_between(draws, *band, color=line.colour, alpha=0.2, linewidth=0)
    measured = line.marker == "*"
    for n, mean, _ in line.points:
        inside, hollow = low <= mean <= high, mean >= trivial and not measured
        beyond = "x" if mean == math.inf else "$\\uparrow$" if mean > high else "$\\downarrow$"
        ax.plot(
            [n],
            [max(low, min(mean, high))],
            marker=line.marker if inside else beyond,
            markersize=8 if measured or line.standing or not inside else 5,
            markerfacecolor="white" if inside and hollow else line.colour,
            color=line.colour,
            linestyle="none",
            clip_on=False,
            zorder=3,
        )


def _label(ax: Any, ends: list[tuple[str, float, str]]) -> None:
    """Names at the right edge beside the ends of their lines, moved apart where they would overlap."""
    ends = sorted(ends, key=lambda end: end[1])
    size = 8.0
    # Height of a line of text as a share of the axes.
    gap = 1.25 * size / 72 / (ax.get_position().height * ax.figure.get_size_inches()[1])
    low, high = ax.get_ylim()
    scale = math.log if ax.get_yscale() == "log" else float
    shares = [(scale(max(value, low)) - scale(low)) / (scale(high) - scale(low)) for _, value, _ in ends]
    for place in range(1, len(shares)):
        shares[place] = max(shares[place], shares[place - 1] + gap)
    # What was pushed beyond the upper edge comes back, and pushes those below.
    limit = 1.0 + gap / 2
    for place in reversed(range(len(shares))):
        shares[place] = min(shares[place], limit)
        limit = shares[place] - gap
    for (text, _, colour), share in zip(ends, shares):
        ax.annotate(
            text, (1.02, share), xycoords="axes fraction", va="center", color=colour, fontsize=size, annotation_clip=False
        )
