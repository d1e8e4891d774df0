"""Tables of results: columns by name, shown as HTML in notebooks, and as a DataFrame where pandas is there."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Table"]

_SHOWN = 60  # rows that are shown


class Table(Mapping[str, list[Any]]):
    """Named columns of equal length, as a mapping from name to list.

    A cell is a number, a text, or None where nothing is known; where there is no number, the text says why. A number
    below the range of floats is a ``decimal.Decimal``.

    Attributes
    ----------
    notes : list of str
        What the command line says beside the table, such as which rows stand twice.

    Examples
    --------
    >>> from negatives import optimum
    >>> table = optimum([1, 3], 2, temperature=1.0)
    >>> table.num_rows, table["negatives"], list(table)[:3]
    (2, [1, 3], ['negatives', 'draws', 'classes'])
    >>> round(table.row(0)["optimal_loss"], 6)
    0.410038
    """

    __slots__ = ("_columns", "_shown", "notes")

    def __init__(
        self,
        names: Sequence[str],
        columns: Sequence[list[Any]],
        shown: Sequence[Sequence[str]] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._columns = dict(zip(names, columns))
        self._shown = shown
        self.notes = list(notes)

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()), []))

    def row(self, index: int) -> dict[str, Any]:
        """One row as a dict; negative indices count from the end."""
        return {name: column[index] for name, column in self._columns.items()}

    def rows(self) -> list[dict[str, Any]]:
        """All rows as dicts."""
        return [self.row(index) for index in range(self.num_rows)]

    def to_pandas(self) -> Any:
        """The table as a ``pandas.DataFrame`` (extra ``pandas``)."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'negatives[pandas]'") from error
        return pandas.DataFrame(self._columns)

    def _texts(self) -> tuple[list[str], list[list[str]]]:
        """Header and cells as they are shown."""
        if self._shown is not None:
            names = [name for name in self._columns if not (name.endswith(" sd") and name[:-3] in self._columns)]
            return names, [list(row) for row in self._shown[:_SHOWN]]
        number = min(self.num_rows, _SHOWN)
        return list(self._columns), [
            [_text(column[index]) for column in self._columns.values()] for index in range(number)
        ]

    def _beyond(self) -> str:
        return f"{self.num_rows} rows, the first {_SHOWN} shown" if self.num_rows > _SHOWN else ""

    def __repr__(self) -> str:
        names, cells = self._texts()
        widths = [max(map(len, texts)) for texts in zip(names, *cells)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in [names, *cells]
        ]
        return "\n".join(filter(None, [*lines, self._beyond(), *(f"note: {note}" for note in self.notes)]))

    def _repr_html_(self) -> str:
        names, cells = self._texts()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in line) + "</tr>" for line in cells)
        said = [self._beyond(), *(f"note: {note}" for note in self.notes)]
        below = "".join(f"<p>{html.escape(text)}</p>" for text in said if text)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
