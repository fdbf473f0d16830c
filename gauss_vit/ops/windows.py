"""Windows of a feature map: partition, shift, masks, and the way back.

Feature maps are [batch, height, width, channels]; tokens are the same map row by row, [batch, height width, channels].
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid, num_patches

_APART = -100.0


@dataclass(frozen=True, kw_only=True)
class WindowLayout:
    """Tokens of a grid in windows, whose pattern is shifted down and to the right.

    The map is rolled by the shift, padded with zeros at the bottom and on the right until windows tile it, and cut
    (timm); with `pads_first` it is padded before it is rolled (MMDetection). The mask keeps tokens apart that only the
    roll made neighbours. Padded tokens take part in attention: they are zeros before its first product, and only the
    mask of the shift excludes them.

    Attributes:
      grid: the (height, width) of the map.
      window: the (height, width) of a window, in tokens.
      shift: shift of the windows down and to the right, in tokens, less than a window.
      pads_first: whether the map is padded before it is rolled.

    Raises:
      ConfigError: a window has no tokens or is shifted by a whole window or more.

    Source: Liu et al., Swin Transformer (ICCV 2021), section 3.2; timm `SwinTransformerBlock._attn`; MMDetection
    `ShiftWindowMSA`.
    """

    grid: Grid
    window: Grid
    shift: Grid = (0, 0)
    pads_first: bool = False

    def __post_init__(self):
        for side, window, shift in zip(self.grid, self.window, self.shift, strict=True):
            if side < 1 or window < 1 or not 0 <= shift < window:
                raise ConfigError(
                    f"windows of {self.window} shifted by {self.shift} do not lie on a grid of {self.grid}",
                    do="choose sides of at least 1 and shifts from 0 to the window less 1",
                )

    @property
    def padded(self) -> Grid:
        """The (height, width) that windows tile, at least the grid."""
        height, width = (-(-side // window) * window for side, window in zip(self.grid, self.window, strict=True))
        return height, width

    @property
    def num_windows(self) -> int:
        """Number of windows of an image."""
        return num_patches(self.padded) // num_patches(self.window)

    @property
    def mask(self) -> Float[np.ndarray, "windows tokens tokens"] | None:
        """Logits of every window: 0 where two tokens may attend to each other, -100 elsewhere; None without a shift."""
        return shift_mask(self.padded, window=self.window, shift=self.shift) if any(self.shift) else None

    def split(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "windows window_tokens channels"]:
        """Partitions tokens into windows: those of one image in succession, row by row."""
        features = tokens.reshape(tokens.shape[0], *self.grid, tokens.shape[2])
        below, right = (padded - side for padded, side in zip(self.padded, self.grid, strict=True))
        padding, shift = ((0, 0), (0, below), (0, right), (0, 0)), (-self.shift[0], -self.shift[1])
        if self.pads_first:
            return partition(jnp.roll(jnp.pad(features, padding), shift, axis=(1, 2)), self.window)
        return partition(jnp.pad(jnp.roll(features, shift, axis=(1, 2)), padding), self.window)

    def join(self, windows: Float[Array, "windows window_tokens channels"]) -> Float[Array, "batch tokens channels"]:
        """Reverses `split` and drops the padding."""
        features = merge(windows, window=self.window, grid=self.padded)
        if self.pads_first:
            features = jnp.roll(features, self.shift, axis=(1, 2))[:, : self.grid[0], : self.grid[1]]
        else:
            features = jnp.roll(features[:, : self.grid[0], : self.grid[1]], self.shift, axis=(1, 2))
        return features.reshape(features.shape[0], num_patches(self.grid), features.shape[3])


def partition(
    features: Float[Array, "batch height width channels"], window: Grid
) -> Float[Array, "windows window_tokens channels"]:
    """Partitions a map that windows tile; the windows of an image, and the tokens of a window, are in row-major order.

    >>> partition(jnp.arange(8.0).reshape(1, 2, 4, 1), (2, 2))[:, :, 0].tolist()
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]
    """
    batch, height, width, channels = features.shape
    split = features.reshape(batch, height // window[0], window[0], width // window[1], window[1], channels)
    return jnp.transpose(split, (0, 1, 3, 2, 4, 5)).reshape(-1, num_patches(window), channels)


def merge(
    windows: Float[Array, "windows window_tokens channels"], *, window: Grid, grid: Grid
) -> Float[Array, "batch height width channels"]:
    """Reverses `partition` for maps of a grid."""
    rows, columns = grid[0] // window[0], grid[1] // window[1]
    split = windows.reshape(-1, rows, columns, *window, windows.shape[-1])
    return jnp.transpose(split, (0, 1, 3, 2, 4, 5)).reshape(-1, *grid, windows.shape[-1])


def shift_mask(grid: Grid, *, window: Grid, shift: Grid) -> Float[np.ndarray, "windows tokens tokens"]:
    """Computes logits that mask pairs of tokens from different sides of a rolled map.

    Args:
      grid: the (height, width) of the rolled and padded map; windows tile it.
      window: the (height, width) of a window.
      shift: shift by which the map was rolled up and to the left.

    Returns:
      float32, 0 or -100.

    Source: timm `SwinTransformerBlock.get_attn_mask`.
    """
    vertical, horizontal = (
        _region(side, window_side, step) for side, window_side, step in zip(grid, window, shift, strict=True)
    )
    regions = vertical[:, None] * 3 + horizontal[None, :]
    split = regions.reshape(grid[0] // window[0], window[0], grid[1] // window[1], window[1])
    of_windows = split.transpose(0, 2, 1, 3).reshape(-1, num_patches(window))
    is_apart = of_windows[:, :, None] != of_windows[:, None, :]
    return np.where(is_apart, np.float32(_APART), np.float32(0))


def _region(side: int, window: int, shift: int) -> np.ndarray:
    """Numbers the parts of one axis: before the last window, in it before what was rolled in, and that."""
    positions = np.arange(side)
    return (positions >= side - window).astype(np.int32) + (positions >= side - shift).astype(np.int32)


def neighbours(features: Float[Array, "batch height width channels"]) -> Float[Array, "batch tokens channels_of_four"]:
    """Joins every 2 x 2 patches to one token, the upper left first and the lower left second; odd sides get zeros.

    >>> neighbours(jnp.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[[0.0, 2.0, 1.0, 3.0]]]

    Source: Liu et al., Swin Transformer (ICCV 2021), section 3.1; timm `PatchMerging`.
    """
    batch, height, width, channels = features.shape
    even = jnp.pad(features, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    rows, columns = halved((height, width))
    split = even.reshape(batch, rows, 2, columns, 2, channels)
    return jnp.transpose(split, (0, 1, 3, 4, 2, 5)).reshape(batch, rows * columns, 4 * channels)


def halved(grid: Grid) -> Grid:
    """Returns the grid after `neighbours`: half of it, rounded up.

    >>> halved((5, 8))
    (3, 4)
    """
    return (grid[0] + 1) // 2, (grid[1] + 1) // 2
