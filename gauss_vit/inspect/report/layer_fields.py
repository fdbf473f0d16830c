"""Measures the receptive fields of all patches, layer by layer; a measurement that was killed can be resumed.

A layer's fields are reduced to what the page shows as soon as they are measured, and saved so: at full resolution those
of a small model take 80 MB a layer. A killed command keeps the layers that it finished, and of the current one the sums
that `erf_run` saves.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.analysis.token import Token, all_tokens
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.erf_run import Measurement, digest, measure
from gauss_vit.inspect.features import grid_of_layer
from gauss_vit.inspect.network_features import DECODER, Layer, network_grid
from gauss_vit.inspect.partial_results import read_partial, write_partial
from gauss_vit.inspect.photos import Photo
from gauss_vit.inspect.report.reduced_fields import ReportField, end_shape, middle_shape, report_field
from gauss_vit.inspect.result_files import suffixed
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.grid import Grid

LayerChoice = Literal["last", "all", "decoder"]
# Sums of all patches are large.
_SAVE_EVERY = 8
_UNDEFINED = ("ERF-DEGENERATE", "ERF-EMPTY")


@dataclass(frozen=True, kw_only=True)
class FieldPlan:
    """Which receptive fields to measure.

    Attributes:
      photos: images that fields are averaged over.
      protocol: definition of the fields.
      layers: "all" layers whose patches are the ones that the page shows, only the "last" one, or in place of it the
        "decoder", at the place of its map in the centre of each patch.
      batch_size: number of images in one pass.
      page: file of the page, beside which intermediate results are saved; None to save nothing.
    """

    photos: tuple[Photo, ...]
    protocol: ErfProtocol
    layers: LayerChoice
    batch_size: int
    page: Path | None


def middle_layers(config: BackboneConfig) -> tuple[int, ...]:
    """Lists the layers before the last whose patches are those of the last one, from 1."""
    return tuple(layer for layer in range(1, config.depth) if grid_of_layer(config, layer) == config.grid)


def fields_of_layers(named: NamedModel, plan: FieldPlan) -> tuple[ReportField | None, ...]:
    """Measures the fields of all patches after every layer; None for layers that are not shown.

    The last layer's are those at the end of the trunk, or of the decoder. A layer before it is not shown if its fields
    are not defined.

    Raises:
      ConfigError: the fields at the end are not defined (`analysis.erf`), or there is no decoder.
      StorageError: intermediate results cannot be saved.
    """
    config = named.config
    layers = middle_layers(config) if plan.layers == "all" else ()
    shape = middle_shape(config.image_size, config.grid, len(layers))
    # First the layer that may be refused.
    last = DECODER if plan.layers == DECODER else None
    end = _fields(named, plan, layer=last, shape=end_shape(config.image_size, config.grid))
    middle = {layer: _fields_where_defined(named, plan, layer, shape) for layer in layers if shape is not None}
    return (*(middle.get(layer) for layer in range(1, config.depth)), end)


def remove_partial_files(named: NamedModel, page: Path) -> None:
    """Removes the intermediate results beside a page."""
    for layer in (None, DECODER, *range(1, named.config.depth)):
        for path in _partial_files(page, layer):
            path.unlink(missing_ok=True)


def _fields_where_defined(named: NamedModel, plan: FieldPlan, layer: int, shape: Grid) -> ReportField | None:
    try:
        return _fields(named, plan, layer=layer, shape=shape)
    except ConfigError as error:
        if error.code in _UNDEFINED:
            return None
        raise


def _fields(named: NamedModel, plan: FieldPlan, *, layer: Layer, shape: Grid) -> ReportField:
    """Measures the fields after one layer, unless they are saved already."""
    measurement = Measurement(
        tokens=_targets(named, layer),
        layer=layer,
        protocol=plan.protocol,
        images=plan.photos,
        batch_size=plan.batch_size,
        stem=named.name,
        save_every=_SAVE_EVERY,
        # One program serves all patches of all layers; unrolled, the blocks that are skipped cost nothing.
        unrolls=True,
    )
    if plan.page is None:
        return _reduced(named, measurement, shape=shape, sums=None)
    finished, sums = _partial_files(plan.page, layer)
    key = f"{digest(named, measurement)} {shape}"
    arrays = read_partial(finished, key=key)
    if arrays is not None:
        return ReportField(maps=arrays["maps"], numbers=arrays["numbers"])
    field = _reduced(named, measurement, shape=shape, sums=sums)
    write_partial(finished, {"maps": field.maps, "numbers": field.numbers}, key=key)
    sums.unlink(missing_ok=True)
    return field


def _reduced(named: NamedModel, measurement: Measurement, *, shape: Grid, sums: Path | None) -> ReportField:
    grid, found = named.config.grid, measure(named, measurement, partial=sums).maps()
    maps = tuple(replace(erf, token=patch, grid=grid) for erf, patch in zip(found, all_tokens(grid), strict=True))
    fits = fit_receptive_fields(np.stack([erf.values for erf in maps]), bounds=measurement.bounds)
    return report_field(maps, fits, shape=shape)


def _targets(named: NamedModel, layer: Layer) -> tuple[Token, ...]:
    """Lists the places whose fields are those of the patches: the patches themselves, or places of a finer map."""
    rows, columns = named.config.grid
    height, width = (rows, columns) if layer != DECODER else network_grid(named.network, DECODER)
    return tuple(
        ((2 * row + 1) * height // (2 * rows), (2 * column + 1) * width // (2 * columns))
        for row, column in all_tokens((rows, columns))
    )


def _partial_files(page: Path, layer: Layer) -> tuple[Path, Path]:
    """Returns the files of a layer's finished fields and of its sums."""
    name = "last" if layer is None else str(layer)
    return suffixed(page, f"layer-{name}.partial.npz"), suffixed(page, f"sums-{name}.partial.npz")
