"""The protocols of a task; training, evaluation and prediction depend on these alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.annotations import Annotated
from gauss_vit.batches import Batch
from gauss_vit.heads.network import HeadConfig
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.metric import Collector, Metric


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Examples:
    """A training batch on the device, augmented; every array is [batch, ...], so that it can be cut into micro-batches.

    Attributes:
      image: float32 [batch, height, width, 3], what the network sees.
      targets: Pytree of arrays, of the task's choice, that the loss compares the outputs with.
      batch: A `Batch` without images, which the outputs of training are measured against.
    """

    image: PyTree
    targets: PyTree
    batch: PyTree


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a task found in one image, as texts and numbers for JSON, tables and CSV.

    Attributes:
      name: Name of the list, such as "topk", "segments" or "boxes".
      items: One flat record for each class, segment or box, the most important first, all with the same keys. Every
        float is a share in 0..1.
    """

    name: str
    items: tuple[Mapping[str, str | int | float | None], ...]


@runtime_checkable
class Task(Protocol):
    """The loss, metric and prediction of a task, as a frozen value."""

    @property
    def head(self) -> HeadConfig:
        """Head that the task needs on a backbone."""
        ...

    @property
    def num_classes(self) -> int | None:
        """Number of classes that the labels of its data may name; None where they name none."""
        ...

    @property
    def targets(self) -> str | None:
        """What its data must have, a value of `data.targets`: "classes" or "masks"; None for targets of its own."""
        ...

    def prepare(self, images: Float[Array, "batch height width 3"], batch: Batch, *, key: PRNGKeyArray) -> Examples:
        """Augments a training batch on the device.

        Args:
          images: The batch's images, normalised.
          batch: The batch; flips are done, on images and on the masks and boxes among the targets.
          key: Key of all random numbers.
        """
        ...

    def loss(
        self, outputs: PyTree, examples: Examples, *, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Computes the float32 sum of the losses, and its weight.

        The training loss of a batch is the sum divided by the weight, over all micro-batches and devices: the weight
        counts what the sum runs over, be it images, pixels or instances. Padding has neither loss nor weight.
        """
        ...

    def measure(self, outputs: PyTree, batch: Batch) -> Metric:
        """Computes the sums of the task's metric over the real examples."""
        ...

    def predict(self, outputs: PyTree, batch: Batch) -> PyTree:
        """Computes the predictions for each image, as arrays [batch, ...].

        Args:
          outputs: Outputs of the network.
          batch: Images; its targets need not be labels, but may tell the size that a prediction is to have.
        """
        ...

    def records(self, prediction: PyTree, *, class_names: Sequence[str], limit: int) -> Records:
        """Describes the prediction for one image.

        Args:
          prediction: What `predict` computed for the image: NumPy arrays without the batch axis.
          class_names: Names of the classes in the order of the outputs; empty where they are unknown.
          limit: Largest number of records.
        """
        ...

    def assessment(self, subset: ClassSubset | None) -> "Measure":
        """Returns the measure of the verb `evaluate`, in more detail than the metric.

        If its sums are a `ClassReport`, the verb writes tables by class.

        Args:
          subset: Classes that a prediction may name; None is all.

        Raises:
          ConfigError: the task cannot leave classes out.
        """
        ...

    def describe(self, values: Mapping[str, float]) -> str:
        """Formats the values of the metric for a progress line, such as `loss 1.23 top1 84.1 %`."""
        ...


@runtime_checkable
class Measure(Protocol):
    """A measure of an evaluation, as a frozen value."""

    def results(self, task: Task, outputs: PyTree, batch: Batch) -> PyTree:
        """Computes, on the device, what a batch adds: sums, or results of each image, as `task.predict` has them."""
        ...

    def collector(self, source: Annotated | None) -> Collector:
        """Returns an empty collector of the results, on the host.

        Args:
          source: The evaluated source where it has annotations, which the results of its images may be compared with;
            None where what the batches hold is all.

        Raises:
          ConfigError: the measure needs annotations, and there are none.
        """
        ...
