"""The training loop, from the first step or the newest checkpoint to the last step.

`fit` reads from top to bottom: lock the workdir, restore, and for each batch update, report, evaluate, observe, save.
A batch is a function of the step, and all random numbers come from the seed and the step, so that a run that was
stopped or killed at any moment ends with the same bits as one that was not.
"""

import contextlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence

import jax
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import CheckpointError, ConfigError, DataError, DivergedError
from gauss_vit.tasks.evaluator import Evaluator, describe
from gauss_vit.train import memory
from gauss_vit.train.beginning import (
    best_params,
    checkpoint_writer,
    compare_with_recorded,
    due_evaluators,
    epochs_at,
    fresh_start,
    is_complete,
    missing_evaluators,
    observes_start,
    open_batches,
    origin_of,
    require_steps,
    resumed,
    unobserved_best,
    write_records,
)
from gauss_vit.train.checkpoint.metadata import Progress
from gauss_vit.train.checkpoint.reader import NONE_VALID, check_format, restore_state
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.evaluation import evaluate
from gauss_vit.train.input_wait import InputWait
from gauss_vit.train.interruption import EXIT_STATUS, Interruption
from gauss_vit.train.metric_window import MetricWindow, skipped
from gauss_vit.train.prefetch import place_ahead
from gauss_vit.train.run import Feed, Observer, Run
from gauss_vit.train.state import TrainState
from gauss_vit.train.step import Outcome, audited_paths
from gauss_vit.train.trace import StepTrace
from gauss_vit.train.tracking.tracker import TrackedRun
from gauss_vit.train.waits import Shapes, Waits, shapes_of, watched
from gauss_vit.train.wall_time import Pace, WallTime
from gauss_vit.train.workdir import lock
from gauss_vit.train.workdir.faults import storage_faults
from gauss_vit.train.workdir.loggers import Loggers
from gauss_vit.train.workdir.metrics_log import OBSERVE, TRAIN, last_step, splits_at
from gauss_vit.train.workdir.progress import progress_line
from gauss_vit.train.workdir.timing_log import Timing, seconds_before, summary
from gauss_vit.waiting import announced

__all__ = ["Feed", "Observer", "Run", "fit"]

_LOGGER = logging.getLogger(__name__)


def fit(run: Run) -> None:
    """Trains to the last step, from the newest checkpoint that verifies, or from the seed if there is none.

    A run that is complete is not changed.

    Raises:
      ConfigError: the config does not fit the devices, or is not the one that the workdir was started with.
      CheckpointError: there are checkpoints and none can be used, or they are of another format.
      DivergedError: a loss, a gradient or a parameter is no longer finite.
      DataError: the feed ends too early.
      StorageError: the workdir cannot be written, or a save failed.
      BusyError: another process holds the workdir.
      OutOfMemoryError: a device or the host has too little memory.
      SystemExit: status 143, after SIGTERM, SIGINT or SIGHUP, once the state is saved.

    A wait that is over its limit ends the process with status 6.
    """
    with (
        storage_faults(run.workdir),
        memory.memory_faults("training"),
        lock.hold(run.workdir) as hold,
        Interruption() as interruption,
        watched(run.workdir, run.recipe.limits) as waits,
        WallTime() as wall,
    ):
        check_format(run.workdir)
        differences = compare_with_recorded(run)
        with announced("reading the newest checkpoint"), waits.restoring():
            restored = restore_state(run.workdir, run.program.abstract)
        require_steps(run, restored)
        if is_complete(run, restored):
            _LOGGER.info("already finished at step %d; nothing to do", run.recipe.training.total_steps)
            return
        hold.announce()
        wall.add(seconds_before(run.workdir, 0 if restored is None else restored.step))
        with waits.initializing():
            state = fresh_start(run) if restored is None else resumed(run, restored)
        batches = waits.batches(open_batches(run, state), of="training")
        tracked = TrackedRun(workdir=run.workdir, step=int(state.step), config=run.recipe.to_json())
        with Loggers(tracked, trackers=run.trackers) as loggers:
            origin = origin_of(run, restored)
            write_records(run, restored, differences=differences, origin=origin)
            with checkpoint_writer(run, origin=origin, hold=hold) as writer:
                loop = _Loop(
                    run, state, loggers=loggers, writer=writer, interruption=interruption, waits=waits, wall=wall
                )
                with wall.within("step"):
                    loop.go(batches, interval=() if restored is None else restored.record.progress.interval)
            _LOGGER.info("finished at step %d", run.recipe.training.total_steps)


class _Loop:
    """The mutable state of a run, and its steps."""

    def __init__(
        self,
        run: Run,
        state: TrainState,
        *,
        loggers: Loggers,
        writer: CheckpointWriter,
        interruption: Interruption,
        waits: Waits,
        wall: WallTime,
    ):
        self._run = run
        self._training = run.recipe.training
        self._program = run.program
        self._state = state
        self._step = int(jax.device_get(state.step))
        self._loggers = loggers
        self._writer = writer
        self._interruption = interruption
        self._waits = waits
        self._wall = wall
        self._pace = Pace(wall)
        self._input = InputWait(wall)
        self._trace = StepTrace(run.trace, run.workdir, step=self._step)
        self._window = MetricWindow((), explain=self._explain)
        self._window_start = 0
        self._evaluation: dict[str, float] = {}
        self._compiled: set[Shapes] = set()

    def go(self, batches: Iterable[Batch], *, interval: tuple[JsonValue, ...]) -> None:
        """Runs the remaining steps; `interval` has the sums from before the run stopped."""
        self._window = MetricWindow(interval, explain=self._explain)
        self._window_start = last_step(self._run.workdir, TRAIN)
        logged = splits_at(self._run.workdir, self._step) if self._step > 0 else set()
        if self._step > 0 and (missing := missing_evaluators(self._run, self._step)):
            self._measure(missing, is_observed=OBSERVE in logged)
            self._writer.rank(self._step, self._evaluation)
        if self._step == 0 and observes_start(self._run):
            self._observe(0, self._state.params)
        with contextlib.closing(self._trace):
            self._train(batches)
        self._finish()

    def _train(self, batches: Iterable[Batch]) -> None:
        """Makes the steps, with what is due at each, until a signal comes."""
        training = self._training
        for batch in place_ahead(self._input.timed(batches), self._program.mesh):
            if self._interruption.is_requested():
                break
            with self._waits.step(self._step + 1, shapes=shapes_of(batch)), self._trace.step(self._step + 1):
                self._advance(batch)
            if self._trace.ends_with(self._step):
                self._end_trace()
            with self._waits.saving(self._step):
                self._writer.poll()
            if training.is_due(training.log_every, self._step):
                self._log()
            self._measure(due_evaluators(self._run, self._step))
            if training.is_due(training.checkpoint_every, self._step):
                self._save()

    def _advance(self, batch: Batch) -> None:
        """Starts one update on a batch on the devices, and checks the update before it."""
        with self._compilation(batch):
            self._state, outcome = self._program.train_step(self._state, batch)
        self._input.follow(outcome.is_finite.is_ready)
        self._step += 1
        self._evaluation = {}
        self._window.take(self._step, outcome)
        self._pace.count()

    def _compilation(self, batch: Batch) -> contextlib.AbstractContextManager[None]:
        """Announces a step that is compiled, at first and for other shapes again."""
        shapes, is_first = shapes_of(batch), not self._compiled
        if shapes in self._compiled:
            return contextlib.nullcontext()
        self._compiled.add(shapes)
        height, width = batch.image.shape[1:3]
        return announced("compiling the training step" + ("" if is_first else f" for {height} x {width} px"))

    def _end_trace(self) -> None:
        """Waits for the newest step, and writes the trace that ends with it."""
        self._settle()
        with self._wall.within("observation"):
            self._trace.close()

    def _settle(self) -> None:
        """Waits for the newest update, and checks it."""
        with self._waits.result(self._step):
            self._window.settle()

    def _log(self) -> None:
        """Reports the interval that ends here."""
        training = self._training
        num_places = (self._step - self._window_start) * training.batch_size
        # Before anything else is computed, which would wait behind a step that is stuck, without its limit.
        self._settle()
        rate = float(self._program.learning_rate(self._step - 1))
        values = self._window.values()
        self._input.ended()
        values = {**values, **skipped(values, num_places=num_places), "learning_rate": rate}
        self._loggers.write(TRAIN, self._step, values)
        timing = self._timing()
        self._loggers.write_timing(self._step, timing)
        line = progress_line(
            self._step,
            training.total_steps,
            epoch=timing.epoch,
            metrics=self._run.recipe.task.describe(values),
            learning_rate=rate,
            batch_size=training.batch_size,
            steps_per_second=self._pace.steps_per_second,
            utilization=timing.model_flops_utilization,
            input_wait=timing.input_wait,
        )
        _LOGGER.info("%s", line)
        self._window.restart()
        self._window_start = self._step
        self._pace.restart()

    def _timing(self) -> Timing:
        """Measures the interval that ends here."""
        speed = self._pace.steps_per_second * self._training.batch_size or None
        peak = self._run.utilization
        return Timing(
            epoch=epochs_at(self._run, self._step),
            images_per_second=speed,
            model_flops_utilization=None if peak is None or speed is None else peak.at(speed),
            input_wait=self._pace.input_wait,
            peak_device_memory_bytes=memory.peak_device_bytes(self._program.mesh.local_devices),
            peak_host_memory_bytes=memory.peak_host_bytes(),
            seconds=self._wall.seconds(),
        )

    def _measure(self, evaluators: Sequence[Evaluator], *, is_observed: bool = False) -> None:
        """Evaluates, and observes if that is due; after an interruption the resumed run does the rest."""
        is_observing = not is_observed and self._training.is_due(self._training.observe_every, self._step)
        if evaluators or is_observing:
            self._settle()
        for evaluator in evaluators:
            with self._wall.within("evaluation"), memory.memory_faults("evaluation"):
                is_complete = self._evaluate(evaluator)
            if not is_complete:
                return
        if is_observing:
            self._observe(self._step, self._state.params)

    def _observe(self, step: int, params: PyTree) -> None:
        """Calls the observers with the parameters of a step, and logs their numbers, if any.

        With a rule for the best checkpoint every step is logged, so that the best one is not observed again.
        """
        with (
            self._wall.within("observation"),
            memory.memory_faults("observation"),
            announced("measuring and drawing what is observed"),
            self._waits.observing(step),
        ):
            values = {name: value for observer in self._run.observers for name, value in observer(step, params).items()}
        if values or self._training.best is not None:
            self._loggers.write(OBSERVE, step, values)
        self._loggers.show(step, self._run.pictures(step))

    def _observe_best(self) -> None:
        """Observes the best checkpoint, unless that was done when the run was there.

        A damaged one is moved out of the way, and the best of the others takes its place.
        """
        while (step := unobserved_best(self._run)) is not None:
            try:
                params = best_params(self._run, step)
            except CheckpointError as error:
                if error.code != NONE_VALID:
                    raise
                _LOGGER.warning("the best checkpoint is damaged: %s; moved to %s", error, self._writer.set_aside(step))
                continue
            self._observe(step, params)
            self._loggers.sync()

    def _evaluate(self, evaluator: Evaluator) -> bool:
        """Runs one evaluator; returns False, and reports nothing, if it was interrupted."""
        values = self._metrics_of(evaluator, self._state.params, kind="")
        text = describe(evaluator, self._run.recipe.task, values) if values else ""
        if values and self._state.ema is not None:
            averaged = self._metrics_of(evaluator, self._state.ema, kind="ema_")
            text += f" | average {describe(evaluator, self._run.recipe.task, averaged)}" if averaged else ""
            values = {**values, **{f"ema_{name}": value for name, value in averaged.items()}} if averaged else {}
        if not values:
            return False
        ranked = {f"{evaluator.name}/{name}": value for name, value in values.items()}
        for name, value in ranked.items():
            if not math.isfinite(value):
                _LOGGER.warning("%s is %s at step %d: not ranked", name, value, self._step)
        self._evaluation |= {name: value for name, value in ranked.items() if math.isfinite(value)}
        self._loggers.write(evaluator.name, self._step, values)
        _LOGGER.info("[%d/%d] %s %s", self._step, self._training.total_steps, evaluator.name, text)
        self._require_best(evaluator, ranked)
        return True

    def _require_best(self, evaluator: Evaluator, values: Mapping[str, float]) -> None:
        """Checks that an evaluator measures the metric to rank by, if it is to; the step is saved if it does not.

        Raises:
          ConfigError: it does not.
        """
        best = self._training.best
        if best is not None and best.evaluator == evaluator.name and best.metric not in values:
            self._save()
            raise ConfigError(
                f"training.best.metric {best.metric} is not measured",
                do=f"choose one of {', '.join(values)}, with which the same command resumes",
            )

    def _metrics_of(self, evaluator: Evaluator, params: PyTree, *, kind: str) -> dict[str, float]:
        """Measures parameters on the split of an evaluator; empty when it is interrupted."""
        collector = evaluator.measure.collector(self._run.feed.annotated(evaluator.name))
        with announced(f"evaluating {kind}{evaluator.name}"):
            is_complete = evaluate(
                self._program.eval_steps[evaluator.measure],
                params,
                self._waits.measured(self._run.feed.evaluation(evaluator.name), of=evaluator.name),
                collector=collector,
                mesh=self._program.mesh,
                batch_size=self._training.eval_batch_size,
                should_stop=self._interruption.is_requested,
            )
        return dict(collector.compute()) if is_complete else {}

    def _save(self) -> None:
        """Starts to save the state, once it is known to be finite and its metrics are on disk."""
        if self._writer.covers(self._step):
            return
        self._settle()
        with self._wall.within("save"), self._waits.saving(self._step):
            progress = Progress(
                step=self._step,
                batch_digest=self._run.feed.digest(self._step),
                interval=self._window.leaves(),
                metrics=self._evaluation,
            )
            self._loggers.sync()
            self._writer.save(self._state, progress)

    def _finish(self) -> None:
        """Ends at the last step, or where a signal stopped the run.

        Raises:
          SystemExit: a signal came; the state is saved.
          DataError: the batches ended before the last step.
        """
        num_steps, name = self._training.total_steps, self._interruption.name
        if not name and self._step < num_steps:
            raise DataError(f"the training batches end at step {self._step} of {num_steps}", code="DATA-SHORT")
        if self._step > 0:
            self._save()
        with self._wall.within("save"), announced("saving"), self._waits.saving(self._step):
            self._writer.wait()
        if not name:
            self._observe_best()
        timing = self._timing()
        self._loggers.write_timing(self._step, timing)
        _LOGGER.info("%s", summary(timing))
        if name:
            _LOGGER.warning("%s: saved step %d, exiting %d", name, self._step, EXIT_STATUS)
            raise SystemExit(EXIT_STATUS)

    def _explain(self, step: int, outcome: Outcome) -> DivergedError:
        """Builds the error for an update that was not finite."""
        with self._waits.saving(step):
            self._writer.wait()
        newest = self._writer.newest_step
        return DivergedError(
            f"loss is {float(outcome.loss)} at step {step}, the update was not applied (batch digest"
            f" {self._run.feed.digest(step - 1)}; first array that is not finite:"
            f" {audited_paths(self._program.abstract)[int(outcome.first_bad)]});"
            f" last good checkpoint: {'none' if newest is None else newest}",
            do="lower the learning rate, lengthen the warm-up, or set max_gradient_norm",
        )
