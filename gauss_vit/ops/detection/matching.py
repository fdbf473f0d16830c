"""Matching of boxes to the objects of an image by overlap."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from gauss_vit.errors import ConfigError
from gauss_vit.ops.detection.boxes import iou

BACKGROUND, IGNORED = -1, -2
"""What a box is matched to instead of an object."""


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Thresholds of intersection over union.

    Attributes:
      positive: a box of at least this overlap is matched to the object that it overlaps most; of equal ones, the first.
      negative: a box whose largest overlap is below is background; one between the two is ignored.
      low_quality: an object whose best boxes have at least this overlap gets all of them, whatever else they overlap;
        of several such objects, the last. None leaves this out.

    Raises:
      ConfigError: the thresholds are not in order.

    Source: Ren et al., Faster R-CNN (2015), section 3.1.2; MMDetection `MaxIoUAssigner`.
    """

    positive: float
    negative: float
    low_quality: float | None = None

    def __post_init__(self):
        if not 0 <= self.negative <= self.positive <= 1:
            raise ConfigError(f"0 <= negative <= positive <= 1 must hold, got {self.negative} and {self.positive}")


RPN = Matching(positive=0.7, negative=0.3, low_quality=0.3)
"""The matching of anchors."""

BOX_HEAD = Matching(positive=0.5, negative=0.5, low_quality=0.5)
"""The matching of proposals in Mask R-CNN; Faster R-CNN has no `low_quality`."""


def match(
    boxes: Float[Array, "boxes 4"],
    objects: Float[Array, "objects 4"],
    *,
    is_box: Bool[Array, " boxes"],
    is_object: Bool[Array, " objects"],
    matching: Matching,
) -> Int32[Array, " boxes"]:
    """Matches the boxes of one image to its objects, in memory that grows with their sum alone.

    Args:
      boxes: anchors or proposals.
      objects: boxes of the objects, padded.
      is_box: which boxes take part; the others are ignored.
      is_object: which objects are not padding.
      matching: the thresholds.

    Returns:
      The index of the object of each box, `BACKGROUND` or `IGNORED`. Without objects every box is background.
    """
    nothing = jnp.full(len(boxes), BACKGROUND, jnp.int32)
    start = (jnp.full(len(boxes), -1.0, jnp.float32), nothing, nothing)
    places = jnp.arange(len(objects), dtype=jnp.int32)
    look = partial(_look_at, boxes=boxes, is_box=is_box, low_quality=matching.low_quality)
    (best, nearest, claimed), _ = jax.lax.scan(look, start, (objects, is_object, places))
    matched = jnp.where(best < matching.negative, BACKGROUND, IGNORED)
    matched = jnp.where((best >= matching.positive) & (nearest >= 0), nearest, matched)
    matched = jnp.where(claimed >= 0, claimed, matched)
    return jnp.where(is_box, matched, IGNORED)


_Found = tuple[Float[Array, " boxes"], Int32[Array, " boxes"], Int32[Array, " boxes"]]


def _look_at(
    found: _Found,
    seen: tuple[Float[Array, "4"], Bool[Array, ""], Int32[Array, ""]],
    *,
    boxes: Float[Array, "boxes 4"],
    is_box: Bool[Array, " boxes"],
    low_quality: float | None,
) -> tuple[_Found, None]:
    """Updates the largest overlap of every box, the object that it is with, and the object that claims the box."""
    (best, nearest, claimed), (yxyx, is_object, place) = found, seen
    # Computed once: compared with its own maximum, an overlap must have the same bits on both sides.
    overlap = jax.lax.optimization_barrier(iou(boxes, yxyx[None]))
    overlap = jnp.where(is_box & is_object, overlap, -1.0)
    nearest = jnp.where(overlap > best, place, nearest)
    if low_quality is not None:
        top = jnp.max(overlap)
        claimed = jnp.where((overlap == top) & (top >= low_quality), place, claimed)
    return (jnp.maximum(best, overlap), nearest, claimed), None
