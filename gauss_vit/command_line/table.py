"""Aligned tables of text for a terminal."""

import unicodedata
from collections.abc import Sequence
from typing import Literal

Alignment = Literal["left", "right"]

GAP = "  "
"""What separates two columns."""


def aligned(rows: Sequence[Sequence[str]], alignments: Sequence[Alignment]) -> list[str]:
    """Formats rows in columns as wide as their widest cell.

    >>> aligned([("class", "images"), ("cat", "12")], ("left", "right"))
    ['class  images', 'cat        12']
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [aligned_row(row, widths, alignments) for row in rows]


def aligned_row(cells: Sequence[str], widths: Sequence[int], alignments: Sequence[Alignment]) -> str:
    """Formats one row; a cell that is wider than its column moves the rest of its line to the right.

    Args:
      cells: text of each column.
      widths: columns of the terminal that each takes.
      alignments: side to which each is aligned.
    """
    padded = (_padded(cell, size, side) for cell, size, side in zip(cells, widths, alignments, strict=True))
    return GAP.join(padded).rstrip()


def width(text: str) -> int:
    """Counts the columns of a terminal that a text takes: two for a wide character, none for a combining one.

    >>> width("cat"), width("猫")
    (3, 2)
    """
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(cell: str, size: int, side: Alignment) -> str:
    spaces = " " * (size - width(cell))
    return cell + spaces if side == "left" else spaces + cell
