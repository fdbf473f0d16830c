"""What becomes of a training batch on the device, before the model sees it."""

from dataclasses import dataclass

import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.batches import Batch
from gauss_vit.ops.erasing import Erasing, erase
from gauss_vit.ops.mixing import Mixing, Mixture, draw_weights, mix


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Augmented:
    """Training images, with what was mixed into them.

    Attributes:
      image: float [batch, height, width, 3], normalised.
      mixture: a `Mixture`, or None where nothing is mixed.
    """

    image: PyTree
    mixture: PyTree


def augment(
    images: Float[Array, "batch height width 3"],
    batch: Batch,
    *,
    erasing: Erasing,
    mixing: Mixing,
    key: PRNGKeyArray,
) -> Augmented:
    """Erases boxes, then mixes pairs, in timm's order; what is off costs nothing.

    Args:
      images: the batch's images, normalised.
      batch: whose labels are mixed; padding is mixed into nothing.
      erasing: how boxes are erased.
      mixing: how pairs are mixed.
      key: decides all; the result does not depend on the number of devices.
    """
    erasing_key, mixing_key = jax.random.split(key)
    if erasing.is_on:
        images = erase(images, erasing, key=erasing_key)
    if not mixing.is_on:
        return Augmented(image=images, mixture=None)
    _, height, width, _ = images.shape
    weights = draw_weights(mixing, (height, width), key=mixing_key)
    images, share = mix(images, weights, is_real=batch.is_real)
    return Augmented(image=images, mixture=Mixture(partner_label=batch.targets.label[::-1], share=share))
