"""How position terms start: their offset tables, and the receptive field of a model that has one of them alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from gauss_vit.ops.grid import Grid


@dataclass(frozen=True, kw_only=True)
class TermStart:
    """A position term before any training.

    Attributes:
      label: Name of the term and its variant.
      tables: Logits over offsets, query minus key, of every head, or of the one set that heads share.
      field: Effective receptive field of the central patch in a model with this term alone, in pixels; it sums to 1.
      grid: The (height, width) of the patches.
    """

    label: str
    tables: Float[np.ndarray, "heads dy dx"]
    field: Float64[np.ndarray, "height width"]
    grid: Grid
