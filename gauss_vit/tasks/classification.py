"""Image classification: what is minimised and what is measured."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.heads.linear import LinearHead
from gauss_vit.metrics.classification import ClassificationMetric
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.losses import (
    above,
    binary_cross_entropy,
    cross_entropy,
    masked_mean,
    smooth_one_hot,
    soft_cross_entropy,
)
from gauss_vit.ops.mixing import Mixing, Mixture
from gauss_vit.tasks.augmentation import Augmented, augment

Objective = Literal["cross_entropy", "binary_cross_entropy"]

_LINEAR, _NO_ERASING, _NO_MIXING = LinearHead(), Erasing(), Mixing()


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One class an image.

    Attributes:
      head: Classifier on the backbone, with the number of classes.
      label_smoothing: the share of probability spread evenly over all classes in the training loss; the loss that is
        measured has none.
      objective: "cross_entropy" over all classes, or "binary_cross_entropy" of each class on its own, as in DeiT III.
      target_threshold: shares of the smoothed and mixed target above it count as 1 in the binary objective, all others
        as 0: 0.0 is DeiT III's, 0.2 that of timm's A2 recipe, both without smoothing. None keeps the shares.
      erasing: boxes of training images that become noise.
      mixing: mixup and CutMix of training images. What is measured on them in training is against the class of the
        image that has the larger share.
    """

    head: LinearHead = _LINEAR
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

    def augment(self, images: Float[Array, "batch height width 3"], batch: Batch, *, key: PRNGKeyArray) -> Augmented:
        """Erases and mixes normalised training images."""
        return augment(images, batch, erasing=self.erasing, mixing=self.mixing, key=key)

    def loss(
        self, logits: Float[Array, "batch classes"], batch: Batch, *, mixture: Mixture | None = None
    ) -> Float[Array, ""]:
        """Averages the objective over the real examples, in nats.

        Args:
          logits: of the images.
          batch: their classes.
          mixture: the classes that were mixed in; None for none.
        """
        if mixture is None and self.objective == "cross_entropy":
            losses = cross_entropy(logits, batch.targets.label, label_smoothing=self.label_smoothing)
            return masked_mean(losses, batch.is_real)
        target = self.target(batch, num_classes=logits.shape[-1], mixture=mixture)
        if self.target_threshold is not None:
            target = above(target, self.target_threshold)
        objectives = {"cross_entropy": soft_cross_entropy, "binary_cross_entropy": binary_cross_entropy}
        return masked_mean(objectives[self.objective](logits, target), batch.is_real)

    def target(self, batch: Batch, *, num_classes: int, mixture: Mixture | None) -> Float[Array, "batch classes"]:
        """Writes smoothed and mixed classes as distributions."""
        own = smooth_one_hot(batch.targets.label, num_classes=num_classes, label_smoothing=self.label_smoothing)
        if mixture is None:
            return own
        other = smooth_one_hot(mixture.partner_label, num_classes=num_classes, label_smoothing=self.label_smoothing)
        share = mixture.share[:, None]
        return share * own + (1 - share) * other

    def metric(self, logits: Float[Array, "batch classes"], batch: Batch) -> ClassificationMetric:
        """Counts the batch: loss without smoothing, top-1 and top-5."""
        return ClassificationMetric.of_batch(
            logits, batch.targets.label, loss=cross_entropy(logits, batch.targets.label), is_real=batch.is_real
        )
