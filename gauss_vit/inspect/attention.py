"""The attention of a named model on image files, in the form that figures take."""

from collections.abc import Callable
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
from gauss_vit.data.images.image import load_image, to_array
from gauss_vit.errors import ConfigError
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.weights.name_tables import ModelConfig

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Section:
    """Layers that see tokens at the same places: all of a ViT, or every second one of a stage of Swin.

    Attributes:
      group: which of the model's `intermediates` they are in.
      start: the first of them in it.
      step: from one to the next in it.
      first: how many layers of the model come before the group.
      places: of the tokens.
      patch_size: the (height, width) in pixels of one.
    """

    group: int
    start: int
    step: int
    first: int
    places: TokenPlaces
    patch_size: Grid


def read_attention(named: NamedModel, paths: tuple[Path, ...], *, token: Token) -> ImageAttention:
    """Runs a model on image files, one after the other, and averages what its attention does.

    Args:
      named: the model.
      paths: of at least one image.
      token: the patch whose rollout is wanted.

    Raises:
      ConfigError: there are no images, or the weights are mixed after the softmax and are no shares (CaiT).
      DataError: an image is damaged.
    """
    if not paths:
        raise ConfigError("there are no images to look at", do="give at least one")
    if isinstance(named.config, ViTConfig) and named.config.mixes_heads:
        raise ConfigError(
            "talking heads mix their weights after the softmax: they are no shares, and have no mean distance",
            do="leave --images out",
        )
    found_sections = sections(named.config)
    measure = _compiled(named, found_sections)
    found, rolled, photos = [], [], []
    for path in paths:
        pixels = to_array(named.transform(load_image(path), size=named.config.image_size))
        statistics, rows = measure(named.params, named.normalization(jnp.asarray(pixels[None])))
        found.append(jax.device_get(statistics))
        rolled.append(None if rows is None else jax.device_get(rows))
        photos += [pixels] if len(photos) < SHOWN else []
    layers = _layers(found_sections, found)
    return _with_rollouts(named.config, layers, rolled, token=token, photos=np.stack(photos))


def sections(config: ModelConfig) -> tuple[Section, ...]:
    """Lists the layers of a model by the places of their tokens."""
    if isinstance(config, ViTConfig):
        places = places_on_grid(config.grid, prefix_tokens=config.prefix_tokens)
        return (Section(group=0, start=0, step=1, first=0, places=places, patch_size=config.patch_size),)
    return tuple(part for index in range(len(config.depths)) for part in _sections_of_stage(config, index))


def _sections_of_stage(config: SwinConfig, index: int) -> tuple[Section, ...]:
    stage = config.stage(index)
    layouts = stage.layouts(config.grid_of_stage(index))
    patch_size = (config.patch_size[0] * 2**index, config.patch_size[1] * 2**index)
    return tuple(
        Section(
            group=index,
            start=start,
            step=len(layouts),
            first=sum(config.depths[:index]),
            places=places_in_windows(layout),
            patch_size=patch_size,
        )
        for start, layout in enumerate(layouts[: stage.depth])
    )


def _compiled(
    named: NamedModel, found_sections: tuple[Section, ...]
) -> Callable[[PyTree, Float[Array, "1 height width 3"]], PyTree]:
    """Gives the function of (parameters, one image) to the numbers of every section, and the rollout of a ViT."""
    is_global = isinstance(named.config, ViTConfig)

    @jax.jit
    def measure(params: PyTree, images: Float[Array, "1 height width 3"]) -> PyTree:
        groups = nnx.merge(named.graph, params).backbone.intermediates(images)
        statistics = []
        for section in found_sections:
            weights = groups[section.group].attention_weights[section.start :: section.step]
            size = (float(section.patch_size[0]), float(section.patch_size[1]))
            distances = mean_distance(weights, section.places), mean_distance(weights, section.places, patch_size=size)
            statistics.append(jnp.stack([*distances, entropy(weights, section.places)])[:, :, 0])
        return statistics, rollout(groups[0].attention_weights) if is_global else None

    return measure


def _layers(
    found_sections: tuple[Section, ...], found: list[list[Float[np.ndarray, "..."]]]
) -> tuple[LayerAttention, ...]:
    """Averages the numbers over images and puts the layers of all sections in order.

    Args:
      found_sections: of the model.
      found: for every image and section, [distance in patches, in pixels, entropy; layers; heads].
    """
    layers: dict[int, LayerAttention] = {}
    for index, section in enumerate(found_sections):
        means = np.mean([np.asarray(numbers[index], np.float64) for numbers in found], axis=0)
        even_distance, even_entropy = _even(section)
        for layer in range(means.shape[1]):
            distance, distance_px, layer_entropy = means[:, layer]
            layers[section.first + section.start + layer * section.step] = LayerAttention(
                distance=distance,
                distance_px=distance_px,
                entropy=layer_entropy,
                even_distance_px=even_distance,
                even_entropy=even_entropy,
                patch_size=section.patch_size,
            )
    return tuple(layers[number] for number in sorted(layers))


def _even(section: Section) -> tuple[float, float]:
    """Gives distance in pixels and entropy of attention that is the same for all patches that may meet."""
    even = jnp.asarray(section.places.even_weights())
    size = (float(section.patch_size[0]), float(section.patch_size[1]))
    distance = mean_distance(even, section.places, patch_size=size)
    return float(distance[0, 0, 0]), float(entropy(even, section.places)[0, 0, 0])


def _with_rollouts(
    config: ModelConfig,
    layers: tuple[LayerAttention, ...],
    rolled: list[Float[np.ndarray, "1 query key"] | None],
    *,
    token: Token,
    photos: UInt8[np.ndarray, "shown height width 3"],
) -> ImageAttention:
    rows = [each for each in rolled if each is not None]
    of_patch, of_class = None, None
    if rows and isinstance(config, ViTConfig):
        joined, prefix_tokens = np.concatenate(rows), config.prefix_tokens
        of_patch = row_on_grid(joined, token, grid=config.grid, prefix_tokens=prefix_tokens)
        if config.class_token and prefix_tokens:
            of_class = joined[:, 0, prefix_tokens:].reshape(-1, *config.grid)
    return ImageAttention(
        layers=layers,
        num_images=len(rolled),
        photos=photos,
        token=token,
        rollout=of_patch,
        class_rollout=of_class,
    )
