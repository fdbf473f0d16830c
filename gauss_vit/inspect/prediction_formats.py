"""Predictions as text: JSON, one line an image; CSV; and an aligned table. No format knows the task."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from gauss_vit.command_line.table import Alignment, aligned_row, width
from gauss_vit.escaping import escaped
from gauss_vit.inspect.predictions import Prediction
from gauss_vit.metrics.percent import percent

_WIDEST_FILE = 60
"""Columns that names of files may take; longer ones have a line of their own."""

Value = str | int | float | None
Record = Mapping[str, Value]


@runtime_checkable
class PredictionFormat(Protocol):
    """A way to write predictions."""

    def heading(self, first: Prediction) -> list[str]:
        """Returns the lines before the first prediction."""
        ...

    def lines(self, prediction: Prediction) -> list[str]:
        """Returns the lines of one prediction."""
        ...


@dataclass(frozen=True)
class JsonLines:
    """One JSON object an image: the file, the task's records under their name, and the pictures that were written."""

    def heading(self, first: Prediction) -> list[str]:
        """Returns nothing."""
        del first
        return []

    def lines(self, prediction: Prediction) -> list[str]:
        """Returns one line."""
        records = prediction.records
        found = {"file": str(prediction.path), records.name: [dict(item) for item in records.items]}
        return [json.dumps(found | dict(prediction.pictures))]


@dataclass(frozen=True)
class CsvRows:
    """One row a record, with the file in the first column."""

    def heading(self, first: Prediction) -> list[str]:
        """Returns the names of the columns."""
        return [_csv(["file", *_keys(first)])]

    def lines(self, prediction: Prediction) -> list[str]:
        """Returns a row for each record."""
        file = str(prediction.path).encode(errors="replace").decode()
        return [_csv([file, *item.values()]) for item in prediction.records.items]


@dataclass(frozen=True)
class Table:
    """An aligned table: file, then the numbers of each record, with shares as percentages, then its texts.

    Attributes:
      file_width: columns of the terminal for the names of files.
    """

    file_width: int

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "Table":
        """Returns a table with room for the names of files."""
        return cls(min(_WIDEST_FILE, max(width(escaped(str(path))) for path in paths)))

    def heading(self, first: Prediction) -> list[str]:
        """Returns the names of the columns."""
        items = first.records.items
        return [self._row("file", items[0], _columns(items[0]))] if items else []

    def lines(self, prediction: Prediction) -> list[str]:
        """Returns a line for each record; the first names the file."""
        name, items = escaped(str(prediction.path)), prediction.records.items
        rows = [(item, [_text(item[key]) for key in _columns(item)]) for item in items]
        if width(name) > self.file_width or not rows:
            return [name, *(self._row("", item, texts) for item, texts in rows)]
        files = [name, *[""] * (len(rows) - 1)]
        return [self._row(file, item, texts) for file, (item, texts) in zip(files, rows, strict=True)]

    def _row(self, file: str, item: Record, texts: Sequence[str]) -> str:
        keys = _columns(item)
        num_numbers = sum(isinstance(item[key], int | float) for key in keys)
        widths = [self.file_width, *(max(len(key), len(percent(1.0))) for key in keys[:num_numbers])]
        sides: tuple[Alignment, Alignment] = ("left", "right")
        alignments = [sides[0 < column <= num_numbers] for column in range(len(keys) + 1)]
        return aligned_row([file, *texts], [*widths, *[0] * (len(keys) - num_numbers)], alignments)


class Listing:
    """Predictions as lines below one heading, which comes with the first image in which something is found."""

    def __init__(self, style: PredictionFormat) -> None:
        self._style = style
        self._has_heading = False

    def lines(self, batch: Sequence[Prediction]) -> list[str]:
        """Returns the next lines."""
        lines = [line for prediction in batch for line in self._style.lines(prediction)]
        first = next((prediction for prediction in batch if prediction.records.items), None)
        if first is None or self._has_heading:
            return lines
        self._has_heading = True
        return [*self._style.heading(first), *lines]


def _keys(prediction: Prediction) -> tuple[str, ...]:
    return tuple(prediction.records.items[0]) if prediction.records.items else ()


def _columns(item: Record) -> tuple[str, ...]:
    """Orders the keys of a record as the columns of the table: numbers, then texts, whose width is not known.

    What is not known is left out.
    """
    numbers = [key for key, value in item.items() if isinstance(value, int | float)]
    return (*numbers, *(key for key, value in item.items() if isinstance(value, str)))


def _text(value: Value) -> str:
    if isinstance(value, float):
        return percent(value)
    return escaped(str(value))


def _csv(cells: Sequence[Value]) -> str:
    text = io.StringIO()
    # Without an end of lines the writer does not quote one in a cell.
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().removesuffix("\n")
