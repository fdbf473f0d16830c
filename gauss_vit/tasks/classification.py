"""Image classification: loss, metric and prediction."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.heads.distilled import DistilledHead
from gauss_vit.heads.linear import LinearHead
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.classification import ClassificationMetric
from gauss_vit.metrics.percent import percent, shortest
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.losses import (
    above,
    binary_cross_entropy,
    cross_entropy,
    masked_sum,
    smooth_one_hot,
    soft_cross_entropy,
)
from gauss_vit.ops.mixing import Mixing, dominant_label
from gauss_vit.tasks.assessment import Assessment
from gauss_vit.tasks.augmentation import MixedClasses, augment
from gauss_vit.tasks.task import Examples, Records

Objective = Literal["cross_entropy", "binary_cross_entropy"]

_LINEAR, _NO_ERASING, _NO_MIXING = LinearHead(), Erasing(), Mixing()


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Classification with one class for each image.

    Attributes:
      head: Classifier on the backbone, with the number of classes.
      label_smoothing: share of probability spread evenly over all classes in the training loss; the loss that is
        measured has none.
      objective: "cross_entropy" over all classes, or "binary_cross_entropy" of each class on its own, as in DeiT III.
      target_threshold: shares of the smoothed and mixed target above it count as 1 in the binary objective, all others
        as 0: 0.0 is DeiT III's, 0.2 that of timm's A2 recipe, both without smoothing. None keeps the shares.
      erasing: boxes of training images that become noise.
      mixing: mixup and CutMix of training images. What is measured on them in training is against the class of the
        image that has the larger share.
    """

    head: LinearHead | DistilledHead = _LINEAR
    label_smoothing: float = 0.0
    objective: Objective = "cross_entropy"
    target_threshold: float | None = None
    erasing: Erasing = _NO_ERASING
    mixing: Mixing = _NO_MIXING

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        if self.target_threshold is None:
            return
        if not 0 <= self.target_threshold < 1:
            raise ConfigError(f"target_threshold must be in [0, 1) or None, got {self.target_threshold}")
        if self.objective != "binary_cross_entropy":
            raise ConfigError(
                f"target_threshold is for the objective binary_cross_entropy, not {self.objective}",
                do="leave it None, or set objective",
            )
        if self.target_threshold == 0 and self.label_smoothing > 0:
            raise ConfigError("with label_smoothing every class is above target_threshold 0", do="set one of them")

    @property
    def num_classes(self) -> int | None:
        """Number of classes, those of the head; None if it is still to be taken from the data."""
        return self.head.num_classes

    @property
    def targets(self) -> str:
        """What its data have: a class for each image."""
        return "classes"

    def prepare(self, images: Float[Array, "batch height width 3"], batch: Batch, *, key: PRNGKeyArray) -> Examples:
        """Erases and mixes training images; they are measured against the class that has the larger share."""
        images, classes = augment(images, batch, erasing=self.erasing, mixing=self.mixing, key=key)
        measured = batch.targets
        if classes.mixture is not None:
            measured = dataclasses.replace(measured, label=dominant_label(classes.label, classes.mixture))
        batch = dataclasses.replace(batch, image=None, is_flipped=None, targets=measured)
        return Examples(image=images, targets=classes, batch=batch)

    def loss(
        self, outputs: Float[Array, "batch classes"], examples: Examples, *, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Computes the sum of the objective over the real examples, in nats, and their number.

        Args:
          outputs: Logits of the images.
          examples: Classes of the images, and those mixed in.
          key: Unused; nothing is drawn.
        """
        del key
        return masked_sum(self.losses(outputs, examples.targets), examples.batch.is_real)

    def losses(self, logits: Float[Array, "batch classes"], classes: MixedClasses) -> Float[Array, " batch"]:
        """Computes the objective of every example, in nats."""
        if classes.mixture is None and self.objective == "cross_entropy":
            return cross_entropy(logits, classes.label, label_smoothing=self.label_smoothing)
        target = self.target(classes, num_classes=logits.shape[-1])
        if self.target_threshold is not None:
            target = above(target, self.target_threshold)
        objectives = {"cross_entropy": soft_cross_entropy, "binary_cross_entropy": binary_cross_entropy}
        return objectives[self.objective](logits, target)

    def target(self, classes: MixedClasses, *, num_classes: int) -> Float[Array, "batch classes"]:
        """Converts smoothed and mixed classes to distributions."""
        own = smooth_one_hot(classes.label, num_classes=num_classes, label_smoothing=self.label_smoothing)
        if classes.mixture is None:
            return own
        partner = classes.mixture.partner_label
        other = smooth_one_hot(partner, num_classes=num_classes, label_smoothing=self.label_smoothing)
        share = classes.mixture.share[:, None]
        return share * own + (1 - share) * other

    def measure(self, outputs: Float[Array, "batch classes"], batch: Batch) -> ClassificationMetric:
        """Counts the batch: loss without smoothing, top-1 and top-5."""
        label = batch.targets.label
        return ClassificationMetric.of_batch(outputs, label, loss=cross_entropy(outputs, label), is_real=batch.is_real)

    def predict(self, outputs: Float[Array, "batch classes"], batch: Batch) -> Float[Array, "batch classes"]:
        """Computes the probability of every class: over all classes, or of each on its own, as in the objective."""
        del batch
        return jax.nn.softmax(outputs, axis=-1) if self.objective == "cross_entropy" else jax.nn.sigmoid(outputs)

    def records(self, prediction: Float[np.ndarray, " classes"], *, class_names: Sequence[str], limit: int) -> Records:
        """Lists the most probable classes with their probabilities; of equal ones, the lower class first."""
        ranked = np.argsort(-prediction, kind="stable")[:limit].tolist()
        return Records(
            name="topk",
            items=tuple(
                {
                    "index": index,
                    "name": class_names[index] if class_names else None,
                    "probability": shortest(prediction[index]),
                }
                for index in ranked
            ),
        )

    def assessment(self, subset: ClassSubset | None) -> Assessment:
        """Returns the measure with a confusion matrix, and with accepted classes where the data have them."""
        return Assessment(subset=subset)

    def describe(self, values: Mapping[str, float]) -> str:
        """Formats loss and top-1 accuracy.

        >>> Classification().describe({"loss": 1.234, "top1": 0.8412, "top5": 0.9})
        'loss 1.23 top1 84.1 %'
        """
        return f"loss {values['loss']:.3g} top1 {percent(values['top1'])}"
