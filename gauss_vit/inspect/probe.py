"""Judges the frozen features of a run by nearest neighbours and by a few-shot linear classifier."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PyTree, UInt8

from gauss_vit.assembly import feeds, named_model
from gauss_vit.assembly.evaluation_data import open_probed
from gauss_vit.config.schema import JsonValue
from gauss_vit.data.examples import Source
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.metrics.probe import few_of_each, fit_least_squares, neighbour_scores
from gauss_vit.models import construct
from gauss_vit.train import mesh
from gauss_vit.train.checkpoint.reader import Weights
from gauss_vit.train.evaluation import pad
from gauss_vit.train.mesh import place_batch

_QUERIES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledFeatures:
    """The pooled features of a frozen model, which its head would read, for every example of a split.

    Attributes:
      features: float32 [examples, channels].
      label: class indices [examples].
    """

    features: Float[np.ndarray, "examples channels"]
    label: Int[np.ndarray, " examples"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How features are judged.

    Attributes:
      num_neighbours: number of nearest neighbours that vote.
      num_shots: number of labelled examples of each class for the linear classifier.
      penalty: factor of the sum of its squared weights in the least-squares loss.
    """

    num_neighbours: int
    num_shots: int
    penalty: float


def probe_run(
    folder: Path,
    experiment: Experiment,
    settings: ProbeSettings,
    *,
    which: Weights = "params",
    step: int | None = None,
) -> dict[str, JsonValue]:
    """Judges the features of a checkpoint.

    Args:
      folder: Folder of the run.
      experiment: The run.
      settings: Settings of the classifiers.
      which: Parameters of the last update, or their moving average.
      step: Step of the checkpoint; None for the newest that verifies.

    Raises:
      CheckpointError: no checkpoint verifies.
      DataError: the data set is missing or damaged.
    """
    devices = mesh.make(mesh.MeshConfig(), jax.local_devices())
    graph, abstract = construct.abstract(experiment.network)
    if experiment.task.num_classes is None:
        raise ConfigError("probe needs classes, and the task has none", do="probe a run that was trained to classify")
    if experiment.data.targets != "classes":
        raise ConfigError(
            "probe needs a class for each image, and the data have masks", do="see evaluate for their mIoU"
        )
    abstract = mesh.with_shardings(devices, abstract)
    restored = named_model.restore(folder, abstract, config=experiment.model, which=which, step=step)
    sources = open_probed(experiment, trained_on=restored.record.trained_on)
    data, num_classes = experiment.data, sources.train.num_classes
    read = functools.partial(read_features, experiment, graph, params=restored.arrays, devices=devices)
    known, queries = read(source=sources.train), read(source=sources.evaluation["eval"])
    few = few_of_each(known.label, settings.num_shots, seed=experiment.seed)
    linear = fit_least_squares(known.features[few], known.label[few], num_classes=num_classes, penalty=settings.penalty)
    answers = linear.scores(queries.features).argmax(axis=1)
    voted = _neighbours(known, queries, settings, num_classes=num_classes)
    return {
        "step": restored.step,
        "weights": which,
        "data": data.name,
        "split": data.eval_split,
        "num_examples": len(queries.label),
        "num_known": len(known.label),
        "num_neighbours": settings.num_neighbours,
        "neighbours_top1": float(np.mean(voted == queries.label)),
        "num_shots": settings.num_shots,
        "penalty": settings.penalty,
        "linear_top1": float(np.mean(answers == queries.label)),
    }


def read_features(
    experiment: Experiment, graph: nnx.GraphDef, *, params: PyTree, devices: jax.sharding.Mesh, source: Source
) -> LabelledFeatures:
    """Computes the features of every example of a source, without augmentation."""
    normalization = experiment.data.normalization

    @jax.jit
    def compute(params: PyTree, image: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch channels"]:
        return nnx.merge(graph, params).backbone.features(normalization(image)).pooled.astype(jnp.float32)

    batch_size = -(-experiment.training.eval_batch_size // devices.size) * devices.size
    features, labels = [], []
    for batch in feeds.eval_batches(experiment, source, batch_size=batch_size, share=mesh.share_of_process(devices)):
        placed = place_batch(pad(batch, batch_size), devices)
        features.append(np.asarray(compute(params, placed.image))[: len(batch.is_real)][batch.is_real])
        labels.append(batch.targets.label[batch.is_real])
    return LabelledFeatures(features=np.concatenate(features), label=np.concatenate(labels))


def _neighbours(
    known: LabelledFeatures, queries: LabelledFeatures, settings: ProbeSettings, *, num_classes: int
) -> Int[np.ndarray, " examples"]:
    """Classifies by nearest neighbours, `_QUERIES` at a time to bound memory."""
    bank, label = jnp.asarray(known.features), jnp.asarray(known.label)
    scores = jax.jit(
        functools.partial(neighbour_scores, num_classes=num_classes, num_neighbours=settings.num_neighbours)
    )
    starts = range(0, len(queries.label), _QUERIES)
    parts = [scores(jnp.asarray(queries.features[start : start + _QUERIES]), bank, label) for start in starts]
    return np.concatenate([np.asarray(part).argmax(axis=1) for part in parts])
