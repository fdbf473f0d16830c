"""The result files of receptive fields: arrays (npz), numbers (json) and figures (png and pdf).

Every function returns the line that tells a user what was written and what came out.
"""

import dataclasses
from pathlib import Path

import numpy as np

from gauss_vit.analysis.bootstrap import ErfBands, confidence_bands
from gauss_vit.analysis.erf import ErfMap, ErfSum
from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_receptive_fields
from gauss_vit.analysis.metrics import erf_metrics
from gauss_vit.analysis.summary import profile_radii, radial_mass, summarize
from gauss_vit.analysis.token import Target, patch_center
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.inspect.erf_run import Measurement
from gauss_vit.inspect.result_files import suffixed, write_arrays, write_figures, write_record
from gauss_vit.plots.erf import erf_figure, mosaic_figure
from gauss_vit.plots.strips import Strip, field_strips_figure

_POOR_FIT = 0.5
"""R squared below which a fitted Gaussian is remarked as a poor description."""


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


def write_total(out: Path, named: NamedModel, measurement: Measurement, total: ErfSum) -> str:
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
    return _write(out / measurement.stem, results, context=_context(named, measurement), title=named.name)


def write_maps(out: Path, named: NamedModel, measurement: Measurement, maps: tuple[ErfMap, ...]) -> str:
    """Does what `write_total` does for maps alone, without confidence bands.

    Raises:
      StorageError: the results cannot be written.
    """
    return _write(
        out / measurement.stem, _fitted(measurement, maps), context=_context(named, measurement), title=named.name
    )


def write_layers(out: Path, named: NamedModel, measurement: Measurement, maps: tuple[ErfMap, ...]) -> str:
    """Writes the receptive fields of one token in every layer: stacked arrays, a list of records, a strip of maps.

    Args:
      out: folder.
      named: the model.
      measurement: what was measured.
      maps: one for every layer, from the first.

    Raises:
      StorageError: the results cannot be written.
    """
    results = _fitted(measurement, maps)
    path = out / measurement.stem
    write_arrays(suffixed(path, "npz"), _layered(maps))
    layers = [{"layer": index} | _record(result) for index, result in enumerate(results, start=1)]
    write_record(suffixed(path, "json"), _context(named, measurement) | {"layer": "all", "layers": layers})
    write_strips(path, (strip_of(named, maps),), maps)
    num_converged = sum(result.fit.converged for result in results)
    outcome = f"{maps[0].num_images} images, {len(maps)} layers, {num_converged} Gaussian fits converged"
    return f"{path}.npz .json .png .pdf: {outcome}"


def strip_of(named: NamedModel, maps: tuple[ErfMap, ...]) -> Strip:
    """Returns the maps of a model's layers in the form that `write_strips` draws."""
    return Strip(title=named.name, values=np.stack([erf.values for erf in maps]))


def write_strips(path: Path, strips: tuple[Strip, ...], maps: tuple[ErfMap, ...]) -> None:
    """Draws the layers of one or several models, a row each; `maps` are those of any one of them.

    Raises:
      StorageError: the results cannot be written.
    """
    erf, targets = maps[0], tuple(Target(token=erf.token, grid=erf.grid) for erf in maps)
    token = f"token {erf.token} of {erf.grid[0]} x {erf.grid[1]}" if len(set(targets)) == 1 else "central token"
    caption = f"{token}, {erf.num_images} images, {erf.protocol.name}"
    write_figures(path, field_strips_figure(strips, targets=targets, caption=caption))


def _fitted(measurement: Measurement, maps: tuple[ErfMap, ...]) -> tuple[Result, ...]:
    fits = fit_receptive_fields(np.stack([erf.values for erf in maps]), bounds=measurement.bounds)
    return tuple(Result(erf=erf, fit=fit, bands=None) for erf, fit in zip(maps, fits, strict=True))


def _write(path: Path, results: tuple[Result, ...], *, context: dict[str, object], title: str) -> str:
    records = [_record(result) for result in results]
    maps = tuple(result.erf for result in results)
    if len(results) == 1:
        write_arrays(suffixed(path, "npz"), _single(results[0], title))
        write_record(suffixed(path, "json"), records[0] | context)
        figure = erf_figure(maps[0], results[0].fit, title=title)
    else:
        write_arrays(suffixed(path, "npz"), _stacked(maps))
        write_record(suffixed(path, "json"), {"tokens": records} | context)
        figure = mosaic_figure(maps, title=title)
    write_figures(path, figure)
    return f"{path}.npz .json .png .pdf: {maps[0].num_images} images, {_summary(results)}"


def _record(result: Result) -> dict[str, object]:
    erf = result.erf
    measured: dict[str, object] = {
        "num_images": erf.num_images,
        "token": list(erf.token),
        "grid": list(erf.grid),
        "protocol": erf.protocol.name,
        "magnitude": erf.magnitude,
        "gaussian_fit": result.fit.to_json(),
        "from_target": summarize(erf, result.fit).to_json(),
        "bands": None if result.bands is None else result.bands.to_json(),
    }
    return erf_metrics(erf.values).to_json() | measured


def _context(named: NamedModel, measurement: Measurement) -> dict[str, object]:
    return {
        "model": named.name,
        "step": named.step,
        "intervention": named.intervention,
        "intervention_seed": named.intervention_seed,
        "layer": "last" if measurement.layer is None else measurement.layer,
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
        "crop_mode": "center",
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
        "layers": np.arange(1, len(maps) + 1),
        "tokens": np.array([erf.token for erf in maps], np.int64),
        "grids": np.array([erf.grid for erf in maps], np.int64),
        "num_images": np.array(maps[0].num_images, np.int64),
    }


def _summary(results: tuple[Result, ...]) -> str:
    if len(results) > 1:
        num_converged = sum(result.fit.converged for result in results)
        return f"{len(results)} tokens, {num_converged} Gaussian fits converged"
    erf, fit = results[0].erf, results[0].fit
    radius = f"half of the mass within {summarize(erf, fit).half_mass_radius:.1f} px of the target"
    if not fit.converged:
        return f"{radius}, the Gaussian fit did not converge"
    sigmas = f"sigma x {fit.sigma_x:.2f} y {fit.sigma_y:.2f} px, R2 {fit.r_squared:.3f}"
    remark = " (explains little of the field)" if fit.r_squared < _POOR_FIT else ""
    return f"{radius}, Gaussian fit: {sigmas}{remark}"
