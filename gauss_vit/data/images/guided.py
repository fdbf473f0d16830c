"""Transforms that choose among their draws by what is in the mask of an image, such as a crop of several classes."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import PyTree

from gauss_vit.batches import Mask, is_geometry
from gauss_vit.data.images.geometry import drawn_moves, move_targets
from gauss_vit.data.images.transforms import Transform


@runtime_checkable
class GuidedTransform(Protocol):
    """What a geometric transform also has that chooses by the mask; without one it takes its first draw."""

    def guided(self, mask: Mask, *, size: tuple[int, int], key: int) -> Transform:
        """Returns the geometric transform that it chooses for this mask; other arguments as for the transform."""
        ...


def with_choices(
    transforms: Sequence[Transform], targets: PyTree, *, size: tuple[int, int], keys: Sequence[int]
) -> tuple[Transform, ...]:
    """Replaces guided transforms by what they choose for the first mask among the targets, if there is one.

    Args:
      transforms: in order; each sees the mask as those before it leave it.
      targets: those of one example.
      size: what the transforms are given as the model's size.
      keys: one key for each transform.
    """
    mask = next((node for node in jax.tree.leaves(targets, is_leaf=is_geometry) if isinstance(node, Mask)), None)
    chosen: list[Transform] = []
    for transform, key in zip(transforms, keys, strict=True):
        if mask is not None and isinstance(transform, GuidedTransform):
            image_size = mask.values.shape
            moves = drawn_moves(chosen, image_size, size=size, keys=keys[: len(chosen)])
            moved = move_targets(mask, moves, image_size=image_size, name="the mask")
            transform = transform.guided(moved, size=size, key=key)
        chosen.append(transform)
    return tuple(chosen)
