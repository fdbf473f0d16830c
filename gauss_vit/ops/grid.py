"""Grids of patches: their size as (height, width), row-major order, and offsets between two patches."""

from gauss_vit.errors import ConfigError

Grid = tuple[int, int]


def grid_of(image_size: Grid, patch_size: Grid) -> Grid:
    """Counts the patches of an image.

    Args:
      image_size: (height, width) in pixels.
      patch_size: (height, width) in pixels.

    Raises:
      ConfigError: a side is not divisible by the patch.

    >>> grid_of((160, 288), (16, 16))
    (10, 18)
    """
    for name, image, patch in zip(("height", "width"), image_size, patch_size, strict=True):
        if image % patch:
            nearest = max(patch, round(image / patch) * patch)
            raise ConfigError(
                f"image {name} {image} is not divisible by patch {name} {patch}", do=f"choose {nearest}, for example"
            )
    return image_size[0] // patch_size[0], image_size[1] // patch_size[1]


def covering_grid(image_size: Grid, patch_size: Grid) -> Grid:
    """Counts the patches that cover an image, whose sides they need not divide.

    >>> covering_grid((75, 53), (4, 4))
    (19, 14)
    """
    return -(-image_size[0] // patch_size[0]), -(-image_size[1] // patch_size[1])


def num_patches(grid: Grid) -> int:
    """Counts the tokens of a grid."""
    return grid[0] * grid[1]


def offset_shape(grid: Grid) -> tuple[int, int]:
    """Returns the shape [dy, dx] of a table over all offsets, `(2 height - 1, 2 width - 1)`."""
    return 2 * grid[0] - 1, 2 * grid[1] - 1
