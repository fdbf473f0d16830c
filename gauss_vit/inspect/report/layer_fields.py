"""The receptive fields of all patches, layer by layer, in a run that may be killed and repeated.

A layer's fields are reduced to what the page shows as soon as they are measured, and saved so: at full resolution those
of a small model are 80 MB a layer. A killed run keeps the layers that it finished, and of the one that it was at the
sums that `commands.erf_run` saves.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.analysis.token import all_tokens
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.erf_run import Measurement, digest, measure
from gauss_vit.inspect.features import grid_of_layer
from gauss_vit.inspect.partial_results import read_partial, write_partial
from gauss_vit.inspect.photos import Photo
from gauss_vit.inspect.report.field_images import ExplorerField, end_shape, explorer_field, middle_shape
from gauss_vit.inspect.result_files import suffixed
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import Grid

LayerChoice = Literal["last", "all"]
# Sums of all patches are large.
_SAVE_EVERY = 8
_UNDEFINED = ("ERF-DEGENERATE", "ERF-EMPTY")


@dataclass(frozen=True, kw_only=True)
class FieldPlan:
    """What to measure.

    Attributes:
      photos: over which fields are averaged.
      protocol: how a field is defined.
      layers: those of "all" layers whose patches are the ones that the page shows, or only the "last" ones.
      batch_size: images in one pass.
      page: the file beside which is saved what is finished; None to save nothing.
    """

    photos: tuple[Photo, ...]
    protocol: ErfProtocol
    layers: LayerChoice
    batch_size: int
    page: Path | None


def middle_layers(config: ViTConfig | SwinConfig) -> tuple[int, ...]:
    """Lists the layers before the last whose patches are those of the last one, from 1."""
    return tuple(layer for layer in range(1, config.depth) if grid_of_layer(config, layer) == config.grid)


def fields_of_layers(named: NamedModel, plan: FieldPlan) -> tuple[ExplorerField | None, ...]:
    """Measures the fields of all patches behind every layer; None for layers that are not shown.

    The last layer's are those at the end of the trunk. Where a field of another layer is not defined, the layer is not
    shown.

    Raises:
      ConfigError: the fields at the end of the trunk are not defined (`analysis.erf`).
      StorageError: what is finished cannot be saved.
    """
    config = named.config
    layers = middle_layers(config) if plan.layers == "all" else ()
    shape = middle_shape(config.image_size, config.grid, len(layers))
    # First the one that may be refused.
    end = _fields(named, plan, layer=None, shape=end_shape(config.image_size, config.grid))
    middle = {layer: _fields_where_defined(named, plan, layer, shape) for layer in layers if shape is not None}
    return (*(middle.get(layer) for layer in range(1, config.depth)), end)


def forget(named: NamedModel, page: Path) -> None:
    """Removes what was saved beside a page."""
    for layer in (None, *range(1, named.config.depth)):
        for path in _partial_files(page, layer):
            path.unlink(missing_ok=True)


def _fields_where_defined(named: NamedModel, plan: FieldPlan, layer: int, shape: Grid) -> ExplorerField | None:
    try:
        return _fields(named, plan, layer=layer, shape=shape)
    except ConfigError as error:
        if error.code in _UNDEFINED:
            return None
        raise


def _fields(named: NamedModel, plan: FieldPlan, *, layer: int | None, shape: Grid) -> ExplorerField:
    """Measures the fields behind one layer, unless they are saved already."""
    measurement = Measurement(
        tokens=all_tokens(named.config.grid),
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
        return ExplorerField(maps=arrays["maps"], numbers=arrays["numbers"])
    field = _reduced(named, measurement, shape=shape, sums=sums)
    write_partial(finished, {"maps": field.maps, "numbers": field.numbers}, key=key)
    sums.unlink(missing_ok=True)
    return field


def _reduced(named: NamedModel, measurement: Measurement, *, shape: Grid, sums: Path | None) -> ExplorerField:
    """Measures fields and keeps of them what the page shows."""
    maps = measure(named, measurement, partial=sums).maps()
    fits = fit_receptive_fields(np.stack([erf.values for erf in maps]), bounds=measurement.bounds)
    return explorer_field(maps, fits, shape=shape)


def _partial_files(page: Path, layer: int | None) -> tuple[Path, Path]:
    """Names the files of a layer's finished fields and of its sums."""
    name = "last" if layer is None else str(layer)
    return suffixed(page, f"layer-{name}.partial.npz"), suffixed(page, f"sums-{name}.partial.npz")
