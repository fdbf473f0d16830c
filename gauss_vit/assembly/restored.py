"""Parameters of a run's checkpoint for a network whose positions may be on other grids."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
from jaxtyping import PyTree

from gauss_vit import experiment
from gauss_vit.command_line.console import warn
from gauss_vit.config import schema
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.models import construct
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.train import mesh
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.checkpoint.metadata import Record
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.waiting import announced
from gauss_vit.weights.resample_positions import grids_of, is_position, resampled


def restore(
    workdir: Path,
    abstract: PyTree,
    *,
    config: BackboneConfig,
    which: reader.Weights = "params",
    step: int | None = None,
) -> reader.Restored:
    """Restores the parameters of the newest checkpoint that verifies, and warns of newer ones that do not.

    Positions are resampled where the checkpoint's are on another grid, even if that has as many patches.

    Args:
      workdir: folder of a run, which may be training.
      abstract: nested dict of shapes, types and shardings of the network.
      config: config of the network's backbone.
      which: the parameters of the last update, or their moving average.
      step: step of the checkpoint to restore; None for the newest.

    Raises:
      CheckpointError: there is none, or it is of another model.
    """
    with announced("reading the checkpoint"):
        found = reader.restore_params(
            workdir, abstract, which=which, step=step, stored=lambda record: _as_stored(record, abstract, config, which)
        )
    for damaged, reason in found.damaged:
        warn(f"checkpoint {damaged} does not verify: {reason}; using {found.step} instead")
    grids = recorded_grids(found.record, config)
    return dataclasses.replace(found, arrays=_on_grids_of(config, found.arrays, grids=grids, abstract=abstract))


def recorded_grids(record: Record, config: BackboneConfig) -> Mapping[str, Grid]:
    """Returns the grids of the positions of a checkpoint by path; those of its config for one that does not say."""
    if record.trained_on.grids:
        return record.trained_on.grids
    known = schema.classes_in(config)
    try:
        trained = experiment.from_json(dict(record.experiment), known=known)
    except ConfigError:
        return {}
    return grids_of(trained.model, construct.abstract(trained.network)[1])


def _as_stored(record: Record, abstract: PyTree, config: BackboneConfig, which: str) -> PyTree:
    """Gives the position parameters of a network the shapes that they have in a checkpoint."""
    leaves = flatten_paths(abstract)
    for path, leaf in leaves.items():
        stored = record.leaves.get(f"{which}.{path}")
        if stored is None or stored.shape == leaf.shape or not is_position(path, config):
            continue
        sharding = mesh.replicated(leaf.sharding.mesh)
        leaves[path] = jax.ShapeDtypeStruct(stored.shape, leaf.dtype, sharding=sharding)
    return unflatten_paths(leaves)


def _on_grids_of(config: BackboneConfig, arrays: PyTree, *, grids: Mapping[str, Grid], abstract: PyTree) -> PyTree:
    """Resamples the positions of other grids, on the host.

    Raises:
      CheckpointError: code CKPT-SHAPE, a position parameter differs in more than its grid.
    """
    leaves, wanted = flatten_paths(arrays), flatten_paths(abstract)
    positions = {path: jax.device_get(leaf) for path, leaf in leaves.items() if is_position(path, config)}
    for path, leaf in resampled(positions, config, grids=grids).items():
        leaves[path] = jax.device_put(leaf, wanted[path].sharding)
    misfits = [
        f"{path} is {positions[path].shape} in it, {wanted[path].shape} in the model"
        for path in positions
        if leaves[path].shape != wanted[path].shape
    ]
    if misfits:
        raise CheckpointError(
            f"the checkpoint does not fit: {', '.join(misfits)}",
            code="CKPT-SHAPE",
            do="use the config that wrote it, or one that differs in image size alone",
        )
    return unflatten_paths(leaves)
