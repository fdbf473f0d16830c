"""Image classification: what is minimised and what is measured."""

from dataclasses import dataclass

from jaxtyping import Array, Float

from gauss_vit.batches import ClassificationBatch
from gauss_vit.errors import ConfigError
from gauss_vit.metrics.classification import ClassificationMetric
from gauss_vit.ops.losses import cross_entropy, masked_mean


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One class an image.

    Attributes:
      label_smoothing: the share of probability spread evenly over all classes in the training loss; the loss that is
        measured has none.
    """

    label_smoothing: float = 0.0

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    def loss(self, logits: Float[Array, "batch classes"], batch: ClassificationBatch) -> Float[Array, ""]:
        """Averages the cross entropy over the real examples, in nats."""
        losses = cross_entropy(logits, batch.label, label_smoothing=self.label_smoothing)
        return masked_mean(losses, batch.is_real)

    def metric(self, logits: Float[Array, "batch classes"], batch: ClassificationBatch) -> ClassificationMetric:
        """Counts the batch: loss without smoothing, top-1 and top-5."""
        return ClassificationMetric.of_batch(
            logits, batch.label, loss=cross_entropy(logits, batch.label), is_real=batch.is_real
        )
