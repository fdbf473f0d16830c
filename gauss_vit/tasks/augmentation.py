"""Augmentation of a training batch on the device: boxes are erased, then images and their classes are mixed."""

from dataclasses import dataclass

import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.batches import Batch
from gauss_vit.ops.erasing import Erasing, erase
from gauss_vit.ops.mixing import Mixing, Mixture, draw_weights, mix


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class MixedClasses:
    """Classes of training images, with those that were mixed in.

    Attributes:
      label: int32 [batch], class of each image itself.
      mixture: `Mixture` of the other classes, or None where nothing is mixed.
    """

    label: PyTree
    mixture: PyTree = None


def augment(
    images: Float[Array, "batch height width 3"],
    batch: Batch,
    *,
    erasing: Erasing,
    mixing: Mixing,
    key: PRNGKeyArray,
) -> tuple[Float[Array, "batch height width 3"], MixedClasses]:
    """Erases boxes, then mixes pairs, in timm's order; disabled augmentations cost nothing.

    Args:
      images: The batch's images, normalised.
      batch: Batch whose labels are mixed; padding is never mixed into an image.
      erasing: Config of random erasing.
      mixing: Config of mixup and CutMix.
      key: Key of all random numbers; the result does not depend on the number of devices.
    """
    erasing_key, mixing_key = jax.random.split(key)
    label = batch.targets.label
    if erasing.is_on:
        images = erase(images, erasing, key=erasing_key)
    if not mixing.is_on:
        return images, MixedClasses(label=label)
    _, height, width, _ = images.shape
    weights = draw_weights(mixing, (height, width), key=mixing_key)
    images, share = mix(images, weights, is_real=batch.is_real)
    return images, MixedClasses(label=label, mixture=Mixture(partner_label=label[::-1], share=share))
