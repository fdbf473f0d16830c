"""`evaluate`: the metrics of a run's newest checkpoint on the whole evaluation split, with exact counts."""

import json
import math
from pathlib import Path

import jax
from jaxtyping import PyTree

from gauss_vit.commands import classification_data, model_source
from gauss_vit.commands.command import Invocation, say
from gauss_vit.experiment import Experiment
from gauss_vit.models import construct
from gauss_vit.schema import JsonValue
from gauss_vit.train import evaluation, mesh, workdir
from gauss_vit.train.normalization import Normalization
from gauss_vit.train.step import Forward, make_eval_step

RESULT = "evaluation.json"


def run(invocation: Invocation) -> None:
    """Writes one JSON object to the last line of standard output, and to `evaluation.json` in the workdir.

    `--config`, such as `--config=W/config.json --config.data.data_dir=D`, replaces the run's own config.

    Raises:
      CheckpointError: no checkpoint verifies, or it does not fit the config.
      DataError: the data set is missing or damaged.
      StorageError: the workdir cannot be written; the result is on standard output all the same.
    """
    folder = invocation.path("workdir")
    experiment = invocation.experiment or model_source.run_experiment(folder)
    result = evaluate_run(folder, experiment)
    say(json.dumps(result))
    workdir.write_json(folder / RESULT, result)


def evaluate_run(folder: Path, experiment: Experiment) -> dict[str, JsonValue]:
    """Measures the newest checkpoint that verifies.

    Returns:
      The step, the data set and split, and the metrics; a metric that is not finite is None.
    """
    devices = mesh.make(mesh.MeshConfig(), jax.devices())
    graph, abstract = construct.abstract(experiment.model)
    restored = model_source.restore(folder, mesh.with_shardings(devices, abstract))
    data = experiment.data
    forward = Forward(
        graph=graph,
        task=experiment.task,
        normalization=Normalization(mean=data.pixel_mean, std=data.pixel_std),
    )
    metrics = _metrics(experiment, forward, params=restored.arrays, devices=devices)
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return {"step": restored.step, "data": data.name, "split": data.eval_split, **finite}


def _metrics(
    experiment: Experiment, forward: Forward, *, params: PyTree, devices: jax.sharding.Mesh
) -> dict[str, float]:
    """Sums the metric over the split in batches that divide among the devices."""
    batch_size = -(-experiment.training.eval_batch_size // devices.size) * devices.size
    source = classification_data.open_split(experiment, experiment.data.eval_split)
    total = evaluation.evaluate(
        make_eval_step(forward, mesh=devices, params=params),
        params,
        classification_data.eval_batches(experiment, source, batch_size=batch_size),
        mesh=devices,
        batch_size=batch_size // jax.process_count(),
        should_stop=lambda: False,
    )
    assert total is not None, "nothing can stop it"
    return total.compute()
