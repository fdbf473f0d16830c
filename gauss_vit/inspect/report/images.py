"""The images of a report, packed with what the model says of them and with the attention that they cause."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree, UInt8
from PIL import Image

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.batches import Batch
from gauss_vit.inspect.photos import Photo
from gauss_vit.inspect.predictions import label_map_of, labelled_map_of
from gauss_vit.inspect.report.areas import ReportAreas, report_areas
from gauss_vit.inspect.report.layers import attention_start
from gauss_vit.inspect.report.packing import compand, half, pack, pack_maps
from gauss_vit.ops.grid import Grid

NUM_CHOICES = 3
_JPEG_QUALITY = 88


@dataclass(frozen=True, kw_only=True)
class ReportImage:
    """An image with its attention, packed.

    Attributes:
      name: name of its file.
      jpeg: the image as JPEG, in base64.
      label: index of its class; None if it is unknown.
      top: the most probable classes, as (index, probability); empty if the model is not a classifier.
      areas: where the model finds what, and where the data say what is; empty if neither says so.
      mean: weights averaged over heads; None if attention is not shown.
      heads: weights of single heads; None if they do not fit.
      class_token: weights of the class token, averaged over heads and of single heads; None if there is no class token
        or attention is not shown.
      numbers: mean distances and shares of prefix tokens; empty if attention is not shown.
    """

    name: str
    jpeg: str
    label: int | None
    top: tuple[tuple[int, float], ...]
    areas: tuple[ReportAreas, ...]
    mean: dict[str, object] | None
    heads: dict[str, object] | None
    class_token: dict[str, object] | None
    numbers: dict[str, object]


def spread_over_classes(photos: Sequence[Photo], num_shown: int) -> tuple[Photo, ...]:
    """Chooses images to show: the first of every class, then the second, and so on; without labels, the first ones."""
    seen: dict[int | None, int] = {}
    ranked = []
    for photo in photos:
        rank = seen[photo.label] = seen.get(photo.label, -1) + 1
        ranked.append((rank, -1 if photo.label is None else photo.label, photo))
    return tuple(photo for _, _, photo in sorted(ranked, key=lambda each: each[:2])[:num_shown])


def shown_images(named: NamedModel, photos: tuple[Photo, ...]) -> Iterator[ReportImage]:
    """Packs images with their attention and what the model predicts, one at a time."""
    config = named.config
    shows_attention = attention_start(config) < config.depth
    is_classifier = named.task.targets == "classes"

    @jax.jit
    def seen_by(params: PyTree, batch: Batch, images: Float[Array, "1 height width 3"]) -> tuple[PyTree, PyTree]:
        network = nnx.merge(named.graph, params)
        return (
            network.backbone.intermediates(images)[-1].attention_weights[:, 0] if shows_attention else None,
            named.task.predict(network(images), batch),
        )

    for photo in photos:
        batch = Batch(image=photo.pixels[None], is_real=np.ones(1, bool), targets=None)
        images = named.normalization(jnp.asarray(batch.image))
        weights, predictions = jax.tree.map(np.asarray, jax.device_get(seen_by(named.params, batch, images)))
        prediction = jax.tree.map(lambda leaf: leaf[0], predictions)
        yield replace(
            report_image(photo.name, photo.pixels, weights, grid=config.grid),
            label=photo.label,
            top=most_probable(prediction) if is_classifier else (),
            areas=_areas(named, photo, prediction),
        )


def _areas(named: NamedModel, photo: Photo, prediction: PyTree) -> tuple[ReportAreas, ...]:
    """Packs where the model finds what, then where the data say what is."""
    found = {"predicted": label_map_of(prediction, named), "labelled": labelled_map_of(photo.targets, named)}
    return tuple(report_areas(label_map, title=title) for title, label_map in found.items() if label_map is not None)


def most_probable(probabilities: Float[np.ndarray, " classes"]) -> tuple[tuple[int, float], ...]:
    """Lists the most probable classes with their probabilities, rounded to five digits.

    >>> most_probable(np.array([0.1, 0.7, 0.0, 0.2]))
    ((1, 0.7), (3, 0.2), (0, 0.1))
    """
    order = np.argsort(-probabilities, kind="stable")[:NUM_CHOICES]
    return tuple((int(index), float(f"{probabilities[index]:.5g}")) for index in order)


def report_image(
    name: str,
    pixels: UInt8[np.ndarray, "height width 3"],
    weights: Float[np.ndarray, "layers heads query key"] | None,
    *,
    grid: Grid,
) -> ReportImage:
    """Packs an image with the attention that it causes, and as yet without classes.

    Args:
      name: name of its file.
      pixels: the image as the model sees it.
      weights: attention of the layers that are shown; prefix tokens, if any, come first among queries and keys. None if
        attention is not shown.
      grid: (height, width) of the patches.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=_JPEG_QUALITY)
    jpeg = base64.b64encode(file.getvalue()).decode("ascii")
    bare = ReportImage(
        name=name, jpeg=jpeg, label=None, top=(), areas=(), mean=None, heads=None, class_token=None, numbers={}
    )
    if weights is None:
        return bare
    layers, num_heads, num_tokens, _ = weights.shape
    patches = grid[0] * grid[1]
    of_patches = weights[:, :, num_tokens - patches :, num_tokens - patches :]
    maps = of_patches.reshape(layers, num_heads, patches, *grid)
    patch_size = (pixels.shape[0] / grid[0], pixels.shape[1] / grid[1])
    all_queries = np.concatenate([weights.mean(axis=1, keepdims=True), weights], axis=1)
    patch_queries = all_queries[:, :, num_tokens - patches :]
    class_token = all_queries[:, :, 0, num_tokens - patches :].reshape(layers, 1 + num_heads, *grid)
    found = distances(patch_queries[..., num_tokens - patches :], grid=grid, patch_size=patch_size)
    return replace(
        bare,
        mean=pack_maps(compand(maps.mean(axis=1))),
        heads=pack_maps(compand(maps)),
        class_token=pack_maps(compand(class_token)) if num_tokens > patches else None,
        numbers={
            "distance": pack(half(found)),
            "prefix": pack(half(patch_queries[..., : num_tokens - patches].sum(axis=-1))),
        },
    )


def distances(
    weights: Float[np.ndarray, "layers heads query key"], *, grid: Grid, patch_size: tuple[float, float]
) -> Float[np.ndarray, "layers heads query"]:
    """Computes the mean distance from each patch to all patches, weighted by its attention on them.

    Args:
      weights: attention between patches, whose absolute values are the weights; rows need not sum to 1.
      grid: (height, width) of the patches.
      patch_size: (height, width) of one patch, in the unit of the result.
    """
    places = np.moveaxis(np.indices(grid), 0, -1).reshape(-1, 2) * np.asarray(patch_size)
    apart = np.linalg.norm(places[:, None] - places[None, :], axis=-1).astype(np.float32)
    sizes = np.abs(weights)
    return np.einsum("lhqk,qk->lhq", sizes, apart) / np.maximum(sizes.sum(axis=-1), 1e-30)
