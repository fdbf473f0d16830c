"""The terms of a detector's loss, each a sum over the samples of all real images and the count that divides it.

Source: MMDetection's Mask R-CNN: `CrossEntropyLoss` and `L1Loss`, whose counts are those of the images of one GPU.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gauss_vit.heads.detections import SampledAnchors, SampledMasks, SampledOutputs, SampledRegions
from gauss_vit.metrics.detection import Mean
from gauss_vit.ops.losses import cross_entropy, sigmoid_cross_entropy


def loss_terms(outputs: SampledOutputs, is_real: Bool[Array, " batch"]) -> Mapping[str, Mean]:
    """Computes the terms of the loss by name.

    `rpn_class_loss` and `rpn_box_loss` are divided by the number of sampled anchors, where an image counts at least one
    with and one without an object; `class_loss` and `box_loss` by that of sampled regions; `mask_loss`, where there is
    a mask head, by that of the cells in regions of objects. Cross entropies are in nats, boxes compared by the absolute
    differences of their codes.

    Args:
      outputs: Outputs of training.
      is_real: False for the images that are padding.
    """
    terms = {**_of_anchors(outputs.anchors, is_real), **_of_regions(outputs.regions, is_real)}
    return terms if outputs.masks is None else {**terms, "mask_loss": _of_masks(outputs.masks, is_real)}


def shares(outputs: SampledOutputs, is_real: Bool[Array, " batch"]) -> Mapping[str, Mean]:
    """Computes which share of the samples is classified right, by name.

    `rpn_accuracy` is that of anchors, `class_accuracy` that of regions, `object_accuracy` that of regions of objects,
    and `mask_accuracy`, where there is a mask head, that of their cells.

    Args:
      outputs: Outputs of training.
      is_real: False for the images that are padding.
    """
    anchors, regions, masks = outputs.anchors, outputs.regions, outputs.masks
    is_right = jnp.argmax(regions.logits, axis=-1) == regions.label
    found = {
        "rpn_accuracy": _mean((anchors.logit > 0) == anchors.is_positive, anchors.is_real, is_real),
        "class_accuracy": _mean(is_right, regions.is_real, is_real),
        "object_accuracy": _mean(is_right, regions.is_positive, is_real),
    }
    if masks is None:
        return found
    return {**found, "mask_accuracy": _mean((masks.logits > 0) == masks.target, _cells(masks), is_real)}


def _of_anchors(anchors: SampledAnchors, is_real: Bool[Array, " batch"]) -> Mapping[str, Mean]:
    is_negative = anchors.is_real & ~anchors.is_positive
    counts = (jnp.maximum(jnp.sum(kind, axis=1, dtype=jnp.int32), 1) for kind in (anchors.is_positive, is_negative))
    count = jnp.sum(jnp.where(is_real, sum(counts), 0)).astype(jnp.float32)
    classes = sigmoid_cross_entropy(anchors.logit, anchors.is_positive.astype(jnp.float32))
    return {
        "rpn_class_loss": Mean(total=_mean(classes, anchors.is_real, is_real).total, count=count),
        "rpn_box_loss": Mean(total=_box_total(anchors, is_real), count=count),
    }


def _of_regions(regions: SampledRegions, is_real: Bool[Array, " batch"]) -> Mapping[str, Mean]:
    classes = _mean(jax.vmap(cross_entropy)(regions.logits, regions.label), regions.is_real, is_real)
    return {"class_loss": classes, "box_loss": Mean(total=_box_total(regions, is_real), count=classes.count)}


def _of_masks(masks: SampledMasks, is_real: Bool[Array, " batch"]) -> Mean:
    losses = sigmoid_cross_entropy(masks.logits, masks.target.astype(jnp.float32))
    return _mean(losses, _cells(masks), is_real)


def _box_total(samples: SampledAnchors | SampledRegions, is_real: Bool[Array, " batch"]) -> Float[Array, ""]:
    """Sums the absolute differences of the codes of boxes of objects."""
    differences = jnp.sum(jnp.abs(samples.code - samples.target), axis=-1)
    return _mean(differences, samples.is_positive, is_real).total


def _cells(masks: SampledMasks) -> Bool[Array, "batch regions cells cells"]:
    """Marks the cells in regions of objects."""
    return jnp.broadcast_to(masks.is_real[..., None, None], masks.logits.shape)


def _mean(values: Array, is_counted: Bool[Array, "batch ..."], is_real: Bool[Array, " batch"]) -> Mean:
    """Sums and counts what counts in real images."""
    is_counted = is_counted & is_real.reshape(-1, *(1,) * (is_counted.ndim - 1))
    return Mean(
        total=jnp.sum(jnp.where(is_counted, values.astype(jnp.float32), 0)),
        count=jnp.sum(is_counted, dtype=jnp.int32).astype(jnp.float32),
    )
