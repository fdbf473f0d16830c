"""`erf`: the effective receptive field of a model on a folder of images, as arrays, numbers and a picture."""

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np

from gauss_vit.analysis.bootstrap import NUM_GROUPS, ErfBands, confidence_bands
from gauss_vit.analysis.erf import ErfMap, ErfSum
from gauss_vit.analysis.gaussian_fit import UNBOUNDED, FitBounds, GaussianFit, fit_receptive_fields, image_bounds
from gauss_vit.analysis.metrics import erf_metrics
from gauss_vit.analysis.protocol import protocol_named
from gauss_vit.analysis.summary import profile_radii, radial_mass, summarize
from gauss_vit.analysis.token import parse_tokens, patch_center
from gauss_vit.commands.command import Invocation, say
from gauss_vit.commands.erf_run import Measurement, measure
from gauss_vit.commands.feature_reader import ActivationType
from gauss_vit.commands.model_source import NamedModel, named_model
from gauss_vit.commands.result_files import suffixed, write_arrays, write_figure, write_record
from gauss_vit.data.image import open_images
from gauss_vit.errors import ConfigError
from gauss_vit.plots.erf import erf_figure, mosaic_figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One receptive field with everything that is said about it.

    Attributes:
      erf: the map.
      fit: the Gaussian fitted to it.
      bands: what other images would give; None where they were not drawn.
    """

    erf: ErfMap
    fit: GaussianFit
    bands: ErfBands | None


def run(invocation: Invocation) -> None:
    """Writes NAME.npz, NAME.json, NAME.png and NAME.pdf to `--out`, and says sigma and R squared of the fit.

    NAME is the model's, with the token, layer and protocol where they are not the default ones. With `--token=all` the
    arrays are stacked over tokens, the record has a list, and the picture is a mosaic. A run that was killed goes on
    where it was last saved.

    Raises:
      ConfigError: a flag is wrong or missing, or the target is degenerate.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    protocol = protocol_named(invocation.text("protocol"))
    out, paths = invocation.path("out"), open_images(invocation.path("images"))
    named = named_model(invocation)
    tokens = parse_tokens(invocation.text("token"), named.config.grid, center=protocol.center)
    measurement = Measurement(
        tokens=tokens,
        layer=parse_layer(invocation.text("layer")),
        protocol=protocol,
        paths=paths[: invocation.integer("max_images")],
        batch_size=invocation.integer("batch_size") or 1,
        stem=_stem(invocation, named.name),
        dtype=_dtype(invocation.text("dtype")),
        num_groups=NUM_GROUPS if len(tokens) == 1 and invocation.switch("bands") else 0,
        save_every=invocation.integer("save_every") or 1,
        bounds=_bounds(invocation.text("fit"), named.config.image_size),
    )
    partial = suffixed(out / measurement.stem, "partial.npz")
    write_total(out, named, measurement, measure(named, measurement, partial=partial))
    partial.unlink(missing_ok=True)


def parse_layer(text: str) -> int | None:
    """Reads `last` (None) or the number of a block, from 1.

    Raises:
      ConfigError: it is neither.
    """
    if text == "last":
        return None
    if not text.isdecimal():
        raise ConfigError(f"expected a layer as last or a number and got {text!r}", do="write last, or 1 for the first")
    return int(text)


def write_total(out: Path, named: NamedModel, measurement: Measurement, total: ErfSum) -> None:
    """Fits a Gaussian to every map, draws its bands, writes arrays, record and pictures, and says the outcome.

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
    _write(out / measurement.stem, results, context=_context(named, measurement), title=named.name)


def write_results(out: Path, named: NamedModel, measurement: Measurement, maps: tuple[ErfMap, ...]) -> None:
    """Does what `write_total` does for maps alone, without bands.

    Raises:
      StorageError: the results cannot be written.
    """
    fits = fit_receptive_fields(np.stack([erf.values for erf in maps]), bounds=measurement.bounds)
    results = tuple(Result(erf=erf, fit=fit, bands=None) for erf, fit in zip(maps, fits, strict=True))
    _write(out / measurement.stem, results, context=_context(named, measurement), title=named.name)


def _write(path: Path, results: tuple[Result, ...], *, context: dict[str, object], title: str) -> None:
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
    write_figure(suffixed(path, "png"), figure)
    write_figure(suffixed(path, "pdf"), figure)
    say(f"{path}.npz .json .png .pdf: {maps[0].num_images} images, {_summary(results)}")


def _dtype(text: str) -> ActivationType:
    for known in get_args(ActivationType):
        if text == known:
            return known
    raise ConfigError(f"expected --dtype as {' or '.join(get_args(ActivationType))} and got {text!r}")


def _bounds(text: str, image_size: tuple[int, int]) -> FitBounds:
    """Reads which fit is meant: the paper's `free` one, or OpenERF's `bounded` one."""
    if text not in ("free", "bounded"):
        raise ConfigError(f"expected --fit as free or bounded and got {text!r}")
    return UNBOUNDED if text == "free" else image_bounds(*image_size)


def _stem(invocation: Invocation, name: str) -> str:
    """Names the result files after the model and whatever differs from the default measurement."""
    token = invocation.text("token").replace(" ", "").replace(",", "-")
    parts = (("token", token, "center"), ("layer", invocation.text("layer"), "last"))
    suffixes = [f"_{word}-{value}" for word, value, default in parts if value != default]
    plain = (("protocol", "bmvc2023"), ("dtype", "float32"), ("fit", "free"))
    suffixes += [f"_{invocation.text(flag)}" for flag, default in plain if invocation.text(flag) != default]
    return name + "".join(suffixes)


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
        "layer": "last" if measurement.layer is None else measurement.layer,
        "dtype": measurement.dtype,
        "data_config": _data_config(named),
    }


def _data_config(named: NamedModel) -> dict[str, object]:
    """Says how images were prepared, under OpenERF's keys."""
    return {
        "input_size": [3, *named.config.image_size],
        "interpolation": named.transform.interpolation,
        "mean": list(named.normalization.mean),
        "std": list(named.normalization.std),
        "crop_pct": named.transform.crop_fraction,
        "crop_mode": "center",
    }


def _single(result: Result, title: str) -> dict[str, np.ndarray]:
    """Gives the arrays of one map: all that `compare` needs."""
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


def _summary(results: tuple[Result, ...]) -> str:
    if len(results) > 1:
        num_converged = sum(result.fit.converged for result in results)
        return f"{len(results)} tokens, {num_converged} Gaussian fits converged"
    fit = results[0].fit
    if not fit.converged:
        return "the Gaussian fit did not converge"
    return f"sigma x {fit.sigma_x:.2f} y {fit.sigma_y:.2f} px, R2 {fit.r_squared:.3f}"
