"""The result files of receptive fields: arrays (npz), numbers (json) and figures.

Every function returns the line that tells a user what was written and what came out.
"""

import dataclasses
from pathlib import Path

import numpy as np

from gauss_vit.analysis.bootstrap import ErfBands, confidence_bands
from gauss_vit.analysis.erf import ErfMap, ErfSum
from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_receptive_fields
from gauss_vit.analysis.metrics import erf_metrics
from gauss_vit.analysis.summary import half_mass_radius, profile_radii, radial_mass, summarize
from gauss_vit.analysis.token import Target, patch_center
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.inspect.erf_run import Measurement
from gauss_vit.inspect.result_files import (
    DEFAULT_FORMATS,
    FigureFormats,
    file_names,
    suffixed,
    write_arrays,
    write_figures,
    write_record,
)
from gauss_vit.inspect.titles import short_title, title_of
from gauss_vit.plots.erf import erf_figure, mosaic_figure
from gauss_vit.plots.strips import Strip, field_strips_figure
from gauss_vit.quantities import counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One receptive field with what was computed from it.

    Attributes:
      erf: the map.
      fit: the Gaussian fitted to it.
      bands: confidence bands over images; None if they were not computed.
    """

    erf: ErfMap
    fit: GaussianFit
    bands: ErfBands | None


def write_total(
    out: Path, named: NamedModel, measurement: Measurement, total: ErfSum, *, formats: FigureFormats = DEFAULT_FORMATS
) -> str:
    """Fits a Gaussian to every map, computes its confidence bands, and writes arrays, record and figures.

    Raises:
      ConfigError: a map is empty.
      StorageError: the results cannot be written.
    """
    maps = total.maps()
    fits = fit_receptive_fields(np.stack([erf.values for erf in maps]), bounds=measurement.bounds)
    results = tuple(
        Result(erf=erf, fit=fit, bands=confidence_bands(total, erf, fit, bounds=measurement.bounds))
        for erf, fit in zip(maps, fits, strict=True)
    )
    return _write(out, named, measurement, results, formats)


def write_maps(out: Path, named: NamedModel, measurement: Measurement, maps: tuple[ErfMap, ...]) -> str:
    """Does what `write_total` does for maps alone, without confidence bands.

    Raises:
      StorageError: the results cannot be written.
    """
    return _write(out, named, measurement, _fitted(measurement, maps), DEFAULT_FORMATS)


def write_layers(
    out: Path,
    named: NamedModel,
    measurement: Measurement,
    maps: tuple[ErfMap, ...],
    *,
    formats: FigureFormats = DEFAULT_FORMATS,
) -> str:
    """Writes the receptive fields of one token in every layer: stacked arrays, a list of records, a strip of maps.

    Args:
      out: folder.
      named: the model.
      measurement: what was measured.
      maps: one for every layer, from the first.
      formats: formats of the figure.

    Raises:
      StorageError: the results cannot be written.
    """
    results = _fitted(measurement, maps)
    path = out / measurement.stem
    write_arrays(suffixed(path, "npz"), _layered(maps))
    layers = [{"layer": index, "num_blocks": index + 1} | _record(result) for index, result in enumerate(results)]
    write_record(suffixed(path, "json"), _context(named, measurement) | {"layer": "all", "layers": layers})
    write_strips(path, (strip_of(named, maps),), maps, formats=formats)
    first, last = (_half_mass_radius(erf) for erf in (maps[0], maps[-1]))
    radii = f"half of the mass within {first:.1f} px of the target after the first layer, {last:.1f} px after the last"
    files = file_names(path, "npz", "json", formats=formats)
    counts = f"{counted(maps[0].num_images, 'image')}, {counted(len(maps), 'layer')}"
    return f"{files}: {counts}, {radii}, {_num_described(results)}"


def strip_of(named: NamedModel, maps: tuple[ErfMap, ...]) -> Strip:
    """Returns the maps of a model's layers in the form that `write_strips` draws."""
    return Strip(title=title_of(named), values=np.stack([erf.values for erf in maps]))


def write_strips(
    path: Path, strips: tuple[Strip, ...], maps: tuple[ErfMap, ...], *, formats: FigureFormats = DEFAULT_FORMATS
) -> None:
    """Draws the layers of one or several models, a row each; `maps` are those of any one of them.

    Raises:
      StorageError: the results cannot be written.
    """
    erf, targets = maps[0], tuple(Target(token=erf.token, grid=erf.grid) for erf in maps)
    patch = f"Patch {erf.token} of {erf.grid[0]} x {erf.grid[1]}" if len(set(targets)) == 1 else "Central patch"
    caption = f"{patch}, {counted(erf.num_images, 'image')}, {erf.protocol.name}"
    write_figures(path, field_strips_figure(strips, targets=targets, caption=caption), formats=formats)


def _fitted(measurement: Measurement, maps: tuple[ErfMap, ...]) -> tuple[Result, ...]:
    fits = fit_receptive_fields(np.stack([erf.values for erf in maps]), bounds=measurement.bounds)
    return tuple(Result(erf=erf, fit=fit, bands=None) for erf, fit in zip(maps, fits, strict=True))


def _write(
    out: Path, named: NamedModel, measurement: Measurement, results: tuple[Result, ...], formats: FigureFormats
) -> str:
    layer = measurement.layer
    part = "" if layer is None or isinstance(layer, int) else str(layer)
    path, context, title = out / measurement.stem, _context(named, measurement), title_of(named, part=part)
    records = [_record(result) for result in results]
    maps = tuple(result.erf for result in results)
    if len(results) == 1:
        write_arrays(suffixed(path, "npz"), _single(results[0], short_title(named)))
        write_record(suffixed(path, "json"), records[0] | context)
        figure = erf_figure(maps[0], results[0].fit, title=title)
    else:
        write_arrays(suffixed(path, "npz"), _stacked(maps))
        write_record(suffixed(path, "json"), {"tokens": records} | context)
        figure = mosaic_figure(maps, title=title)
    write_figures(path, figure, formats=formats)
    files = file_names(path, "npz", "json", formats=formats)
    return f"{files}: {counted(maps[0].num_images, 'image')}, {_summary(results)}"


def _record(result: Result) -> dict[str, object]:
    erf = result.erf
    measured: dict[str, object] = {
        "num_images": erf.num_images,
        "token": list(erf.token),
        "grid": list(erf.grid),
        "protocol": erf.protocol.name,
        "magnitude": erf.magnitude,
        "gaussian_fit": result.fit.to_json() | {"objection": result.fit.objection or None},
        "from_target": summarize(erf, result.fit).to_json(),
        "bands": None if result.bands is None else result.bands.to_json(),
    }
    return erf_metrics(erf.values).to_json() | measured


def _context(named: NamedModel, measurement: Measurement) -> dict[str, object]:
    layer = measurement.layer
    is_block = isinstance(layer, int)
    return {
        "model": named.name,
        "step": named.step,
        "intervention": named.intervention,
        "intervention_seed": named.intervention_seed,
        "layer": layer - 1 if is_block else str(layer or "last"),
        "num_blocks": layer if is_block else named.config.depth,
        "dtype": measurement.dtype,
        "data_config": _data_config(named),
    }


def _data_config(named: NamedModel) -> dict[str, object]:
    """Describes the preparation of images under OpenERF's keys."""
    return {
        "input_size": [3, *named.config.image_size],
        "interpolation": named.transform.interpolation,
        "mean": list(named.normalization.mean),
        "std": list(named.normalization.std),
        "crop_pct": named.transform.crop_fraction,
        "crop_mode": "squash" if named.transform.stretches else "center",
    }


def _single(result: Result, title: str) -> dict[str, np.ndarray]:
    """Returns the arrays of one map: everything that a comparison needs."""
    erf = result.erf
    target = patch_center(erf.token, grid=erf.grid, image_size=erf.values.shape)
    radii = profile_radii(erf.values.shape, target)
    arrays = {
        "erf": erf.values,
        "num_images": np.array(erf.num_images, np.int64),
        "magnitude": np.array(erf.magnitude),
        "token": np.array(erf.token, np.int64),
        "grid": np.array(erf.grid, np.int64),
        "protocol": np.array(erf.protocol.name),
        "title": np.array(title),
        "radii_px": radii,
        "radial_mass": radial_mass(erf.values, target, radii_px=radii),
    }
    return arrays if result.bands is None else arrays | {"radial_mass_band": result.bands.profile}


def _stacked(maps: tuple[ErfMap, ...]) -> dict[str, np.ndarray]:
    return {
        "erf": np.stack([erf.values for erf in maps]),
        "tokens": np.array([erf.token for erf in maps], np.int64),
        "num_images": np.array(maps[0].num_images, np.int64),
    }


def _layered(maps: tuple[ErfMap, ...]) -> dict[str, np.ndarray]:
    return {
        "erf": np.stack([erf.values for erf in maps]),
        "layers": np.arange(len(maps)),
        "tokens": np.array([erf.token for erf in maps], np.int64),
        "grids": np.array([erf.grid for erf in maps], np.int64),
        "num_images": np.array(maps[0].num_images, np.int64),
    }


def _summary(results: tuple[Result, ...]) -> str:
    """Leads with the half-mass radius, which any field has; a fit that means nothing is not quoted."""
    radii = [_half_mass_radius(result.erf) for result in results]
    if len(results) > 1:
        radius = f"half of the mass within {np.median(radii):.1f} px of the target in the median"
        return f"{len(results)} tokens, {radius}, {_num_described(results)}"
    fit, radius = results[0].fit, f"half of the mass within {radii[0]:.1f} px of the target"
    if fit.objection:
        return f"{radius}; a Gaussian does not describe the field: {fit.objection}"
    return f"{radius}; Gaussian fit: sigma x {fit.sigma_x:.2f} y {fit.sigma_y:.2f} px, R2 {fit.r_squared:.3f}"


def _num_described(results: tuple[Result, ...]) -> str:
    num_described = sum(not result.fit.objection for result in results)
    return f"a Gaussian describes {num_described} of {len(results)} fields"


def _half_mass_radius(erf: ErfMap) -> float:
    return half_mass_radius(erf.values, patch_center(erf.token, grid=erf.grid, image_size=erf.values.shape))
