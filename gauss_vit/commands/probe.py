"""`probe`: how good a run's frozen features are, by nearest neighbours and by a few-shot linear classifier."""

import json

from gauss_vit.assembly import named_model
from gauss_vit.assembly.device import experiment_here
from gauss_vit.assembly.selection import selection
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.inspect.probe import ProbeSettings, probe_run
from gauss_vit.train.workdir import lock
from gauss_vit.waiting import announced

RESULT = "probe.json"


def run(invocation: Invocation) -> None:
    """Writes one JSON object to standard output and to `probe.json` in the workdir.

    Features of the evaluation split are compared with those of the training split, prepared as in evaluation, and the
    linear classifier is fitted to some of the latter.

    Raises:
      ConfigError: the run keeps no average.
      CheckpointError: no checkpoint verifies.
      DataError: the data set is missing or damaged.
      StorageError: the workdir cannot be written; the result is on standard output all the same.
    """
    folder = invocation.path("workdir")
    experiment = experiment_here(invocation.experiment or named_model.run_experiment(folder))
    chosen = selection(invocation, folder, experiment)
    settings = ProbeSettings(
        num_neighbours=invocation.integer("neighbours") or 1,
        num_shots=invocation.integer("shots") or 1,
        penalty=float(invocation.text("penalty")),
    )
    with announced("reading and classifying features"):
        result = probe_run(folder, experiment, settings, which=chosen.which, step=chosen.step)
    try:
        say(json.dumps(result))
    finally:
        lock.write_json(folder / RESULT, result)
