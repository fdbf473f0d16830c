"""Detection and instance segmentation: the objects of an image, each with a class, a box and a mask."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.heads.detections import FoundObjects, SampledOutputs
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import ClassHeadConfig
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.detection import DetectionMetric
from gauss_vit.metrics.percent import percent
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.detected_objects import DetectedObjects, in_original_pixels, object_records
from gauss_vit.tasks.detection_losses import loss_terms, shares
from gauss_vit.tasks.task import Examples, Records

_MASK_RCNN = MaskRCNNHead()


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Detection by a head that compares samples of regions with the objects of its images.

    Attributes:
      head: Detector on the backbone, with the number of classes; its outputs are `SampledOutputs` in training and
        `FoundObjects` in inference.
    """

    head: MaskRCNNHead | ClassHeadConfig = _MASK_RCNN

    @property
    def num_classes(self) -> int | None:
        """Number of classes, those of the head; None if it is still to be taken from the data."""
        return self.head.num_classes

    @property
    def targets(self) -> str:
        """What its data have: the objects of each image."""
        return "objects"

    def prepare(self, images: Float[Array, "batch height width 3"], batch: Batch, *, key: PRNGKeyArray) -> Examples:
        """Returns the batch as it is: images and objects were transformed together before."""
        del key
        batch = dataclasses.replace(batch, image=None, is_flipped=None)
        return Examples(image=images, targets=batch.targets, batch=batch)

    def loss(
        self, outputs: SampledOutputs, examples: Examples, *, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Computes the loss of the real images, times their number, and that number.

        The loss is the sum of its terms, each divided by its own count over all images that are here: the global batch
        on any number of devices, or a micro-batch. A term without samples is zero.

        Args:
          outputs: Outputs of training.
          examples: The images with their objects.
          key: Unused; the head has drawn the samples.
        """
        del key
        is_real = examples.batch.is_real
        terms = loss_terms(outputs, is_real).values()
        weight = jnp.sum(is_real, dtype=jnp.int32).astype(jnp.float32)
        return weight * jnp.sum(jnp.stack([term.value() for term in terms])), weight

    def measure(self, outputs: SampledOutputs | FoundObjects, batch: Batch) -> DetectionMetric:
        """Computes the sums of the terms of the loss, and of what is classified right, of outputs of training.

        Raises:
          ConfigError: the outputs are those of inference.
        """
        if isinstance(outputs, FoundObjects):
            raise ConfigError(
                "what a detector finds is measured by average precision, not by the loss of its samples",
                do="set the evaluator's measure to CocoMeasure()",
            )
        return DetectionMetric(
            losses=loss_terms(outputs, batch.is_real),
            shares=shares(outputs, batch.is_real),
            num_examples=jnp.sum(batch.is_real, dtype=jnp.int32),
        )

    def predict(self, outputs: FoundObjects, batch: Batch) -> DetectedObjects:
        """Returns the objects of each image at its original size.

        Args:
          outputs: Outputs of inference.
          batch: The images; `ObjectTargets` tell their sizes.
        """
        return in_original_pixels(outputs, batch)

    def records(self, prediction: DetectedObjects, *, class_names: Sequence[str], limit: int) -> Records:
        """Lists the objects of an image by falling score."""
        return object_records(prediction, class_names=class_names, limit=limit)

    def assessment(self, subset: ClassSubset | None) -> CocoMeasure:
        """Returns the measure of average precision.

        Raises:
          ConfigError: there is a subset.
        """
        if subset is not None:
            raise ConfigError("a detector is measured on all its classes", do="leave out --subset")
        return CocoMeasure()

    def describe(self, values: Mapping[str, float]) -> str:
        """Formats the loss and how many samples are classified right.

        >>> Detection().describe({"loss": 1.234, "rpn_accuracy": 0.981, "object_accuracy": 0.5})
        'loss 1.23 anchors 98.1 % objects 50.0 %'
        """
        anchors, objects = percent(values["rpn_accuracy"]), percent(values["object_accuracy"])
        return f"loss {values['loss']:.3g} anchors {anchors} objects {objects}"
