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
        shown: Sequence[tuple[list[str], list[list[str]]]] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._columns = dict(zip(names, columns))
        self._shown = [self._plain()] if shown is None else shown
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

    def _plain(self) -> tuple[list[str], list[list[str]]]:
        """Header and cells of the columns themselves."""
        cells = [[_text(value) for value in column[: _SHOWN + 1]] for column in self._columns.values()]
        return list(self._columns), [list(row) for row in zip(*cells)]

    def _below(self) -> list[str]:
        beyond = any(len(cells) > _SHOWN for _, cells in self._shown)
        return [f"the first {_SHOWN} lines; to_pandas() has all {self.num_rows} rows"] * beyond + [
            f"note: {note}" for note in self.notes
        ]

    def __repr__(self) -> str:
        blocks = []
        for names, cells in self._shown:
            lines = [names, *cells[:_SHOWN]]
            widths = [max(map(len, texts)) for texts in zip(*lines)]
            rows = ("  ".join(text.ljust(width) for text, width in zip(line, widths)) for line in lines)
            blocks.append("\n".join(row.rstrip() for row in rows))
        return "\n".join(["\n\n".join(blocks), *self._below()])

    def _repr_html_(self) -> str:
        blocks = []
        for names, cells in self._shown:
            head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
            rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in line) for line in cells[:_SHOWN])
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            blocks.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        return "".join([*blocks, *(f"<p>{html.escape(text)}</p>" for text in self._below())])


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
