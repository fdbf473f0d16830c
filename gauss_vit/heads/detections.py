"""What a detector returns: in training what its losses compare, in inference the objects that it found."""

from dataclasses import dataclass

import jax
from jaxtyping import PyTree

from gauss_vit.ops.detection.selection import Detections


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SampledAnchors:
    """Anchors that the proposal network learns from; those of objects come first, then background, then padding.

    Attributes:
      index: int32 [batch, samples], place of each among the anchors of all levels.
      logit: float32 [batch, samples], logit of an object.
      code: float32 [batch, samples, 4], predicted code of the object's box relative to the anchor.
      target: float32 [batch, samples, 4], code of the object's box; zeros for background.
      is_positive: bool [batch, samples], whether the anchor is matched to an object.
      is_real: bool [batch, samples], False in padding.
    """

    index: PyTree
    logit: PyTree
    code: PyTree
    target: PyTree
    is_positive: PyTree
    is_real: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SampledRegions:
    """Regions that the box head learns from, in the same order; an image's own objects are among its regions.

    Attributes:
      yxyx: float32 [batch, samples, 4], regions in pixels of the batch's images; zeros in padding.
      logits: float32 [batch, samples, classes + 1], background last.
      code: float32 [batch, samples, 4], predicted code of the box of the region's class.
      target: float32 [batch, samples, 4], code of the object's box relative to the region; zeros for background.
      label: int32 [batch, samples], class; the number of classes for background, and in padding.
      is_positive: bool [batch, samples], whether the region is matched to an object.
      is_real: bool [batch, samples], False in padding.
    """

    yxyx: PyTree
    logits: PyTree
    code: PyTree
    target: PyTree
    label: PyTree
    is_positive: PyTree
    is_real: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SampledMasks:
    """Regions of objects, the first of the sampled regions, with the masks that the mask head learns.

    Attributes:
      logits: float32 [batch, regions, rows, columns], logits of the region's class.
      target: bool [batch, regions, rows, columns], cells of the region that its object covers by at least half.
      is_real: bool [batch, regions], whether the region is of an object.
    """

    logits: PyTree
    target: PyTree
    is_real: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SampledOutputs:
    """Outputs of a detector in training.

    Attributes:
      anchors: `SampledAnchors`.
      regions: `SampledRegions`.
      masks: `SampledMasks`; None without a mask head.
    """

    anchors: SampledAnchors
    regions: SampledRegions
    masks: SampledMasks | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class FoundObjects:
    """Outputs of a detector in inference.

    Attributes:
      objects: `Detections` whose arrays have a leading axis of images; boxes are in pixels of the batch's images.
      masks: float32 [batch, objects, rows, columns], probability in 0..1 that a cell of the object's box belongs to it;
        None without a mask head.
    """

    objects: Detections
    masks: PyTree = None
