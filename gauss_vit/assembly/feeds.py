"""The batches that an experiment's data section describes, for training and for evaluation."""

import dataclasses
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax

from gauss_vit.annotations import annotated
from gauss_vit.batches import Batch
from gauss_vit.data import pipeline
from gauss_vit.data.config import DIGITS, Data
from gauss_vit.data.evaluation_plan import PlannedBatch, describe, plan_batches
from gauss_vit.data.examples import SelectiveSource, Source, learnable
from gauss_vit.data.images.transforms import WholeImageTransform
from gauss_vit.data.skips import Skips, indices_in
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.relabelled import with_classes
from gauss_vit.data.stall_warning import announce_waits
from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.escaping import escaped
from gauss_vit.experiment import Experiment
from gauss_vit.files import append_text, read_bytes
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train import mesh
from gauss_vit.train.device_layout import EVERYTHING, BatchShare
from gauss_vit.train.run import Feed

_LOGGER = logging.getLogger(__name__)
_LARGEST_LIST = 64 << 20
"""Limit in bytes of a list of bad files."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
    """The data of a run.

    Attributes:
      train: Training split.
      evaluation: Splits of the evaluators, by their names, with labels among the classes of the training split.
    """

    train: Source
    evaluation: Mapping[str, Source]


def open_split(
    experiment: Experiment,
    split: str,
    *,
    class_names: Sequence[str] = (),
    reference: str = "the model",
    opened: Source | None = None,
) -> Source:
    """Opens a split of the experiment's data set and makes sure that its labels are those of the head.

    Args:
      experiment: whose data set is opened.
      split: name of the split, or a part of it.
      class_names: classes of the head in order, among which the split's are looked up by name. Without them the split
        must have as many classes as the head.
      reference: what these are the classes of, for messages.
      opened: the split, if it has been opened before.

    Raises:
      DataError: it is missing or damaged; DATA-LABEL, it has classes that the head does not have.
      ConfigError: the model has another number of classes, or images with objects are not evaluated whole.
    """
    data = experiment.data
    if data.targets == "objects" and not isinstance(data.eval_transform, WholeImageTransform):
        message = "objects are found in whole images, and data.eval_transform cuts parts off them"
        raise ConfigError(message, do="set data.eval_transform to ResizeToFit(scale=(1333, 800)), for example")
    source = splits.open_split(data, split) if opened is None else opened
    if class_names:
        return with_classes(source, class_names, data_set=named(data, split), reference=reference)
    num_classes = experiment.task.num_classes
    if num_classes is not None and source.num_classes != num_classes:
        raise ConfigError(
            f"task.head.num_classes is {num_classes}, but {data.name} has {source.num_classes} classes",
            do=f"set task.head.num_classes to {source.num_classes}",
        )
    return source


def named(data: Data, split: str) -> str:
    """Names a split of a data set in messages."""
    return f"{data.name} {split}" if data.name == DIGITS else f"{data.name} {split} in {data.data_dir}"


def open_sources(experiment: Experiment, *, train: Source | None = None) -> Sources:
    """Opens the training split and those of the evaluators.

    Args:
      experiment: whose data set is opened.
      train: the training split, if it has been opened before.

    Raises:
      DataError: a split is missing or damaged; DATA-LABEL, that of an evaluator has classes of its own.
      ConfigError: the model has another number of classes.
    """
    train = learnable(open_split(experiment, experiment.data.train_split, opened=train))
    shown = {evaluator.name: evaluated(experiment, evaluator) for evaluator in experiment.evaluators}
    evaluation = {
        name: open_split(each, each.data.eval_split, class_names=train.class_names, reference="the training split")
        for name, each in shown.items()
    }
    for name, source in {"training": train, **evaluation}.items():
        _LOGGER.info("%s: %d images of %d classes", name, len(source), source.num_classes)
    for line in train.summary() if isinstance(train, SelectiveSource) else ():
        _LOGGER.info("%s", line)
    return Sources(train=train, evaluation=evaluation)


def feed(experiment: Experiment, sources: Sources, *, bad_files: Path | None = None) -> Feed:
    """Makes what the training loop reads of a run's data: this process's share.

    Args:
      experiment: whose transforms, batch sizes and seed are used.
      sources: its data.
      bad_files: the file to list skipped images in, where `data.on_error` is "skip".

    Raises:
      DataError: DATA-SMALL, the training split does not fill a batch.
    """
    pipeline.require_full_batch(sources.train, experiment.training.batch_size)
    seed, batch_size = experiment.seed, experiment.training.batch_size
    share = mesh.share_of_process(mesh.make(experiment.mesh, jax.devices()))
    skips = _skips(experiment.data, bad_files)
    eval_batch_size = experiment.training.eval_batch_size
    order = pipeline.train_order(
        sources.train,
        transforms=experiment.data.train_transforms,
        image_size=experiment.model.image_size,
        batch_size=batch_size,
        seed=seed,
        buckets=experiment.data.buckets,
        max_pixels=experiment.data.max_pixels,
    )

    @functools.cache
    def plan(name: str) -> tuple[PlannedBatch, ...]:
        return eval_plan(experiment, sources.evaluation[name], batch_size=eval_batch_size)

    return Feed(
        train=lambda start: announce_waits(
            train_batches(experiment, sources.train, start=start, share=share, skips=skips), report=_LOGGER.warning
        ),
        evaluation=lambda name: eval_batches(
            experiment, sources.evaluation[name], batch_size=eval_batch_size, share=share, plan=plan(name)
        ),
        digest=lambda step: pipeline.batch_digest(sources.train, order, seed=seed, step=step, batch_size=batch_size),
        num_examples=len(sources.train),
        annotated=lambda name: annotated(sources.evaluation[name]),
    )


def evaluated(experiment: Experiment, evaluator: Evaluator) -> Experiment:
    """Returns the experiment whose evaluation split is the one that an evaluator measures."""
    data = experiment.data
    chosen = dataclasses.replace(
        data,
        name=evaluator.data or data.name,
        data_dir=evaluator.data_dir or data.data_dir,
        eval_split=evaluator.split or data.eval_split,
    )
    return dataclasses.replace(experiment, data=chosen)


def train_batches(
    experiment: Experiment, source: Source, *, start: int, share: BatchShare, skips: Skips | None = None
) -> Iterator[Batch]:
    """The training batches from a step to the end of the run.

    Args:
      experiment: whose transforms, batch size and seed are used.
      source: the split.
      start: the first step.
      share: the rows of every batch that this process reads.
      skips: takes damaged images; without it they are errors.

    Raises:
      DataError: the source does not fill one batch.
    """
    return pipeline.train_batches(
        source,
        transforms=experiment.data.train_transforms,
        image_size=experiment.model.image_size,
        batch_size=experiment.training.batch_size,
        seed=experiment.seed,
        start_step=start,
        num_steps=experiment.training.total_steps,
        num_threads=experiment.data.num_threads,
        process_index=share.index,
        process_count=share.count,
        max_pixels=experiment.data.max_pixels,
        buckets=experiment.data.buckets,
        skips=skips,
    )


def eval_plan(experiment: Experiment, source: Source, *, batch_size: int) -> tuple[PlannedBatch, ...]:
    """Plans the batches of an evaluation, the same in every process; the log says how many shapes whole images have.

    Args:
      experiment: whose transform and image size are used.
      source: the split.
      batch_size: examples in a batch over all processes.

    Raises:
      DataError: the split holds nothing, or the header of a whole image cannot be read.
    """
    data = experiment.data
    plan = plan_batches(
        source,
        transform=data.eval_transform,
        image_size=experiment.model.image_size,
        batch_size=batch_size,
        num_threads=data.num_threads,
        max_pixels=data.max_pixels,
        buckets=data.buckets,
    )
    if isinstance(data.eval_transform, WholeImageTransform):
        _LOGGER.info("evaluation of whole images: %s", describe(plan))
    return plan


def eval_batches(
    experiment: Experiment,
    source: Source,
    *,
    batch_size: int,
    share: BatchShare = EVERYTHING,
    plan: Sequence[PlannedBatch] | None = None,
) -> Iterator[Batch]:
    """Every example of a split once, in order or, if they are whole, by size; batches that are not full are padded.

    Args:
      experiment: whose transform and image size are used.
      source: the split.
      batch_size: examples in a batch over all processes; it changes no number.
      share: the rows of every batch that this process reads.
      plan: that of `eval_plan`; None makes it.
    """
    return pipeline.eval_batches(
        source,
        transform=experiment.data.eval_transform,
        image_size=experiment.model.image_size,
        batch_size=batch_size,
        num_threads=experiment.data.num_threads,
        process_index=share.index,
        process_count=share.count,
        max_pixels=experiment.data.max_pixels,
        plan=eval_plan(experiment, source, batch_size=batch_size) if plan is None else plan,
    )


def _listed(path: Path) -> set[int]:
    """The examples that earlier starts of a run have skipped; none where there is no list yet.

    Raises:
      StorageError: the list cannot be read.
    """
    try:
        return indices_in(read_bytes(path, limit=_LARGEST_LIST).decode(errors="replace"))
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}", do="restore or remove it") from error


def _append(path: Path, line: str) -> None:
    try:
        with append_text(path) as file:
            file.write(escaped(line) + "\n")
    except OSError as error:
        do = "free or repair the storage"
        raise StorageError(f"cannot write {path}: {error.strerror or error}", do=do) from error


def _skips(data: Data, bad_files: Path | None) -> Skips | None:
    """What takes damaged training images, if they are to be skipped: each is logged and listed once in a run."""
    if data.on_error == "raise":
        return None

    def report(line: str) -> None:
        _LOGGER.warning("%s%s", line, f" (list in {bad_files})" if bad_files else "")
        if bad_files:
            _append(bad_files, line)

    return Skips(limit=data.max_skipped, report=report, indices=_listed(bad_files) if bad_files else set())
