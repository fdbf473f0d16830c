"""Buckets: the few sizes that batches of images of many sizes are padded to, each of which is compiled once."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from gauss_vit.errors import ConfigError

Size = tuple[int, int]
"""(height, width) in pixels."""


def with_square(buckets: Iterable[Size]) -> tuple[Size, ...]:
    """Adds the square of the longest side, for batches of tall and wide images together; the smallest area comes first.

    A single bucket stays alone.

    >>> with_square([(800, 1344), (1344, 800), (640, 768)])
    ((640, 768), (800, 1344), (1344, 800), (1344, 1344))
    """
    known = set(buckets)
    if len(known) > 1:
        side = max(map(max, known))
        known.add((side, side))
    return tuple(sorted(known, key=lambda size: (size[0] * size[1], size)))


def smallest_fits(sizes: Int[np.ndarray, "images 2"], buckets: Sequence[Size]) -> Int[np.ndarray, " images"]:
    """Finds the first bucket that each image fits.

    Args:
      sizes: (height, width) of each image in pixels.
      buckets: from the smallest to the largest area.

    Raises:
      ConfigError: an image fits none.
    """
    fits = np.all(sizes[:, None, :] <= np.asarray(buckets)[None], axis=2)
    fits_none = ~np.any(fits, axis=1)
    if fits_none.any():
        height, width = sizes[fits_none][0].tolist()
        largest = " or ".join(f"{rows} x {columns}" for rows, columns in buckets[-2:])
        message = f"the transforms make images of {height} x {width} px, which do not fit batches of {largest} px"
        raise ConfigError(message, do=f"add a size such as ({height}, {width}) to data.buckets")
    return np.argmax(fits, axis=1)
