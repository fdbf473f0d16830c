"""Measures a receptive field image by image; a measurement that was killed can be resumed.

Sums are saved beside the results every few batches, under a digest of everything that they depend on. The same command
resumes from there and ends with the same bits, because batches have the same borders and sums the same order; a command
that measures anything else starts from scratch. The file is removed once the results are written.
"""

import dataclasses
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.analysis.erf import ErfBatch, ErfMap, ErfSum, FeatureFunction, add, batch_of, begin
from gauss_vit.analysis.gaussian_fit import UNBOUNDED, FitBounds
from gauss_vit.analysis.microbatches import MOST_AT_ONCE, even_batch_size
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.analysis.token import Token
from gauss_vit.assembly import cpu_devices
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.batches import has_signal
from gauss_vit.data.file_reading import read_file
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.features import grid_of_layer
from gauss_vit.inspect.network_features import Layer, network_features
from gauss_vit.inspect.partial_results import digest_of, read_partial, write_partial
from gauss_vit.inspect.photos import Photo, pixels_of
from gauss_vit.inspect.progress import progress
from gauss_vit.inspect.result_files import suffixed
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.compute import ActivationType
from gauss_vit.train import mesh

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """What to measure on which images.

    Attributes:
      tokens: target patches.
      layer: which map is read.
      protocol: how the field is defined.
      images: files, which are read when they are needed, or decoded images.
      batch_size: largest number of images in one pass, before they are spread evenly (`even_batch_size`).
      stem: name of the result files, without suffix.
      dtype: type of the model's activations.
      num_groups: number of groups of images for confidence bands; 0 for none.
      save_every: number of batches between two saves.
      bounds: limits of the Gaussian fit.
      unrolls: whether every block is compiled separately, which pays over many images.
    """

    tokens: tuple[Token, ...]
    layer: Layer
    protocol: ErfProtocol
    images: tuple[Path | Photo, ...]
    batch_size: int
    stem: str
    dtype: ActivationType = "float32"
    num_groups: int = 0
    save_every: int = 2
    bounds: FitBounds = UNBOUNDED
    unrolls: bool = False


def measure(named: NamedModel, measurement: Measurement, *, partial: Path | None = None) -> ErfSum:
    """Sums the receptive fields of every token, with the images spread over all devices.

    Args:
      named: the model.
      measurement: what to measure.
      partial: file to save sums in and to resume from; None for neither.

    Raises:
      ConfigError: there are no images, no such layer, or the measurement is not defined (`analysis.erf.begin`), or
        nothing of the first batch reaches the target (`analysis.erf.add`).
      DataError: an image is damaged.
      StorageError: the sums cannot be saved.
    """
    if not measurement.images:
        raise ConfigError("there are no images to measure on", do="give at least one", code="ERF-NO-IMAGES")
    devices = mesh.make(mesh.MeshConfig(), jax.local_devices())
    key = "" if partial is None else digest(named, measurement)
    total = None if partial is None else _saved(partial, measurement, key=key)
    done = 0 if total is None else total.num_images
    num_images = len(measurement.images)
    features = network_features(
        named.network,
        jax.device_put(named.params, mesh.replicated(devices)),
        layer=measurement.layer,
        protocol=measurement.protocol,
        dtype=measurement.dtype,
        unrolls=measurement.unrolls,
    )
    with (
        _ahead(_batches(named, measurement, devices, done=done)) as batches,
        progress("measuring", _subject(named, measurement), num_images, done=done) as shown,
    ):
        if total is None:
            total = _begun(named, measurement, features)
        for number, batch in enumerate(batches, start=1):
            before, total = total.num_images, add(total, features, batch)
            shown.update(total.num_images - before)
            is_due = number % measurement.save_every == 0 or total.num_images == num_images
            if partial is not None and is_due:
                _save(partial, total, key=key)
    return total


def measure_layers(named: NamedModel, measurement: Measurement, *, out: Path) -> tuple[ErfMap, ...]:
    """Measures one token after every layer, from the first; on grids of their own it is the central token.

    The sums of all layers stay in the folder `out`, as `layer_partials`, until the results are written.

    Raises:
      ConfigError: as `measure`.
      DataError: an image is damaged.
      StorageError: the sums cannot be saved.
    """
    steps = [_of_layer(measurement, layer, named.config) for layer in range(1, named.config.depth + 1)]
    partials = layer_partials(measurement, named.config, out=out)
    return tuple(measure(named, step, partial=partial).maps()[0] for step, partial in zip(steps, partials, strict=True))


def layer_partials(measurement: Measurement, config: BackboneConfig, *, out: Path) -> tuple[Path, ...]:
    """Lists the files that `measure_layers` saves sums in, from the first layer."""
    steps = (_of_layer(measurement, layer, config) for layer in range(1, config.depth + 1))
    return tuple(suffixed(out / step.stem, "partial.npz") for step in steps)


def has_one_grid(config: BackboneConfig) -> bool:
    """Whether the maps after all layers have the same grid."""
    return all(grid_of_layer(config, layer) == config.grid for layer in range(1, config.depth + 1))


def _of_layer(measurement: Measurement, layer: int, config: BackboneConfig) -> Measurement:
    grid = grid_of_layer(config, layer)
    tokens = measurement.tokens if grid == config.grid else (measurement.protocol.center(grid),)
    return dataclasses.replace(measurement, layer=layer, tokens=tokens, stem=f"{measurement.stem}-{layer}")


def _begun(named: NamedModel, measurement: Measurement, features: FeatureFunction) -> ErfSum:
    """Checks the measurement on the first image, while others decode the first batch."""
    pixels = pixels_of(named, measurement.images[0])[None]
    if not has_signal(pixels)[0]:
        _LOGGER.warning("%s: the first image has no signal: it is of one colour", _subject(named, measurement))
    image = named.normalization(jnp.asarray(pixels))
    return begin(
        features,
        batch_of(image),
        tokens=measurement.tokens,
        protocol=measurement.protocol,
        num_groups=measurement.num_groups,
    )


def digest(named: NamedModel, measurement: Measurement) -> str:
    """Computes a digest of everything that the bits of a sum depend on: model, images, measurement and machine."""
    settings = (
        named.config,
        named.transform,
        named.normalization,
        measurement.tokens,
        measurement.layer,
        measurement.protocol.name,
        measurement.batch_size,
        _batch_size(measurement, num_devices=jax.device_count()),
        MOST_AT_ONCE,
        measurement.dtype,
        measurement.num_groups,
        measurement.unrolls,
        jax.__version__,
        jax.default_backend(),
        jax.device_count(),
    )
    return digest_of(settings, named.params, (_content(image) for image in measurement.images))


def _content(image: Path | Photo) -> bytes:
    return image.pixels.tobytes() if isinstance(image, Photo) else read_file(image)


def _subject(named: NamedModel, measurement: Measurement) -> str:
    layer = measurement.layer
    place = f"layer {layer - 1}" if isinstance(layer, int) else layer
    return named.name if place is None else f"{named.name}, {place}"


def _save(path: Path, total: ErfSum, *, key: str) -> None:
    groups = {} if total.groups is None else {"groups": total.groups}
    arrays = {
        "values": total.values,
        "num_images": np.array(total.num_images, np.int64),
        "grid": np.array(total.grid, np.int64),
    }
    write_partial(path, arrays | groups, key=key)


def _saved(path: Path, measurement: Measurement, *, key: str) -> ErfSum | None:
    """Reads saved sums; None if there are none of this measurement."""
    arrays = read_partial(path, key=key)
    if arrays is None:
        return None
    _LOGGER.info("resuming after %d of %d images", arrays["num_images"], len(measurement.images))
    rows, columns = arrays["grid"].tolist()
    return ErfSum(
        values=arrays["values"],
        groups=arrays["groups"] if measurement.num_groups else None,
        num_images=int(arrays["num_images"]),
        tokens=measurement.tokens,
        grid=(rows, columns),
        protocol=measurement.protocol,
    )


def _batches(
    named: NamedModel, measurement: Measurement, devices: jax.sharding.Mesh, *, done: int
) -> Iterator[ErfBatch]:
    """Decodes on all cores, normalises and places; the last batch is padded to the size of the others."""
    num_images = len(measurement.images)
    size = _batch_size(measurement, num_devices=devices.size)
    with ThreadPoolExecutor(max_workers=cpu_devices.available()) as pool:
        for start in range(done, num_images, size):
            images = measurement.images[start : start + size]
            pixels = np.zeros((size, *named.config.image_size, 3), np.uint8)
            for index, decoded in enumerate(pool.map(lambda image: pixels_of(named, image), images)):
                pixels[index] = decoded
            placed = mesh.place_batch(ErfBatch(image=pixels, is_real=np.arange(size) < len(images)), devices)
            yield dataclasses.replace(placed, image=named.normalization(placed.image))


def _batch_size(measurement: Measurement, *, num_devices: int) -> int:
    return even_batch_size(len(measurement.images), at_most=measurement.batch_size, num_devices=num_devices)


@contextmanager
def _ahead(batches: Iterator[ErfBatch]) -> Iterator[Iterator[ErfBatch]]:
    """Prefetches: prepares the first batch at once, and every other one while the one before is used."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(next, batches, None)

        def prepared() -> Iterator[ErfBatch]:
            following = pending
            while (batch := following.result()) is not None:
                following = pool.submit(next, batches, None)
                yield batch

        yield prepared()
