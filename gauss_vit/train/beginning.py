"""What a run begins with: its records compared, its state fresh or restored, its batches and its checkpoints."""

import contextlib
import logging
from collections.abc import Iterator
from itertools import chain, islice

import jax
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.class_names import changes_of_classes
from gauss_vit.distributed import processes
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.checkpoint.metadata import DamagedError, check_fits
from gauss_vit.train.checkpoint.origin import Origin, Override, changed_versions, resharding
from gauss_vit.train.checkpoint.reader import (
    Restored,
    best_step,
    read_record,
    restore_params,
    saved_steps,
    set_aside,
    unfinished_steps,
)
from gauss_vit.train.checkpoint.retention import Retention
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.program import fresh_state
from gauss_vit.train.run import Run
from gauss_vit.train.state import TrainState
from gauss_vit.train.workdir import lock, resume
from gauss_vit.train.workdir.environment import describe_environment
from gauss_vit.train.workdir.lock import Hold
from gauss_vit.train.workdir.metrics_log import OBSERVE, splits_at, values_by_step
from gauss_vit.train.workdir.resume import Differences
from gauss_vit.waiting import announced

_LOGGER = logging.getLogger(__name__)


def compare_with_recorded(run: Run) -> Differences:
    """Compares the recipe with the one that the workdir was started with.

    Raises:
      ConfigError: code RESUME-CONFIG, it would change what is learned, and the run does not override that.
    """
    recorded = resume.recorded_experiment(run.workdir)
    if recorded is None:
        return Differences()
    differences = resume.compare(run.recipe.with_defaults(recorded), run.recipe.to_json())
    if run.resume == "same":
        otherwise = f"use its values to resume, or a new --workdir with --config.start.weights={run.workdir}"
        resume.require_same_run(differences, do=resume.OVERRIDE if _fits(run) else otherwise)
    return differences


def _fits(run: Run) -> bool:
    """Returns whether the newest checkpoint with a readable record, if there is one, has the arrays of the run."""
    for step in reversed(saved_steps(run.workdir)):
        with contextlib.suppress(DamagedError):
            record = read_record(run.workdir, step)
            try:
                check_fits(record, run.program.abstract)
            except CheckpointError:
                return False
            return True
    return True


def require_steps(run: Run, restored: Restored | None) -> None:
    """Checks that the run is not to end before the step that it has reached.

    Raises:
      ConfigError: it is, which a run that overrides its config may ask for.
    """
    num_steps = run.recipe.training.total_steps
    if restored is not None and restored.step > num_steps:
        raise ConfigError(
            f"the run has made {restored.step} steps, and training.num_steps is {num_steps}",
            do=f"set it to {restored.step} at least, or use a new --workdir",
        )


def is_complete(run: Run, restored: Restored | None) -> bool:
    """Returns whether the last step was made, evaluated and saved, and the best one observed."""
    num_steps = run.recipe.training.total_steps
    is_trained = restored is not None and restored.step >= num_steps and not missing_evaluators(run, restored.step)
    return is_trained and unobserved_best(run) is None


def epochs_at(run: Run, step: int) -> float | None:
    """Returns how often every training example was used up to a step."""
    num_examples = run.feed.num_examples
    return None if num_examples is None else step * run.recipe.training.batch_size / num_examples


def due_evaluators(run: Run, step: int) -> tuple[Evaluator, ...]:
    """Lists the evaluators that are due at a step, in their order."""
    training = run.recipe.training
    return tuple(evaluator for evaluator in run.recipe.evaluators if training.is_due(evaluator.every, step))


def missing_evaluators(run: Run, step: int) -> tuple[Evaluator, ...]:
    """Lists the evaluators that are due at a step and were interrupted, or never reached."""
    logged = splits_at(run.workdir, step)
    return tuple(evaluator for evaluator in due_evaluators(run, step) if evaluator.name not in logged)


def observes_start(run: Run) -> bool:
    """Returns whether the parameters of step 0 are to be observed: with a period, and not by an earlier attempt."""
    if not run.observers or run.recipe.training.observe_every is None:
        return False
    return not processes.gather("the first observation", _is_observed(run, 0), limit=run.recipe.limits.observe)[0]


def unobserved_best(run: Run) -> int | None:
    """Finds the step of the best checkpoint if it is to be observed still; None if there is nothing to do.

    Its numbers are logged at its step, after those of later ones.
    """
    if not run.observers or run.recipe.training.best is None:
        return None
    try:
        step = best_step(run.workdir)
    except CheckpointError:
        step = None
    found = None if step is None or _is_observed(run, step) else step
    return processes.gather("the best checkpoint", found, limit=run.recipe.limits.observe)[0]


def best_params(run: Run, step: int) -> PyTree:
    """Restores the parameters of the best checkpoint.

    Raises:
      CheckpointError: it does not verify.
    """
    return restore_params(run.workdir, run.program.abstract.params, step=step).arrays


def _is_observed(run: Run, step: int) -> bool:
    return OBSERVE in splits_at(run.workdir, step)


def origin_of(run: Run, restored: Restored | None) -> Origin:
    """Describes what writes the checkpoints of this process, with every override of the run so far.

    An override is what differs from the checkpoint that the run continues from, so that none is lost where a process
    ended before its first checkpoint.
    """
    overrides: tuple[Override, ...] = ()
    if restored is not None:
        record = restored.record
        differences = resume.compare(run.recipe.with_defaults(record.experiment), run.recipe.to_json())
        changes = (*differences.learned, *_changes_of_batch(run, restored))
        overrides = (*record.origin.overrides, *([Override(step=restored.step, changes=changes)] if changes else []))
    return Origin(
        environment=describe_environment(jax.devices()), mesh=dict(run.program.mesh.shape), overrides=overrides
    )


def write_records(run: Run, restored: Restored | None, *, differences: Differences, origin: Origin) -> None:
    """Logs what was found, moves damaged checkpoints out of the way, and writes config.json and env.json."""
    if restored is not None:
        _LOGGER.info("resumed from step %d (verified)", restored.step)
        _log_change_of_origin(restored.record.origin, origin)
    if not processes.is_first():
        return
    for note in differences.allowed:
        _LOGGER.info("config: %s", note)
    for note in differences.learned:
        _LOGGER.warning("config overridden: %s", note)
    for step in unfinished_steps(run.workdir):
        _LOGGER.warning("ignoring unfinished checkpoint %d", step)
    for step, reason in () if restored is None else restored.damaged:
        _LOGGER.warning("checkpoint %d is damaged: %s; moved to %s", step, reason, set_aside(run.workdir, step))
    lock.write_json(run.workdir / lock.CONFIG, run.recipe.to_json())
    lock.write_json(run.workdir / lock.ENVIRONMENT, origin.environment)


def fresh_start(run: Run) -> TrainState:
    """Returns the state of step 0."""
    with announced("preparing the initial parameters"):
        return fresh_state(run.recipe, run.program, run.initial())


def resumed(run: Run, restored: Restored) -> TrainState:
    """Returns the restored state, after checking that classes and next batch are those of when it was saved.

    Files that changed without changing the batch are said in a warning, and a batch that a run overrides.

    Raises:
      CheckpointError: code RESUME-DATA, the data have other classes, or the next batch holds other examples and the run
        does not override that.
    """
    saved, batch = restored.record.trained_on, _changes_of_batch(run, restored)
    classes = changes_of_classes(run.trained_on.class_names, saved.class_names)
    if classes or (batch and run.resume == "same"):
        override = "" if classes else " add --resume=override to continue with this one,"
        raise CheckpointError(
            f"the data set or its order changed: {'; '.join([*classes, *batch])}",
            code="RESUME-DATA",
            do=f"restore the data set that the run was started with,{override} or use a new --workdir",
        )
    if changes := batch or saved.changes_of_files(run.trained_on.files):
        _LOGGER.warning("the data set changed under the run: %s", "; ".join(changes))
    return restored.arrays


def open_batches(run: Run, state: TrainState) -> Iterator[Batch]:
    """Opens the batches that are left. Before the first step, the first batch is read for `run.check_start`."""
    step = int(state.step)
    batches = islice(run.feed.train(step), run.recipe.training.total_steps - step)
    first = list(islice(batches, 1)) if step == 0 else []
    for batch in first:
        with announced("checking the effect of the position bias"):
            run.check_start(state.params, batch)
    return chain(first, batches)


def checkpoint_writer(run: Run, *, origin: Origin, hold: Hold) -> CheckpointWriter:
    """Opens the writer for a run, which saves only while the workdir is held."""
    training = run.recipe.training
    best = training.best
    return CheckpointWriter(
        run.workdir,
        experiment=run.recipe.to_json(),
        trained_on=run.trained_on,
        origin=origin,
        require_hold=hold.require,
        retention=Retention(num_newest=training.keep_checkpoints, every=training.keep_every, best=best),
        logged={} if best is None else values_by_step(run.workdir, best.evaluator, best.name),
    )


def _changes_of_batch(run: Run, restored: Restored) -> list[str]:
    """Says how the next batch differs from the one when it was saved, which is unknown for imported weights."""
    expected, actual = restored.record.progress.batch_digest, run.feed.digest(restored.step)
    if not expected or actual == expected:
        return []
    changes = restored.record.trained_on.changes_of_files(run.trained_on.files)
    return [*changes, f"batch {restored.step} is {actual}, and was {expected} when saved"]


def _log_change_of_origin(saved: Origin, current: Origin) -> None:
    if moved := resharding(saved, current):
        _LOGGER.info("%s", moved)
    if versions := changed_versions(saved, current):
        _LOGGER.info("other versions than when it was saved, bits may differ: %s", ", ".join(versions))
