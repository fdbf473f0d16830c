"""The one way in which shares are written as text and as JSON."""

import numpy as np


def percent(share: float) -> str:
    """Formats a share in 0..1 as a percentage.

    >>> percent(0.98333)
    '98.3 %'
    """
    return f"{100 * share:.1f} %"


def shortest(share: np.floating) -> float:
    """Converts a float32 to the float with the fewest digits that rounds to it.

    >>> float(np.float32(0.1)), shortest(np.float32(0.1))
    (0.10000000149011612, 0.1)
    """
    return float(np.format_float_scientific(np.float32(share)))
