"""Renders a report as one HTML file that can be opened from disk.

It loads nothing: style, program, images and arrays are in it, and its content security policy forbids the browser to
fetch. It stays under `MOST_BYTES`. While there is room it contains, in this order: receptive fields of all patches,
layer by layer, at resolutions that fit (`reduced_fields`); bias tables; images with the attention of the class token
and of the patches, averaged over heads; and, image by image, the attention of single heads.
"""

import base64
import html
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from importlib import resources

import matplotlib as mpl
import numpy as np

from gauss_vit.errors import ConfigError
from gauss_vit.escaping import escaped
from gauss_vit.inspect.report.contents import Report
from gauss_vit.inspect.report.images import ReportImage
from gauss_vit.inspect.report.layers import ReportLayer
from gauss_vit.inspect.report.packing import half, pack
from gauss_vit.inspect.report.reduced_fields import field_document

MOST_BYTES = 10_000_000
_MARGIN_BYTES = 50_000
_SCRIPTS = ("packing.js", "state.js", "maps.js", "charts.js", "saving.js", "areas.js", "panels.js", "page.js")
_PALETTES = {"field": "inferno", "attention": "viridis", "bias": "viridis", "signed": "RdBu_r"}


def render(report: Report) -> str:
    """Renders the page, with as many images and heads as fit.

    Raises:
      ConfigError: not even one image fits.
    """
    bare = _page(report, ())
    images = within_budget(report.images, MOST_BYTES - _MARGIN_BYTES - len(bare.encode()))
    if not images:
        raise ConfigError(
            f"the page of {report.model} would be larger than {MOST_BYTES // 10**6} MB", do="use a smaller image size"
        )
    notes = report.notes
    if images[0].mean is None and report.images[0].mean is not None:
        notes += ("Attention is left out: already that of one image is beyond the limit of the file.",)
    dropped = len(report.images) - len(images)
    if dropped:
        notes += (f"{dropped} more images are not shown: the file has a limit of {MOST_BYTES // 10**6} MB.",)
    without = sum(image.mean is not None and image.heads is None for image in images)
    if without:
        notes += (f"Attention of single heads is left out for {without} of {len(images)} images, for the same limit.",)
    return _page(replace(report, notes=notes), images)


def within_budget(images: Iterable[ReportImage], num_bytes: int) -> tuple[ReportImage, ...]:
    """Keeps the first images that fit, and in the remaining room the single heads of as many of them, from the first.

    If the attention of the first image alone is too large, images are kept without attention.
    """
    images = tuple(images)
    if images and _size(replace(images[0], heads=None)) > num_bytes:
        images = tuple(replace(image, mean=None, heads=None, class_token=None, numbers={}) for image in images)
    kept: list[ReportImage] = []
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
    """Encodes JSON for an HTML page: it cannot end the element or the line that contains it.

    >>> safe_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _size(image: ReportImage) -> int:
    return len(safe_json(asdict(image)))


def _page(report: Report, images: tuple[ReportImage, ...]) -> str:
    """Fills the template; placeholders are replaced in one pass, so that no content is taken for a placeholder."""
    folder = resources.files("gauss_vit.inspect.report")
    template, style = ((folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css"))
    content = {
        "title": html.escape(escaped(f"{report.model}: receptive fields")),
        "style": style,
        "data": safe_json(_shown(_document(report, images))),
        "program": "".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    }
    first, *rest = template.split("{{")
    parts = [part.partition("}}") for part in rest]
    return first + "".join(content[name] + text for name, _, text in parts)


def _shown(value: object) -> object:
    """Escapes what in texts would reverse the direction of others, or is no character."""
    if isinstance(value, str):
        return escaped(value, keep="\n")
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else value


def _document(report: Report, images: tuple[ReportImage, ...]) -> dict[str, object]:
    return {
        "model": report.model,
        "description": report.description,
        "step": report.step,
        "parameters": report.num_parameters,
        "protocol": report.protocol.name,
        "measured": report.num_images,
        "imageSize": list(report.image_size),
        "grid": list(report.grid),
        "prefix": report.prefix_tokens,
        "start": list(report.protocol.center(report.grid)),
        "end": report.end,
        "fields": [None if field is None else field_document(field) for field in report.fields],
        "layers": [_layer(layer) for layer in report.layers],
        "classNames": list(report.class_names),
        "images": [asdict(image) for image in images],
        "training": [asdict(chart) for chart in report.training],
        "palettes": {name: _palette(colours) for name, colours in _PALETTES.items()},
        "notes": list(report.notes),
    }


def _layer(layer: ReportLayer) -> dict[str, object]:
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
    """Rounds to six digits; None if it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _palette(name: str) -> str:
    """Encodes 256 colours as bytes (red, green, blue) in base64."""
    colours = mpl.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode("ascii")
