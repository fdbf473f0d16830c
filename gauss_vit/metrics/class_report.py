"""What the tables of an evaluation by class need of a metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from gauss_vit.metrics.confusion import Confusion


@dataclass(frozen=True, kw_only=True)
class Overall:
    """A share over all classes.

    Attributes:
      title: name of the share, as in a table.
      share: the share in 0..1; NaN of nothing.
      num_correct: number of examples or pixels that are right; None for a mean over classes.
      num: number of all of them; None for a mean over classes.
    """

    title: str
    share: float
    num_correct: int | None = None
    num: int | None = None


@runtime_checkable
class ClassReport(Protocol):
    """A metric of classes, of images or of pixels."""

    @property
    def unit(self) -> str:
        """What is counted, in the plural: "images" or "pixels"."""
        ...

    @property
    def count_name(self) -> str:
        """Name of its number among the values, such as "num_pixels"."""
        ...

    @property
    def confusion(self) -> Confusion:
        """Counts by true and predicted class."""
        ...

    def overall(self) -> tuple[Overall, ...]:
        """Returns the shares over all classes."""
        ...

    def shares(self) -> Mapping[str, Float[np.ndarray, " classes"]]:
        """Returns shares of each class in 0..1 by title, the most important first; NaN where a class has none."""
        ...

    def compute(self) -> dict[str, float]:
        """Computes the named values, with the loss among them."""
        ...
