"""Starting a run from given weights, some of which may be drawn again or replaced."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.construct import abstract
from gauss_vit.ops.grid import Grid
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import starts_fresh
from gauss_vit.weights.differences import differences
from gauss_vit.weights.head_classes import Head, choose_head, class_parameters
from gauss_vit.weights.intervention import intervene
from gauss_vit.weights.names.naming import Tensor, refuse
from gauss_vit.weights.pretrained import HEAD, Imported, draw
from gauss_vit.weights.resample_positions import grids_of, resampled

Redrawing = Literal["none", "reinit", "paper_code", "zero"]
"""Interventions that do not change the model's config."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights that a run starts from. A Gaussian that they lack starts at its initial values.

    Attributes:
      weights: Safetensors file with timm's or Hugging Face's names, or the workdir of a run, whose newest checkpoint is
        used. It is read once, at step 0: a resumed run does not need it.
      head: Source of the classifier: "fitting" takes that of the weights if it has the classes of the model, and
        otherwise draws a new one; "fresh" always draws a new one; "file" requires that of the weights. Where the
        weights say which classes they have, each of the model's is found by name.
      source_grid: The (height, width) in patches, of a window for Swin, on which the positions of a file were made;
        None takes what the file states, or else a square grid. A run says its own grid.
      intervention: Change of the weights' position information; see `gauss_vit.weights.intervention`.

    Raises:
      ConfigError: `weights` is empty, or `source_grid` is not a grid.
    """

    weights: str
    head: Head = "fitting"
    source_grid: Grid | None = None
    intervention: Redrawing = "none"

    def __post_init__(self):
        if not self.weights:
            raise ConfigError("weights is empty", do="name a .safetensors file or the workdir of a run")
        if self.source_grid is not None and min(self.source_grid) < 1:
            raise ConfigError(f"source_grid must have sides of at least 1 patch, got {self.source_grid}")


def carry_over(
    params: PyTree,
    network: NetworkConfig,
    *,
    source: BackboneConfig,
    head: Head,
    seed: int,
    given_classes: Sequence[str] = (),
    class_names: Sequence[str] = (),
) -> Imported:
    """Fits the parameters of another run to a network that may differ in image size, classes and the Gaussian.

    Terms of the same name may start at other values, and rates may differ; see `weights.differences`.

    Args:
      params: Parameters of the other run, a nested dict.
      network: Config of the network.
      source: Config of the other run's backbone.
      head: Source of the head, as in `Start`.
      seed: Seed of newly drawn parameters.
      given_classes: Classes of the other run in order; empty if they are unknown.
      class_names: Classes of the network in order; empty if they are unknown.

    Raises:
      CheckpointError: the models differ in more than that (code CKPT-TREE); the message names everything that does not
        fit.
    """
    given, wanted = flatten_paths(jax.device_get(params)), flatten_paths(abstract(network)[1])
    heads = _head_shapes(given), _head_shapes(wanted)
    choice = choose_head(
        head,
        given=given_classes,
        wanted=class_names,
        fits=heads[0] == heads[1],
        is_there=heads[0].keys() == heads[1].keys(),
    )
    moved = resampled(
        {path: leaf for path, leaf in given.items() if path in wanted},
        network.backbone,
        grids=grids_of(source, params),
    )
    given |= moved
    if choice.rows is not None:
        given |= {
            path: given[path][..., entries.of(choice.rows, num_classes=len(given_classes))]
            for path, entries in class_parameters(network).items()
        }
    fresh = tuple(path for path in wanted if _may_be_fresh(path, given, network.backbone, keeps_head=choice.is_kept))
    taken = [path for path in wanted if path not in fresh]
    refuse(
        {
            "missing": [path for path in taken if path not in given],
            "unexpected": [
                path for path in given if path not in wanted and not _may_be_left(path, source, choice.is_kept)
            ],
            "misshaped": [
                f"{path} is {given[path].shape} in the run and {wanted[path].shape} in the model"
                for path in taken
                if path in given and given[path].shape != wanted[path].shape
            ],
            "different": differences(source, network.backbone, keeps_head=choice.is_kept),
        },
        do="start from a run of the same architecture",
    )
    complete = {path: given[path] for path in taken} | draw(network, fresh, seed=seed)
    params = unflatten_paths({path: complete[path] for path in wanted})
    return Imported(
        params=params,
        table="gauss_vit",
        resampled=tuple(moved),
        fresh=fresh,
        class_names=choice.class_names,
        remarks=choice.remarks,
    )


def redraw(config: BackboneConfig, params: PyTree, name: Redrawing, *, key: PRNGKeyArray) -> PyTree:
    """Applies an intervention to the parameters and returns them as NumPy arrays.

    Raises:
      ConfigError: the model has nothing that the intervention could change.
    """
    return jax.device_get(intervene(config, jax.tree.map(jnp.asarray, params), name, key=key)[1])


def _may_be_fresh(path: str, given: Mapping[str, Tensor], config: BackboneConfig, *, keeps_head: bool) -> bool:
    """Returns whether a parameter may be newly drawn: those of a new head, and of a Gaussian that the run lacks."""
    if re.fullmatch(HEAD, path):
        return not keeps_head
    return path not in given and starts_fresh(path, config)


def _may_be_left(path: str, source: BackboneConfig, keeps_head: bool) -> bool:
    """Returns whether a parameter of the run may be left behind: those of its Gaussian, and of a head that is new."""
    return starts_fresh(path, source) or (not keeps_head and bool(re.fullmatch(HEAD, path)))


def _head_shapes(leaves: Mapping[str, Tensor | jax.ShapeDtypeStruct]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the parameters of a head, by path."""
    return {path: tuple(leaf.shape) for path, leaf in leaves.items() if re.fullmatch(HEAD, path)}
