"""Features of an encoder to rows of losses, and which negatives are hard."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import _losses, _negatives
from ._arguments import flag as _flag
from ._arguments import real as _real
from ._arguments import threads as _threads
from ._arguments import whole as _whole
from ._features import features as _features
from ._features import labels as _labels
from ._table import Table
from .errors import ArgumentError

if TYPE_CHECKING:
    from pandas import DataFrame as _DataFrame

__all__ = ["Difficulty", "difficulty", "measure", "report"]


def measure(
    view1: Any,
    view2: Any,
    labels: Any,
    *,
    draws: int | Iterable[int],
    temperature: float | Iterable[float],
    train: Any = None,
    train_labels: Any = None,
    mean: Any = None,
    passes: int | None = None,
    seed: int = 7,
    linear_ridge: float | str = 1e-4,
    linear_standardise: bool = False,
    knn_k: int = 20,
    knn_temperature: float = 0.1,
    all_pairs: bool = False,
    threads: int | None = None,
    name: str = "features",
) -> _DataFrame | Table:
    """Measure what the bounds need, from two views of the features of any encoder.

    Batches of n = K + 1 samples are drawn without replacement; in each, view 1 of a sample is the anchor, view 2 of the
    same sample its positive, view 2 of the others its K negatives. The rows are those that the program ``measure``
    writes to ``losses.csv``, to the last bit; :func:`bounds`, :func:`explain` and :func:`certify` take them.

    Parameters
    ----------
    view1, view2 : array_like, shape (N, d)
        Features of two views of the same N samples: numpy, torch on the CPU, or anything that numpy reads, in half,
        single or double precision, with any strides. Rows are scaled to unit length, in a copy.
    labels : array_like, shape (N,)
        Class of each sample, 0, 1, …, of any integer type; every class has a sample.
    draws : int or iterable of int
        Numbers of draws n = K + 1 (**not** of negatives K); each makes a row.
    temperature : float or iterable of float
        t of the contrastive loss and of the mean classifier; each makes a row with every number of draws.
    train, train_labels : array_like, shapes (M, d) and (M,), optional
        Training features, for the class means, the linear probe and kNN. Without them class means are those of both
        views.
    mean : array_like, shape (N, d), optional
        Mean feature of each sample over more views, not normalised. Without it view 2 alone, which makes the gap term
        conservative.
    passes : int, optional
        Passes over the samples; by default as many as make 100 batches.
    seed : int, default 7
        Of the batches.
    linear_ridge : float or "chosen", default 1e-4
        Weight of ½‖W‖² in the linear probe's loss (the mean cross-entropy), at least 1e-6; "chosen": the one of 1, 0.1, …, 1e-6 that is
        right most often on a held-out fifth of the training rows.
    linear_standardise : bool, default False
        Whether each feature is divided by its own deviation for the probe, rather than all by one scale.
    knn_k, knn_temperature : int and float, default 20 and 0.1
        Neighbours that vote, and the temperature of their votes.
    all_pairs : bool, default False
        Whether columns over all pairs of samples are of all of them even above 30,000 samples.
    threads : int, optional
        Threads to compute with, by default all processors. The result does not depend on it.
    name : str, default "features"
        The rows' ``run_id``; the program's is the name of the file.

    Returns
    -------
    pandas.DataFrame or negatives.Table
        A DataFrame where pandas is installed. A row for each number of draws and each temperature; losses in nats.
        ``theory columns``, and ``docs/losses.md``, name all columns.

    Raises
    ------
    ArgumentError
        Shapes that do not fit together, more draws than samples, classes without a sample, a row that is zero or not
        finite; the message names array, row and value.
    NotFiniteError
        A temperature at which a loss overflows.
    TypeError
        Arrays that hold no real numbers, or are not in the memory of the CPU.

    Examples
    --------
    Two classes of two samples, each class on an axis: of an anchor's three other samples one has its class.

    >>> import negatives
    >>> view = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> rows = negatives.measure(view, view, [0, 0, 1, 1], draws=2, temperature=1.0)
    >>> round(float(rows["collision_exact"][0]), 12), float(rows["mean_accuracy"][0])
    (0.333333333333, 1.0)
    """
    given = (train is not None, train_labels is not None)
    if given[0] != given[1]:
        raise ArgumentError("train and train_labels go together")
    text = _negatives.measure_features(
        str(name),
        (_features("view1", view1), _features("view2", view2)),
        _labels("labels", labels),
        (_features("train", train), _labels("train_labels", train_labels)) if all(given) else None,
        None if mean is None else _features("mean", mean),
        _each("draws", draws, lambda n: _whole("draws", n)),
        _each("temperature", temperature, _temperature),
        None if passes is None else _whole("passes", passes),
        _whole("seed", seed, 0),
        (str(linear_ridge), _flag("linear_standardise", linear_standardise)),
        (_whole("knn_k", knn_k), _temperature(knn_temperature, "knn_temperature")),
        _flag("all_pairs", all_pairs),
        _threads(threads),
    )
    return _frame(text, dict(_negatives.column_kinds()))


def _temperature(value: Any, name: str = "temperature") -> float:
    t = _real(name, value)
    if not 0 < t < float("inf"):
        raise ArgumentError(f"{name} = {t} is not a positive finite number")
    return t


def _each(name: str, values: Any, read: Any) -> list[Any]:
    """One value or several, each once."""
    several = isinstance(values, Iterable) and not isinstance(values, (str, bytes)) and getattr(values, "ndim", 1) != 0
    found = [read(value) for value in values] if several else [read(values)]
    if not found:
        raise ArgumentError(f"{name} is empty")
    twice = next((value for i, value in enumerate(found) if value in found[:i]), None)
    if twice is not None:
        raise ArgumentError(f"{name} names {twice} twice")
    return found


def report(
    losses: Any,
    out: str | os.PathLike[str],
    *,
    title: str = "Bounds against the number of negatives",
    keys: Iterable[str] | None = None,
) -> pathlib.Path:
    """Write the report that ``theory report`` writes: one page, its figures and its tables.

    Parameters
    ----------
    losses : DataFrame, dict of columns, or path
        Measured rows, as :func:`measure` returns them, or a ``losses.csv``.
    out : path
        A folder: new, empty, or of an earlier report.
    title : str, optional
        Of the page.
    keys : iterable of str, optional
        Bounds in the figure, by key (:func:`registry`), or ``"all"``; by default the published ones beside the sharp
        ones.

    Returns
    -------
    pathlib.Path
        ``report.html``; beside it ``bounds.svg``, ``bounds.png``, ``bounds.csv``, ``bounds.md``, ``losses.csv`` and
        what :func:`explain` finds.

    Raises
    ------
    ArgumentError
        No rows, a bound that does not exist, a folder of something else.
    DataError
        Rows that cannot be accepted.
    FileError
        The operating system refuses.

    Examples
    --------
    >>> import negatives, tempfile
    >>> view = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> rows = negatives.measure(view, view, [0, 0, 1, 1], draws=[2, 4], temperature=1.0)
    >>> negatives.report(rows, tempfile.mkdtemp()).name
    'report.html'
    """
    chosen = None if keys is None else [keys] if isinstance(keys, str) else [str(key) for key in keys]
    folder = pathlib.Path(out)
    _negatives.write_report(_losses.read(losses), folder, str(title), chosen)
    return folder / "report.html"


class Difficulty:
    """What :func:`difficulty` finds: tables, DataFrames where pandas is installed.

    Attributes
    ----------
    summary : dict
        What was ranked, and sums over items, by name.
    bins : DataFrame or Table
        A row for each interval of difficulty: how many of its negatives have the query's class, and by chance.
    items : DataFrame or Table
        A row for each sample of the bank: whether it is hard for every query.
    extremes : DataFrame or Table
        The ten items that are hardest on average, then the ten that are easiest.
    semantics : DataFrame or Table or None
        A row for each interval: whether negatives of other classes are of similar classes; with a hierarchy only.
    """

    def __init__(self, tables: dict[str, Any]) -> None:
        lines = list(csv.reader(io.StringIO(tables["summary"])))[1:]
        self.summary: dict[str, Any] = {name: _typed([value])[0] for name, value in lines}
        self.bins = _frame(tables["bins"])
        self.items = _frame(tables["items"])
        self.extremes = _frame(tables["extremes"])
        semantics = tables["semantics"]
        self.semantics = None if semantics is None else _frame(semantics)

    def __repr__(self) -> str:
        return f"Difficulty(queries={self.summary['queries']}, negatives_K={self.summary['negatives_K']})\n{self.bins}"

    def _repr_html_(self) -> str:
        summary = Table(["quantity", "value"], [list(self.summary), list(self.summary.values())])
        return f"{summary._repr_html_()}{self.bins._repr_html_()}"


def _frame(text: str, kinds: Mapping[str, str] | None = None) -> _DataFrame | Table:
    """A CSV text as a DataFrame, or as a table where there is no pandas."""
    names, *records = csv.reader(io.StringIO(text))
    columns = [_typed([record[i] for record in records], (kinds or {}).get(name)) for i, name in enumerate(names)]
    table = Table(names, columns)
    try:
        return table.to_pandas()
    except ImportError:
        return table


def _typed(cells: list[str], kind: str | None = None) -> list[Any]:
    """Cells as numbers where their column holds numbers, None where they are empty."""
    first: tuple[type, ...] = {None: (int, float), "integer": (int,), "number": (float,)}.get(kind, ())
    for read in first:
        try:
            return [read(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def difficulty(
    view1: Any,
    view2: Any,
    labels: Any,
    *,
    queries: int | None = None,
    bank: int | None = None,
    bins: Iterable[str] | None = None,
    hierarchy: str | os.PathLike[str] | None = None,
    seed: int = 7,
    threads: int | None = None,
) -> Difficulty:
    """Ask which negatives are hard, as Cai, Frankle, Schwab & Morcos (2020, arXiv 2010.06682) do.

    The difficulty of a negative j for a query i is the cosine of view 1 of i and view 2 of j. The K negatives of every
    query are sorted, and asked by interval of difficulty: how many are of the query's class, whether the same samples
    are hard for every query, and, with a hierarchy of classes, whether those of other classes are of similar ones.

    Parameters
    ----------
    view1, view2, labels : array_like
        As for :func:`measure`.
    queries, bank : int, optional
        Random parts of the samples: the bank has K + 1 items, the queries are some of them; by default all.
    bins : iterable of str, optional
        Intervals of percent of the negatives, the hardest first, such as ``"0-0.1"``.
    hierarchy : path, optional
        A CSV file ``node,parent,class`` of the classes in a tree.
    seed : int, default 7
        Of the choice of queries and bank, and of the permutations of classes.
    threads : int, optional
        As for :func:`measure`.

    Returns
    -------
    Difficulty
        Tables, and a summary.

    Raises
    ------
    ArgumentError
        As for :func:`measure`; fewer than 3 bank items or 2 queries; an interval that holds no negative.
    DataError, FileError
        A hierarchy that cannot be read.

    Examples
    --------
    Two classes on an axis each: all hard negatives, and no easy one, have the query's class.

    >>> import negatives
    >>> view = [[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3
    >>> found = negatives.difficulty(view, view, [0] * 3 + [1] * 3, bins=["0-40", "40-100"])
    >>> found.summary["negatives_K"], list(found.bins["same_class"])
    (5, [1.0, 0.0])
    """
    tables = _negatives.difficulty_of(
        (_features("view1", view1), _features("view2", view2)),
        _labels("labels", labels),
        None if queries is None else _whole("queries", queries),
        None if bank is None else _whole("bank", bank),
        None if bins is None else [str(text) for text in bins],
        hierarchy,
        _whole("seed", seed, 0),
        _threads(threads),
    )
    return Difficulty(tables)
