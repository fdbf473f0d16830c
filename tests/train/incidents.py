"""What may happen to a toy run on its way, and how it is looked at afterwards."""

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator

import jax

from gauss_vit.batches import Batch
from gauss_vit.train.checkpoint.reader import restore_state
from gauss_vit.train.loop import Run
from gauss_vit.train.prefetch import AHEAD
from gauss_vit.train.state import TrainState
from tests.train.toy import batch_of, with_recipe


def with_training(run: Run, **changes: int | str | None) -> Run:
    return with_recipe(run, training=dataclasses.replace(run.recipe.training, **changes))


def with_batches(run: Run, change: Callable[[int, Batch], Batch]) -> Run:
    """Does something at every batch, numbered by the step that it is for."""

    def train(start: int) -> Iterator[Batch]:
        for step in range(start, run.recipe.training.num_steps):
            yield change(step, batch_of(step, run.recipe.training.batch_size))

    return dataclasses.replace(run, feed=dataclasses.replace(run.feed, train=train))


def interrupted_at(run: Run, step: int, number: signal.Signals = signal.SIGTERM) -> Run:
    """Sends a signal to the process when so many updates have been started, while it fetches a batch ahead of them.

    There is none to fetch after the last but one update.
    """
    assert step + AHEAD <= run.recipe.training.num_steps

    def change(current: int, batch: Batch) -> Batch:
        if current == step + AHEAD - 1:
            os.kill(os.getpid(), number)
        return batch

    return with_batches(run, change)


def final_state(run: Run) -> TrainState:
    return jax.device_get(restore_state(run.workdir, run.program.abstract).arrays)
