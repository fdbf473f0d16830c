"""What a report shows of a model, read from its parameters and from images, in the form that the page takes."""

import dataclasses
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from gauss_vit.analysis.position import analyse_position
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.inspect.photos import Photo
from gauss_vit.inspect.position import PositionGroup, position_groups
from gauss_vit.inspect.report.page import ExplorerImage, ExplorerLayer, explorer_image
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig


def shown_images(named: NamedModel, photos: tuple[Photo, ...]) -> Iterator[ExplorerImage]:
    """Packs images with their attention, one at a time."""
    config = named.config
    shows_attention = attention_start(config) < config.depth

    @jax.jit
    def weights_of(params: PyTree, images: Float[Array, "1 height width 3"]) -> Float[Array, "..."]:
        return nnx.merge(named.graph, params).intermediates(images)[-1].attention_weights[:, 0]

    for photo in photos:
        weights = None
        if shows_attention:
            images = named.normalization(jnp.asarray(photo.pixels[None]))
            weights = np.asarray(jax.device_get(weights_of(named.params, images)))
        yield explorer_image(photo.name, photo.pixels, weights, grid=config.grid)


def attention_start(config: ViTConfig | SwinConfig) -> int:
    """Gives how many layers come before those whose attention lets all patches of the last map meet."""
    if isinstance(config, ViTConfig):
        return 0
    last = len(config.depths) - 1
    is_global = config.stage(last).block.attention.grid == config.grid
    return sum(config.depths[:last]) if is_global else config.depth


def layers_of(named: NamedModel) -> tuple[ExplorerLayer, ...]:
    """Reads the position biases of every layer, and says which layers' attention is shown."""
    config = named.config
    start = attention_start(config)
    if not config.has_position_bias:
        return tuple(_plain_layer(config, layer, start=start) for layer in range(config.depth))
    layers: list[ExplorerLayer] = []
    for group in position_groups(config, named.params):
        layers += _layers_of_group(group, config, start=start, first=len(layers))
    return tuple(layers)


def _plain_layer(config: ViTConfig | SwinConfig, layer: int, *, start: int) -> ExplorerLayer:
    return ExplorerLayer(
        table=None,
        grid=config.grid,
        shows_patches=True,
        fit_sigma_yx=None,
        amplitude=None,
        sigma_y=None,
        sigma_x=None,
        attention=layer - start if layer >= start else None,
    )


def _layers_of_group(
    group: PositionGroup, config: ViTConfig | SwinConfig, *, start: int, first: int
) -> list[ExplorerLayer]:
    fits, learned = analyse_position(group.tables, grid=group.grid).fits, group.learned
    return [
        dataclasses.replace(
            _plain_layer(config, first + index, start=start),
            table=table,
            grid=group.grid,
            shows_patches=first + index >= start,
            fit_sigma_yx=(fit.sigma_y, fit.sigma_x) if fit.converged and math.isfinite(fit.sigma_y) else None,
            amplitude=None if learned is None else learned.amplitude[index],
            sigma_y=None if learned is None else learned.sigma_y[index],
            sigma_x=None if learned is None else learned.sigma_x[index],
        )
        for index, (table, fit) in enumerate(zip(group.tables, fits, strict=True))
    ]
