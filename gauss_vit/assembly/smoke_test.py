"""The smoke test of a config: a few small steps of everything that a run does, on its own data and schedule."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

from gauss_vit.experiment import Experiment
from gauss_vit.quantities import counted
from gauss_vit.train.checkpoint.reader import saved_steps
from gauss_vit.train.run import Feed
from gauss_vit.train.workdir import metrics_log

NUM_STEPS = 2
_IMAGES_PER_DEVICE = 2
_OBSERVED_IMAGES = 8
_PICTURES = ".png"


def shortened(experiment: Experiment, *, num_devices: int) -> Experiment:
    """Returns an experiment with two steps on few images; all else, the schedule included, is as it was.

    Args:
      experiment: A complete experiment.
      num_devices: Number of devices that a batch is spread over.
    """
    training = experiment.training
    schedule = experiment.optimizer.schedule
    if schedule.total_steps is None:
        schedule = dataclasses.replace(schedule, total_steps=training.total_steps)
    short = dataclasses.replace(
        training,
        num_steps=NUM_STEPS,
        batch_size=min(training.batch_size, _IMAGES_PER_DEVICE * num_devices * training.accumulate),
        eval_batch_size=min(training.eval_batch_size, _IMAGES_PER_DEVICE * num_devices),
        log_every=1,
        checkpoint_every=NUM_STEPS,
        keep_every=None,
        observe_every=None,
        observe_images=min(training.observe_images, _OBSERVED_IMAGES),
    )
    optimizer = dataclasses.replace(experiment.optimizer, schedule=schedule)
    return dataclasses.replace(experiment, training=short, optimizer=optimizer)


def limited(feed: Feed) -> Feed:
    """Returns batches of which an evaluation has only the first."""

    def first_batch(name: str) -> Iterator:
        return itertools.islice(feed.evaluation(name), 1)

    return dataclasses.replace(feed, evaluation=first_batch)


def summary(experiment: Experiment, workdir: Path, *, seconds: float) -> str:
    """Describes what a smoke test has done, from the files that it wrote.

    Args:
      experiment: The shortened experiment.
      workdir: Its folder.
      seconds: Time that it took.
    """
    training = experiment.training
    names = [evaluator.name for evaluator in experiment.evaluators]
    entries = [entry for entry in metrics_log.entries(workdir / metrics_log.LINES) if entry["split"] in names]
    measured = "; ".join(f"{entry['split']} on {entry['num_examples']} images" for entry in entries)
    steps = ", ".join(str(step) for step in saved_steps(workdir))
    pictures = sorted(str(path.relative_to(workdir)) for path in workdir.rglob(f"*{_PICTURES}"))
    why_not = "nothing; the lines above say why" if training.observe_images else "nothing: observe_images is 0"
    return "\n".join(
        [
            f"smoke test passed in {seconds:.0f} s; nothing was kept",
            f"  trained    {training.total_steps} steps of {counted(training.batch_size, 'image')}",
            f"  evaluated  {measured or 'nothing: the config has no evaluators'}",
            f"  saved      checkpoint {steps}",
            f"  drew       {_first_of(pictures) or why_not}",
        ]
    )


def _first_of(names: list[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more pictures" if len(names) > 1 else "".join(names)
