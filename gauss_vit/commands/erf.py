"""`erf`: the effective receptive field of a model on a folder of images, as arrays, numbers and a picture."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from gauss_vit.analysis.erf import ErfBatch, ErfMap, accumulate
from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_receptive_fields
from gauss_vit.analysis.metrics import erf_metrics
from gauss_vit.analysis.protocol import ErfProtocol, protocol_named
from gauss_vit.analysis.token import Token, parse_tokens
from gauss_vit.commands.command import Invocation, say
from gauss_vit.commands.feature_reader import features_of
from gauss_vit.commands.model_source import NamedModel, named_model
from gauss_vit.commands.result_files import write_arrays, write_figure, write_record
from gauss_vit.data.image import load_image, open_images, to_array
from gauss_vit.errors import ConfigError
from gauss_vit.plots.erf import erf_figure, mosaic_figure
from gauss_vit.train import mesh


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """What to measure on which images.

    Attributes:
      tokens: target patches.
      layer: the block that is read, from 1; None is the end of the trunk.
      protocol: how the field is defined.
      paths: image files.
      batch_size: images in one pass.
      stem: name of the result files, without suffix.
    """

    tokens: tuple[Token, ...]
    layer: int | None
    protocol: ErfProtocol
    paths: tuple[Path, ...]
    batch_size: int
    stem: str


def run(invocation: Invocation) -> None:
    """Writes NAME.npz, NAME.json and NAME.png to `--out`, and says sigma and R squared of the fit.

    NAME is the model's, with the token, layer and protocol where they are not the default ones. With `--token=all` the
    arrays are stacked over tokens, the record has a list, and the picture is a mosaic.

    Raises:
      ConfigError: a flag is wrong or missing, or the target is degenerate.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    protocol = protocol_named(invocation.text("protocol"))
    out, paths = invocation.path("out"), open_images(invocation.path("images"))
    named = named_model(invocation)
    measurement = Measurement(
        tokens=parse_tokens(invocation.text("token"), named.config.grid),
        layer=parse_layer(invocation.text("layer")),
        protocol=protocol,
        paths=paths[: invocation.integer("max_images")],
        batch_size=invocation.integer("batch_size") or 1,
        stem=_stem(invocation, named.name),
    )
    write_results(out, named, measurement, measure(named, measurement))


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


def measure(named: NamedModel, measurement: Measurement) -> tuple[ErfMap, ...]:
    """Measures the receptive field of every token, with the images spread over all devices."""
    devices = mesh.make(mesh.MeshConfig(), jax.devices())
    params = jax.device_put(named.params, mesh.replicated(devices))
    features = features_of(named.config, params, layer=measurement.layer, protocol=measurement.protocol)
    batches = _batches(named, measurement, devices)
    return accumulate(features, batches, tokens=measurement.tokens, protocol=measurement.protocol).maps()


def write_results(out: Path, named: NamedModel, measurement: Measurement, maps: tuple[ErfMap, ...]) -> None:
    """Fits a Gaussian to every map, writes arrays, record and picture, and says the outcome."""
    fits = fit_receptive_fields(np.stack([result.values for result in maps]))
    records = [_record(result, fit) for result, fit in zip(maps, fits, strict=True)]
    path = out / measurement.stem
    layer = "last" if measurement.layer is None else measurement.layer
    shared: dict[str, object] = {
        "model": named.name,
        "step": named.step,
        "layer": layer,
        "data_config": _data_config(named),
    }
    if len(maps) == 1:
        write_arrays(_suffixed(path, "npz"), _single(maps[0]))
        write_record(_suffixed(path, "json"), records[0] | shared)
        write_figure(_suffixed(path, "png"), erf_figure(maps[0], fits[0], title=named.name))
    else:
        write_arrays(_suffixed(path, "npz"), _stacked(maps))
        write_record(_suffixed(path, "json"), {"tokens": records} | shared)
        write_figure(_suffixed(path, "png"), mosaic_figure(maps, title=named.name))
    say(f"{path}.npz .json .png: {maps[0].num_images} images, {_summary(fits)}")


def _batches(named: NamedModel, measurement: Measurement, devices: jax.sharding.Mesh) -> Iterator[ErfBatch]:
    """Decodes, normalises and places the images; the last batch is padded to a size that is compiled already."""
    size = -(-min(measurement.batch_size, len(measurement.paths)) // devices.size) * devices.size
    for start in range(0, len(measurement.paths), size):
        paths = measurement.paths[start : start + size]
        pixels = np.zeros((size, *named.config.image_size, 3), np.uint8)
        for index, path in enumerate(paths):
            pixels[index] = to_array(named.transform(load_image(path), size=named.config.image_size))
        placed = mesh.place_batch(ErfBatch(image=pixels, is_real=np.arange(size) < len(paths)), devices)
        yield dataclasses.replace(placed, image=named.normalization(placed.image))


def _stem(invocation: Invocation, name: str) -> str:
    """Names the result files after the model and whatever differs from the default measurement."""
    token = invocation.text("token").replace(" ", "").replace(",", "-")
    parts = (("token", token, "center"), ("layer", invocation.text("layer"), "last"))
    suffixes = [f"_{word}-{value}" for word, value, default in parts if value != default]
    protocol = invocation.text("protocol")
    return name + "".join(suffixes) + ("" if protocol == "bmvc2023" else f"_{protocol}")


def _suffixed(path: Path, suffix: str) -> Path:
    """Adds a suffix; unlike `with_suffix` it keeps dots in the name."""
    return path.with_name(f"{path.name}.{suffix}")


def _record(result: ErfMap, fit: GaussianFit) -> dict[str, object]:
    measured: dict[str, object] = {
        "num_images": result.num_images,
        "token": list(result.token),
        "grid": list(result.grid),
        "protocol": result.protocol.name,
    }
    return erf_metrics(result.values).to_json() | measured | {"gaussian_fit": fit.to_json()}


def _context(named: NamedModel, measurement: Measurement) -> dict[str, object]:
    layer = "last" if measurement.layer is None else measurement.layer
    return {"model": named.name, "step": named.step, "layer": layer, "data_config": _data_config(named)}


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


def _single(result: ErfMap) -> dict[str, np.ndarray]:
    return {"erf": result.values, "num_images": np.array(result.num_images, np.int64)}


def _stacked(maps: tuple[ErfMap, ...]) -> dict[str, np.ndarray]:
    return {
        "erf": np.stack([result.values for result in maps]),
        "tokens": np.array([result.token for result in maps], np.int64),
        "num_images": np.array(maps[0].num_images, np.int64),
    }


def _summary(fits: tuple[GaussianFit, ...]) -> str:
    if len(fits) > 1:
        return f"{len(fits)} tokens, {sum(fit.converged for fit in fits)} Gaussian fits converged"
    if not fits[0].converged:
        return "the Gaussian fit did not converge"
    return f"sigma x {fits[0].sigma_x:.2f} y {fits[0].sigma_y:.2f} px, R2 {fits[0].r_squared:.3f}"
