"""The layout of images and feature maps: channels come last, and tokens are on a grid that the caller names.

An axis that is mistaken for another gives a receptive field that looks like one and is wrong. What can be told apart by
its shape is refused here, with the way to mend it.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from gauss_vit.errors import ArrayError
from gauss_vit.ops.grid import Grid

_USUAL_PREFIXES = (0, 1, 2, 5)
"""Numbers of tokens before the patches: none, a class token, a distillation token or four registers with it."""


def check_images(images: object) -> None:
    """Checks that images are normalised floats [batch, height, width, 3].

    Args:
      images: an array, or the shape and type of one.

    Raises:
      ArrayError: they are something else.
    """
    if not isinstance(images, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
        kind = f"{type(images).__module__}.{type(images).__qualname__}".removeprefix("builtins.")
        raise ArrayError(f"images are a {kind}", do="give a NumPy or JAX array [batch, height, width, 3]")
    shape = "x".join(map(str, images.shape))
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ArrayError(
            f"images are {images.dtype}, and a gradient needs floats: pixels as the model was trained to see them",
            do="give normalized pixels, such as ((images / 255 - mean) / std).astype('float32')",
        )
    if len(images.shape) == 4 and images.shape[-1] == 3:
        return
    if len(images.shape) == 4 and images.shape[1] == 3:
        remedy = "give images.transpose(0, 2, 3, 1); a model that takes channels first can transpose them back"
        raise ArrayError(f"images are {shape}, with their channels first", do=remedy)
    remedy = "give images[None]" if len(images.shape) == 3 and images.shape[-1] == 3 else "give RGB images"
    raise ArrayError(f"images are {shape}; expected [batch, height, width, 3]", do=remedy)


def grid_of(feature_map: PyTree, image_size: Grid, *, grid: Grid | None = None) -> Grid:
    """Returns the (rows, columns) of a feature map.

    Args:
      feature_map: shape and type of what a model returns, `jax.ShapeDtypeStruct` [batch, rows, columns, channels].
      image_size: (height, width) of its images in pixels.
      grid: the grid that is expected, which confirms the layout; None to take what the map has.

    Raises:
      ArrayError: the model returns something else, or a map with its channels first.
    """
    if not isinstance(feature_map, jax.ShapeDtypeStruct):
        kind = type(feature_map).__name__
        raise ArrayError(f"features return a {kind}", do="return one array, [batch, rows, columns, channels]")
    shape = feature_map.shape
    described = "x".join(map(str, shape))
    if len(shape) == 3:
        raise ArrayError(
            f"features return {described}, which are tokens without their grid",
            do=f"give the grid of the patches and the number of tokens before them{_example_of(shape[1])}",
        )
    if len(shape) != 4:
        remedy = "return the feature map before pooling, [batch, rows, columns, channels]"
        raise ArrayError(f"features return {described}, which has no rows and columns", do=remedy)
    rows, columns = shape[1:3]
    if grid is not None and (rows, columns) != grid:
        raise ArrayError(f"features return a map of {rows} x {columns}, and grid is {grid[0]} x {grid[1]}")
    if grid is None and _looks_like((shape[2], shape[3]), image_size) and not _looks_like((rows, columns), image_size):
        raise ArrayError(
            f"features return {described}, which looks like [batch, channels, rows, columns]",
            do=f"transpose it to channels last, or declare grid=({rows}, {columns}) if rows and columns do come first",
        )
    return rows, columns


def on_grid(features: Callable[[Array], Array], grid: Grid, *, num_prefix_tokens: int = 0) -> Callable[[Array], Array]:
    """Wraps a function that returns tokens [batch, tokens, channels] so that it returns their map.

    What returns a map already is left as it is, and its layout counts as confirmed.

    Args:
      features: the model up to the target layer; a `jax.tree_util.Partial` keeps its parameters as arguments.
      grid: (rows, columns) of the patches.
      num_prefix_tokens: number of tokens before the patches, such as class, distillation and register tokens. They are
        left out.

    Returns:
      A function from images to [batch, rows, columns, channels]. It raises an ArrayError if there are not as many
      tokens.

    >>> on_grid(lambda images: jnp.ones((1, 7, 8)), (2, 3), num_prefix_tokens=1)(jnp.ones((1, 4, 6, 3))).shape
    (1, 2, 3, 8)
    """
    inner = features if isinstance(features, Partial) else Partial(features)
    return Partial(_OnGrid(grid=grid, num_prefix_tokens=num_prefix_tokens), inner)


def declared_grid(features: Callable[[Array], Array]) -> Grid | None:
    """Returns the grid that `on_grid` was given; None for any other function."""
    function = features.func if isinstance(features, Partial) else features
    return function.grid if isinstance(function, _OnGrid) else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OnGrid:
    """The layout of tokens; equal ones compile once."""

    grid: Grid
    num_prefix_tokens: int

    def __call__(self, features: Partial, images: Float[Array, "batch height width 3"]) -> PyTree:
        """Computes the tokens, and lays them out."""
        tokens = features(images)
        if not isinstance(tokens, jax.Array) or tokens.ndim != 3:
            return tokens
        rows, columns = self.grid
        if tokens.shape[1] != self.num_prefix_tokens + rows * columns:
            raise ArrayError(
                f"features return {tokens.shape[1]} tokens, and num_prefix_tokens={self.num_prefix_tokens} with"
                f" grid=({rows}, {columns}) make {self.num_prefix_tokens + rows * columns}",
                do="correct the grid or the number of tokens before the patches",
            )
        return tokens[:, self.num_prefix_tokens :].reshape(len(tokens), rows, columns, tokens.shape[2])


def _looks_like(grid: tuple[int, int], image_size: Grid) -> bool:
    """Whether a grid divides an image into patches that are square up to rounding."""
    if not all(0 < cells <= pixels for cells, pixels in zip(grid, image_size, strict=True)):
        return False
    size = math.sqrt(image_size[0] * image_size[1] / (grid[0] * grid[1]))
    return all(abs(pixels / size - cells) <= 1 for cells, pixels in zip(grid, image_size, strict=True))


def _example_of(num_tokens: int) -> str:
    """Writes the arguments for a square grid, if one explains the number of tokens."""
    for num_prefix_tokens in _USUAL_PREFIXES:
        side = math.isqrt(max(num_tokens - num_prefix_tokens, 0))
        if side > 1 and side * side == num_tokens - num_prefix_tokens:
            return f", such as grid=({side}, {side}), num_prefix_tokens={num_prefix_tokens}"
    return ", as grid=(rows, columns), num_prefix_tokens=..."
