"""`train`: an experiment from its first step, or from where it stopped, to its last; `--smoke`: a few steps of it."""

import functools
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gauss_vit.assembly import feeds, from_data, initial_params, same_everywhere, smoke_test
from gauss_vit.assembly.device import experiment_here
from gauss_vit.assembly.from_data import Completed
from gauss_vit.assembly.memory_advice import with_advice
from gauss_vit.assembly.model_flops import utilization
from gauss_vit.assembly.trained_on import trained_on
from gauss_vit.batches import Batch, has_signal
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data import pipeline
from gauss_vit.distributed import processes
from gauss_vit.errors import ConfigError, OutOfMemoryError
from gauss_vit.experiment import Experiment
from gauss_vit.inspect import observers
from gauss_vit.inspect.layer_scale import layer_scale_hint
from gauss_vit.models import construct
from gauss_vit.train import bias_effect, loop
from gauss_vit.train import mesh as meshes
from gauss_vit.train.bias_effect import TermEffect
from gauss_vit.train.mesh import on_one_device
from gauss_vit.train.program import Program, check_batch_sizes, make_program
from gauss_vit.train.run import Feed, Resume, Run
from gauss_vit.train.trace import TraceSteps
from gauss_vit.train.tracking import services
from gauss_vit.train.tracking.tracker import OpenTracker
from gauss_vit.weights.intervention import check_applies

_LOGGER = logging.getLogger(__name__)
_NUM_CHECKED_IMAGES = 4
_NO_TRACKERS: Mapping[str, OpenTracker] = MappingProxyType({})


def run(invocation: Invocation) -> None:
    """Trains, evaluates, observes and checkpoints; the same command resumes.

    With `--smoke`, two steps of everything in a temporary folder, and nothing is kept.

    Raises:
      ConfigError: the experiment does not fit the devices, the data or the workdir, or a position bias has no effect.
      UserError: as `gauss_vit.train.loop.fit`.
    """
    for flag in ("track", "trace"):
        if invocation.switch("smoke") and invocation.is_given(flag):
            raise ConfigError(f"--smoke keeps nothing, and --{flag} is for what is kept", do=f"leave out --{flag}")
    given = experiment_here(invocation.required_experiment())
    same_everywhere.require_same_start(given)
    complete = from_data.complete(given)
    experiment = complete.experiment
    if invocation.switch("smoke"):
        smoke(complete)
    else:
        trace = _trace(invocation, experiment)
        resume: Resume = "override" if invocation.text("resume") == "override" else "same"
        chosen = _trackers(invocation, limit=experiment.limits.start)
        folder = invocation.path("workdir")
        train(
            experiment,
            _sources(complete),
            folder,
            prepare_feed=_unchanged,
            resume=resume,
            trackers=chosen,
            trace=trace,
        )


def _trace(invocation: Invocation, experiment: Experiment) -> TraceSteps | None:
    """Reads which steps this process is to trace, if any."""
    if not invocation.is_given("trace"):
        return None
    steps = TraceSteps.parse(invocation.text("trace"), num_steps=experiment.training.total_steps)
    return steps if steps.on_all or processes.is_first() else None


def smoke(complete: Completed) -> None:
    """Trains two steps, evaluates, observes and saves in a temporary folder, and says what was done.

    Raises:
      UserError: as `run`; also where only the batches of the whole run would not fit.
    """
    experiment = complete.experiment
    check_batch_sizes(experiment.training, meshes.make(experiment.mesh, jax.devices()))
    sources = _sources(complete)
    pipeline.require_full_batch(sources.train, experiment.training.batch_size)
    short = smoke_test.shortened(experiment, num_devices=jax.device_count())
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gauss-vit-smoke-") as own:
        name = processes.gather("the temporary folder", own, limit=experiment.limits.start)[0]
        train(short, sources, Path(name), prepare_feed=smoke_test.limited)
        processes.on_first(
            "the summary",
            lambda: say(smoke_test.summary(short, Path(name), seconds=time.monotonic() - start)),
            limit=experiment.limits.start,
        )


def train(
    experiment: Experiment,
    sources: feeds.Sources,
    folder: Path,
    *,
    prepare_feed: Callable[[Feed], Feed],
    resume: Resume = "same",
    trackers: Mapping[str, OpenTracker] = _NO_TRACKERS,
    trace: TraceSteps | None = None,
) -> None:
    """Trains a complete experiment.

    Args:
      experiment: Experiment for the devices of this process.
      sources: Its data.
      folder: Its workdir.
      prepare_feed: Function that is given the batches and returns those to use.
      resume: Whether a run in the workdir may continue with another experiment.
      trackers: Services that numbers and pictures go to, by name.
      trace: Steps to profile.

    Raises:
      UserError: as `run`.
    """
    feed = feeds.feed(experiment, sources, bad_files=folder / bad_files(processes.index()))
    same_everywhere.require_same_data(experiment, sources, feed)
    program, known = make_program(experiment), trained_on(experiment, sources)
    if experiment.start is not None:
        check_applies(experiment.model, experiment.start.intervention)
    whole = Run(
        workdir=folder,
        recipe=experiment,
        program=program,
        feed=prepare_feed(feed),
        trained_on=known,
        resume=resume,
        observers=observers.of(experiment, folder),
        pictures=functools.partial(observers.pictures, folder),
        trackers=trackers,
        trace=trace,
        utilization=utilization(experiment, [device.device_kind for device in program.mesh.devices.flat]),
        initial=functools.partial(initial_params.initial_params, experiment, class_names=known.class_names),
        check_start=functools.partial(check_bias, experiment, program),
    )
    lacking = _memory_lacking(whole)
    if lacking is not None:
        raise with_advice(lacking, experiment, sources.train)


def _memory_lacking(whole: Run) -> OutOfMemoryError | None:
    """Trains, and returns the error of a lack of memory without its traceback, whose frames hold the arrays."""
    try:
        loop.fit(whole)
    except OutOfMemoryError as error:
        return OutOfMemoryError(error.message, do=error.do, code=error.code, work=error.work)
    return None


def bad_files(index: int) -> str:
    """Returns the name of the file in which a process lists the images that it has skipped.

    >>> bad_files(0), bad_files(1)
    ('bad_files.txt', 'bad_files.1.txt')
    """
    return "bad_files.txt" if index == 0 else f"bad_files.{index}.txt"


def _trackers(invocation: Invocation, *, limit: float) -> Mapping[str, OpenTracker]:
    """Reads the services of `--track` in process 0, which alone uses them."""
    chosen: dict[str, OpenTracker] = {}
    if invocation.is_given("track"):
        processes.on_first("--track", lambda: chosen.update(services.trackers(invocation.text("track"))), limit=limit)
    return chosen


def _sources(complete: Completed) -> feeds.Sources:
    """Opens the data in every process; where one of them cannot, all end with its error."""
    return processes.together(
        "the data",
        lambda: feeds.open_sources(complete.experiment, train=complete.train),
        limit=complete.experiment.limits.data,
    )


def _unchanged(feed: Feed) -> Feed:
    return feed


def check_bias(experiment: Experiment, program: Program, params: PyTree, batch: Batch) -> tuple[TermEffect, ...]:
    """Measures what the position information of attention does to training images of process 0, and logs it.

    Images of one colour are left out, if there are others.

    Where LayerScale hides the bias from the features, that is logged as well.

    Raises:
      ConfigError: a bias or a rotary embedding has no effect in some block.
      DataError: code NO-SIGNAL, all images of the batch are of one colour.
    """
    effects: list[TermEffect] = []
    hint = ""
    if experiment.model.position.acts_in_attention:
        whole = on_one_device(params, program.mesh)["backbone"]

        def check() -> None:
            signal = has_signal(batch.image)
            chosen = np.argsort(~signal, kind="stable")[:_NUM_CHECKED_IMAGES]
            images = experiment.normalization(jnp.asarray(batch.image[chosen]))
            graph, _ = construct.abstract(experiment.model)
            effects.extend(bias_effect.measure_effects(graph, whole, images))
            bias_effect.require_effect(effects, have_signal=bool(signal.any()))

        processes.on_first("the effect of the position bias", check, limit=experiment.limits.compile)
        hint = layer_scale_hint(experiment.model, {"backbone": whole})
    _LOGGER.info("%s", summary(effects))
    if hint:
        _LOGGER.info("%s", hint)
    return tuple(effects)


def summary(effects: Sequence[TermEffect]) -> str:
    """Describes in how many blocks each position bias is live.

    >>> summary(())
    'the model has no position bias'
    """
    names = dict.fromkeys(effect.term for effect in effects)
    if not names:
        return "the model has no position bias"
    depth = 1 + max(effect.layer for effect in effects)
    live = {name: sum(effect.is_live for effect in effects if effect.term == name) for name in names}
    return "position bias live: " + ", ".join(f"{name} in {count} of {depth} blocks" for name, count in live.items())
