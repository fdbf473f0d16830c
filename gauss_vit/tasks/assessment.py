"""The measure of a trained classifier, more detailed than the one in training."""

import dataclasses
from dataclasses import dataclass

from jaxtyping import Array, Float

from gauss_vit.annotations import Annotated
from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.metrics.by_image import AssessedBatch, AssessedImages, predicted_classes
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.classification_report import ClassificationReport
from gauss_vit.metrics.confusion import Confusion
from gauss_vit.metrics.real_labels import ReassessedMetric
from gauss_vit.ops.class_subset import subset_columns, subset_labels
from gauss_vit.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Measures loss and accuracy, accuracy by class, and accuracy against accepted classes where the data have them.

    Attributes:
      subset: Classes to choose among; an example of another class does not count. None is all classes.
    """

    subset: ClassSubset | None = None

    def results(self, task: Task, outputs: Float[Array, "batch classes"], batch: Batch) -> AssessedBatch:
        """Counts one batch, and returns the classes of its images.

        Args:
          task: Task whose metric is the main one.
          outputs: Logits of all classes of the model.
          batch: Images with labels of the data set.

        Raises:
          ConfigError: the subset does not fit the model or the data set.
        """
        logits = outputs
        if self.subset is not None:
            logits, batch = _within(logits, batch, self.subset)
        reassessed = None
        if batch.targets.accepted is not None:
            reassessed = ReassessedMetric.of_batch(logits, batch.targets.accepted, is_real=batch.is_real)
        report = ClassificationReport(
            classification=task.measure(logits, batch),
            confusion=Confusion.of_batch(logits, batch.targets.label, is_real=batch.is_real),
            reassessed=reassessed,
        )
        return AssessedBatch(
            report=report,
            label=batch.targets.label,
            predicted=predicted_classes(logits),
            is_real=batch.is_real,
        )

    def collector(self, source: Annotated | None) -> AssessedImages:
        """Returns an empty collector of sums and of classes by image; batches hold what they need."""
        del source
        return AssessedImages()


def _within(
    logits: Float[Array, "batch classes"], batch: Batch, subset: ClassSubset
) -> tuple[Float[Array, "batch chosen"], Batch]:
    """Keeps the classes of the subset only."""
    label, is_chosen = subset_labels(
        batch.targets.label, subset.indices, num_labels=subset.num_labels, num_classes=logits.shape[-1]
    )
    accepted = None if batch.targets.accepted is None else subset_columns(batch.targets.accepted, subset.indices)
    targets = ClassTargets(label=label, accepted=accepted)
    chosen = dataclasses.replace(batch, is_real=batch.is_real & is_chosen, targets=targets)
    return subset_columns(logits, subset.indices), chosen
