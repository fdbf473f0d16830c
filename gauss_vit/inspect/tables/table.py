"""A table of measured numbers, and its texts: for a terminal, CSV, Markdown and JSON.

Every cell that was not computed says why. Numbers of the paper stand in rows of their own, marked `paper`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gauss_vit.command_line.table import Alignment, aligned, width
from gauss_vit.inspect.result_tables import csv_text

NOT_RUN = "not run"
"""What a cell says of a number that nothing was run for."""

HERE, PAPER = "here", "paper"
"""Where the numbers of a row come from."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number, or the reason why there is none.

    Attributes:
      value: The number; None if it was not computed.
      missing: The reason in a few letters.
      digits: Digits after the point in texts.
    """

    value: float | None = None
    missing: str = NOT_RUN
    digits: int = 3

    def text(self) -> str:
        """Formats the number, or says why there is none.

        >>> Cell(value=0.7844).text(), Cell(value=float("nan"), missing="flat").text(), Cell().text()
        ('0.784', 'flat', 'not run')
        """
        return f"{self.value:.{self.digits}f}" if self.is_known else self.missing

    @property
    def is_known(self) -> bool:
        """Whether there is a finite number."""
        return self.value is not None and math.isfinite(self.value)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
      keys: What the row is about: model, layer, data.
      cells: Its numbers.
      origin: "here" or "paper".
    """

    keys: tuple[str, ...]
    cells: tuple[Cell, ...]
    origin: str = HERE


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
      name: Number in the paper, such as "1" or "s3".
      title: What it shows, in a sentence without a point.
      key_heads: Headings of the keys of its rows.
      heads: Headings of the numbers.
      rows: Rows, those of the paper after those of the same keys.
      notes: Sentences on how numbers were computed, or why they were not.
    """

    name: str
    title: str
    key_heads: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def row_of(keys: Sequence[str], values: Sequence[float | None], *, origin: str = HERE, missing: str = NOT_RUN) -> Row:
    """Returns a row of numbers, of which those that are None are missing for one reason."""
    cells = tuple(Cell(value=value, missing=missing) for value in values)
    return Row(keys=tuple(keys), cells=cells, origin=origin)


def terminal_lines(table: Table, *, columns: int) -> list[str]:
    """Formats a table for a terminal of so many columns, without keys that the row before has as well.

    Where the rows are too wide, the first key stands in a line of its own above its rows.
    """
    heading = [*table.key_heads, "from", *table.heads]
    texts = [[*keys, row.origin, *(cell.text() for cell in row.cells)] for keys, row in _with_keys_once(table.rows)]
    left: Alignment = "left"
    right: Alignment = "right"
    sides = [*(left for _ in (*table.key_heads, "from")), *(right for _ in table.heads)]
    lines = aligned([heading, *texts], sides)
    if max(map(width, lines)) > columns:
        lines = _with_first_key_above(aligned([heading[1:], *(text[1:] for text in texts)], sides[1:]), table, texts)
    return [f"Table {table.name}: {table.title}", "", *lines, *(["", *table.notes] if table.notes else [])]


def _with_first_key_above(lines: Sequence[str], table: Table, texts: Sequence[Sequence[str]]) -> list[str]:
    found = [f"  {lines[0]}"]
    for line, text in zip(lines[1:], texts, strict=True):
        found += [text[0]] if text[0] else []
        found.append(f"  {line}")
    return found


def _with_keys_once(rows: Sequence[Row]) -> list[tuple[list[str], Row]]:
    """Leaves out the keys at the beginning of a row that are those of the row before."""
    shown = [(list(row.keys), row) for row in rows[:1]]
    for before, row in pairwise(rows):
        pairs = zip(before.keys, row.keys, strict=True)
        num_equal = next((index for index, pair in enumerate(pairs) if pair[0] != pair[1]), len(row.keys))
        shown.append(([""] * num_equal + list(row.keys[num_equal:]), row))
    return shown


def as_csv(table: Table) -> str:
    """Formats a table as CSV, with every key in every row and seven significant digits."""
    return csv_text([*table.key_heads, "from", *table.heads], [_plain(row) for row in table.rows])


def _plain(row: Row) -> list[str]:
    numbers = [f"{cell.value:.7g}" if cell.is_known else cell.missing for cell in row.cells]
    return [*row.keys, row.origin, *numbers]


def as_markdown(table: Table) -> str:
    """Formats a table as Markdown, with its notes below."""
    rows = [[*row.keys, row.origin, *(cell.text() for cell in row.cells)] for row in table.rows]
    heading = [*table.key_heads, "from", *table.heads]
    rule = ["---"] * (len(table.key_heads) + 1) + ["---:"] * len(table.heads)
    lines = [f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows)]
    return "\n".join([f"Table {table.name}: {table.title}", "", *lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def as_json(table: Table) -> dict[str, object]:
    """Returns a table for JSON; a number that was not computed is null, and `missing` says why."""
    return {
        "table": table.name,
        "title": table.title,
        "rows": [_json_row(table, row) for row in table.rows],
        "notes": list(table.notes),
    }


def _json_row(table: Table, row: Row) -> dict[str, object]:
    named = dict(zip(table.heads, row.cells, strict=True))
    return {
        **dict(zip(table.key_heads, row.keys, strict=True)),
        "from": row.origin,
        "values": {head: cell.value if cell.is_known else None for head, cell in named.items()},
        "missing": {head: cell.missing for head, cell in named.items() if not cell.is_known},
    }
