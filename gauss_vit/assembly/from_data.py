"""What a config leaves to its data: the number of classes, and the number of steps that make its epochs."""

import dataclasses
from collections.abc import Mapping

from gauss_vit.data.examples import Source, learnable
from gauss_vit.data.sources import splits
from gauss_vit.errors import DataError
from gauss_vit.experiment import Experiment, override
from gauss_vit.heads.network import ClassHeadConfig
from gauss_vit.waiting import announced

_NUM_CLASSES = "task.head.num_classes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completed:
    """An experiment that says everything.

    Attributes:
      experiment: the experiment.
      train: its training split, where that was opened for it: a file of annotations takes seconds to read.
    """

    experiment: Experiment
    train: Source | None


def complete(experiment: Experiment) -> Completed:
    """Fills in what the data decide; the training split is opened only if there is such a value.

    Raises:
      DataError: the split is missing or damaged; the message names the keys that need it.
    """
    left_open = _left_open(experiment)
    if not left_open:
        return Completed(experiment=experiment, train=None)
    try:
        with announced("listing the training images"):
            train = splits.open_split(experiment.data, experiment.data.train_split)
            source = learnable(train)
    except DataError as error:
        keys = f"{' and '.join(left_open)} {'are' if len(left_open) > 1 else 'is'}"
        values = " ".join(f"--config.{key}={value}" for key, value in left_open.items())
        do = f"{error.do}; or give {values}" if error.do else f"give {values}"
        raise DataError(f"{keys} taken from the data: {error.message}", do=do, code=error.code) from error
    filled_in = completed(experiment, num_examples=len(source), num_classes=source.num_classes)
    return Completed(experiment=filled_in, train=train)


def completed(experiment: Experiment, *, num_examples: int, num_classes: int) -> Experiment:
    """Fills in what data of so many examples and classes decide."""
    if _lacks_classes(experiment):
        experiment = override(experiment, {_NUM_CLASSES: num_classes})
    return dataclasses.replace(experiment, training=experiment.training.in_steps(num_examples))


def _left_open(experiment: Experiment) -> Mapping[str, str]:
    """Lists the keys whose values the data decide, each with a placeholder for its value."""
    keys: dict[str, str] = {}
    if _lacks_classes(experiment):
        keys[_NUM_CLASSES] = "N"
    if experiment.training.num_epochs is not None:
        keys["training.num_steps"] = "N"
    return keys


def _lacks_classes(experiment: Experiment) -> bool:
    """Returns whether the head has an output for each class, of a number that is to be taken from the data."""
    head = experiment.task.head
    return isinstance(head, ClassHeadConfig) and head.num_classes is None
