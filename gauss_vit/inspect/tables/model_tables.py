"""Tables about models: fits of position biases, fits of receptive fields, learned Gaussians, sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_receptive_fields
from gauss_vit.analysis.position import analyse_position
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.analysis.token import Token, center_token
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.erf_run import Measurement, measure
from gauss_vit.inspect.photos import readable
from gauss_vit.inspect.position import PositionGroup, position_groups
from gauss_vit.inspect.tables import published
from gauss_vit.inspect.tables.accuracy import Accuracy, accuracy_on, evaluated_accuracy
from gauss_vit.inspect.tables.sources import Source, architecture
from gauss_vit.inspect.tables.table import PAPER, Cell, Row, Table, row_of
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.position.position import without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.quantities import counted
from gauss_vit.train.state import run_key

Variant = Literal["text", "code"]
"""What the paper's text describes, or what its code computes."""

_FIT_HEADS = ("R2", "sigma x", "sigma y")
_CODE_ROW, _CODE_GRID = (6, 5), (14, 14)
"""The paper's code reads row 90 of 14 x 14 patches with a class token as well, which is that of patch 89."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images that receptive fields and accuracies are measured on.

    Attributes:
      paths: Their files; one in a folder with the name of a class is of that class.
      protocol: Definition of the receptive field.
      batch_size: Largest number in a batch.
      skips_bad: Whether images that cannot be read are left out.
    """

    paths: tuple[Path, ...]
    protocol: ErfProtocol
    batch_size: int
    skips_bad: bool = False


def position_table(sources: Sequence[Source], *, variant: Variant, seed: int) -> Table:
    """Fits a Gaussian to the central row of every layer's relative position bias, averaged over heads (table 1).

    The Gaussian term is left out where there is another one. As the code has it, dropout is on while the bias is read,
    as drawn from `seed`, and models with a class token are read one patch beside the centre of 14 x 14.

    Raises:
      ConfigError: a source is wrong.
      CheckpointError: no checkpoint verifies, or weights are refused.
    """
    rows = [row for source in sources for row in _position_rows(source, variant=variant, seed=seed)]
    how = "dropout on, as in the paper's code" if variant == "code" else "dropout off"
    return Table(
        name="1",
        title="Gaussian fits of the relative position bias of the central patch, in patches",
        key_heads=("model", "layer"),
        heads=_FIT_HEADS,
        rows=tuple(rows),
        notes=(f"Layers are counted from 0, the paper's from 1; {how}.", *_fresh(sources)),
    )


def _position_rows(source: Source, *, variant: Variant, seed: int) -> list[Row]:
    named = source.load()
    config = without_terms(named.config, Gaussian)
    config = config if config.has_position_bias else named.config
    if not config.has_position_bias:
        return [row_of((source.name, "all"), (None,) * 3, missing="no bias")]
    groups = position_groups(config, named.params, key=run_key(seed) if variant == "code" else None)
    fits = [fit for group in groups for fit in _fits(group, config, variant=variant)]
    stated = published.POSITION_FITS.get(published.SIZES.get(architecture(named.config), ""), ())
    rows: list[Row] = []
    for layer, fit in enumerate(fits):
        rows.append(row_of((source.name, str(layer)), _numbers(fit), missing="flat"))
        if len(stated) == len(fits):
            rows.append(row_of((source.name, str(layer)), stated[layer], origin=PAPER))
    return rows


def _fits(group: PositionGroup, config: BackboneConfig, *, variant: Variant) -> tuple[GaussianFit, ...]:
    is_beside = variant == "code" and group.grid == _CODE_GRID and config.stages()[0].prefix_tokens > 0
    token: Token = _CODE_ROW if is_beside else center_token(group.grid)
    return analyse_position(group.tables, grid=group.grid, token=token).fits


def _numbers(fit: GaussianFit) -> tuple[float, float, float]:
    return fit.r_squared, fit.sigma_x, fit.sigma_y


def field_table(sources: Sequence[Source], images: Images | None) -> Table:
    """Fits a Gaussian to every receptive field, with the accuracy beside it (table 1 of the supplement).

    Args:
      sources: Models and runs.
      images: Images to measure on; without them a run has the accuracies that `evaluate` wrote, and nothing else.

    Raises:
      ConfigError: a source is wrong.
      DataError: an image is damaged.
      CheckpointError: no checkpoint verifies, or weights are refused.
    """
    rows: list[Row] = []
    notes = [] if images is not None else ["Receptive fields need --images=DIR."]
    for source in sources:
        measured = _measured(source, images)
        rows.append(Row(keys=(source.name,), cells=measured.cells))
        notes += measured.notes
        stated = published.FIELD_FITS.get(source.name.partition(".")[0])
        rows += [] if stated is None else [row_of((source.name,), stated, origin=PAPER)]
    return Table(
        name="s1",
        title="Gaussian fits of receptive fields in pixels, and accuracies in per cent",
        key_heads=("model",),
        heads=(*_FIT_HEADS, "top-1", "top-5"),
        rows=tuple(rows),
        notes=(*notes, *_fresh(sources)),
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Cells of a row, and sentences about them."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()


def _measured(source: Source, images: Images | None) -> _Measured:
    """Measures field and accuracy of one source."""
    named = source.load()
    if images is not None and images.skips_bad:
        images = replace(images, paths=readable(named, images.paths))
    field = _Measured(cells=(Cell(),) * len(_FIT_HEADS)) if images is None else _field(named, images)
    accuracy = evaluated_accuracy(source) or (accuracy_on(named, images.paths) if images is not None else None)
    if accuracy is None:
        return _Measured(cells=(*field.cells, Cell(), Cell()), notes=field.notes)
    return _Measured(
        cells=(*field.cells, *(Cell(value=share) for share in _percent(accuracy))),
        notes=(*field.notes, f"{source.name}: accuracies are {accuracy.of}."),
    )


def _field(named: NamedModel, images: Images) -> _Measured:
    """Measures the central receptive field and fits a Gaussian; a target that is not defined has no numbers."""
    measurement = Measurement(
        tokens=(images.protocol.center(named.config.grid),),
        layer=None,
        protocol=images.protocol,
        images=images.paths,
        batch_size=images.batch_size,
        stem=named.name,
    )
    try:
        (field,) = measure(named, measurement).maps()
    except ConfigError as error:
        return _Measured(
            cells=(Cell(missing="undefined"),) * len(_FIT_HEADS), notes=(f"{named.name}: {error.message}.",)
        )
    (fit,) = fit_receptive_fields(field.values[None])
    objection = (f"{named.name}: the fit means nothing, since {fit.objection}.",) if fit.objection else ()
    return _Measured(
        cells=tuple(Cell(value=value, missing="no fit") for value in _numbers(fit)),
        notes=(f"{named.name}: {counted(field.num_images, 'image')}, {images.protocol.name}.", *objection),
    )


def _percent(accuracy: Accuracy) -> tuple[float, float | None]:
    return 100 * accuracy.top1, None if accuracy.top5 is None else 100 * accuracy.top5


def learned_table(sources: Sequence[Source], *, variant: Variant) -> Table:
    """Lists amplitude and sigma of every layer's Gaussian, and their means over layers (table 3 of the supplement).

    Heads are averaged. As the code has it, signs are kept, although both signs mean the same.

    Raises:
      ConfigError: a source is wrong.
      CheckpointError: no checkpoint verifies.
    """
    rows = [row for source in sources for row in _learned_rows(source, variant=variant)]
    signs = "kept, as in the paper's code" if variant == "code" else "left out"
    return Table(
        name="s3",
        title="Learned amplitude and sigma of the Gaussian, in patches",
        key_heads=("model", "layer"),
        heads=("amplitude", "sigma"),
        rows=tuple(rows),
        notes=(
            f"Means over heads; signs are {signs}. Layers are counted from 0.",
            "The paper's numbers are of the epoch that was best on the validation split: add --best.",
            *_fresh(sources),
        ),
    )


def _learned_rows(source: Source, *, variant: Variant) -> list[Row]:
    named = source.load()
    if not named.config.has_position_bias:
        return [row_of((source.name, "mean"), (None, None), missing="no Gaussian")]
    learned = [group.learned for group in position_groups(named.config, named.params) if group.learned is not None]
    if not learned:
        return [row_of((source.name, "mean"), (None, None), missing="no Gaussian")]
    sign = np.asarray if variant == "code" else np.abs
    amplitude = np.concatenate([sign(each.amplitude).mean(axis=1) for each in learned])
    sigma = np.concatenate([(sign(each.sigma_x) + sign(each.sigma_y)).mean(axis=1) / 2 for each in learned])
    rows = [row_of((source.name, "mean"), (float(amplitude.mean()), float(sigma.mean())))]
    stated = _stated(published.LEARNED, source, named.config)
    rows += [] if stated is None else [row_of((source.name, "mean"), stated, origin=PAPER)]
    layers = enumerate(zip(amplitude.tolist(), sigma.tolist(), strict=True))
    return rows + [row_of((source.name, str(layer)), values) for layer, values in layers]


def _stated(numbers: published.ByData, source: Source, config: BackboneConfig) -> published.Numbers | None:
    """Finds what the paper states for the model and the data of a run; None for anything else."""
    if source.workdir is None:
        return None
    by_data = numbers.get(published.SIZES.get(architecture(config), ""), {})
    return by_data.get(published.data_name(source.experiment().data))


def size_table(sources: Sequence[Source]) -> Table:
    """Lists depth, width, heads and parameters (table 2 of the supplement).

    Raises:
      ConfigError: a source is wrong.
      CheckpointError: no checkpoint verifies, or weights are refused.
    """
    rows = []
    for source in sources:
        named = source.load()
        stages = named.config.stages()
        counts = (named.config.depth, stages[-1].width, stages[-1].num_heads)
        millions = sum(leaf.size for leaf in jax.tree.leaves(named.params)) / 1e6
        rows.append(row_of((source.name,), (*(None if count is None else float(count) for count in counts), millions)))
    return Table(
        name="s2",
        title="Sizes of models: blocks, channels and heads of the last stage, parameters in millions",
        key_heads=("model",),
        heads=("blocks", "channels", "heads", "parameters"),
        rows=tuple(rows),
    )


def _fresh(sources: Sequence[Source]) -> tuple[str, ...]:
    """Says which models have drawn parameters."""
    names = [source.name for source in sources if source.is_fresh]
    return (f"No weights were given for {', '.join(names)}: parameters are as drawn, untrained.",) if names else ()
