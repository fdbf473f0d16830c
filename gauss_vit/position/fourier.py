"""Fixed embedding of positions by sines and cosines of rows and columns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid

_LEAST = 1e-6


@dataclass(frozen=True, kw_only=True)
class FourierEmbedding:
    """Sines and cosines of a patch's row and column, on any grid; a backbone maps them to its width.

    With the angle a(y) = 2 pi y / height of the row y = 1, ..., height, and the same of the column,

      features[2 k] = sin(a / temperature^(2 k / channels))
      features[2 k + 1] = cos(a / temperature^(2 k / channels))

    Attributes:
      channels: Number of channels of the row, and of the column; even.
      temperature: Ratio of the largest wavelength to the smallest, nearly.

    Raises:
      ConfigError: a value is out of range.

    Source: El-Nouby et al., XCiT (NeurIPS 2021), section 3.4; timm `PositionalEncodingFourier`.
    """

    channels: int = 32
    temperature: float = 10_000.0

    def __post_init__(self):
        if self.channels < 2 or self.channels % 2:
            raise ConfigError(f"channels must be even and at least 2, got {self.channels}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be above 0, got {self.temperature}")

    def features(self, grid: Grid) -> Float[np.ndarray, "height width channels"]:
        """Computes the features of every patch, those of the row first, float32.

        >>> FourierEmbedding(channels=2).features((1, 2)).round(3)[0].tolist()
        [[-0.0, 1.0, 0.0, -1.0], [-0.0, 1.0, -0.0, 1.0]]
        """
        rows, columns = (self._features_of(side) for side in grid)
        shape = (*grid, self.channels)
        down, across = np.broadcast_to(rows[:, None], shape), np.broadcast_to(columns[None], shape)
        return np.concatenate([down, across], axis=-1).astype(np.float32)

    def _features_of(self, side: int) -> Float[np.ndarray, "side channels"]:
        # The smallest number keeps the angle of the last row just below 2 pi, as in the source.
        angles = np.arange(1, side + 1) / (side + _LEAST) * 2 * np.pi
        wavelengths = self.temperature ** (np.arange(0, self.channels, 2) / self.channels)
        scaled = angles[:, None] / wavelengths[None]
        return np.stack([np.sin(scaled), np.cos(scaled)], axis=-1).reshape(side, self.channels)
