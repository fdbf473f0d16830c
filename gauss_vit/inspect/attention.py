"""Measures the attention of a named model on image files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree, UInt8

from gauss_vit.analysis.attention import (
    ImageAttention,
    LayerAttention,
    TokenPlaces,
    entropy,
    mean_distance,
    places_in_windows,
    places_on_grid,
    rollout,
    row_on_grid,
)
from gauss_vit.analysis.token import Token
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.photos import pixels_of
from gauss_vit.inspect.position import check_has_attention
from gauss_vit.models.stage import Stage

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class WindowGroup:
    """Layers of a stage whose tokens have the same positions: all, or every second one if windows are shifted.

    Attributes:
      stage: the stage.
      index: index of the stage, and of its `intermediates`.
      offset: index of the first of the layers in the stage.
      period: distance from one of the layers to the next.
      places: positions of the tokens.
    """

    stage: Stage
    index: int
    offset: int
    period: int
    places: TokenPlaces


def read_attention(named: NamedModel, paths: tuple[Path, ...], *, token: Token) -> ImageAttention:
    """Runs a model on image files, one after the other, and averages its attention.

    Args:
      named: the model.
      paths: image files, at least one.
      token: patch of the rollout.

    Raises:
      ConfigError: there are no images, no attention between patches (XCiT), or heads are mixed after the softmax, so
        that weights may be negative (CaiT).
      DataError: an image is damaged.
    """
    if not paths:
        raise ConfigError("there are no images to look at", do="give at least one")
    stages = named.config.stages()
    check_has_attention(named.config)
    if any(stage.mixes_heads for stage in stages):
        raise ConfigError(
            "talking heads mix their weights after the softmax: they may be negative, and have no mean distance",
            do="leave --images out",
        )
    groups = window_groups(stages)
    measure = _compiled(named, groups)
    found, rolled, photos = [], [], []
    for path in paths:
        pixels = pixels_of(named, path)
        statistics, rows = measure(named.params, named.normalization(jnp.asarray(pixels[None])))
        found.append(jax.device_get(statistics))
        rolled.append(None if rows is None else jax.device_get(rows))
        photos += [pixels] if len(photos) < SHOWN else []
    layers = _layers(groups, found)
    return _with_rollouts(stages[0], layers, rolled, token=token, photos=np.stack(photos))


def window_groups(stages: Sequence[Stage]) -> tuple[WindowGroup, ...]:
    """Groups the layers of a model by the positions of their tokens."""
    return tuple(group for index, stage in enumerate(stages) for group in _groups_of_stage(stage, index))


def _groups_of_stage(stage: Stage, index: int) -> tuple[WindowGroup, ...]:
    if stage.is_global:
        places = places_on_grid(stage.grid, prefix_tokens=stage.prefix_tokens)
        return (WindowGroup(stage=stage, index=index, offset=0, period=1, places=places),)
    layouts = stage.layouts(stage.grid)
    return tuple(
        WindowGroup(stage=stage, index=index, offset=offset, period=len(layouts), places=places_in_windows(layout))
        for offset, layout in enumerate(layouts[: stage.depth])
    )


def _compiled(
    named: NamedModel, groups: tuple[WindowGroup, ...]
) -> Callable[[PyTree, Float[Array, "1 height width 3"]], PyTree]:
    """Compiles a function of (parameters, one image) that returns the numbers of every group, and the rollout.

    The rollout follows attention through all layers; it is None unless all patches meet in each of them.
    """
    is_global = len(groups) == 1 and groups[0].stage.is_global

    @jax.jit
    def measure(params: PyTree, images: Float[Array, "1 height width 3"]) -> PyTree:
        stages = nnx.merge(named.graph, params).backbone.intermediates(images)
        statistics = []
        for group in groups:
            weights, places = stages[group.index].attention_weights[group.offset :: group.period], group.places
            distances = mean_distance(weights, places), mean_distance(weights, places, patch_size=_pixels(group.stage))
            statistics.append(jnp.stack([*distances, entropy(weights, places)])[:, :, 0])
        return statistics, rollout(stages[0].attention_weights) if is_global else None

    return measure


def _layers(groups: tuple[WindowGroup, ...], found: list[list[Float[np.ndarray, "..."]]]) -> tuple[LayerAttention, ...]:
    """Averages the numbers over images and puts the layers of all groups in order.

    Args:
      groups: groups of the model's layers.
      found: for every image and group, [distance in patches, in pixels, entropy; layers; heads].
    """
    layers: dict[int, LayerAttention] = {}
    for index, group in enumerate(groups):
        means = np.mean([np.asarray(numbers[index], np.float64) for numbers in found], axis=0)
        even_distance, even_entropy = _even(group)
        for layer in range(means.shape[1]):
            distance, distance_px, layer_entropy = means[:, layer]
            layers[group.stage.first + group.offset + layer * group.period] = LayerAttention(
                distance=distance,
                distance_px=distance_px,
                entropy=layer_entropy,
                even_distance_px=even_distance,
                even_entropy=even_entropy,
                patch_size=group.stage.patch_size,
            )
    return tuple(layers[number] for number in sorted(layers))


def _even(group: WindowGroup) -> tuple[float, float]:
    """Computes distance in pixels and entropy of attention that is uniform over the patches that may meet."""
    even = jnp.asarray(group.places.even_weights())
    distance = mean_distance(even, group.places, patch_size=_pixels(group.stage))
    return float(distance[0, 0, 0]), float(entropy(even, group.places)[0, 0, 0])


def _pixels(stage: Stage) -> tuple[float, float]:
    return float(stage.patch_size[0]), float(stage.patch_size[1])


def _with_rollouts(
    stage: Stage,
    layers: tuple[LayerAttention, ...],
    rolled: list[Float[np.ndarray, "1 query key"] | None],
    *,
    token: Token,
    photos: UInt8[np.ndarray, "shown height width 3"],
) -> ImageAttention:
    rows = [each for each in rolled if each is not None]
    of_patch, of_class = None, None
    if rows:
        joined, prefix_tokens = np.concatenate(rows), stage.prefix_tokens
        of_patch = row_on_grid(joined, token, grid=stage.grid, prefix_tokens=prefix_tokens)
        if prefix_tokens:
            of_class = joined[:, 0, prefix_tokens:].reshape(-1, *stage.grid)
    return ImageAttention(
        layers=layers,
        num_images=len(rolled),
        photos=photos,
        token=token,
        rollout=of_patch,
        class_rollout=of_class,
    )
