"""Target tokens: the patch of a feature map that is measured, and its position in the image."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid

Token = tuple[int, int]
"""(row, column) of a patch in a feature map; prefix tokens (class, register) do not count."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target token with the grid that it belongs to.

    Attributes:
      token: (row, column) of the patch.
      grid: (height, width) of the feature map in patches.
    """

    token: Token
    grid: Grid


def center_token(grid: Grid) -> Token:
    """Returns the central patch: the exact centre of an odd side, the upper or left one of the two of an even side.

    On square grids this is the rule of the paper's code, `c = T // 2 - ((T + 1) % 2) * (s // 2 + 1)` for `T = s * s`
    tokens; by rows and columns it also works for grids that are not square.

    Source: Kim et al., "Understanding Gaussian Attention Bias of Vision Transformers Using Effective Receptive
    Fields", BMVC 2023, reference code.

    >>> center_token((14, 14)), center_token((7, 7)), center_token((10, 14))
    ((6, 6), (3, 3), (4, 6))
    """
    return (grid[0] - 1) // 2, (grid[1] - 1) // 2


def lower_center_token(grid: Grid) -> Token:
    """Returns the central patch by the rule of convolutional nets: the lower or right one of two on an even side.

    >>> lower_center_token((14, 14)), lower_center_token((7, 7))
    ((7, 7), (3, 3))
    """
    return grid[0] // 2, grid[1] // 2


def all_tokens(grid: Grid) -> tuple[Token, ...]:
    """Lists every patch of a grid in row-major order.

    >>> all_tokens((1, 2))
    ((0, 0), (0, 1))
    """
    return tuple((row, column) for row in range(grid[0]) for column in range(grid[1]))


def check_token(token: Token, grid: Grid) -> Token:
    """Returns the token if it lies in the grid.

    Raises:
      ConfigError: it does not. Array indexing under `jit` would silently clamp it to the border.
    """
    if not all(0 <= index < size for index, size in zip(token, grid, strict=True)):
        raise ConfigError(
            f"token {token} is outside the grid of {grid[0]} x {grid[1]} patches",
            do=f"choose a row in 0..{grid[0] - 1} and a column in 0..{grid[1] - 1}",
            code="ERF-TOKEN",
        )
    return token


def parse_tokens(text: str, grid: Grid, *, center: Callable[[Grid], Token] = center_token) -> tuple[Token, ...]:
    """Reads a choice of target tokens: `center`, `lower_center`, `all`, or `row,column` counted from 0.

    Args:
      text: text from the command line.
      grid: (height, width) in patches.
      center: function from the grid to the central token, such as a protocol's.

    Raises:
      ConfigError: the text is none of these, or the token is outside the grid.

    >>> parse_tokens("center", (14, 14)), parse_tokens("lower_center", (14, 14)), parse_tokens("2,11", (14, 14))
    (((6, 6),), ((7, 7),), ((2, 11),))
    """
    if text == "center":
        return (center(grid),)
    if text == "lower_center":
        return (lower_center_token(grid),)
    if text == "all":
        return all_tokens(grid)
    numbers = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if numbers is None:
        raise ConfigError(
            f"expected a token as center, lower_center, all or row,column and got {text!r}",
            do="write row,column counted from 0, such as 6,6",
            code="ERF-TOKEN",
        )
    return (check_token((int(numbers[1]), int(numbers[2])), grid),)


def patch_box(token: Token, *, grid: Grid, image_size: Grid) -> tuple[float, float, float, float]:
    """Computes the pixels that belong to a token as (top, left, height, width).

    Pixel (0, 0) covers [0, 1) x [0, 1), so that the box of token (6, 6) at patch 16 is (96, 96, 16, 16).

    >>> patch_box((6, 6), grid=(14, 14), image_size=(224, 224))
    (96.0, 96.0, 16.0, 16.0)
    """
    height, width = image_size[0] / grid[0], image_size[1] / grid[1]
    return token[0] * height, token[1] * width, height, width


def patch_center(token: Token, *, grid: Grid, image_size: Grid) -> tuple[float, float]:
    """Computes the centre (y, x) of a token in pixel indices, where 0 is the centre of the first pixel.

    >>> patch_center((6, 6), grid=(14, 14), image_size=(224, 224))
    (103.5, 103.5)
    """
    top, left, height, width = patch_box(token, grid=grid, image_size=image_size)
    return top + height / 2 - 0.5, left + width / 2 - 0.5
