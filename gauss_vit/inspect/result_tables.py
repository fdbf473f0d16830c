"""What the tables of all evaluations have in common."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from gauss_vit.config.schema import JsonValue
from gauss_vit.metrics.percent import percent

MEASURED = ("step", "data", "split", "weights", "subset")
"""Keys of a result that say what was measured; the others are values."""

_MANY_CLASSES, _NUM_SHOWN = 20, 5


def measured(result: Mapping[str, JsonValue]) -> str:
    """Says what was measured, as the title of a table."""
    choices = "".join(f", {result[name]}" for name in ("weights", "subset") if name in result)
    return f"{result['data']} {result['split']}, step {result['step']}{choices}"


def listed_classes(shares: Float[np.ndarray, " classes"], title: str) -> tuple[list[str], list[int]]:
    """Chooses the classes of a table: all that have a share or, of many, those of the lowest.

    Args:
      shares: of each class; NaN where it has none.
      title: name of the share.

    Returns:
      Lines above the table, and the indices of its classes.
    """
    present = np.flatnonzero(~np.isnan(shares)).tolist()
    if len(present) <= _MANY_CLASSES:
        return [], present
    lowest = sorted(present, key=lambda index: shares[index])[:_NUM_SHOWN]
    return [f"The {_NUM_SHOWN} classes of the lowest {title}, of {len(present):,}:"], lowest


def share_text(share: float) -> str:
    """Formats a share for a terminal; one of nothing is empty.

    >>> share_text(0.25), share_text(math.nan)
    ('25.0 %', '')
    """
    return "" if math.isnan(share) else percent(share)


def share_cell(share: float) -> str:
    """Formats a share for a CSV file; one of nothing is empty.

    >>> share_cell(0.25), share_cell(math.nan)
    ('0.250000', '')
    """
    return "" if math.isnan(share) else f"{share:.6f}"


def csv_text(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    return text.getvalue()
