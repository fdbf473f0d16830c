"""The split that a trained classifier is measured on, which may hold some of its classes only."""

from gauss_vit.assembly import feeds
from gauss_vit.data.examples import Source
from gauss_vit.data.sources import splits
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.metrics.class_subsets import CLASS_SUBSETS
from gauss_vit.tasks.assessment import ClassSubset


def open_source(experiment: Experiment, subset: str | None) -> Source:
    """Opens the evaluation split; that of a subset may have fewer classes than the model.

    Raises:
      ConfigError: the subset is unknown, or does not fit model and data set.
    """
    if subset is None:
        return feeds.open_split(experiment, experiment.data.eval_split)
    if subset not in CLASS_SUBSETS:
        raise ConfigError(f"unknown subset {subset!r}", do=f"use one of {', '.join(CLASS_SUBSETS)}")
    source = splits.open_split(experiment.data, experiment.data.eval_split)
    num_classes = experiment.task.num_classes
    if num_classes != 1000 or source.num_classes not in (num_classes, len(CLASS_SUBSETS[subset])):
        raise ConfigError(
            f"{subset} is 200 of ImageNet's 1000 classes; the model has {num_classes} and {experiment.data.name} has"
            f" {source.num_classes}",
            do="leave out --subset",
        )
    return source


def chosen_names(source: Source, subset: ClassSubset | None) -> tuple[str, ...]:
    """Names the classes in question."""
    if subset is None or len(subset.indices) == source.num_classes:
        return tuple(source.class_names)
    return tuple(source.class_names[index] for index in subset.indices)
