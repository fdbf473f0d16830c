"""Semantic segmentation: a class for each pixel."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, PRNGKeyArray, PyTree, Shaped, UInt8

from gauss_vit.batches import IGNORED, Batch, Mask, MaskTargets
from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.linear_pixels import LinearPixelHead
from gauss_vit.heads.network import ClassHeadConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.percent import percent, shortest
from gauss_vit.metrics.segmentation import SegmentationMetric, summed_loss
from gauss_vit.ops.canvas import is_inside
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.row_blocks import Resampling, bilinear, joined_blocks, map_row_blocks
from gauss_vit.tasks.evaluator import TaskMetric
from gauss_vit.tasks.label_map import Label, LabelMap
from gauss_vit.tasks.task import Examples, Records

Reduction = Literal["all", "valid"]

_UPERNET = UPerNetHead()


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """The likeliest class of each pixel; without the batch axis, of a single image.

    Attributes:
      index: uint8 [batch, height, width], on the canvas of the batch's masks where they have a size of their own,
        otherwise at the size of the image; `IGNORED` outside the image.
      size: int32 [batch, 2], (height, width) of each image in the top left corner of `index`.
      share: float32 [batch, classes], share of the image's pixels that each class has, in 0..1.
      confidence: float32 [batch, classes], mean probability of the class over the pixels that have it; 0 where none
        has.
    """

    index: PyTree
    size: PyTree
    share: PyTree
    confidence: PyTree

    def label_map(self, classes: tuple[Label, ...]) -> LabelMap:
        """Labels the pixels of a single image, at its own size."""
        height, width = self.size.tolist()
        return LabelMap(values=self.index[:height, :width], labels=classes)


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Segmentation into classes, by the cross entropy of each pixel at the size of its mask.

    Logits are interpolated bilinearly to the size of the image and, where masks have a size of their own, from there to
    theirs.

    Attributes:
      head: Decoder on the backbone, with the number of classes; its outputs are `DenseLogits`.
      auxiliary_weight: factor of the loss of the auxiliary logits, where the head has them; they are not measured.
      reduction: divisor of the summed training loss: "all" pixels of the images, ignored ones included, as in
        MMSegmentation, or those that are "valid", as in transformers and torch. The loss that is measured is the mean
        over valid pixels.

    Raises:
      ConfigError: the weight is negative, or there are more classes than masks can hold.
    """

    head: UPerNetHead | LinearPixelHead | ClassHeadConfig = _UPERNET
    auxiliary_weight: float = 0.4
    reduction: Reduction = "all"

    def __post_init__(self):
        if self.auxiliary_weight < 0:
            raise ConfigError(f"auxiliary_weight must be at least 0, got {self.auxiliary_weight}")
        if self.num_classes is not None and self.num_classes > IGNORED:
            raise ConfigError(f"masks hold at most {IGNORED} classes, but head.num_classes is {self.num_classes}")

    @property
    def num_classes(self) -> int | None:
        """Number of classes, those of the head; None if it is still to be taken from the data."""
        return self.head.num_classes

    @property
    def targets(self) -> str:
        """What its data have: a mask of classes for each image."""
        return "masks"

    def prepare(self, images: Float[Array, "batch height width 3"], batch: Batch, *, key: PRNGKeyArray) -> Examples:
        """Returns the batch as it is: images and masks were transformed together before."""
        del key
        batch = dataclasses.replace(batch, image=None, is_flipped=None)
        return Examples(image=images, targets=batch.targets, batch=batch)

    def loss(
        self, outputs: DenseLogits, examples: Examples, *, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Computes the sum of the losses over the valid pixels of real examples, in nats, and its divisor.

        Args:
          outputs: Logits of the images, with those of the auxiliary head.
          examples: The images, with masks of their size.
          key: Unused; nothing is drawn.
        """
        del key
        mask, is_real = examples.targets.mask, examples.batch.is_real[:, None, None]
        is_valid = (mask.values != mask.fill) & is_real
        total = _loss_sum(outputs.logits, mask, is_valid)
        if outputs.auxiliary is not None and self.auxiliary_weight > 0:
            total += self.auxiliary_weight * _loss_sum(outputs.auxiliary, mask, is_valid)
        is_counted = is_valid if self.reduction == "valid" else jnp.broadcast_to(is_real, is_valid.shape)
        return total, jnp.sum(is_counted, dtype=jnp.int32).astype(jnp.float32)

    def measure(self, outputs: DenseLogits, batch: Batch) -> SegmentationMetric:
        """Counts the batch at the size of its masks: the loss of valid pixels, and their classes by label."""
        logits, mask, size = outputs.logits, batch.targets.mask, batch.targets.size
        resampling = _to_size(logits, _size(mask.values)) if size is None else _to_own_sizes(logits, batch)
        return SegmentationMetric.of_batch(logits, resampling, mask.values, ignored=mask.fill, is_real=batch.is_real)

    def predict(self, outputs: DenseLogits, batch: Batch) -> ClassMap:
        """Finds the likeliest class of each pixel.

        Args:
          outputs: Logits of the images.
          batch: The images. Where they have masks with a size of their own, pixels are those of the masks, whose values
            are not read; otherwise those of the images.
        """
        logits, targets = outputs.logits, batch.targets
        if isinstance(targets, MaskTargets) and targets.size is not None:
            canvas = _size(targets.mask.values)
            resampling, size = _to_own_sizes(logits, batch), targets.size
        else:
            canvas = _size(batch.image)
            resampling, size = _to_size(logits, canvas), jnp.tile(jnp.asarray([canvas], jnp.int32), (len(logits), 1))
        index, counts, sums = map_row_blocks(_likeliest, logits, resampling, is_inside(size, canvas))
        num_pixels = jnp.sum(counts, axis=0).astype(jnp.float32)
        area = jnp.prod(jnp.maximum(size, 1).astype(jnp.float32), axis=-1, keepdims=True)
        return ClassMap(
            index=joined_blocks(index, height=canvas[0]),
            size=size,
            share=num_pixels / area,
            confidence=jnp.sum(sums, axis=0) / jnp.maximum(num_pixels, 1),
        )

    def records(self, prediction: ClassMap, *, class_names: Sequence[str], limit: int) -> Records:
        """Lists the classes that have pixels, the largest first; of equal ones, the lower class first."""
        ranked = np.argsort(-prediction.share, kind="stable")[:limit].tolist()
        return Records(
            name="segments",
            items=tuple(
                {
                    "index": index,
                    "name": class_names[index] if class_names else None,
                    "share": shortest(prediction.share[index]),
                    "confidence": shortest(prediction.confidence[index]),
                }
                for index in ranked
                if prediction.share[index] > 0
            ),
        )

    def assessment(self, subset: ClassSubset | None) -> TaskMetric:
        """Returns the task's own metric, which has the confusion matrix.

        Raises:
          ConfigError: there is a subset.
        """
        if subset is not None:
            raise ConfigError("a segmentation is measured among all its classes", do="leave out --subset")
        return TaskMetric()

    def describe(self, values: Mapping[str, float]) -> str:
        """Formats loss, mean IoU and pixel accuracy.

        >>> Segmentation().describe({"loss": 1.234, "miou": 0.4464, "aacc": 0.8})
        'loss 1.23 mIoU 44.6 % aAcc 80.0 %'
        """
        return f"loss {values['loss']:.3g} mIoU {percent(values['miou'])} aAcc {percent(values['aacc'])}"


def _loss_sum(
    logits: Float[Array, "batch h w classes"], mask: Mask, is_valid: Bool[Array, "batch height width"]
) -> Float[Array, ""]:
    """Sums the losses of the valid pixels, at the size of the mask."""
    resampling = _to_size(logits, _size(mask.values))
    return jnp.sum(map_row_blocks(_block_losses, logits, resampling, (mask.values, is_valid)))


def _block_losses(
    logits: Float[Array, "batch rows width classes"], labels: tuple[Integer[Array, "..."], Bool[Array, "..."]]
) -> Float[Array, " batch"]:
    return summed_loss(logits, *labels)


def _likeliest(
    logits: Float[Array, "batch rows width classes"], is_pixel: Bool[Array, "batch rows width"]
) -> tuple[UInt8[Array, "batch rows width"], Int[Array, "batch classes"], Float[Array, "batch classes"]]:
    """Finds the likeliest class of the pixels inside an image; counts them by class, and sums their probabilities."""
    index = jnp.argmax(logits, axis=-1)
    probability = jnp.exp(jnp.max(logits, axis=-1) - jax.nn.logsumexp(logits, axis=-1))
    classes = jnp.arange(logits.shape[-1], dtype=index.dtype)[None, None, None, :]
    is_class = (index[..., None] == classes) & is_pixel[..., None]
    return (
        jnp.where(is_pixel, index, IGNORED).astype(jnp.uint8),
        jnp.sum(is_class, axis=(1, 2), dtype=jnp.int32),
        jnp.sum(jnp.where(is_class, probability[..., None], 0), axis=(1, 2)),
    )


def _to_size(logits: Float[Array, "batch h w classes"], size: Grid) -> Resampling:
    """Interpolates logits to one size, that of the images."""
    return bilinear(_size(logits), jnp.asarray([size], jnp.int32), canvas=size)


def _to_own_sizes(logits: Float[Array, "batch h w classes"], batch: Batch) -> Resampling:
    """Interpolates logits to the size of the images, and from there to the size that each mask has."""
    image_size, targets = _size(batch.image), batch.targets
    to_masks = bilinear(image_size, targets.size, canvas=_size(targets.mask.values))
    return _to_size(logits, image_size).then(to_masks)


def _size(maps: Shaped[Array, "batch height width ..."]) -> Grid:
    return maps.shape[1], maps.shape[2]
