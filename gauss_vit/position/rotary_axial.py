"""Axial rotary embedding: fixed frequencies, half of the pairs of channels for the rows and half for the columns."""

from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.position.rotary import Layout, Rotary
from gauss_vit.position.term import TermParams

_KNOWN = {"coordinates": ("index", "centered"), "order": ("yx", "xy"), "pairing": get_args(Layout)}


@dataclass(frozen=True, kw_only=True)
class AxialRotary(Rotary):
    """A rotary embedding whose pairs of channels turn with the row or with the column, by fixed frequencies.

    With d channels a head, the frequencies of the pairs i = 0 ... d / 4 - 1 of either axis are base^(-4 i / d), times
    2 pi for centred coordinates. It has no parameters.

    The forms that models have: EVA-02 in timm is `AxialRotary(base=10000.0, reference=(16, 16))`, with the grid of its
    pre-training for `reference`; DINOv3 is `AxialRotary(base=100.0, coordinates="centered", pairing="half")`; and
    RoPE-Axial of Heo et al. is `AxialRotary(base=100.0, order="xy")`.

    Attributes:
      base: Ratio of the largest to the smallest frequency, nearly: that of 4 / d more pairs.
      coordinates: What y and x of a patch are: its "index", from 0, or the place of its centre on the image, whose
        sides are "centered" on 0 and reach from -1 to 1.
      reference: Grid of the patches, (height, width), that indices of any other grid are scaled to; None for indices as
        they are.
      order: Which axis the first half of the pairs turns with: rows ("yx") or columns ("xy").
      pairing: The channels of a pair: neighbours ("interleaved"), or half a head apart ("half").

    Raises:
      ConfigError: the base is not finite and above 1, or a reference has a side below 1 or centred coordinates.

    Source: Fang et al., EVA-02 (arXiv 2303.11331), section 2; Siméoni et al., DINOv3 (arXiv 2508.10104), section 3; Heo
    et al. (arXiv 2403.13298), section 3.1; timm `RotaryEmbeddingCat` and `RotaryEmbeddingDinoV3`.
    """

    base: float = 100.0
    coordinates: Literal["index", "centered"] = "index"
    reference: Grid | None = None
    order: Literal["yx", "xy"] = "yx"
    pairing: Layout = "interleaved"

    def __post_init__(self):
        if not np.isfinite(self.base) or self.base <= 1:
            raise ConfigError(f"base must be finite and above 1, got {self.base}")
        for name, known in _KNOWN.items():
            if (value := vars(self)[name]) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if self.reference is not None and (self.coordinates == "centered" or min(self.reference) < 1):
            raise ConfigError(
                f"reference {self.reference} must be at least 1 x 1, for coordinates 'index'",
                do="leave it out with centred coordinates, which fit every grid",
            )

    @property
    def layout(self) -> Layout:
        """Which channels form a pair."""
        return self.pairing

    def frequencies(self, params: TermParams, *, channels: int) -> Float[Array, "2 1 pairs"]:
        """Returns the frequencies of each axis, with zeros for the pairs that turn with the other."""
        del params
        exponents = np.arange(channels // 4, dtype=np.float32) / np.float32(channels // 4)
        bands = 1 / np.float32(self.base) ** exponents
        none = np.zeros_like(bands)
        first, second = np.concatenate([bands, none]), np.concatenate([none, bands])
        by_axis = (first, second) if self.order == "yx" else (second, first)
        return jnp.asarray(np.stack(by_axis)[:, None])

    def places(self, grid: Grid) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]]:
        """Returns the coordinates of every row and of every column, centred ones times 2 pi."""
        rows, columns = super().places(grid)
        height, width = (np.float32(side) for side in grid)
        half, turn = np.float32(0.5), np.float32(2 * np.pi)
        if self.coordinates == "centered":
            return turn * (2 * (rows + half) / height - 1), turn * (2 * (columns + half) / width - 1)
        if self.reference is None:
            return rows, columns
        return rows / height * np.float32(self.reference[0]), columns / width * np.float32(self.reference[1])
