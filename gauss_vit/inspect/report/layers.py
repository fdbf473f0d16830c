"""The layers of a report: position bias, learned Gaussian, and whether attention between patches is shown."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from gauss_vit.analysis.position import analyse_position
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.inspect.position import PositionGroup, position_groups
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.grid import Grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportLayer:
    """What the page shows of a layer for every image.

    Attributes:
      table: position bias in logits, by offset (query minus key); None if there is none.
      grid: (height, width) of the patches that meet in attention.
      shows_patches: whether these are the patches that one clicks; otherwise the table is shown by offset.
      fit_sigma_yx: sigma of the Gaussian fitted to the central row, averaged over heads, in patches; None if the fit
        did not converge.
      amplitude: learned amplitude, one for each head or one for all; None if there is no Gaussian term.
      sigma_y: learned sigma down, in patches.
      sigma_x: learned sigma across, in patches.
      attention: index of the layer among those with weights in `ReportImage`; None if its weights are not shown.
    """

    table: Float[np.ndarray, "#heads dy dx"] | None
    grid: Grid
    shows_patches: bool
    fit_sigma_yx: tuple[float, float] | None
    amplitude: Float[np.ndarray, " #heads"] | None
    sigma_y: Float[np.ndarray, " #heads"] | None
    sigma_x: Float[np.ndarray, " #heads"] | None
    attention: int | None


def attention_start(config: BackboneConfig) -> int:
    """Counts the layers before those in whose attention all patches of the last map meet."""
    last = config.stages()[-1]
    return last.first if last.is_global else config.depth


def layers_of(named: NamedModel) -> tuple[ReportLayer, ...]:
    """Reads the position bias of every layer, and decides whose attention is shown."""
    config = named.config
    start = attention_start(config)
    if not config.has_position_bias:
        return tuple(_plain_layer(config, layer, start=start) for layer in range(config.depth))
    layers: list[ReportLayer] = []
    for group in position_groups(config, named.params):
        layers += _layers_of_group(group, config, start=start, first=len(layers))
    return tuple(layers)


def _plain_layer(config: BackboneConfig, layer: int, *, start: int) -> ReportLayer:
    return ReportLayer(
        table=None,
        grid=config.grid,
        shows_patches=True,
        fit_sigma_yx=None,
        amplitude=None,
        sigma_y=None,
        sigma_x=None,
        attention=layer - start if layer >= start else None,
    )


def _layers_of_group(group: PositionGroup, config: BackboneConfig, *, start: int, first: int) -> list[ReportLayer]:
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
