"""A page in one file, to be opened from the disk, in which one clicks a patch and sees its field, bias and attention.

It loads nothing: style, program, pictures and arrays are in it, and its own policy forbids the browser to fetch. It
stays under `MOST_BYTES`. What is put in, in this order while there is room: receptive fields of all patches, layer by
layer, at resolutions whose codes fit (`plots.explorer_fields`); bias tables; images with the attention of the class
token and that of the patches averaged over heads; and, image by image, the attention of single heads.
"""

import base64
import html
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.report.field_images import ExplorerField, field_document
from gauss_vit.inspect.report.packing import compand, half, pack, pack_maps
from gauss_vit.ops.grid import Grid

MOST_BYTES = 10_000_000
_MARGIN_BYTES = 50_000
_JPEG_QUALITY = 88
_PALETTES = {"field": "inferno", "attention": "viridis", "bias": "viridis", "signed": "RdBu_r"}


@dataclass(frozen=True, kw_only=True)
class ExplorerLayer:
    """What the page says of a layer, whatever the image.

    Attributes:
      table: what position adds to the logits, by offset (query minus key); None where it adds nothing.
      grid: (height, width) of the patches that meet in attention.
      shows_patches: whether these are the patches that one clicks; otherwise the table is shown as it is.
      fit_sigma_yx: deviations of the Gaussian fitted to the central row, mean over heads, in patches; or None.
      amplitude: learned, a head each or one for all; None where there is no Gaussian term.
      sigma_y: learned, in patches.
      sigma_x: learned, in patches.
      attention: the layer's place among those whose weights are in `ExplorerImage`; None if they are not.
    """

    table: Float[np.ndarray, "#heads dy dx"] | None
    grid: Grid
    shows_patches: bool
    fit_sigma_yx: tuple[float, float] | None
    amplitude: Float[np.ndarray, " #heads"] | None
    sigma_y: Float[np.ndarray, " #heads"] | None
    sigma_x: Float[np.ndarray, " #heads"] | None
    attention: int | None


@dataclass(frozen=True, kw_only=True)
class ExplorerImage:
    """An image with its attention, packed.

    Attributes:
      name: of the file.
      jpeg: the picture, in base64.
      mean: weights averaged over heads; None where none are shown.
      heads: weights of single heads; None where there is no room.
      class_token: weights of the class token, averaged over heads and of single ones; None where there is none or no
        weights are shown.
      numbers: distances and shares of prefix tokens; empty where no weights are shown.
    """

    name: str
    jpeg: str
    mean: dict[str, object] | None
    heads: dict[str, object] | None
    class_token: dict[str, object] | None
    numbers: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """All that a page shows.

    Attributes:
      model: its name.
      step: updates that it has seen.
      num_parameters: of the model.
      image_size: (height, width) in pixels.
      prefix_tokens: how many class tokens stand before the patches in attention.
      grid: (height, width) of the patches that one clicks.
      protocol: how receptive fields are defined.
      num_images: how many they are averaged over.
      fields: receptive fields behind every layer, from the first; None where they are not shown. Those of the last
        layer are at the end of the trunk.
      layers: from the first.
      images: to choose from.
      notes: what a reader must know, and what is not shown.
    """

    model: str
    step: int
    num_parameters: int
    image_size: Grid
    prefix_tokens: int
    grid: Grid
    protocol: ErfProtocol
    num_images: int
    fields: tuple[ExplorerField | None, ...]
    layers: tuple[ExplorerLayer, ...]
    images: tuple[ExplorerImage, ...]
    notes: tuple[str, ...]


def explorer_image(
    name: str,
    pixels: UInt8[np.ndarray, "height width 3"],
    weights: Float[np.ndarray, "layers heads query key"] | None,
    *,
    grid: Grid,
) -> ExplorerImage:
    """Packs an image with the attention that it causes.

    Args:
      name: of the file.
      pixels: as the model sees them.
      weights: attention of the layers that are shown; prefix tokens, if any, come first among queries and keys.
      grid: (height, width) of the patches.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=_JPEG_QUALITY)
    jpeg = base64.b64encode(file.getvalue()).decode("ascii")
    if weights is None:
        return ExplorerImage(name=name, jpeg=jpeg, mean=None, heads=None, class_token=None, numbers={})
    layers, num_heads, num_tokens, _ = weights.shape
    patches = grid[0] * grid[1]
    of_patches = weights[:, :, num_tokens - patches :, num_tokens - patches :]
    maps = of_patches.reshape(layers, num_heads, patches, *grid)
    patch_size = (pixels.shape[0] / grid[0], pixels.shape[1] / grid[1])
    all_queries = np.concatenate([weights.mean(axis=1, keepdims=True), weights], axis=1)
    together = all_queries[:, :, num_tokens - patches :]
    class_token = all_queries[:, :, 0, num_tokens - patches :].reshape(layers, 1 + num_heads, *grid)
    return ExplorerImage(
        name=name,
        jpeg=jpeg,
        mean=pack_maps(compand(maps.mean(axis=1))),
        heads=pack_maps(compand(maps)),
        class_token=pack_maps(compand(class_token)) if num_tokens > patches else None,
        numbers={
            "distance": pack(half(distances(together[..., num_tokens - patches :], grid=grid, patch_size=patch_size))),
            "prefix": pack(half(together[..., : num_tokens - patches].sum(axis=-1))),
        },
    )


def distances(
    weights: Float[np.ndarray, "layers heads query key"], *, grid: Grid, patch_size: tuple[float, float]
) -> Float[np.ndarray, "layers heads query"]:
    """Averages the distance from each patch to all by the size of its weights on them.

    Args:
      weights: among patches; a row need not sum to 1.
      grid: (height, width) of the patches.
      patch_size: (height, width) of one, in the unit of the result.
    """
    places = np.moveaxis(np.indices(grid), 0, -1).reshape(-1, 2) * np.asarray(patch_size)
    apart = np.linalg.norm(places[:, None] - places[None, :], axis=-1).astype(np.float32)
    sizes = np.abs(weights)
    return np.einsum("lhqk,qk->lhq", sizes, apart) / np.maximum(sizes.sum(axis=-1), 1e-30)


def render(explorer: Explorer) -> str:
    """Makes the page.

    Raises:
      ConfigError: not even one image fits.
    """
    bare = _page(explorer, ())
    images = within_budget(explorer.images, MOST_BYTES - _MARGIN_BYTES - len(bare.encode()))
    if not images:
        raise ConfigError(
            f"the page of {explorer.model} would be larger than {MOST_BYTES // 10**6} MB", do="use a smaller image size"
        )
    notes = explorer.notes
    if images[0].mean is None and explorer.images[0].mean is not None:
        notes += ("Attention is left out: already that of one image is beyond the limit of the file.",)
    dropped = len(explorer.images) - len(images)
    if dropped:
        notes += (f"{dropped} more images are not shown: the file has a limit of {MOST_BYTES // 10**6} MB.",)
    without = sum(image.mean is not None and image.heads is None for image in images)
    if without:
        notes += (f"Attention of single heads is left out for {without} of {len(images)} images, for the same limit.",)
    return _page(replace(explorer, notes=notes), images)


def within_budget(images: Iterable[ExplorerImage], num_bytes: int) -> tuple[ExplorerImage, ...]:
    """Keeps the first images that fit, and with what is left the single heads of as many of them, from the first.

    Where the attention of the first one alone is too large, images come without.
    """
    images = tuple(images)
    if images and _size(replace(images[0], heads=None)) > num_bytes:
        images = tuple(replace(image, mean=None, heads=None, class_token=None, numbers={}) for image in images)
    kept: list[ExplorerImage] = []
    for image in images:
        size = _size(replace(image, heads=None))
        if size > num_bytes:
            break
        kept.append(image)
        num_bytes -= size
    for index, image in enumerate(kept):
        size = _size(image) - _size(replace(image, heads=None))
        is_small = size <= num_bytes
        num_bytes -= size if is_small else 0
        kept[index] = image if is_small else replace(image, heads=None)
    return tuple(kept)


def safe_json(value: object) -> str:
    """Writes JSON that may stand in a page: it cannot end the element or the line that it stands in.

    >>> safe_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _size(image: ExplorerImage) -> int:
    return len(safe_json(vars(image)))


def _page(explorer: Explorer, images: tuple[ExplorerImage, ...]) -> str:
    """Fills the template; marks are replaced in one pass, so that no content is taken for a mark."""
    folder = resources.files("gauss_vit.inspect.report")
    template, style, reading, program = (
        (folder / f"explorer{ending}").read_text(encoding="utf-8") for ending in (".html", ".css", "_reading.js", ".js")
    )
    content = {
        "title": html.escape(f"{explorer.model}: receptive fields"),
        "style": style,
        "data": safe_json(_document(explorer, images)),
        "program": reading + program,
    }
    first, *rest = template.split("{{")
    parts = [part.partition("}}") for part in rest]
    return first + "".join(content[name] + text for name, _, text in parts)


def _document(explorer: Explorer, images: tuple[ExplorerImage, ...]) -> dict[str, object]:
    return {
        "model": explorer.model,
        "step": explorer.step,
        "parameters": explorer.num_parameters,
        "protocol": explorer.protocol.name,
        "measured": explorer.num_images,
        "imageSize": list(explorer.image_size),
        "grid": list(explorer.grid),
        "prefix": explorer.prefix_tokens,
        "start": list(explorer.protocol.center(explorer.grid)),
        "fields": [None if field is None else field_document(field) for field in explorer.fields],
        "layers": [_layer(layer) for layer in explorer.layers],
        "images": [vars(image) for image in images],
        "palettes": {name: _palette(colours) for name, colours in _PALETTES.items()},
        "notes": list(explorer.notes),
    }


def _layer(layer: ExplorerLayer) -> dict[str, object]:
    learned: dict[str, object] = {
        name: None if values is None else [_number(value) for value in np.abs(values).tolist()]
        for name, values in (("amplitude", layer.amplitude), ("sigmaX", layer.sigma_x), ("sigmaY", layer.sigma_y))
    }
    fitted = None if layer.fit_sigma_yx is None else [_number(value) for value in layer.fit_sigma_yx]
    return learned | {
        "table": None if layer.table is None else pack(half(layer.table)),
        "grid": list(layer.grid),
        "showsPatches": layer.shows_patches,
        "fitted": fitted,
        "attention": layer.attention,
    }


def _number(value: float | None) -> float | None:
    """Keeps six digits; what is not finite is None."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _palette(name: str) -> str:
    """Gives 256 colours as bytes red, green, blue in base64."""
    colours = mpl.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode("ascii")
