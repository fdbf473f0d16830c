"""The split that a trained classifier is measured on, beside what the classifier was trained on."""

import numpy as np

from gauss_vit.assembly import feeds
from gauss_vit.assembly.trained_on import file_set, files_name
from gauss_vit.class_names import changes_of_classes, listed
from gauss_vit.command_line.console import warn
from gauss_vit.data.examples import Source
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.relabelled import with_classes
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.metrics.class_report import ClassReport
from gauss_vit.metrics.class_subsets import CLASS_SUBSETS, ClassSubset
from gauss_vit.metrics.detection_report import DetectionReport
from gauss_vit.trained_on import TrainedOn


def open_source(experiment: Experiment, subset: str | None, *, trained_on: TrainedOn) -> Source:
    """Opens the evaluation split with labels among the classes of the model, and warns of what differs from training.

    Args:
      experiment: whose split is opened.
      subset: name of the classes to choose among; None is all.
      trained_on: what the checkpoint says of its training. If its classes are unknown, the split must have as many as
        the model, or as the subset.

    Raises:
      ConfigError: the subset is unknown, or does not fit model and data set.
      DataError: the split is missing or damaged; DATA-LABEL, it has classes that the model does not have.
    """
    if subset is not None:
        check_subset(experiment, subset)
    if trained_on.class_names or subset is None:
        source = feeds.open_split(experiment, experiment.data.eval_split, class_names=trained_on.class_names)
    else:
        source = _open_by_number(experiment, subset)
    for remark in remarks(experiment, source, trained_on):
        warn(remark)
    return source


def open_probed(experiment: Experiment, *, trained_on: TrainedOn) -> feeds.Sources:
    """Opens the splits that features are judged on; their classes may be others than those of the model's head.

    Args:
      experiment: whose training and evaluation splits are opened, the latter under the name "eval".
      trained_on: what the checkpoint says of its training.

    Raises:
      DataError: a split is missing or damaged; DATA-LABEL, the evaluation split has classes that the other one lacks.
    """
    data = experiment.data
    known, queries = (splits.open_split(data, split) for split in (data.train_split, data.eval_split))
    changes = changes_of_classes(known.class_names, trained_on.class_names)
    for remark in remarks(experiment, queries, trained_on) if trained_on.class_names else []:
        warn(remark)
    if changes:
        warn(f"features are judged on other classes than the model was trained on ({'; '.join(changes)})")
    name = feeds.named(data, data.eval_split)
    queries = with_classes(queries, known.class_names, data_set=name, reference="the training split")
    return feeds.Sources(train=known, evaluation={"eval": queries})


def check_subset(experiment: Experiment, subset: str) -> None:
    """Checks that a subset exists and is one of the classes of the model.

    Raises:
      ConfigError: it does not, or is not.
    """
    if subset not in CLASS_SUBSETS:
        raise ConfigError(f"unknown subset {subset!r}", do=f"use one of {', '.join(CLASS_SUBSETS)}")
    if experiment.task.num_classes != 1000:
        raise ConfigError(
            f"{subset} is 200 of ImageNet's 1000 classes; the model has {experiment.task.num_classes}",
            do="leave out --subset",
        )


def _open_by_number(experiment: Experiment, subset: str) -> Source:
    """Opens the split of a subset for a model of unknown classes.

    Raises:
      ConfigError: the split has neither all classes nor those of the subset.
    """
    source = splits.open_split(experiment.data, experiment.data.eval_split)
    if source.num_classes not in (1000, len(CLASS_SUBSETS[subset])):
        raise ConfigError(
            f"{subset} is 200 of ImageNet's 1000 classes; {experiment.data.name} has {source.num_classes}",
            do="leave out --subset",
        )
    return source


def remarks(experiment: Experiment, source: Source, trained_on: TrainedOn) -> list[str]:
    """Says in sentences what is unknown of a checkpoint's training, or differs from it."""
    data = experiment.data
    said = []
    if not trained_on.class_names:
        said.append(
            f"the checkpoint does not say which classes it was trained on; they are taken to be those of {data.name}"
            f" in order: {listed(source.class_names)}"
        )
    if trained_on.normalization not in (None, data.normalization):
        said.append(
            f"the model was trained on pixels with {trained_on.normalization}; they now have {data.normalization}"
        )
    name = files_name(data, data.eval_split)
    changes = trained_on.changes_of_files({name: file_set(source)}) if name in trained_on.files else []
    return said + [f"the data set changed since training: {change}" for change in changes]


def warn_of_absent_classes(report: ClassReport | DetectionReport, class_names: tuple[str, ...]) -> None:
    """Warns of the classes that no measured image, pixel or object has; what is measured of them is in no mean.

    Args:
      report: what was measured.
      class_names: the classes in question, in the order of its tables.
    """
    if isinstance(report, ClassReport):
        counts, unit = np.sum(report.confusion.counts, axis=1), report.unit
    else:
        counts, unit = np.asarray(report.num_objects()), "objects"
    absent = [class_names[index] for index in np.flatnonzero(counts == 0)]
    if absent:
        warn(f"{len(absent)} of {len(class_names)} classes have no {unit} in this data: {listed(absent)}")


def chosen_names(source: Source, subset: ClassSubset | None) -> tuple[str, ...]:
    """Names the classes in question."""
    if subset is None or len(subset.indices) == source.num_classes:
        return tuple(source.class_names)
    return tuple(source.class_names[index] for index in subset.indices)
