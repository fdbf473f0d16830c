"""What a detector learns in one image: a sample of its anchors or regions, with classes and codes of their objects."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, PyTree, UInt8

from gauss_vit.ops.detection.boxes import encode
from gauss_vit.ops.detection.masks import cropped_mask_target
from gauss_vit.ops.detection.matching import IGNORED, Matching, match
from gauss_vit.ops.detection.sampling import Sample, sample
from gauss_vit.ops.detection.selection import BOX_STDS, RPN_STDS, Proposals


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How many boxes of an image are learned from, and which of them are of objects.

    Attributes:
      matching: thresholds of overlap.
      size: number of boxes.
      largest_share: largest share of them that are of objects.
    """

    matching: Matching
    size: int
    largest_share: float

    @property
    def num_positives(self) -> int:
        """Largest number of boxes of objects, which come first in a sample."""
        return int(self.size * self.largest_share)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AnchorTargets:
    """A sample of the anchors of one image.

    Attributes:
      sample: `Sample` of the anchors.
      code: float32 [samples, 4], code of the object's box relative to the anchor; zeros but for anchors of objects.
    """

    sample: Sample
    code: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class RegionTargets:
    """A sample of the regions of one image: its objects, then its proposals.

    Attributes:
      sample: `Sample` of the regions.
      yxyx: float32 [samples, 4], the regions; zeros in padding.
      object: int32 [samples], the object that a region is matched to; 0 for background and padding.
      label: int32 [samples], its class; the number of classes for background and padding.
      code: float32 [samples, 4], code of the object's box relative to the region; zeros but for regions of objects.
    """

    sample: Sample
    yxyx: PyTree
    object: PyTree
    label: PyTree
    code: PyTree


def is_object(yxyx: Float[Array, "objects 4"]) -> Bool[Array, " objects"]:
    """Returns which rows are boxes of objects: those with an area; padding is zeros."""
    return jnp.all(yxyx[:, 2:] > yxyx[:, :2], axis=1)


def anchor_targets(
    anchors: Float[Array, "anchors 4"],
    objects: Float[Array, "objects 4"],
    *,
    is_inside: Bool[Array, " anchors"],
    priority: Float[Array, " anchors"],
    sampling: Sampling,
) -> AnchorTargets:
    """Samples the anchors of one image.

    Args:
      anchors: anchors of all levels.
      objects: boxes of the objects, padded.
      is_inside: which anchors take part.
      priority: uniform random numbers, of which the lowest are chosen.
      sampling: how many are chosen.
    """
    matched = match(anchors, objects, is_box=is_inside, is_object=is_object(objects), matching=sampling.matching)
    chosen = sample(matched, priority, size=sampling.size, largest_share=sampling.largest_share)
    of_object = jnp.where(chosen.is_positive, matched[chosen.index], 0)
    code = _codes(anchors[chosen.index], objects[of_object], chosen.is_positive, RPN_STDS)
    return AnchorTargets(sample=chosen, code=code)


def region_targets(
    proposals: Proposals,
    objects: Float[Array, "objects 4"],
    label: Int32[Array, " objects"],
    *,
    num_classes: int,
    priority: Float[Array, " regions"],
    sampling: Sampling,
) -> RegionTargets:
    """Samples the regions of one image. An object is a region as well, matched to itself.

    Args:
      proposals: proposals.
      objects: boxes of the objects, padded.
      label: classes of the objects.
      num_classes: number of classes.
      priority: uniform random numbers of the objects, then of the proposals; the lowest are chosen.
      sampling: how many are chosen.

    Source: MMDetection `StandardRoIHead.loss` with `add_gt_as_proposals`.
    """
    is_real = is_object(objects)
    own = jnp.where(is_real, jnp.arange(len(objects), dtype=jnp.int32), IGNORED)
    matched = match(proposals.yxyx, objects, is_box=proposals.is_real, is_object=is_real, matching=sampling.matching)
    matched = jnp.concatenate([own, matched])
    chosen = sample(matched, priority, size=sampling.size, largest_share=sampling.largest_share)
    regions = jnp.concatenate([objects, proposals.yxyx])[chosen.index]
    of_object = jnp.where(chosen.is_positive, matched[chosen.index], 0)
    return RegionTargets(
        sample=chosen,
        yxyx=jnp.where(chosen.is_real[:, None], regions, 0),
        object=of_object,
        label=jnp.where(chosen.is_positive, label[of_object], num_classes),
        code=_codes(regions, objects[of_object], chosen.is_positive, BOX_STDS),
    )


def mask_targets(
    regions: RegionTargets,
    objects: Float[Array, "objects 4"],
    crops: UInt8[Array, "objects cells cells"],
    *,
    size: int,
) -> Bool[Array, "samples size size"]:
    """Samples the masks of objects in the regions of one image that are matched to them; the others have none.

    Args:
      regions: regions.
      objects: boxes of the objects, padded.
      crops: share of every cell of these boxes that its object covers, 0..255 for 0..1.
      size: number of cells along each side of a region.
    """
    is_positive = regions.sample.is_positive
    boxes = jnp.where(is_positive[:, None], objects[regions.object], _unit())
    masks = cropped_mask_target(crops[regions.object], boxes, regions.yxyx, size=size)
    return masks & is_positive[:, None, None]


def _codes(
    boxes: Float[Array, "samples 4"],
    objects: Float[Array, "samples 4"],
    is_positive: Bool[Array, " samples"],
    stds: tuple[float, float, float, float],
) -> Float[Array, "samples 4"]:
    """Encodes objects; the others are encoded as one box relative to itself, whose code is zeros."""
    boxes, objects = (jnp.where(is_positive[:, None], each, _unit()) for each in (boxes, objects))
    return encode(boxes, objects, stds)


def _unit() -> Float[Array, "1 4"]:
    """Returns a box with an area, for rows whose result is not used."""
    return jnp.asarray([[0, 0, 1, 1]], jnp.float32)
