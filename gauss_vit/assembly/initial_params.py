"""Initial parameters that an experiment's `start` describes: from a file or from another run."""

import dataclasses
import logging
from collections.abc import Sequence

import jax
from jaxtyping import PyTree

from gauss_vit.assembly import foreign_weights
from gauss_vit.assembly.named_model import trained
from gauss_vit.assembly.remote_files import local
from gauss_vit.command_line.console import warn
from gauss_vit.config import schema
from gauss_vit.errors import CheckpointError
from gauss_vit.experiment import Experiment
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.train.state import run_key
from gauss_vit.weights.pretrained import Imported
from gauss_vit.weights.published import WEIGHTS, published
from gauss_vit.weights.start import Start, carry_over, redraw

_LOGGER = logging.getLogger(__name__)
_REDRAWING = 1
"""Folded into the run's key, so that an intervention does not draw what the model's initialisation would draw."""


def initial_params(experiment: Experiment, *, class_names: Sequence[str] = ()) -> PyTree | None:
    """Reads the weights that a run starts from, and redraws what its `start` names.

    Args:
      experiment: the run.
      class_names: classes of its data in order; empty if they are unknown.

    Returns:
      A nested dict of NumPy arrays, complete; None for an experiment that draws all of them.

    Raises:
      CheckpointError: the weights are refused or do not fit the model.
      ConfigError: the workdir named as weights does not contain a run, or the intervention finds nothing to change.
    """
    start = experiment.start
    if start is None:
        return None
    imported = read(
        start,
        experiment.network,
        seed=experiment.seed,
        known=schema.classes_in(experiment),
        class_names=class_names,
    )
    _LOGGER.info("%s", summary(start, imported))
    if imported.normalization not in (None, experiment.data.normalization):
        _LOGGER.warning(
            "the weights were trained on pixels with %s; this run has %s",
            imported.normalization,
            experiment.data.normalization,
        )
    key = jax.random.fold_in(run_key(experiment.seed), _REDRAWING)
    return redraw(experiment.model, imported.params, start.intervention, key=key)


def read(
    start: Start,
    network: NetworkConfig,
    *,
    seed: int,
    known: Sequence[type] = (),
    class_names: Sequence[str] = (),
) -> Imported:
    """Reads the weights for a network, from a workdir where there is one and else from a file.

    Args:
      start: which weights, and which head.
      network: Config of the network.
      seed: seed of parameters that the weights lack.
      known: Classes that a user defined, which the config of a run may name.
      class_names: Classes of the run's data in order; empty if they are unknown.

    Raises:
      CheckpointError: the path does not exist, or the weights are refused or do not fit.
      ConfigError: the folder does not contain a run.
    """
    path = local(start.weights)
    if not path.exists():
        raise CheckpointError(
            f"there are no weights at {path}",
            code="IMPORT",
            do="give a .safetensors file or the workdir of a run with --config.start.weights=...",
        )
    if path.is_dir() and not (path / WEIGHTS).is_file():
        given = trained(path, known=known)
        imported = carry_over(
            given.params,
            network,
            source=given.config,
            head=start.head,
            seed=seed,
            given_classes=given.class_names,
            class_names=class_names,
        )
        for remark in imported.remarks:
            warn(f"{path}: {remark}")
        return dataclasses.replace(imported, normalization=given.normalization)
    return foreign_weights.load(
        published(path),
        network,
        head=start.head,
        source_grid=start.source_grid,
        class_names=class_names,
        seed=seed,
    )


def summary(start: Start, imported: Imported) -> str:
    """Describes what a run starts from, such as `starts from W (gauss_vit); fresh: head.bias, head.kernel`."""
    parts = [f"starts from {start.weights} ({imported.table})"]
    if imported.resampled:
        parts.append(f"{len(imported.resampled)} tensors resampled to this grid")
    if imported.fresh:
        parts.append(f"fresh: {', '.join(imported.fresh_parts)}")
    if start.intervention != "none":
        parts.append(f"position information: {start.intervention}")
    return "; ".join(parts)
