"""`predict`: what a trained model says of image files, by the model's own task."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gauss_vit.assembly import cpu_devices
from gauss_vit.assembly.named_model import NamedModel, named_model
from gauss_vit.command_line.console import warn
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data.skips import Skips
from gauss_vit.data.sources.image_files import FoundImages, find_images
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.photos import photo_of_size
from gauss_vit.inspect.prediction_formats import CsvRows, JsonLines, Listing, PredictionFormat, Table
from gauss_vit.inspect.prediction_pictures import picture_names, write_pictures
from gauss_vit.inspect.prediction_results import FileDetections
from gauss_vit.inspect.predictions import Prediction, predict
from gauss_vit.inspect.progress import Progress, progress
from gauss_vit.metrics.coco import Detected
from gauss_vit.quantities import counted


def run(invocation: Invocation) -> None:
    """Writes the likeliest classes of every image, or what else the task predicts, to standard output as it is known.

    An aligned table, with `--json` one object a line, with `--csv` one row a record. With `--out`, what the task says
    of places is drawn as well (`inspect.prediction_pictures`), and objects are written in COCO's format
    (`inspect.prediction_results`). Standard error says which files are left out.

    Raises:
      ConfigError: a flag is wrong or missing.
      DataError: a file is missing, damaged or not an image.
      CheckpointError: no checkpoint verifies, the weights are refused, or an output is not finite.
      StorageError: a picture cannot be written.
    """
    _check(invocation)
    found = find_images(invocation.arguments)
    _explain(found)
    batch_size = invocation.integer("batch_size") or 1
    cpu_devices.as_devices(batch_size=min(batch_size, len(found.paths)))
    named = named_model(invocation)
    if named.task.num_classes is not None and not named.class_names:
        warn(f"{named.name} holds no class names: classes are given by index")
    with progress("predicting with", named.name, len(found.paths)) as shown:
        _write(invocation, named, found.paths, shown)


def _check(invocation: Invocation) -> None:
    """Checks the flags before anything is loaded.

    Raises:
      ConfigError: they do not go together.
    """
    if not invocation.arguments:
        raise ConfigError("predict needs images", do="name files, folders or patterns, such as photos/*.jpg")
    if invocation.switch("json") and invocation.switch("csv"):
        raise ConfigError("--json and --csv are two formats", do="choose one")
    if invocation.is_given("model") and not invocation.is_given("weights"):
        raise ConfigError("a model without weights predicts nothing", do="add --weights=FILE.safetensors")
    if invocation.text("head") != "file":
        raise ConfigError("a newly initialised head predicts nothing", do="leave out --head")


def _explain(found: FoundImages) -> None:
    """Says what of the command line is left out, and why."""
    if found.num_repeated:
        warn(f"{_files(found.num_repeated)} named more than once; each is predicted once")
    if found.num_ignored:
        warn(f"{_files(found.num_ignored)} left out, without the suffix of an image")


def _files(count: int) -> str:
    return counted(count, "file is", "files are")


def _write(invocation: Invocation, named: NamedModel, paths: Sequence[Path], shown: Progress) -> None:
    """Predicts and writes batch by batch."""
    files = _Files(invocation.path("out"), named, paths) if invocation.is_given("out") else None
    skips = Skips(limit=None, report=shown.warn) if invocation.switch("skip_bad") else None
    batches = predict(
        named,
        paths,
        limit=invocation.integer("topk") or 1,
        batch_size=invocation.integer("batch_size") or 1,
        num_threads=cpu_devices.available(),
        skips=skips,
    )
    listing = Listing(_format(invocation, paths))
    for predicted in batches:
        batch = predicted if files is None else tuple(map(files.with_pictures, predicted))
        if lines := listing.lines(batch):
            shown.say("\n".join(lines))
        shown.update(len(batch))
    if files is not None:
        files.finish()
    if skips is not None and skips.indices:
        shown.warn(f"skipped {len(skips.indices)} of {len(paths)} images")


class _Files:
    """What `--out` asks for: pictures of every image and, where the task finds objects, one file of all of them."""

    def __init__(self, out: Path, named: NamedModel, paths: Sequence[Path]):
        self._out, self._named, self._names = out, named, picture_names(paths)
        self._detections = FileDetections(paths, num_classes=named.task.num_classes or 0)
        self._has_objects = False

    def with_pictures(self, prediction: Prediction) -> Prediction:
        """Writes the pictures of a prediction, adds their paths to it, and keeps its objects.

        Raises:
          ConfigError: it says nothing of places.
          StorageError: a picture cannot be written.
        """
        path, label_map = prediction.path, prediction.label_map()
        if label_map is None:
            raise ConfigError(
                f"--out draws where something is in an image, and {self._named.name} does not say where",
                do="leave out --out; the result is printed",
            )
        height, width = label_map.values.shape
        photo = photo_of_size(self._named, path, size=(height, width))
        pictures = write_pictures(self._out, self._names[path], photo=photo, label_map=label_map)
        if isinstance(prediction.found, Detected):
            self._detections.add(path, prediction.found)
            self._has_objects = True
        return dataclasses.replace(prediction, pictures=pictures)

    def finish(self) -> None:
        """Writes the objects of all images.

        Raises:
          StorageError: the file cannot be written.
        """
        if self._has_objects:
            self._detections.write(self._out)


def _format(invocation: Invocation, paths: Sequence[Path]) -> PredictionFormat:
    if invocation.switch("json"):
        return JsonLines()
    return CsvRows() if invocation.switch("csv") else Table.of(paths)
